"""Patterns: checks of all masks together, which find one mistake that causes many findings.

A thousand masks with an illegal id are usually one mistake, made by the program that wrote them. Such a pattern is
reported once, with its cause and remedy. The findings that it explains are not listed.

To add a pattern, write a function that returns a `Pattern` or None, and put it into `ENCODING_PATTERNS`,
`PAIRING_PATTERNS` or `IMAGE_PATTERNS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from segline.core.coding import BLENDS
from segline.core.labels import VOID, runs
from segline.core.vision import perceptual_hash
from segline.data.images.deep import UNSTATED
from segline.data.images.manifest import SampleRow
from segline.data.images.palettes import Comparison
from segline.data.validate.build_manifest import MASK_FOR_IMAGE
from segline.data.validate.manifest_rules import MAX_DUPLICATES_NAMED, Finding, format_ranges
from segline.datasets.base import SPLITS, Dataset

NEAR = 6
"""Maximum number of different bits in the perceptual hashes of near duplicates. On KITTI this finds only frames of
one drive; on Pets, only copies of one photograph."""

_MIN_SHARE = 0.5  # a fault in a larger share of the masks is a pattern
_MIN_SHARE_SHIFTED = 0.65  # share of images that fit a neighbour's mask better; below 0.2 in correctly paired data
_MIN_SAMPLES = 20  # with fewer samples, a shift cannot be distinguished from chance
_MIN_SHARE_INTERPOLATED = 0.3  # share of masks that have two or more ids only on borders

_ID_RULES = frozenset({"ids_legal", "mask_not_all_void"})


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """One mistake that causes many findings.

    Args:
        name: name of the mistake.
        finding: the message about it.
        explains: names of the rules whose findings it explains.
        samples: ids of the samples with this mistake.
        step: for shifted masks, the offset in rows of the sample whose mask fits (-1 or 1); otherwise 0.
    """

    name: str
    finding: Finding
    explains: frozenset[str]
    samples: tuple[str, ...]
    step: int = 0


def find_patterns(rows: Sequence[SampleRow], dataset: Dataset) -> list[Pattern]:
    """Find at most one pattern of each kind in manifest rows, which must be sorted by id."""
    return [
        pattern
        for table in (ENCODING_PATTERNS, PAIRING_PATTERNS, IMAGE_PATTERNS)
        for pattern in [next(filter(None, (recognise(rows, dataset) for recognise in table)), None)]
        if pattern is not None
    ]


def find_missing_classes(rows: Sequence[SampleRow], dataset: Dataset) -> list[Finding]:
    """Find classes that are in no mask, and classes of train that are missing in validation or test."""
    findings = []
    held = {split: _count_pixels(rows, split, dataset) for split in SPLITS}
    for place, item in enumerate(dataset.label_map.classes):
        if not any(counts[place] for counts in held.values()):
            findings.append(
                _describe(
                    dataset,
                    found=f"class {item.name!r} (id {item.raw}) is in no mask",
                    expected="every class of the label map in at least one mask",
                    remedy="remove it from the class table if it is not needed; scores ignore it",
                )
            )
            continue
        findings += [
            _describe(
                dataset,
                found=f"class {item.name!r} (id {item.raw}) is in train, but in no mask of {split}",
                expected="every class of train also in validation and test",
                remedy=f"move a sample with this class to {split}; without one, scores on {split} do not cover it",
            )
            for split in ("validation", "test")
            if held["train"][place] and not held[split][place]
        ]
    return findings


def find_palettes_read_by_colour(rows: Sequence[SampleRow], dataset: Dataset) -> list[Finding]:
    """Find palettes that differ, and whose colours say which class each index means."""
    compared = _compare_palettes(rows, dataset)
    if not compared.differ or compared.contradiction() or (dataset.own is not None and dataset.own.indices):
        return []
    return [
        _describe(
            dataset,
            found=f"palettes of the masks differ, so their colours decide: {compared.difference}",
            expected="one palette in all masks",
            remedy="nothing to do: every colour is that of a class",
        )
    ]


def find_too_few_classes(rows: Sequence[SampleRow], dataset: Dataset) -> list[Finding]:
    """Find that fewer than two classes ever occur in the masks, so that there is nothing to tell apart."""
    counted = [row["pixels"] for row in rows if row["pixels"]]
    totals = [sum(column) for column in zip(*counted, strict=True)]
    held = [item for item, pixels in zip(dataset.label_map.classes, totals, strict=True) if pixels] if counted else []
    if not counted or len(held) > 1:
        return []
    found = f"only class {held[0].name!r} (id {held[0].raw})" if held else "no class"
    remedy = "use masks in which several classes occur"
    if dataset.own is not None:
        remedy = (
            f"check that `masks` in {dataset.own.definition} names the right files, and that they label "
            f"something; if void pixels are a class of their own, list their id under `classes` in {dataset.own.table}"
        )
    return [
        _describe(
            dataset,
            found=f"{found} ever occurs in {len(counted)} masks",
            expected="at least two classes",
            remedy=remedy,
        )
    ]


def _compare_palettes(rows: Sequence[SampleRow], dataset: Dataset) -> Comparison:
    compared = Comparison(dataset.colours if dataset.colours is not None and dataset.colours.indexed else None)
    for row in rows:
        if row["palette_ids"]:
            compared.add(str(row["mask"]), dict(zip(row["palette_ids"], row["palette_colours"], strict=True)))
        elif row["raw_ids"]:
            compared.add_grey(str(row["mask"]), row["raw_ids"])
    return compared


def find_near_duplicates(rows: Sequence[SampleRow]) -> dict[str, list[str]]:
    """Find samples whose images look alike but are not byte-identical.

    Returns:
        Sample id -> ids of similar samples. Each sample is paired with at most `MAX_DUPLICATES_NAMED` later ones.
    """
    hashed = [row for row in rows if row["image_hash"]]
    hashes = np.array([int(row["image_hash"] or "", 16) for row in hashed], dtype=np.uint64)
    found: dict[str, list[str]] = {}
    for first, second in perceptual_hash.near_pairs(hashes, distance=NEAR, most=MAX_DUPLICATES_NAMED).tolist():
        one, other = hashed[first], hashed[second]
        if one["image_sha256"] != other["image_sha256"]:
            found.setdefault(one["id"], []).append(other["id"])
            found.setdefault(other["id"], []).append(one["id"])
    return found


def _count_pixels(rows: Sequence[SampleRow], split: str, dataset: Dataset) -> list[int]:
    """Count the pixels of each class in one split."""
    counted = [row["pixels"] for row in rows if row["split"] == split and row["pixels"]]
    return [sum(column) for column in zip(*counted, [0] * len(dataset.label_map), strict=True)]


def _find_exchanged(rows: Sequence[SampleRow], dataset: Dataset) -> Pattern | None:
    exchanged = [row for row in rows if MASK_FOR_IMAGE in row["notes"]]
    if not _are_many(exchanged, rows):
        return None
    return _make_pattern(
        "images_and_masks_exchanged",
        exchanged,
        rows,
        dataset,
        found="images and masks are swapped: the masks are photographs, and the images are "
        f"masks, such as {exchanged[0]['image']}",
        expected="photographs as images, and masks that hold the class of each pixel",
        remedy="swap the two folders"
        if dataset.own is None
        else f"swap `images` and `masks` in {dataset.own.definition}, then run `dvc repro`",
        explains=_ID_RULES | {"mask_readable", "image_usual"},
    )


def _find_palettes(rows: Sequence[SampleRow], dataset: Dataset) -> Pattern | None:
    coloured = dataset.colours is not None and not dataset.colours.indexed
    if coloured or (dataset.own is not None and dataset.own.indices):
        return None
    compared = _compare_palettes(rows, dataset)
    found, whose = compared.contradiction(), "palettes contradict each other"
    if not found:
        found, whose = compared.contradicts_classes(), "palettes contradict the colours of the class table"
    if not found:
        return None
    held = [row for row in rows if row["palette_ids"]] or _select_masks(rows)
    table = "the definition of the dataset" if dataset.own is None else dataset.own.table
    return _make_pattern(
        "palettes_differ",
        held,
        _select_masks(rows),
        dataset,
        found=f"{whose}: {found}",
        expected="each index or grey level with one meaning in all masks",
        remedy=_ask_about_palettes(dataset, table, of_scales=found == compared.two_scales),
    )


def _ask_about_palettes(dataset: Dataset, table: object, *, of_scales: bool) -> str:
    if dataset.own is None:
        return "use the publisher's own masks: these were changed by another program"
    if of_scales:
        return (
            f"set `encoding: indices` in {dataset.own.definition}; if 255 is the class of 1, write "
            f"`merged: [255]` in the row of id 1 of {table}, and take 255 out of its `void`; then run `dvc repro`"
        )
    return (
        f"say which is right, in {dataset.own.definition}: `encoding: rgb` if the colours are (give each class "
        f"its colour in {table}), `encoding: indices` if the stored numbers are; then run `dvc repro`"
    )


def _find_deep(rows: Sequence[SampleRow], dataset: Dataset) -> Pattern | None:
    deep = [row for row in rows if (row["image_error"] or "").startswith(UNSTATED)]
    if not deep:
        return None
    return _make_pattern(
        "image_range_unknown",
        deep,
        rows,
        dataset,
        found=f"images hold {deep[0]['image_error']}",
        expected="values that use all 16 bits, or a stated range",
        remedy="convert the images to 8 bits"
        if dataset.own is None
        else f"set `levels` in {dataset.own.definition} to the range of the camera, then run `dvc repro`",
        explains=frozenset({"image_readable"}),
    )


def _find_coloured(rows: Sequence[SampleRow], dataset: Dataset) -> Pattern | None:
    coloured = [row for row in rows if (row["mask_error"] or "").startswith("a coloured picture")]
    if not _are_many(coloured, rows):
        return None
    return _make_pattern(
        "masks_are_rgb",
        coloured,
        rows,
        dataset,
        found="masks are coloured pictures (RGB), not ids; " + (coloured[0]["mask_error"] or "").partition("; ")[2],
        expected=f"one channel with the ids {format_ranges(dataset.label_map)}",
        remedy="use masks that hold ids; for your own data set `encoding: rgb` and give each class its colour"
        if dataset.own is None
        else f"set `encoding: rgb` in {dataset.own.definition} and give each class its colour in "
        f"{dataset.own.table}; `segline init {dataset.own.path} --force` does both",
        explains=frozenset({"mask_readable"}),
    )


def _find_blended(rows: Sequence[SampleRow], dataset: Dataset) -> Pattern | None:
    blended = [row for row in rows if BLENDS in (row["mask_error"] or "")]
    if not _are_many(blended, rows):
        return None
    return _make_pattern(
        "masks_are_interpolated",
        blended,
        rows,
        dataset,
        found="masks hold colours between those of the class table: they were resized (or rotated, or compressed) "
        "with interpolation",
        expected="only the colours of the class table",
        remedy="resize the original masks with nearest neighbour and keep them as PNG, or use them at their own size",
        explains=frozenset({"mask_readable"}),
    )


def _find_binary(rows: Sequence[SampleRow], dataset: Dataset) -> Pattern | None:
    masks = _select_masks(rows)
    binary = [row for row in masks if set(row["raw_ids"]) <= {0, 255}]
    legal = dataset.label_map.legal[[0, 255]].all()
    if _collect_ids(masks) != {0, 255} or legal or not _are_many(binary, masks):
        return None
    return _make_pattern(
        "masks_are_binary",
        binary,
        masks,
        dataset,
        found="masks hold only 0 and 255: they are black-and-white pictures of one class",
        expected=f"ids: {format_ranges(dataset.label_map)}",
        remedy="divide the masks by 255 to get the ids 0 and 1, or give one class the id 255 in the class table"
        if dataset.own is None
        else f"in {dataset.own.table} give the white class the id 255 and the black class the id 0: "
        f"`- {{id: 0, name: background}}` and `- {{id: 255, name: foreground}}`; then run `dvc repro`",
    )


def _find_train_ids(rows: Sequence[SampleRow], dataset: Dataset) -> Pattern | None:
    masks, label_map = _select_masks(rows), dataset.label_map
    raw = {value for item in label_map.classes for value in item.ids}
    train = set(range(len(raw)))  # of the publisher's classes, before a task merges some
    held = _collect_ids(masks)
    if raw == train or not held <= train | {VOID} or held <= raw or not _are_many(masks, masks):
        return None
    legal = set(np.flatnonzero(label_map.legal).tolist())
    if held <= legal and len(masks) < _MIN_SAMPLES:
        return None  # all ids are legal, and there are too few masks to be sure that they are train ids
    return _make_pattern(
        "masks_are_train_ids",
        masks,
        masks,
        dataset,
        found=f"masks hold only the ids {runs(held)}: they are already encoded to train ids",
        expected=f"the publisher's raw ids: {format_ranges(label_map)}",
        remedy="use the raw masks (Cityscapes: *_labelIds.png, not *_labelTrainIds.png); Segline encodes them itself"
        if dataset.own is None
        else f"give the classes in {dataset.own.table} these ids (`segline init {dataset.own.path} --force` does it)",
    )


def _find_one_based(rows: Sequence[SampleRow], dataset: Dataset) -> Pattern | None:
    masks = _select_masks(rows)
    ids = sorted(value for item in dataset.label_map.classes for value in item.ids)
    held = _collect_ids(masks) - {VOID}
    from_one = held <= {value + 1 for value in ids} and max(ids) + 1 in held
    if ids[0] != 0 or 0 in held or not from_one or not _are_many(masks, masks):
        return None
    return _make_pattern(
        "masks_are_one_based",
        masks,
        masks,
        dataset,
        found=f"masks hold the ids {runs(held)} and never 0: they number the classes from 1",
        expected=f"ids that start at 0: {format_ranges(dataset.label_map)}",
        remedy="subtract 1 from the masks, or number the classes from 1 in "
        + ("the class table" if dataset.own is None else dataset.own.table),
    )


def _find_interpolated(rows: Sequence[SampleRow], dataset: Dataset) -> Pattern | None:
    masks = _select_masks(rows)
    interpolated = [row for row in masks if len(row["border_ids"]) >= 2]
    if len(interpolated) < max(2, _MIN_SHARE_INTERPOLATED * len(masks)):
        return None
    return _make_pattern(
        "masks_are_interpolated",
        interpolated,
        masks,
        dataset,
        found=f"ids {runs(set(interpolated[0]['border_ids']))} occur only on borders between other ids: "
        "the masks were resized (or rotated, or compressed) with interpolation",
        expected="only ids of classes",
        remedy="resize the original masks with nearest neighbour, or use them at their own size",
    )


def _find_swapped_sides(rows: Sequence[SampleRow], dataset: Dataset) -> Pattern | None:
    sized = _select_sized(rows)
    swapped = [row for row in sized if _mask_size(row) == _image_size(row)[::-1] != _image_size(row)]
    if not _are_many(swapped, sized):
        return None
    return _make_pattern(
        "mask_sides_swapped",
        swapped,
        sized,
        dataset,
        found="masks have the height and width of their images swapped",
        expected="equal height and width",
        remedy="if the pictures were turned after labelling, or have an EXIF orientation and the masks are upright, "
        "turn the masks to the pixels as stored, or store the pictures upright; if the masks were written with swapped "
        "axes, transpose the masks",
        explains=frozenset({"sizes_equal"}),
    )


def _find_shifted_sizes(rows: Sequence[SampleRow], dataset: Dataset) -> Pattern | None:
    sized = _select_sized(rows)
    for step in (-1, 1):
        pairs = [(one, sized[place + step]) for place, one in enumerate(sized) if 0 <= place + step < len(sized)]
        unequal = [one for one, _ in pairs if _mask_size(one) != _image_size(one)]
        fitting = [one for one, other in pairs if _image_size(one) == _mask_size(other)]
        if len(sized) >= _MIN_SAMPLES and len(fitting) > 0.9 * len(pairs) and len(unequal) > 0.1 * len(pairs):
            return _make_shift(unequal, sized, dataset, step)
    return None


def _find_shifted(rows: Sequence[SampleRow], dataset: Dataset) -> Pattern | None:
    for step in (-1, 1):
        fits = [(row, row["fit"], row["fit_previous"] if step < 0 else row["fit_next"]) for row in rows]
        known = [(row, fit, other) for row, fit, other in fits if fit is not None and other is not None]
        better = [row for row, fit, other in known if other > fit]
        if len(known) >= _MIN_SAMPLES and len(better) > _MIN_SHARE_SHIFTED * len(known):
            return _make_shift(better, [row for row, _, _ in known], dataset, step)
    return None


def _make_shift(some: Sequence[SampleRow], of: Sequence[SampleRow], dataset: Dataset, step: int) -> Pattern:
    side = "before" if step < 0 else "after"
    return _make_pattern(
        "masks_are_shifted",
        some,
        of,
        dataset,
        found=f"images fit the mask of the sample {side} them (sorted by name) better than their own: "
        "masks are shifted by one sample",
        expected="each mask with the image that it was drawn on",
        remedy="pair files by name, not by their position in a list; look for an extra image or a missing mask"
        if dataset.own is None
        else f"check the names in {dataset.own.path}: the files were renumbered, or written in another order; "
        f"give each mask the name of its image, or list the pairs in a CSV (`pairs` in {dataset.own.definition})",
        explains=frozenset({"sizes_equal"}),
        step=step,
    )


_Recognise = Callable[[Sequence[SampleRow], Dataset], Pattern | None]

ENCODING_PATTERNS: tuple[_Recognise, ...] = (
    _find_exchanged,
    _find_palettes,
    _find_coloured,
    _find_blended,
    _find_binary,
    _find_train_ids,
    _find_one_based,
    _find_interpolated,
)
"""Mistakes in how masks are encoded; only the first match is reported."""

PAIRING_PATTERNS: tuple[_Recognise, ...] = (_find_swapped_sides, _find_shifted_sizes, _find_shifted)
"""Mistakes in how masks are paired with images; only the first match is reported."""

IMAGE_PATTERNS: tuple[_Recognise, ...] = (_find_deep,)
"""Mistakes in how images are stored; only the first match is reported."""


def _select_masks(rows: Sequence[SampleRow]) -> list[SampleRow]:
    return [row for row in rows if row["raw_ids"]]


def _select_sized(rows: Sequence[SampleRow]) -> list[SampleRow]:
    return [row for row in rows if row["image_height"] is not None and row["mask_height"] is not None]


def _image_size(row: SampleRow) -> tuple[int | None, int | None]:
    return row["image_height"], row["image_width"]


def _mask_size(row: SampleRow) -> tuple[int | None, int | None]:
    return row["mask_height"], row["mask_width"]


def _collect_ids(masks: Sequence[SampleRow]) -> set[int]:
    return {value for row in masks for value in row["raw_ids"]}


def _are_many(some: Sequence[SampleRow], of: Sequence[SampleRow]) -> bool:
    return len(some) >= 2 and len(some) > _MIN_SHARE * len(of)


def _make_pattern(
    name: str,
    some: Sequence[SampleRow],
    of: Sequence[SampleRow],
    dataset: Dataset,
    *,
    found: str,
    expected: str,
    remedy: str,
    explains: frozenset[str] = _ID_RULES,
    step: int = 0,
) -> Pattern:
    examples = ", ".join(str(row["mask"]) for row in some[:3])
    words = f"{found} ({len(some)} of {len(of)}: {examples})"
    return Pattern(
        name=name,
        finding=_describe(dataset, found=words, expected=expected, remedy=remedy),
        explains=explains,
        samples=tuple(row["id"] for row in some),
        step=step,
    )


def _describe(dataset: Dataset, *, found: str, expected: str, remedy: str) -> Finding:
    return Finding(sample="", file=dataset.name, found=found, expected=expected, remedy=remedy)
