"""Build the manifest: look at every file of a dataset and write down what it is and holds.

Each file is read once: bytes -> SHA-256 -> pixels -> histogram. What is wrong with a sample is
written down in its row and judged by `segline.data.validate.expectations`; nothing is raised here for it.
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from segline.core.coding import Colours
from segline.core.labels import VOID, Image, LabelMap, Mask
from segline.core.vision import perceptual_hash
from segline.data.images.decode import decode_image, decode_mask
from segline.data.images.manifest import SCHEMA
from segline.data.validate import sample_statistics
from segline.datasets.base import Dataset, Pair, Split
from segline.errors import DataError
from segline.parallel.pool import stream_samples
from segline.pictures import read_bytes
from segline.progress import Report, silent

Small = tuple[Image | None, Mask | None]
"""Copies of image and mask, `perceptual.SIDE` pixels a side; None where the file cannot be read."""

MASK_FOR_IMAGE = "its pixels look like a mask, and its mask's like a photograph"
"""The note of an image that was exchanged for its mask."""

_PACKED = np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)  # red, green and blue in one number
_FEW_COLOURS = 64
_MANY_IDS = 128
_ROWS = 1000  # turned into columns at a time
_BETWEEN = 0.8  # of an id's pixels, from which it is one that lies only on borders
_FEW_PIXELS = 4  # an id with fewer says nothing


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
    """Look at every file of `pairs` under `raw`.

    Args:
        measured: takes what the fingerprint needs, a sample a row, where that is wanted.

    Returns:
        A table of `segline.data.images.manifest.SCHEMA`, a row a pair, sorted by id.
    """
    examine = partial(
        _examine, raw=raw, label_map=dataset.label_map, colours=dataset.colours, measured=measured is not None
    )
    ordered = sorted(pairs, key=lambda pair: pair.id)
    what = f"validate {dataset.name}"
    seen = stream_samples(examine, ordered, workers=workers, description=what, report=report)
    rows = _fitted(_stored(seen, measured))
    split_rows = (row | {"split": splits.get(row["id"])} for row in rows)
    # A row is five times as large as Python objects as it is in a table.
    batches = iter(lambda: list(islice(split_rows, _ROWS)), [])
    return pa.Table.from_batches((pa.RecordBatch.from_pylist(batch, schema=SCHEMA) for batch in batches), SCHEMA)


def _stored(
    examined: Iterable[tuple[dict[str, Any], Small, dict[str, Any]]], store: sample_statistics.Store | None
) -> Iterator[tuple[dict[str, Any], Small]]:
    """Pass rows and small copies on, and put the measures away."""
    for row, small, facts in examined:
        if store is not None:
            store.add(facts)
        yield row, small


def _fitted(examined: Iterable[tuple[dict[str, Any], Small]]) -> Iterator[dict[str, Any]]:
    """Rows with `fit`: how well the sample's mask explains its image, and how well its neighbours' masks do.

    Only three small copies are held at a time.
    """
    window: deque[tuple[dict[str, Any], Small]] = deque(maxlen=3)
    for entry in examined:
        window.append(entry)
        if len(window) == 1:
            continue
        yield _fit(*window) if len(window) == 3 else _fit(None, *window)
    if window:
        last = list(window)[-2:]
        yield _fit(last[0] if len(last) == 2 else None, last[-1], None)


def _fit(
    before: tuple[dict[str, Any], Small] | None,
    own: tuple[dict[str, Any], Small],
    after: tuple[dict[str, Any], Small] | None,
) -> dict[str, Any]:
    row, (image, mask) = own
    masks = (mask, before[1][1] if before else None, after[1][1] if after else None)
    if image is not None:
        row |= zip(("fit", "fit_previous", "fit_next"), perceptual_hash.explained(image, masks, void=VOID), strict=True)
    return row


def _examine(
    pair: Pair, *, raw: Path, label_map: LabelMap, colours: Colours | None, measured: bool
) -> tuple[dict[str, Any], Small, dict[str, Any]]:
    """One row, its split and fit still to be filled in; small copies of image and mask; their measures."""
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    row |= {"id": pair.id, "group": pair.group, "image": pair.image, "mask": pair.mask}
    row |= {"illegal_ids": [], "illegal_pixels": 0, "raw_ids": [], "border_ids": [], "notes": []}
    image = mask = None
    found: dict[str, Any] = {}
    if pair.mask is not None:
        facts, mask, pixels = _mask_facts(raw / pair.mask, label_map, colours)
        row |= facts
        if measured and pixels is not None:
            found |= sample_statistics.of_mask(label_map.encode(pixels), classes=len(label_map))
    if pair.image is not None:
        facts, image, picture = _image_facts(raw / pair.image, suspected=_is_picture(row))
        row |= facts
        if measured and picture is not None:
            found |= sample_statistics.of_image(picture)
    row["problems"] = _problems(row)
    return row, (image, mask), found


def _is_picture(row: Mapping[str, Any]) -> bool:
    """Whether the mask file is what an image would be."""
    error = row["mask_error"] or ""
    return len(row["raw_ids"]) > _MANY_IDS or error.startswith(("a coloured picture", "a JPEG", "colours that"))


def _few_colours(pixels: Image) -> bool:
    """Whether an image has as few colours as a mask; a few thousand pixels tell."""
    some = pixels[:: max(1, pixels.shape[0] // 64), :: max(1, pixels.shape[1] // 64)].reshape(-1, 3)
    return len(np.unique(some.astype(np.uint32) @ _PACKED)) <= _FEW_COLOURS


def _image_facts(path: Path, *, suspected: bool) -> tuple[dict[str, Any], Image | None, Image | None]:
    """Entries of a row, the small copy, and the pixels."""
    facts: dict[str, Any] = {}
    try:
        data = read_bytes(path)
        facts["image_sha256"] = hashlib.sha256(data).hexdigest()
        decoded = decode_image(data, place=path)
    except DataError as error:
        return facts | {"image_error": error.found}, None, None
    height, width = decoded.pixels.shape[:2]
    small = perceptual_hash.reduce(decoded.pixels)
    exchanged = [MASK_FOR_IMAGE] if suspected and _few_colours(decoded.pixels) else []
    facts |= {"image_height": height, "image_width": width, "notes": [*decoded.notes, *exchanged]}
    return facts | {"image_hash": f"{perceptual_hash.hash_of(small):016x}"}, small, decoded.pixels


def _mask_facts(
    path: Path, label_map: LabelMap, colours: Colours | None
) -> tuple[dict[str, Any], Mask | None, Mask | None]:
    """Entries of a row, the small copy of train ids, and the raw ids."""
    facts: dict[str, Any] = {}
    try:
        data = read_bytes(path)
        facts["mask_sha256"] = hashlib.sha256(data).hexdigest()
        mask = decode_mask(data, place=path, colours=colours)
    except DataError as error:
        return facts | {"mask_error": error.found}, None, None
    side = perceptual_hash.SIDE
    rows, columns = (np.arange(side) * length // side for length in mask.shape)
    small = label_map.encode(mask[np.ix_(rows, columns)])
    facts |= {"mask_height": mask.shape[0], "mask_width": mask.shape[1]} | _contents(mask, label_map)
    return facts, small, mask


def _contents(mask: Mask, label_map: LabelMap) -> dict[str, Any]:
    flat = mask.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1])  # last places of runs of one id: few, most pixels are like the next
    histogram = _histogram(flat, edges)
    pixels = [int(histogram[list(item.ids)].sum()) for item in label_map.classes]
    illegal = label_map.illegal(histogram)
    return {
        "pixels": pixels,
        "void_fraction": 1.0 - sum(pixels) / mask.size,
        "raw_ids": np.flatnonzero(histogram).tolist(),
        "border_ids": _border_ids(flat, edges, mask.shape[1], histogram),
        "illegal_ids": illegal,
        "illegal_pixels": int(histogram[illegal].sum()),
    }


def _histogram(flat: Mask, edges: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Pixels by id: lengths of runs are added up, in float64 and so exact, at a fifth of a pixel histogram's time."""
    lasts = np.append(edges, flat.size - 1)
    lengths = np.diff(lasts, prepend=-1)
    return np.bincount(flat[lasts], weights=lengths, minlength=256).astype(np.int64)


def _border_ids(flat: Mask, edges: npt.NDArray[np.int64], width: int, histogram: npt.NDArray[np.int64]) -> list[int]:
    """Ids nearly all of whose pixels lie between a lower and a higher id, across or along.

    A mask that was resized with interpolation is full of them: between classes 7 and 11 stand 8, 9 and 10.
    """
    if np.count_nonzero(histogram) < 3:
        return []
    across = _between(flat, edges[1:][np.diff(edges) == 1], 1)
    across = across[(across % width > 0) & (across % width < width - 1)]  # a row's end has no neighbour
    differ = flat[width:] != flat[:-width]
    along = _between(flat, np.flatnonzero(differ[width:] & differ[:-width]) + width, width)
    places = np.union1d(across, along)
    counts = np.bincount(flat[places], minlength=256)
    return np.flatnonzero((histogram >= _FEW_PIXELS) & (counts > _BETWEEN * histogram)).tolist()


def _between(flat: Mask, places: npt.NDArray[np.int64], step: int) -> npt.NDArray[np.int64]:
    """Those of `places` whose id lies between those of the places `step` before and `step` after."""
    low, middle, high = flat[places - step], flat[places], flat[places + step]
    return np.asarray(places[(low < middle) == (middle < high)])


def _problems(row: Mapping[str, Any]) -> list[str]:
    found = [f"{kind} is missing" for kind in ("image", "mask") if row[kind] is None]
    found += [f"{kind} {row[f'{kind}_error']}" for kind in ("image", "mask") if row[f"{kind}_error"] is not None]
    sizes = [(row[f"{kind}_height"], row[f"{kind}_width"]) for kind in ("image", "mask")]
    if None not in sizes[0] + sizes[1] and sizes[0] != sizes[1]:
        found.append(f"image is {sizes[0][0]}x{sizes[0][1]}, mask {sizes[1][0]}x{sizes[1][1]} (height x width)")
    if sizes[0] != sizes[1] and sizes[0] == sizes[1][::-1] and None not in sizes[0]:
        found.append("the mask's sides are swapped")
    if row["illegal_ids"]:
        found.append(f"mask holds illegal ids {row['illegal_ids']} in {row['illegal_pixels']} pixels")
    return found
