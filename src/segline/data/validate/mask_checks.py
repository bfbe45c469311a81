"""What is wrong with a dataset's labels as a whole: the patterns behind many findings at once.

A thousand masks with an illegal id are not a thousand mistakes but one, made when they were written.
Each pattern is told once, under the name that people know it by, with the way out of it; the findings
that it explains are then not spelt out one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segline.core.coding import BLENDS
from segline.core.labels import VOID, runs
from segline.core.vision import perceptual_hash
from segline.data.validate.build_manifest import MASK_FOR_IMAGE
from segline.data.validate.manifest_rules import Finding, Row, ranges
from segline.datasets.base import SPLITS, Dataset

NEAR = 6
"""Bits in which two perceptual hashes may differ for their images to count as near duplicates. On KITTI
it joins frames of one drive and nothing else; on Pets, copies of one photograph."""

_TWINS = 16  # look-alikes that a sample is told with
_MOST = 0.5  # of the masks, from which a fault is a pattern
_SHIFTED = 0.65  # of the samples whose image the neighbour's mask explains better; unshifted data stay below 0.2
_ENOUGH = 20  # samples, below which a shift cannot be told from chance
_INTERPOLATED = 0.3  # of the masks with several ids that lie only on borders


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """One mistake behind many findings.

    Args:
        name: what it is known as.
        finding: the words for it.
        explains: names of the rules whose findings it explains.
        samples: ids of the samples that show it.
        step: where the mask that fits is another sample's, its place from the sample's own.
    """

    name: str
    finding: Finding
    explains: frozenset[str]
    samples: tuple[str, ...]
    step: int = 0


def patterns(rows: Sequence[Row], dataset: Dataset) -> list[Pattern]:
    """The patterns in a manifest's rows, sorted by id; at most one about encoding."""
    found = []
    masks = [row for row in rows if row["raw_ids"]]
    for recognise in (_exchanged, _pictures, _blended, _binary, _train_ids, _one_based, _interpolated):
        pattern = recognise(rows if recognise in (_exchanged, _pictures, _blended) else masks, dataset)
        if pattern is not None:
            found.append(pattern)
            break
    for recognise in (_swapped_sides, _shifted_sizes, _shifted):
        pattern = recognise(rows, dataset)
        if pattern is not None:
            found.append(pattern)
            break
    return found


def class_findings(rows: Sequence[Row], dataset: Dataset) -> list[Finding]:
    """Classes that no mask holds, and those of the training split that a scored split lacks."""
    found = []
    held = {split: _held(rows, split, dataset) for split in SPLITS}
    for place, item in enumerate(dataset.label_map.classes):
        if not any(counts[place] for counts in held.values()):
            found.append(
                _finding(
                    dataset,
                    found=f"class {item.name!r} (id {item.raw}) is in no mask",
                    expected="each class of the label map somewhere",
                    remedy="take it out of the class table if it is not wanted; a score leaves it out",
                )
            )
            continue
        found += [
            _finding(
                dataset,
                found=f"class {item.name!r} (id {item.raw}) is in train, but in no mask of {split}",
                expected="each class that is trained on in each split that is scored",
                remedy=f"nothing about it can be measured on {split}: move a sample, or read scores so",
            )
            for split in ("validation", "test")
            if held["train"][place] and not held[split][place]
        ]
    return found


def near_duplicates(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Sample id -> ids of samples whose images look alike, byte-identical ones aside; of many, the next ones."""
    hashed = [row for row in rows if row["image_hash"]]
    hashes = np.array([int(row["image_hash"], 16) for row in hashed], dtype=np.uint64)
    found: dict[str, list[str]] = {}
    for first, second in perceptual_hash.near_pairs(hashes, distance=NEAR, most=_TWINS).tolist():
        one, other = hashed[first], hashed[second]
        if one["image_sha256"] != other["image_sha256"]:
            found.setdefault(one["id"], []).append(other["id"])
            found.setdefault(other["id"], []).append(one["id"])
    return found


def _held(rows: Sequence[Row], split: str, dataset: Dataset) -> list[int]:
    """Pixels a class in one split."""
    counted = [row["pixels"] for row in rows if row["split"] == split and row["pixels"]]
    return [sum(column) for column in zip(*counted, [0] * len(dataset.label_map), strict=True)]


def _exchanged(rows: Sequence[Row], dataset: Dataset) -> Pattern | None:
    exchanged = [row for row in rows if MASK_FOR_IMAGE in row["notes"]]
    remedy = "exchange the two folders"
    if dataset.own is not None:
        remedy = "exchange `images` and `masks` under options.folder in params.yaml, then run `dvc repro`"
    return _pattern(
        "images_and_masks_exchanged",
        exchanged,
        rows,
        dataset,
        found="images and masks are swapped: what is given as masks are photographs, and what is given as images are "
        f"masks, such as {exchanged[0]['image']}"
        if exchanged
        else "",
        expected="photographs as images, and masks that say which class a pixel is of",
        remedy=remedy,
        explains=("mask_readable", "ids_legal", "mask_not_all_void", "image_usual", "image_unlike_others"),
    )


def _pictures(rows: Sequence[Row], dataset: Dataset) -> Pattern | None:
    coloured = [row for row in rows if (row["mask_error"] or "").startswith("a coloured picture")]
    if not _many(coloured, rows):
        return None
    return _pattern(
        "masks_are_rgb",
        coloured,
        rows,
        dataset,
        found=f"masks are coloured pictures (RGB), not ids; {coloured[0]['mask_error'].partition('; ')[2]}",
        expected=f"one channel with the ids {ranges(dataset.label_map)}",
        remedy="use the masks that hold ids; for your own data say `encoding: rgb` and give each class its colour"
        if dataset.own is None
        else "write `encoding: rgb` under options.folder in params.yaml and give each class its colour in "
        f"{dataset.own.table}; `segline init {dataset.own.path} --force` does both",
        explains=("mask_readable",),
    )


def _blended(rows: Sequence[Row], dataset: Dataset) -> Pattern | None:
    blended = [row for row in rows if BLENDS in (row["mask_error"] or "")]
    if not _many(blended, rows):
        return None
    return _pattern(
        "masks_are_interpolated",
        blended,
        rows,
        dataset,
        found="masks hold colours between those of the class table: they were resized (or rotated, or compressed) "
        "with interpolation",
        expected="the colours of the class table, with nothing between them",
        remedy="resize the original masks with nearest neighbour and keep them as PNG, or use them at their own size",
        explains=("mask_readable",),
    )


def _binary(masks: Sequence[Row], dataset: Dataset) -> Pattern | None:
    held = _union(masks)
    binary = [row for row in masks if set(row["raw_ids"]) <= {0, 255}]
    if held != {0, 255} or dataset.label_map.legal[[0, 255]].all():
        return None
    return _pattern(
        "masks_are_binary",
        binary,
        masks,
        dataset,
        found="masks hold only 0 and 255: they are black-and-white pictures of one class",
        expected=f"ids: {ranges(dataset.label_map)}",
        remedy="divide the masks by 255 to get the ids 0 and 1, or give a class the id 255 in the class table"
        if dataset.own is None
        else f"in {dataset.own.table} give the class that is white the id 255, and the one that is black the id 0: "
        f"`- {{id: 0, name: background}}` and `- {{id: 255, name: foreground}}`; then run `dvc repro`",
    )


def _train_ids(masks: Sequence[Row], dataset: Dataset) -> Pattern | None:
    label_map = dataset.label_map
    raw = {value for item in label_map.classes for value in item.ids}
    train = set(range(len(raw)))  # of the publisher's classes, even where a task merges them
    held = _union(masks)
    if raw == train or not held <= train | {VOID} or held <= raw:
        return None
    legal = set(np.flatnonzero(label_map.legal).tolist())
    if held <= legal and len(masks) < _ENOUGH:
        return None  # every id means something: too few masks to say that it means something else
    return _pattern(
        "masks_are_train_ids",
        masks,
        masks,
        dataset,
        found=f"masks hold only the ids {runs(held)}: they are already encoded to train ids",
        expected=f"the publisher's raw ids: {ranges(label_map)}",
        remedy="use the raw masks (Cityscapes: *_labelIds.png, not *_labelTrainIds.png); Segline encodes them itself"
        if dataset.own is None
        else f"give the classes in {dataset.own.table} these ids (`segline init {dataset.own.path} --force` does it)",
    )


def _one_based(masks: Sequence[Row], dataset: Dataset) -> Pattern | None:
    ids = sorted(value for item in dataset.label_map.classes for value in item.ids)
    held = _union(masks) - {VOID}
    shifted = {value + 1 for value in ids}
    if ids[0] != 0 or 0 in held or not held <= shifted or max(ids) + 1 not in held:
        return None
    return _pattern(
        "masks_are_one_based",
        masks,
        masks,
        dataset,
        found=f"masks hold the ids {runs(held)} and never 0: they count classes from 1",
        expected=f"ids that count from 0: {ranges(dataset.label_map)}",
        remedy="subtract 1 from the masks, or give the classes the ids 1 and up in "
        + ("the class table" if dataset.own is None else dataset.own.table),
    )


def _interpolated(masks: Sequence[Row], dataset: Dataset) -> Pattern | None:
    smeared = [row for row in masks if len(row["border_ids"]) >= 2]
    if len(smeared) < max(2, _INTERPOLATED * len(masks)):
        return None
    return _pattern(
        "masks_are_interpolated",
        smeared,
        masks,
        dataset,
        found=f"ids {runs(set(smeared[0]['border_ids']))} lie only on borders between others: "
        "the masks were resized (or rotated, or compressed) with interpolation",
        expected="ids that name classes, with nothing between them",
        remedy="resize the original masks with nearest neighbour, or use them at their own size",
        always=True,
    )


def _swapped_sides(rows: Sequence[Row], dataset: Dataset) -> Pattern | None:
    sized = _sized(rows)
    swapped = [row for row in sized if _sides(row, "mask") == _sides(row, "image")[::-1] != _sides(row, "image")]
    if not _many(swapped, sized):
        return None
    return _pattern(
        "mask_sides_swapped",
        swapped,
        sized,
        dataset,
        found="each mask is as high as its image is wide, and as wide as it is high",
        expected="equal height and width",
        remedy="transpose the masks: they were written with the axes exchanged",
        explains=("sizes_equal",),
    )


def _shifted_sizes(rows: Sequence[Row], dataset: Dataset) -> Pattern | None:
    sized = _sized(rows)
    for step in (-1, 1):
        pairs = [(one, sized[place + step]) for place, one in enumerate(sized) if 0 <= place + step < len(sized)]
        unequal = [one for one, _ in pairs if _sides(one, "mask") != _sides(one, "image")]
        fitting = [one for one, other in pairs if _sides(one, "image") == _sides(other, "mask")]
        if len(sized) >= _ENOUGH and len(fitting) > 0.9 * len(pairs) and len(unequal) > 0.1 * len(pairs):
            return _shift_pattern(unequal, sized, dataset, step)
    return None


def _shifted(rows: Sequence[Row], dataset: Dataset) -> Pattern | None:
    for step, column in ((-1, "fit_previous"), (1, "fit_next")):
        known = [row for row in rows if row["fit"] is not None and row[column] is not None]
        better = [row for row in known if row[column] > row["fit"]]
        if len(known) >= _ENOUGH and len(better) > _SHIFTED * len(known):
            return _shift_pattern(better, known, dataset, step)
    return None


def _shift_pattern(some: Sequence[Row], of: Sequence[Row], dataset: Dataset, step: int) -> Pattern | None:
    side = "before" if step < 0 else "after"
    return _pattern(
        "masks_are_shifted",
        some,
        of,
        dataset,
        found=f"an image fits the mask of the sample {side} it (in order of names) better than its own: "
        "masks are shifted by one sample",
        expected="each mask with the image that it was drawn on",
        remedy="pair files by name, not by their place in a list; look for one image too many or a missing mask"
        if dataset.own is None
        else f"look at the names in {dataset.own.path}: the files were numbered anew, or written in another order; "
        "give each mask its own image's name, or list the pairs in a CSV (`pairs` in params.yaml)",
        explains=("sizes_equal",),
        always=True,
        step=step,
    )


def _sized(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["image_height"] is not None and row["mask_height"] is not None]


def _sides(row: Row, kind: str) -> tuple[int, int]:
    return row[f"{kind}_height"], row[f"{kind}_width"]


def _union(masks: Sequence[Row]) -> set[int]:
    return {value for row in masks for value in row["raw_ids"]}


def _many(some: Sequence[Row], of: Sequence[Row]) -> bool:
    return len(some) >= 2 and len(some) > _MOST * len(of)


def _pattern(
    name: str,
    some: Sequence[Row],
    of: Sequence[Row],
    dataset: Dataset,
    *,
    found: str,
    expected: str,
    remedy: str,
    explains: Sequence[str] = ("ids_legal", "mask_not_all_void"),
    always: bool = False,
    step: int = 0,
) -> Pattern | None:
    if not always and not _many(some, of):
        return None
    examples = ", ".join(str(row["mask"]) for row in some[:3])
    return Pattern(
        name=name,
        finding=_finding(
            dataset, found=f"{found} ({len(some)} of {len(of)}: {examples})", expected=expected, remedy=remedy
        ),
        explains=frozenset(explains),
        samples=tuple(row["id"] for row in some),
        step=step,
    )


def _finding(dataset: Dataset, *, found: str, expected: str, remedy: str) -> Finding:
    return Finding(sample="", file=dataset.name, found=found, expected=expected, remedy=remedy)
