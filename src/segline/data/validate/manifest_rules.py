"""Rules: the checks of single samples.

A rule is a Great Expectations expectation over a table of the samples, and the message for a sample that breaks it.
To add a check, add a `Rule` to one of the lists below. It then appears on the terminal, on the pages and in
``validation.json``, and counts for the exit code.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import numpy as np

from segline.core.labels import LabelMap, runs
from segline.data.images.manifest import SampleRow, empty_row
from segline.datasets.base import SPLITS, Dataset
from segline.errors import LONGEST_LINE, shown

Severity = Literal["stop", "quarantine", "warn"]
"""Effect of a finding. ``stop``: the stage fails; ``quarantine``: the sample is left out; ``warn``: only a note."""

NONE = "none"
"""Value of a problem column for a sample without a problem."""

MAX_DUPLICATES_NAMED = 16


class JudgedRow(SampleRow):
    """Row of the manifest, with the results of `compare_rows`."""

    same_image_in_splits: str  # splits that contain this image; NONE if this copy is kept
    same_image_as: str
    same_group_in_splits: str
    like: str  # samples whose images look like this one


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One problem of one sample, or of the dataset as a whole (`sample` is then empty)."""

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
    """One check of single samples.

    Args:
        arguments: keyword arguments of `expectation`.
        values: column name -> function of a row, for columns in `arguments` that a manifest row does not have.
        description: the rule in one sentence, for the Data Docs.
        severity: the effect of a sample that breaks it.
        file: function of a row: the file to look at.
        found: function of a row: what is wrong with that file.
        remedy: what to do; a function of a row, if it depends on the fault.
        expectation: class name in ``great_expectations.expectations``. Where `severity` is not ``stop``, it must be
            one that judges row by row, that is, one with the argument ``mostly``.
        duplicates: whether the gallery shows similar images beside the sample.
    """

    name: str
    arguments: Mapping[str, Any]
    description: str
    severity: Severity
    file: Callable[[JudgedRow], str]
    found: Callable[[JudgedRow], str]
    expected: str
    remedy: str | Callable[[JudgedRow], str]
    expectation: str = "ExpectColumnValuesToBeInSet"
    values: Mapping[str, Callable[[JudgedRow], object]] = field(default_factory=dict)
    duplicates: bool = False

    @property
    def columns(self) -> list[str]:
        """Return the names of the columns that this rule judges."""
        return [value for key, value in self.arguments.items() if key in ("column", "column_A", "column_B")]

    def select_values(self, row: JudgedRow) -> dict[str, object]:
        """Return the values of `columns` in `row`."""
        stored: Mapping[str, object] = row
        return {name: self.values[name](row) if name in self.values else stored[name] for name in self.columns}

    def describe(self, row: JudgedRow) -> Finding:
        """Describe how `row` breaks this rule."""
        remedy = self.remedy if isinstance(self.remedy, str) else self.remedy(row)
        return Finding(
            sample=row["id"], file=self.file(row), found=self.found(row), expected=self.expected, remedy=remedy
        )


def compare_rows(rows: Sequence[SampleRow], *, alike: Mapping[str, Sequence[str]]) -> list[JudgedRow]:
    """Compare each row with all others: find copies, similar images, and groups in several splits.

    Args:
        alike: sample id -> ids of samples whose images look the same.
    """
    split_of = {row["id"]: row["split"] for row in rows}
    # Grouped beforehand: a blank image may be there a thousand times, and each would be compared with all others.
    copies: defaultdict[str | None, list[SampleRow]] = defaultdict(list)
    ids_in_split: defaultdict[tuple[str | None, str | None], list[str]] = defaultdict(list)
    group_splits: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        copies[row["image_sha256"]].append(row)
        ids_in_split[row["image_sha256"], row["split"]].append(row["id"])
        group_splits[row["group"]].add(str(row["split"]))
    shared_by = {digest: {str(copy["split"]) for copy in same} for digest, same in copies.items() if digest}
    judged: list[JudgedRow] = []
    for row in rows:
        own, shared = row["id"], shared_by.get(row["image_sha256"] or "", set())
        same = copies[row["image_sha256"]] if shared else []
        same_in_split = ids_in_split[row["image_sha256"], row["split"]] if shared else []
        # Keep the copy in test rather than validation rather than train, so that scored splits lose no samples.
        leaks = bool(shared) and row["split"] != max(shared, key=_rank_split)
        # Name each pair once, in the row of the smaller id.
        twins = _name_some(name for name in same_in_split if name != own)
        like = [f"{name} (the same bytes)" for name in twins if name > own]
        like += [f"{name} ({split_of[name]})" for name in alike.get(own, ()) if name > own]
        judged.append(
            {
                **row,
                "same_image_in_splits": _join_splits(shared) if leaks else NONE,
                "same_image_as": ", ".join(
                    _name_some(f"{copy['id']} ({copy['split']})" for copy in same if copy["id"] != own)
                ),
                "same_group_in_splits": _join_splits(group_splits[row["group"]]) if row["group"] else NONE,
                "like": ", ".join(like) or NONE,
            }
        )
    return judged


def describe_missing_split(rule: Rule, split: str) -> Finding:
    """Describe that `rule` found no sample in `split`."""
    (row,) = compare_rows([{**empty_row(""), "split": split}], alike={})
    return rule.describe(row)


def format_ranges(label_map: LabelMap) -> str:
    """Format the legal raw ids as ranges: ``0..33, 255``."""
    return runs(np.flatnonzero(label_map.legal).tolist())


def _name_some(names: Iterable[str]) -> list[str]:
    """Return the first `MAX_DUPLICATES_NAMED` names; a blank image may have a thousand copies."""
    return list(islice(names, MAX_DUPLICATES_NAMED))


def _rank_split(split: str) -> int:
    return SPLITS.index(split) if split in SPLITS else -1


def _join_splits(splits: set[str]) -> str:
    return ", ".join(sorted(splits)) if len(splits) > 1 else NONE


def _list_file_rules(dataset: Dataset) -> list[Rule]:
    again = "run the download and extract stages again, or correct the mirror"
    if dataset.own is not None:
        again = f"correct or remove it in {dataset.own.path}, then run `dvc repro`"
    whole_mask = "a complete, lossless mask with one 8-bit channel"
    if dataset.colours is not None and not dataset.colours.indexed:
        whole_mask = "a complete, lossless image with only the colours of the class table"
    return [
        _require_file("image", other="mask", remedy=again),
        _require_file("mask", other="image", remedy=again),
        _require_whole("image", "image_error", expected="a complete image", remedy=again),
        _require_whole("mask", "mask_error", expected=whole_mask, remedy=again),
        Rule(
            name="sizes_equal",
            expectation="ExpectColumnPairValuesToBeEqual",
            arguments={"column_A": "image_size", "column_B": "mask_size", "ignore_row_if": "either_value_is_missing"},
            values={
                "image_size": lambda row: _format_size(row["image_height"], row["image_width"]),
                "mask_size": lambda row: _format_size(row["mask_height"], row["mask_width"]),
            },
            description="Image and mask have the same height and width.",
            severity="quarantine",
            file=lambda row: str(row["mask"]),
            found=_describe_sizes,
            expected="equal height and width",
            remedy=_choose_size_remedy,
        ),
        _require_legal_ids(dataset),
    ]


def _require_file(kind: Literal["image", "mask"], *, other: Literal["image", "mask"], remedy: str) -> Rule:
    return Rule(
        name=f"{kind}_present",
        expectation="ExpectColumnValuesToNotBeNull",
        arguments={"column": kind},
        description=f"Every sample has its {kind}.",
        severity="quarantine",
        file=lambda row: str(row[other] or row["id"]),
        found=lambda _: f"has no {kind}",
        expected="an image and a mask of the same name",
        remedy=remedy,
    )


def _require_whole(
    kind: Literal["image", "mask"], error: Literal["image_error", "mask_error"], *, expected: str, remedy: str
) -> Rule:
    return Rule(
        name=f"{kind}_readable",
        arguments={"column": f"{kind}_fault", "value_set": [NONE]},
        values={f"{kind}_fault": lambda row: row[error] or NONE},
        description=f"Every {kind} file is {expected}.",
        severity="quarantine",
        file=lambda row: str(row[kind]),
        found=lambda row: str(row[error]),
        expected=expected,
        remedy=remedy,
    )


def _format_size(height: int | None, width: int | None) -> str | None:
    return None if height is None else f"{height}x{width}"


def _describe_sizes(row: JudgedRow) -> str:
    image, mask = (row["image_height"], row["image_width"]), (row["mask_height"], row["mask_width"])
    words = f"mask is {_format_size(*mask)}, its image {row['image']} is {_format_size(*image)}"
    swapped = " (sides swapped)" if mask == image[::-1] else ""
    return words + swapped + (f" ({'; '.join(row['notes'])})" if row["notes"] else "")


def _choose_size_remedy(row: JudgedRow) -> str:
    """Say what to do about a mask of another size than its image: they were resized, turned, or are no pair."""
    heights, widths = (row["image_height"], row["mask_height"]), (row["image_width"], row["mask_width"])
    image, mask = (heights[0] or 0, widths[0] or 0), (heights[1] or 0, widths[1] or 0)
    if mask == image[::-1]:
        return (
            "the picture was probably turned after labelling, or only one of the two was: restore the picture that was "
            "labelled, or turn the mask as the picture was"
        )
    if _same_shape(image, mask):
        return (
            f"the picture was probably resized after labelling: restore the picture of {_format_size(*mask)}, or "
            f"resize the mask to {_format_size(*image)} with nearest neighbour, which makes no new ids; if not, pair "
            "the right files"
        )
    if _same_shape(image, mask[::-1]):
        return "the picture was probably resized and turned after labelling: restore the picture that was labelled"
    return "pair the right files: one of the two belongs to another picture, or was cut (Segline does not resize masks)"


def _same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether two sizes, (H, W), have the same ratio of sides, except for rounding to whole pixels."""
    small, large = sorted((one, other))
    scale = large[0] / small[0] if small[0] else 0.0
    return abs(small[1] * scale - large[1]) <= max(1.0, scale)


def _require_legal_ids(dataset: Dataset) -> Rule:
    return Rule(
        name="ids_legal",
        arguments={"column": "illegal_raw_ids", "value_set": [NONE]},
        values={"illegal_raw_ids": lambda row: _join_illegal(row) or NONE},
        description="Masks hold only raw ids that the label map allows.",
        severity="quarantine",
        file=lambda row: str(row["mask"]),
        found=lambda row: (
            f"mask holds id {_join_illegal(row)} in {row['illegal_pixels']} pixels"
            + (
                ", only on borders between other ids: the mask was resized with interpolation"
                if _is_interpolated(row)
                else ""
            )
        ),
        expected=f"the raw ids of {dataset.name}: {format_ranges(dataset.label_map)}",
        remedy="use the publisher's raw masks (was this mask already encoded to train ids?)"
        if dataset.own is None
        else f"add the id to {dataset.own.table}, as a class or under `void`, or correct the mask; then `dvc repro`",
    )


def _join_illegal(row: JudgedRow) -> str:
    return ", ".join(map(str, row["illegal_ids"]))


def _is_interpolated(row: JudgedRow) -> bool:
    return bool(row["illegal_ids"]) and set(row["illegal_ids"]) <= set(row["border_ids"])


def _list_split_rules(dataset: Dataset) -> list[Rule]:
    correct = f"correct the split in segline/datasets/{dataset.name}.py"
    if dataset.own is not None:
        correct = f"correct the split lists in {dataset.own.path}"
    return [
        Rule(
            name="id_unique",
            expectation="ExpectColumnValuesToBeUnique",
            arguments={"column": "id"},
            description="No sample is listed twice.",
            severity="stop",
            file=lambda row: row["id"],
            found=lambda _: "is listed more than once",
            expected="one sample for each id",
            remedy="remove it from one of the dataset's lists",
        ),
        Rule(
            name="split_given",
            expectation="ExpectColumnValuesToNotBeNull",
            arguments={"column": "split"},
            description="Every sample has a split.",
            severity="stop",
            file=lambda row: row["id"],
            found=lambda _: "is in no split",
            expected=f"one of {', '.join(SPLITS)}",
            remedy=correct,
        ),
        Rule(
            name="split_known",
            arguments={"column": "split", "value_set": list(SPLITS)},
            description="Every split is train, validation or test.",
            severity="stop",
            file=lambda row: row["id"],
            found=lambda row: f"is in split {row['split']!r}",
            expected=f"one of {', '.join(SPLITS)}",
            remedy=correct,
        ),
        Rule(
            name="splits_filled",
            expectation="ExpectColumnDistinctValuesToContainSet",
            arguments={"column": "split", "value_set": list(SPLITS)},
            description="No split is empty.",
            severity="stop",
            file=lambda _: dataset.name,
            found=lambda row: f"no sample in split {row['split']}",
            expected=f"at least one in each of {', '.join(SPLITS)}",
            remedy="download the complete dataset, or choose another split of it (docs/datasets.md); "
            "if only validation is empty, raise prepare.validation_share",
        ),
    ]


def _list_leak_rules(_: Dataset) -> list[Rule]:
    keep_one = "keep one of them, or put them all into one split"
    return [
        Rule(
            name="image_in_one_split",
            arguments={"column": "same_image_in_splits", "value_set": [NONE]},
            description="No image is in two splits (equal bytes). The copy in test, or else in validation, is kept.",
            severity="quarantine",
            file=lambda row: str(row["image"]),
            found=lambda row: f"the same bytes are in the splits {row['same_image_in_splits']}: {row['same_image_as']}",
            expected="each image in one split",
            remedy=keep_one,
            duplicates=True,
        ),
        Rule(
            name="group_in_one_split",
            arguments={"column": "same_group_in_splits", "value_set": [NONE]},
            description="No group (a drive, a city) is in two splits.",
            severity="stop",
            file=lambda row: str(row["image"] or row["id"]),
            found=lambda row: f"its group {row['group']!r} is in the splits {row['same_group_in_splits']}",
            expected="each group in one split",
            remedy=keep_one,
        ),
    ]


def _list_content_rules(_: Dataset) -> list[Rule]:
    return [
        Rule(
            name="mask_not_all_void",
            arguments={"column": "labelled", "value_set": [True]},
            values={"labelled": lambda row: row["void_fraction"] is None or row["void_fraction"] < 1.0},
            description="Every mask labels something.",
            severity="quarantine",
            file=lambda row: str(row["mask"]),
            found=lambda row: f"every pixel is void (raw ids {runs(row['raw_ids'])})",
            expected="at least one pixel of a class",
            remedy="label it, or remove it from the dataset: it can neither train nor score a model",
        ),
        Rule(
            name="image_looks_like_another",
            arguments={"column": "like", "value_set": [NONE]},
            description="No image looks like another one (perceptual hash).",
            severity="warn",
            file=lambda row: str(row["image"]),
            found=lambda row: f"looks like {row['like']}",
            expected="different images, or similar images in one split",
            remedy="compare the images; copies in two splits make scores too high: give them the same group",
            duplicates=True,
        ),
        Rule(
            name="image_usual",
            arguments={"column": "unusual", "value_set": [NONE]},
            values={"unusual": lambda row: "; ".join(row["notes"]) or NONE},
            description="Image files are plain 8-bit RGB, upright, and of the format that their extension states.",
            severity="warn",
            file=lambda row: str(row["image"]),
            found=lambda row: "; ".join(row["notes"]),
            expected="a plain RGB image",
            remedy="nothing to do: the image is converted as described",
        ),
    ]


RULES: tuple[Callable[[Dataset], list[Rule]], ...] = (
    _list_file_rules,
    _list_split_rules,
    _list_leak_rules,
    _list_content_rules,
)
"""Functions that make the rules for a dataset, in the order of the pages."""


def rules_of(dataset: Dataset) -> list[Rule]:
    """Make every rule that must hold for `dataset`."""
    return [rule for make in RULES for rule in make(dataset)]
