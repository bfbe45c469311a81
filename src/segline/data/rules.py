"""What must hold for a manifest, and how a row that breaks it is told to a person.

A rule names a Great Expectations expectation and its arguments, over the flat table of `flat`;
`segline.data.checks` has them judged.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from segline.core.labels import LabelMap
from segline.datasets.base import SPLITS, Dataset

Row = dict[str, Any]

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
)
"""The columns of `flat` that are judged."""

_NONE = "none"  # in a column that says what is wrong: nothing is
_AGAIN = "run the download and extract stages again, or correct the mirror"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with one sample, or with the dataset (`sample` is then empty)."""

    sample: str
    file: str
    found: str
    expected: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.found}, expected {self.expected}; remedy: {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """An expectation, and the words for a row that breaks it.

    Args:
        expectation: class name in ``great_expectations.expectations``.
        arguments: what that class is made with.
        description: the rule in one sentence, for the Data Docs.
        file: the file to look at, from a row.
        found: what is wrong with it, from a row.
    """

    name: str
    expectation: str
    arguments: Mapping[str, Any]
    description: str
    file: Callable[[Row], str]
    found: Callable[[Row], str]
    expected: str
    remedy: str

    def finding(self, row: Row) -> Finding:
        """The words for `row`, which breaks this rule."""
        return Finding(
            sample=row["id"], file=self.file(row), found=self.found(row), expected=self.expected, remedy=self.remedy
        )


def flat(table: pa.Table) -> list[Row]:
    """Manifest rows with the plain `COLUMNS` added that the rules look at."""
    rows: list[Row] = table.to_pylist()
    content_splits: defaultdict[str, set[str]] = defaultdict(set)
    group_splits: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        content_splits[row["image_sha256"]].add(str(row["split"]))
        group_splits[row["group"]].add(str(row["split"]))
    for row in rows:
        for kind in ("image", "mask"):
            row[f"{kind}_size"] = _size(row, kind)
            row[f"{kind}_fault"] = row[f"{kind}_error"] or _NONE
        row["illegal_raw_ids"] = ", ".join(map(str, row["illegal_ids"])) or _NONE
        row["same_image_in_splits"] = _several(content_splits[row["image_sha256"]]) if row["image_sha256"] else _NONE
        row["same_group_in_splits"] = _several(group_splits[row["group"]]) if row["group"] else _NONE
    return rows


def _size(row: Row, kind: str) -> str | None:
    height, width = row[f"{kind}_height"], row[f"{kind}_width"]
    return None if height is None else f"{height}x{width}"


def _several(splits: set[str]) -> str:
    return ", ".join(sorted(splits)) if len(splits) > 1 else _NONE


def rules_of(dataset: Dataset) -> list[Rule]:
    """Everything that must hold for `dataset`."""
    return [*_file_rules(), _ids_rule(dataset), *_membership_rules(dataset.name), *_leak_rules()]


def _file_rules() -> list[Rule]:
    return [
        _presence_rule("image", other="mask"),
        _presence_rule("mask", other="image"),
        _whole_rule("image", expected="a whole image"),
        _whole_rule("mask", expected="a whole, lossless mask of one 8-bit channel"),
        _size_rule(),
    ]


def _presence_rule(kind: str, *, other: str) -> Rule:
    return Rule(
        name=f"{kind}_present",
        expectation="ExpectColumnValuesToNotBeNull",
        arguments={"column": kind},
        description=f"Every sample has its {kind}.",
        file=lambda row: str(row[other] or row["id"]),
        found=lambda _: f"has no {kind}",
        expected="an image and a mask of the same name",
        remedy=_AGAIN,
    )


def _whole_rule(kind: str, *, expected: str) -> Rule:
    return Rule(
        name=f"{kind}_readable",
        expectation="ExpectColumnValuesToBeInSet",
        arguments={"column": f"{kind}_fault", "value_set": [_NONE]},
        description=f"Every {kind} file is {expected}.",
        file=lambda row: str(row[kind]),
        found=lambda row: str(row[f"{kind}_fault"]),
        expected=expected,
        remedy=_AGAIN,
    )


def _size_rule() -> Rule:
    return Rule(
        name="sizes_equal",
        expectation="ExpectColumnPairValuesToBeEqual",
        arguments={"column_A": "image_size", "column_B": "mask_size", "ignore_row_if": "either_value_is_missing"},
        description="Image and mask have the same height and width.",
        file=lambda row: str(row["mask"]),
        found=lambda row: (
            f"mask is {row['mask_size']}, its image {row['image']} is {row['image_size']}"
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
        file=lambda row: str(row["mask"]),
        found=lambda row: f"mask holds id {row['illegal_raw_ids']} in {row['illegal_pixels']} pixels",
        expected=f"the raw ids of {dataset.name}: {_ranges(dataset.label_map)}",
        remedy="use the publisher's raw masks (was this one already encoded to train ids?)",
    )


def _membership_rules(name: str) -> list[Rule]:
    known = f"one of {', '.join(SPLITS)}"
    correct = f"correct the split in segline/datasets/{name}.py"
    return [
        Rule(
            name="id_unique",
            expectation="ExpectColumnValuesToBeUnique",
            arguments={"column": "id"},
            description="No sample is listed twice.",
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
            file=lambda _: name,
            found=lambda row: f"no sample in split {row['split']}",
            expected=f"at least one in each of {', '.join(SPLITS)}",
            remedy="get the whole dataset; if it is whole, raise prepare.validation_share",
        ),
    ]


def _leak_rules() -> list[Rule]:
    remedy = "keep one of them, or put them all into one split"
    return [
        Rule(
            name="image_in_one_split",
            expectation="ExpectColumnValuesToBeInSet",
            arguments={"column": "same_image_in_splits", "value_set": [_NONE]},
            description="No image, by its bytes, is in two splits.",
            file=lambda row: str(row["image"]),
            found=lambda row: f"the same bytes are in the splits {row['same_image_in_splits']}",
            expected="each image in one split",
            remedy=remedy,
        ),
        Rule(
            name="group_in_one_split",
            expectation="ExpectColumnValuesToBeInSet",
            arguments={"column": "same_group_in_splits", "value_set": [_NONE]},
            description="No group (a drive, a city) is in two splits.",
            file=lambda row: str(row["image"] or row["id"]),
            found=lambda row: f"its group {row['group']!r} is in the splits {row['same_group_in_splits']}",
            expected="each group in one split",
            remedy=remedy,
        ),
    ]


def _ranges(label_map: LabelMap) -> str:
    """Legal raw ids, short: ``0..33, 255``."""
    ids = [int(value) for value in np.flatnonzero(label_map.legal)]
    runs = [[value for _, value in run] for _, run in groupby(enumerate(ids), lambda entry: entry[1] - entry[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs)
