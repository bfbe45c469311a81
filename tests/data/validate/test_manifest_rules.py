"""Rows compared with the other rows of a manifest."""

import pytest

from segline.data.images.manifest import empty_row
from segline.data.validate.manifest_rules import MAX_DUPLICATES_NAMED, compare_rows


class CountingRow(dict):
    """A row that counts how often a value of it is read."""

    reads = 0

    def __getitem__(self, name):
        CountingRow.reads += 1
        return super().__getitem__(name)


def copies(count, *, held_out):
    """Return `count` samples of the same bytes, of which `held_out` are in the test split."""
    return [
        CountingRow(
            empty_row(f"s{number:04d}") | {"split": "test" if number < held_out else "train", "image_sha256": "same"}
        )
        for number in range(count)
    ]


def test_copies_are_named_by_split_and_each_pair_once():
    first, second, third = compare_rows(copies(3, held_out=1), alike={})
    assert [row["same_image_in_splits"] for row in (first, second, third)] == ["none", "test, train", "test, train"]
    assert third["same_image_as"] == "s0000 (test), s0001 (train)"
    assert [row["like"] for row in (first, second, third)] == ["none", "s0002 (the same bytes)", "none"]
    *_, last = compare_rows(copies(40, held_out=1), alike={})
    assert last["same_image_as"].count("(") == MAX_DUPLICATES_NAMED


@pytest.mark.parametrize("share", [0, 2, 4])
def test_the_work_grows_as_the_rows_do_even_if_all_are_copies(share):
    def count_reads(rows):
        CountingRow.reads = 0
        compare_rows(rows, alike={})
        return CountingRow.reads

    few, many = (count_reads(copies(count, held_out=count * share // 4)) for count in (100, 1000))
    assert many <= 11 * few
