"""Build the manifest: read every file of a dataset and describe it.

Each file is read once: bytes -> SHA-256 -> pixels -> histogram. Problems of a sample are written into its row and
judged by `segline.data.validate.expectations`. They raise no exception here.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from segline.core.coding import Colours
from segline.core.labels import VOID, Image, LabelMap, Mask
from segline.core.vision import perceptual_hash
from segline.data.images.decode import Decoded, DecodedMask, decode_image, decode_mask_and_palette
from segline.data.images.deep import Levels
from segline.data.images.manifest import SCHEMA, SampleRow
from segline.data.validate import sample_statistics
from segline.datasets.base import Dataset, Pair, Split
from segline.errors import DataError
from segline.parallel.pool import stream_samples
from segline.pictures import read_bytes
from segline.progress import Report, silent

MASK_FOR_IMAGE = "the image looks like a mask, and the mask looks like a photograph"
"""Note about a sample whose image file and mask file are swapped."""

_RGB_TO_NUMBER = np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
_MAX_COLOURS_OF_MASK = 64
_MAX_IDS_OF_MASK = 128
_ROWS_PER_BATCH = 1000
_MIN_BORDER_SHARE = 0.8  # an id is a border id if a larger share of its pixels lies between two other ids
_MIN_BORDER_PIXELS = 4  # ids with fewer pixels are ignored

_Content = TypeVar("_Content")


@dataclass(frozen=True, kw_only=True)
class _ReadFile(Generic[_Content]):
    """Result of reading a file: its SHA-256, and its content or the error."""

    sha256: str | None = None
    content: _Content | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class MaskContents:
    """Ids in a mask. The fields are explained in `SampleRow`; the defaults describe a missing mask."""

    raw_ids: list[int]
    border_ids: list[int]
    illegal_ids: list[int]
    illegal_pixels: int = 0
    void_fraction: float | None = None
    pixels: list[int] | None = None


@dataclass(frozen=True, kw_only=True)
class _Examined:
    """Row of a sample, still without split and fit, and intermediate results.

    Args:
        image: small copy, `perceptual_hash.SIDE` pixels high and wide; None if the file cannot be read.
        mask: small copy, train ids, of the same size.
    """

    row: SampleRow
    image: Image | None
    mask: Mask | None
    image_statistics: sample_statistics.ImageStatistics | None
    mask_statistics: sample_statistics.MaskStatistics | None


def build_manifest(
    dataset: Dataset,
    pairs: Sequence[Pair],
    *,
    raw: Path,
    splits: Mapping[str, Split],
    workers: int,
    measured: sample_statistics.Store | None = None,
    report: Report = silent,
) -> pa.Table:
    """Read every file of `pairs` under `raw` and describe it.

    Args:
        measured: store that receives the statistics of each sample, in order; None if no fingerprint is needed.

    Returns:
        A table of `segline.data.images.manifest.SCHEMA`, one row per pair, sorted by id.
    """
    examine = partial(
        _examine,
        raw=raw,
        label_map=dataset.label_map,
        colours=dataset.colours,
        levels=dataset.levels,
        measure=measured is not None,
    )
    ordered = sorted(pairs, key=lambda pair: pair.id)
    examined = stream_samples(examine, ordered, workers=workers, description=f"validate {dataset.name}", report=report)
    rows = ({**row, "split": splits.get(row["id"])} for row in _add_fits(_store_statistics(examined, measured)))
    # A row takes five times as much memory as Python objects as in a table.
    batches = iter(lambda: list(islice(rows, _ROWS_PER_BATCH)), [])
    return pa.Table.from_batches((pa.RecordBatch.from_pylist(batch, schema=SCHEMA) for batch in batches), SCHEMA)


def count_ids(mask: Mask, label_map: LabelMap) -> MaskContents:
    """Count the pixels of each id in uint8 (H, W) raw ids."""
    flat = mask.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1])  # last index of each run of equal ids; there are few runs
    histogram = _count_runs(flat, edges)
    pixels = [int(histogram[list(item.ids)].sum()) for item in label_map.classes]
    illegal = label_map.illegal(histogram)
    return MaskContents(
        raw_ids=np.flatnonzero(histogram).tolist(),
        border_ids=_find_border_ids(flat, edges, mask.shape[1], histogram),
        illegal_ids=illegal,
        illegal_pixels=int(histogram[illegal].sum()),
        void_fraction=1.0 - sum(pixels) / mask.size,
        pixels=pixels,
    )


def _store_statistics(examined: Iterable[_Examined], store: sample_statistics.Store | None) -> Iterator[_Examined]:
    for sample in examined:
        if store is not None:
            store.add(sample.image_statistics, sample.mask_statistics)
        yield sample


def _add_fits(examined: Iterable[_Examined]) -> Iterator[SampleRow]:
    """Add to each row how well its image is explained by its own mask and by the masks of its neighbours.

    Only three samples are in memory at a time.
    """
    before: _Examined | None = None
    own: _Examined | None = None
    for after in chain(examined, [None]):
        if own is not None:
            yield _add_fit(before, own, after)
        before, own = own, after


def _add_fit(before: _Examined | None, own: _Examined, after: _Examined | None) -> SampleRow:
    if own.image is None:
        return own.row
    masks = (own.mask, before.mask if before else None, after.mask if after else None)
    fit, fit_previous, fit_next = perceptual_hash.explained(own.image, masks, void=VOID)
    return {**own.row, "fit": fit, "fit_previous": fit_previous, "fit_next": fit_next}


def _examine(
    pair: Pair,
    *,
    raw: Path,
    label_map: LabelMap,
    colours: Colours | None,
    levels: Levels | None,
    measure: bool,
) -> _Examined:
    mask = _read(raw, pair.mask, partial(decode_mask_and_palette, colours=colours))
    image = _read(raw, pair.image, partial(decode_image, levels=levels))
    ids, picture = mask.content.ids if mask.content else None, image.content.pixels if image.content else None
    palette = mask.content.palette if mask.content else {}
    small = None if picture is None else perceptual_hash.reduce(picture)
    contents = MaskContents(raw_ids=[], border_ids=[], illegal_ids=[]) if ids is None else count_ids(ids, label_map)
    row: SampleRow = {
        "id": pair.id,
        "split": None,
        "group": pair.group,
        "image": pair.image,
        "mask": pair.mask,
        "image_height": None if picture is None else picture.shape[0],
        "image_width": None if picture is None else picture.shape[1],
        "mask_height": None if ids is None else ids.shape[0],
        "mask_width": None if ids is None else ids.shape[1],
        "image_sha256": image.sha256,
        "mask_sha256": mask.sha256,
        "image_hash": None if small is None else f"{perceptual_hash.hash_of(small):016x}",
        "raw_ids": contents.raw_ids,
        "border_ids": contents.border_ids,
        "palette_ids": list(palette),
        "palette_colours": list(palette.values()),
        "void_fraction": contents.void_fraction,
        "pixels": contents.pixels,
        "fit": None,
        "fit_previous": None,
        "fit_next": None,
        "illegal_ids": contents.illegal_ids,
        "illegal_pixels": contents.illegal_pixels,
        "image_error": image.error,
        "mask_error": mask.error,
        "problems": [],
        "notes": [*image.content.notes, *_note_exchange(image.content, mask, contents)] if image.content else [],
    }
    row["problems"] = _list_problems(row)
    return _Examined(
        row=row,
        image=small,
        mask=None if ids is None else label_map.encode(_shrink(ids)),
        image_statistics=sample_statistics.measure_image(picture) if measure and picture is not None else None,
        mask_statistics=sample_statistics.measure_mask(label_map.encode(ids), classes=len(label_map))
        if measure and ids is not None
        else None,
    )


def _read(raw: Path, name: str | None, decode: Callable[..., _Content]) -> _ReadFile[_Content]:
    if name is None:
        return _ReadFile()
    sha256 = None
    try:
        data = read_bytes(raw / name)
        sha256 = hashlib.sha256(data).hexdigest()
        return _ReadFile(sha256=sha256, content=decode(data, place=raw / name))
    except DataError as error:
        return _ReadFile(sha256=sha256, error=error.found)


def _note_exchange(image: Decoded, mask: _ReadFile[DecodedMask], contents: MaskContents) -> list[str]:
    """Return `MASK_FOR_IMAGE` if the image has few colours and the mask file looks like a photograph."""
    is_picture = (mask.error or "").startswith(("a coloured picture", "a JPEG", "colours that"))
    exchanged = (is_picture or len(contents.raw_ids) > _MAX_IDS_OF_MASK) and _has_few_colours(image.pixels)
    return [MASK_FOR_IMAGE] if exchanged else []


def _has_few_colours(pixels: Image) -> bool:
    """Return whether an image has as few colours as a mask, judging by a few thousand pixels."""
    some = pixels[:: max(1, pixels.shape[0] // 64), :: max(1, pixels.shape[1] // 64)].reshape(-1, 3)
    return len(np.unique(some.astype(np.uint32) @ _RGB_TO_NUMBER)) <= _MAX_COLOURS_OF_MASK


def _shrink(mask: Mask) -> Mask:
    side = perceptual_hash.SIDE
    rows, columns = (np.arange(side) * length // side for length in mask.shape)
    return mask[np.ix_(rows, columns)]


def _count_runs(flat: Mask, edges: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Count pixels by id as a sum of run lengths (exact in float64), five times as fast as a pixel histogram."""
    lasts = np.append(edges, flat.size - 1)
    lengths = np.diff(lasts, prepend=-1)
    return np.bincount(flat[lasts], weights=lengths, minlength=256).astype(np.int64)


def _find_border_ids(
    flat: Mask, edges: npt.NDArray[np.int64], width: int, histogram: npt.NDArray[np.int64]
) -> list[int]:
    """Find ids that occur almost only between a lower and a higher id, in a row or in a column.

    A mask that was resized with interpolation has many: between the classes 7 and 11 it has 8, 9 and 10.
    """
    if np.count_nonzero(histogram) < 3:
        return []
    in_row = _keep_between(flat, edges[1:][np.diff(edges) == 1], 1)
    in_row = in_row[(in_row % width > 0) & (in_row % width < width - 1)]  # the ends of a row lack a neighbour
    differ = flat[width:] != flat[:-width]
    in_column = _keep_between(flat, np.flatnonzero(differ[width:] & differ[:-width]) + width, width)
    counts = np.bincount(flat[np.union1d(in_row, in_column)], minlength=256)
    return np.flatnonzero((histogram >= _MIN_BORDER_PIXELS) & (counts > _MIN_BORDER_SHARE * histogram)).tolist()


def _keep_between(flat: Mask, places: npt.NDArray[np.int64], step: int) -> npt.NDArray[np.int64]:
    """Keep those of `places` whose id lies between the ids `step` places before and after."""
    low, middle, high = flat[places - step], flat[places], flat[places + step]
    return np.asarray(places[(low < middle) == (middle < high)])


def _list_problems(row: SampleRow) -> list[str]:
    problems = [f"{kind} is missing" for kind, path in (("image", row["image"]), ("mask", row["mask"])) if path is None]
    errors = (("image", row["image_error"]), ("mask", row["mask_error"]))
    problems += [f"{kind} {error}" for kind, error in errors if error is not None]
    image, mask = (row["image_height"], row["image_width"]), (row["mask_height"], row["mask_width"])
    if None not in image + mask and image != mask:
        problems.append(f"image is {image[0]}x{image[1]}, mask {mask[0]}x{mask[1]} (height x width)")
        if image == mask[::-1]:
            problems.append("height and width of the mask are swapped")
    if row["illegal_ids"]:
        problems.append(f"mask holds illegal ids {row['illegal_ids']} in {row['illegal_pixels']} pixels")
    return problems
