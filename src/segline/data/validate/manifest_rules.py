"""What must hold for a manifest, and how a row that breaks it is told to a person.

A rule names a Great Expectations expectation and its arguments, over the flat table of `flat`;
`segline.data.validate.expectations` has them judged.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np

from segline.core.labels import LabelMap, runs
from segline.datasets.base import SPLITS, Dataset
from segline.errors import LONGEST_LINE, shown

Row = dict[str, Any]

Severity = Literal["stop", "quarantine", "warn"]
"""What a finding does: ends the stage; has its sample listed and left out; is told."""

COLUMNS = (
    "id",
    "split",
    "group",
    "image",
    "mask",
    "image_fault",
    "mask_fault",
    "image_size",
    "mask_size",
    "illegal_raw_ids",
    "same_image_in_splits",
    "same_group_in_splits",
    "labelled",
    "like",
    "unusual",
)
"""The columns of `flat` that are judged."""

_NONE = "none"  # in a column that says what is wrong: nothing is
_TWINS = 16  # copies of the same bytes that a sample is told with
_AGAIN = "run the download and extract stages again, or correct the mirror"
_OWN = "correct or remove it in {path}, then run `dvc repro`"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with one sample, or with the dataset (`sample` is then empty)."""

    sample: str
    file: str
    found: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        place, found = shown(self.file, limit=LONGEST_LINE), shown(self.found, limit=LONGEST_LINE)
        return f"{place}: {found}, expected {self.expected}; remedy: {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """An expectation, and the words for a row that breaks it.

    Args:
        expectation: class name in ``great_expectations.expectations``.
        arguments: what that class is made with.
        description: the rule in one sentence, for the Data Docs.
        severity: what a row that breaks it does.
        file: the file to look at, from a row.
        found: what is wrong with it, from a row.
    """

    name: str
    expectation: str
    arguments: Mapping[str, Any]
    description: str
    severity: Severity
    file: Callable[[Row], str]
    found: Callable[[Row], str]
    expected: str
    remedy: str

    def finding(self, row: Row) -> Finding:
        """The words for `row`, which breaks this rule."""
        return Finding(
            sample=row["id"], file=self.file(row), found=self.found(row), expected=self.expected, remedy=self.remedy
        )


def flat(rows: list[Row], *, alike: Mapping[str, Sequence[str]]) -> list[Row]:
    """Add to manifest rows the plain `COLUMNS` that the rules look at.

    Args:
        alike: sample id -> ids of samples whose images look the same.
    """
    split_of = {row["id"]: row["split"] for row in rows}
    twins: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    content_splits: defaultdict[str, set[str]] = defaultdict(set)
    content_ids: defaultdict[str, list[str]] = defaultdict(list)
    group_splits: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        content_splits[row["image_sha256"]].add(str(row["split"]))
        content_ids[row["image_sha256"]].append(f"{row['id']} ({row['split']})")
        group_splits[row["group"]].add(str(row["split"]))
        twins[row["image_sha256"], row["split"]].append(row["id"])
    for row in rows:
        for kind in ("image", "mask"):
            row[f"{kind}_size"] = _size(row, kind)
            row[f"{kind}_fault"] = row[f"{kind}_error"] or _NONE
        row["illegal_raw_ids"] = ", ".join(map(str, row["illegal_ids"])) or _NONE
        # The copy in the most telling split stays: a score must not lose samples to what was trained on.
        shared = content_splits[row["image_sha256"]] if row["image_sha256"] else set()
        leaks = bool(shared) and row["split"] != max(shared, key=_rank)
        row["same_image_in_splits"] = _several(shared) if leaks else _NONE
        row["same_image_as"] = ", ".join(_others(content_ids[row["image_sha256"]], f"{row['id']} ({row['split']})"))
        row["labelled"] = row["void_fraction"] is None or row["void_fraction"] < 1.0
        # Each two are told once, beside the first of them.
        same = _others(twins[row["image_sha256"], row["split"]], row["id"]) if row["image_sha256"] else []
        same = [name for name in same if name > row["id"]]
        like = [f"{name} ({split_of[name]})" for name in alike.get(row["id"], ()) if name > row["id"]]
        row["like"] = ", ".join([f"{name} (the same bytes)" for name in same] + like) or _NONE
        row["unusual"] = "; ".join(row["notes"]) or _NONE
        row["same_group_in_splits"] = _several(group_splits[row["group"]]) if row["group"] else _NONE
    return rows


def _others(names: Sequence[str], own: str) -> list[str]:
    """Some of `names`, less `own`: a blank image may be there a thousand times."""
    return list(islice((name for name in names if name != own), _TWINS))


def _size(row: Row, kind: str) -> str | None:
    height, width = row[f"{kind}_height"], row[f"{kind}_width"]
    return None if height is None else f"{height}x{width}"


def _rank(split: str) -> int:
    return SPLITS.index(split) if split in SPLITS else -1


def _several(splits: set[str]) -> str:
    return ", ".join(sorted(splits)) if len(splits) > 1 else _NONE


def rules_of(dataset: Dataset) -> list[Rule]:
    """Everything that must hold for `dataset`."""
    again = _AGAIN if dataset.own is None else _OWN.format(path=dataset.own.path)
    return [
        *_file_rules(dataset, again),
        _ids_rule(dataset),
        *_membership_rules(dataset),
        *_leak_rules(),
        _labelled_rule(),
        *_oddity_rules(),
    ]


def _file_rules(dataset: Dataset, again: str) -> list[Rule]:
    mask = "a whole, lossless mask of one 8-bit channel"
    if dataset.colours is not None:
        mask = "a whole, lossless picture of the class table's colours alone"
    return [
        _presence_rule("image", other="mask", again=again),
        _presence_rule("mask", other="image", again=again),
        _whole_rule("image", expected="a whole image", again=again),
        _whole_rule("mask", expected=mask, again=again),
        _size_rule(),
    ]


def _presence_rule(kind: str, *, other: str, again: str) -> Rule:
    return Rule(
        name=f"{kind}_present",
        expectation="ExpectColumnValuesToNotBeNull",
        arguments={"column": kind},
        description=f"Every sample has its {kind}.",
        severity="quarantine",
        file=lambda row: str(row[other] or row["id"]),
        found=lambda _: f"has no {kind}",
        expected="an image and a mask of the same name",
        remedy=again,
    )


def _whole_rule(kind: str, *, expected: str, again: str) -> Rule:
    return Rule(
        name=f"{kind}_readable",
        expectation="ExpectColumnValuesToBeInSet",
        arguments={"column": f"{kind}_fault", "value_set": [_NONE]},
        description=f"Every {kind} file is {expected}.",
        severity="quarantine",
        file=lambda row: str(row[kind]),
        found=lambda row: str(row[f"{kind}_fault"]),
        expected=expected,
        remedy=again,
    )


def _size_rule() -> Rule:
    return Rule(
        name="sizes_equal",
        expectation="ExpectColumnPairValuesToBeEqual",
        arguments={"column_A": "image_size", "column_B": "mask_size", "ignore_row_if": "either_value_is_missing"},
        description="Image and mask have the same height and width.",
        severity="quarantine",
        file=lambda row: str(row["mask"]),
        found=lambda row: (
            f"mask is {row['mask_size']}, its image {row['image']} is {row['image_size']}"
            + (" (sides swapped)" if row["mask_size"].split("x") == row["image_size"].split("x")[::-1] else "")
            + (f" ({'; '.join(row['notes'])})" if row["notes"] else "")
        ),
        expected="equal height and width",
        remedy="pair the right files (Segline never scales a mask to fit)",
    )


def _ids_rule(dataset: Dataset) -> Rule:
    return Rule(
        name="ids_legal",
        expectation="ExpectColumnValuesToBeInSet",
        arguments={"column": "illegal_raw_ids", "value_set": [_NONE]},
        description="Masks hold only raw ids that the label map allows.",
        severity="quarantine",
        file=lambda row: str(row["mask"]),
        found=lambda row: (
            f"mask holds id {row['illegal_raw_ids']} in {row['illegal_pixels']} pixels"
            + (", only on borders between others: it was interpolated" if _smeared(row) else "")
        ),
        expected=f"the raw ids of {dataset.name}: {ranges(dataset.label_map)}",
        remedy="use the publisher's raw masks (was this one already encoded to train ids?)"
        if dataset.own is None
        else f"add the id to {dataset.own.table}, as a class or under `void`, or correct the mask; then `dvc repro`",
    )


def _smeared(row: Row) -> bool:
    return bool(row["illegal_ids"]) and set(row["illegal_ids"]) <= set(row["border_ids"])


def _membership_rules(dataset: Dataset) -> list[Rule]:
    name, known = dataset.name, f"one of {', '.join(SPLITS)}"
    correct = f"correct the split in segline/datasets/{name}.py"
    if dataset.own is not None:
        correct = f"correct the split lists in {dataset.own.path}"
    return [
        Rule(
            name="id_unique",
            expectation="ExpectColumnValuesToBeUnique",
            arguments={"column": "id"},
            description="No sample is listed twice.",
            severity="stop",
            file=lambda row: str(row["id"]),
            found=lambda _: "is listed more than once",
            expected="one sample an id",
            remedy="remove it from one of the dataset's lists",
        ),
        Rule(
            name="split_given",
            expectation="ExpectColumnValuesToNotBeNull",
            arguments={"column": "split"},
            description="Every sample has a split.",
            severity="stop",
            file=lambda row: str(row["id"]),
            found=lambda _: "is in no split",
            expected=known,
            remedy=correct,
        ),
        Rule(
            name="split_known",
            expectation="ExpectColumnValuesToBeInSet",
            arguments={"column": "split", "value_set": list(SPLITS)},
            description="Every split is a known one.",
            severity="stop",
            file=lambda row: str(row["id"]),
            found=lambda row: f"is in split {row['split']!r}",
            expected=known,
            remedy=correct,
        ),
        Rule(
            name="splits_filled",
            expectation="ExpectColumnDistinctValuesToContainSet",
            arguments={"column": "split", "value_set": list(SPLITS)},
            description="No split is empty.",
            severity="stop",
            file=lambda _: name,
            found=lambda row: f"no sample in split {row['split']}",
            expected=f"at least one in each of {', '.join(SPLITS)}",
            remedy="get the whole dataset, or ask for another split of it (docs/datasets.md); "
            "where validation alone is empty, raise prepare.validation_share",
        ),
    ]


def _leak_rules() -> list[Rule]:
    remedy = "keep one of them, or put them all into one split"
    return [
        Rule(
            name="image_in_one_split",
            expectation="ExpectColumnValuesToBeInSet",
            arguments={"column": "same_image_in_splits", "value_set": [_NONE]},
            description="No image, by its bytes, is in two splits; its copy in the scored split stays.",
            severity="quarantine",
            file=lambda row: str(row["image"]),
            found=lambda row: f"the same bytes are in the splits {row['same_image_in_splits']}: {row['same_image_as']}",
            expected="each image in one split",
            remedy=remedy,
        ),
        Rule(
            name="group_in_one_split",
            expectation="ExpectColumnValuesToBeInSet",
            arguments={"column": "same_group_in_splits", "value_set": [_NONE]},
            description="No group (a drive, a city) is in two splits.",
            severity="stop",
            file=lambda row: str(row["image"] or row["id"]),
            found=lambda row: f"its group {row['group']!r} is in the splits {row['same_group_in_splits']}",
            expected="each group in one split",
            remedy=remedy,
        ),
    ]


def _labelled_rule() -> Rule:
    return Rule(
        name="mask_not_all_void",
        expectation="ExpectColumnValuesToBeInSet",
        arguments={"column": "labelled", "value_set": [True]},
        description="Every mask labels something.",
        severity="quarantine",
        file=lambda row: str(row["mask"]),
        found=lambda row: f"every pixel is void (raw ids {runs(row['raw_ids'])})",
        expected="at least one pixel of a class",
        remedy="label it, or take it out of the dataset: nothing can be learnt from it or scored on it",
    )


def _oddity_rules() -> list[Rule]:
    return [
        Rule(
            name="image_looks_like_another",
            expectation="ExpectColumnValuesToBeInSet",
            arguments={"column": "like", "value_set": [_NONE]},
            description="No image looks like another one (perceptual hash).",
            severity="warn",
            file=lambda row: str(row["image"]),
            found=lambda row: f"looks like {row['like']}",
            expected="images that show different things, or one split for those that do not",
            remedy="look at them: copies across splits make scores too good; give them one group",
        ),
        Rule(
            name="image_usual",
            expectation="ExpectColumnValuesToBeInSet",
            arguments={"column": "unusual", "value_set": [_NONE]},
            description="Image files are plain 8-bit RGB, upright, and of the kind their name says.",
            severity="warn",
            file=lambda row: str(row["image"]),
            found=lambda row: str(row["unusual"]),
            expected="a plain RGB image",
            remedy="nothing to do: it is converted as said",
        ),
    ]


def ranges(label_map: LabelMap) -> str:
    """Legal raw ids, short: ``0..33, 255``."""
    return runs(np.flatnonzero(label_map.legal).tolist())
