"""Decode one image's label and prediction, interpret their bytes as ids, and count the pixels.

Problems of a pair are recorded and not raised, so that the problems of a whole folder are reported at once.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from segline.core.coding import Colours
from segline.core.labels import VOID, LabelMap, Mask
from segline.core.metrics.boundary import boundary_counts
from segline.core.metrics.joint_histogram import Counts, Places, histogram_and_ends
from segline.data.images.decode import DecodedMask, decode_mask_and_palette, stated_shape
from segline.data.images.palettes import Palette, translated
from segline.errors import DataError
from segline.evaluation.folders.label_folders import ARRAY, FilePair, Ids
from segline.formats import arrays
from segline.project import image_bytes
from segline.reading import read_bytes

Histogram = npt.NDArray[np.int64]

_IDS_SHOWN = 3
_MAX_IDS_OF_A_LABEL_MAP = 64
"""A file with more ids is probably a photograph or probabilities."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """An interpretation of a file's bytes as raw ids or as train ids.

    Args:
        legal: bool (256,), the bytes that a file may contain.
        table: uint8 (256,), train id of each byte; `VOID` if it is no class.
    """

    legal: npt.NDArray[np.bool_]
    table: Mask

    def permits(self, held: Histogram) -> bool:
        """Return whether a file may contain these ids."""
        return not (held[~self.legal] > 0).any()


def readings(label_map: LabelMap) -> dict[Ids, Reading]:
    """Return both interpretations of a file's bytes: as the dataset's raw ids, and as train ids."""
    own = np.arange(256, dtype=np.uint8)
    classes = own < len(label_map)
    return {
        "raw": Reading(legal=label_map.legal, table=label_map.encode(own)),
        "train": Reading(legal=classes | (own == VOID), table=np.where(classes, own, np.uint8(VOID))),
    }


@dataclass(kw_only=True)
class Counted:
    """The counts of one pair, and its problems.

    Args:
        problems: (kind of the problem, line about this file).
        seen: pixels of the prediction by id, int64 (256,); None if it cannot be read.
        counts: int64 (C, C + 1) for each reading (raw, train) that the prediction's ids allow.
        boundary: int64 (3, C), `boundary_counts` for the same readings; empty if not wanted.
        content: digest of the label's size and train ids.
        file: SHA-256 of the label's file.
        palettes: palette of the label's and of the prediction's file; None if it cannot be read.
        truth_ids: ids in the label.
        moved: whether the colours of the prediction's palette decided, because they are of other classes than its
            indices.
    """

    id: str
    prediction: str
    problems: list[tuple[str, str]] = field(default_factory=list)
    seen: Histogram | None = None
    counts: dict[Ids, Counts] = field(default_factory=dict)
    boundary: dict[Ids, Counts] = field(default_factory=dict)
    void_pixels: int = 0
    content: str = ""
    file: str = ""
    palettes: tuple[Palette | None, Palette | None] = (None, None)
    moved: bool = False
    truth_ids: tuple[int, ...] = ()


def count(
    pair: FilePair,
    *,
    truth_reading: Reading,
    other_reading: Reading,
    readings: Mapping[Ids, Reading],
    colours: Colours | None,
    truth_colours: Colours | None,
    palette_colours: Colours | None,
    classes: int,
    boundary: bool = False,
) -> Counted:
    """Decode and count one pair; its problems are recorded and not raised.

    Args:
        truth_reading: reading of the label.
        other_reading: the other reading, to suggest it if the label has illegal ids.
        readings: readings to try for the prediction.
        palette_colours: colours of the classes, for the palettes of predictions; None if their indices are ids.
        boundary: also count for the boundary IoU.
    """
    result = Counted(id=pair.id, prediction=pair.prediction.name)
    truth, prediction = _decode_pair(pair, result, colours=colours, truth_colours=truth_colours)
    if prediction is not None and palette_colours is not None:
        prediction = _move_to_colours(prediction, result, readings, colours=palette_colours)
    joint = ends = None
    if truth is not None and prediction is not None:
        if truth.shape == prediction.shape:
            joint, ends = histogram_and_ends(truth, prediction)  # one pass for all readings
        else:
            result.problems.append(_report_size(pair.prediction, prediction.shape, truth.shape))
    if truth is not None:
        held = _histogram(truth) if joint is None else joint.sum(axis=1)
        result.truth_ids = tuple(np.flatnonzero(held).tolist())
        if not truth_reading.permits(held):
            kind = "labels with ids that the dataset does not have" + suggest_ids(
                held, other_reading, option="--truth-ids"
            )
            result.problems.append((kind, strange_ids(pair.truth.name, held, truth_reading)))
            joint = None
    if prediction is not None:
        result.seen = _histogram(prediction) if joint is None else joint.sum(axis=0)
    if result.seen is not None and result.moved:
        result.seen = np.zeros_like(result.seen)  # its ids are of colours, and say nothing about the other files'
    if truth is None or prediction is None or joint is None or result.seen is None:
        return result
    result.content = content_digest(truth, truth_reading.table, ends=ends)
    result.void_pixels = int(joint[truth_reading.table == VOID].sum())
    for name, tried in readings.items():
        reading = readings["raw"] if result.moved else tried
        if reading.permits(result.seen):
            result.counts[name] = _sum_to_classes(joint, truth_reading.table, reading.table, classes=classes)
            if boundary:
                true, claimed = truth_reading.table[truth], reading.table[prediction]
                result.boundary[name] = boundary_counts(true, claimed, classes=classes)
    return result


def _decode_pair(
    pair: FilePair, result: Counted, *, colours: Colours | None, truth_colours: Colours | None
) -> tuple[Mask | None, Mask | None]:
    """Decode label and prediction, uint8 (H, W); None if that fails, with a line in the problems of `result`."""
    truth = prediction = None
    try:
        data = _read(pair.truth)
        labels = _decode(data, pair.truth, colours=truth_colours)
        truth, result.palettes = labels.ids, (labels.palette, None)
        result.file = hashlib.sha256(data).hexdigest()
    except DataError as error:
        result.problems.append((f"labels that are not {error.expected}", f"{pair.truth.name}: {error.found}"))
    try:
        data = _read(pair.prediction)
        stated = None if truth is None else stated_shape(data)
        if truth is None or stated in (None, truth.shape):
            labels = _decode_prediction(data, pair.prediction, colours=colours)
            prediction, result.palettes = labels.ids, (result.palettes[0], labels.palette)
        elif stated is not None:  # not decoded: a small file can contain a huge picture
            result.problems.append(_report_size(pair.prediction, stated, truth.shape))
    except DataError as error:
        kind = f"predictions that are not {error.expected}"
        result.problems.append((kind, f"{pair.prediction.name}: {error.found}"))
    return truth, prediction


def _move_to_colours(prediction: Mask, result: Counted, readings: Mapping[Ids, Reading], *, colours: Colours) -> Mask:
    """Replace a prediction's indices by the raw ids of its palette's colours, if no reading gives these classes."""
    palette = result.palettes[1]
    table = colours.translate(palette) if palette else None
    if table is None or "raw" not in readings:
        return prediction
    raw = readings["raw"].table
    agree = (all(reading.table[index] == raw[value] for index, value in table.items()) for reading in readings.values())
    if any(agree):
        return prediction
    result.moved = True
    return translated(prediction, table)


def content_digest(truth: Mask, table: Mask, *, ends: Places | None = None) -> str:
    """Digest a label's size and train ids, run by run: a label map has far fewer runs than pixels.

    Args:
        ends: positions where runs end, from `histogram_and_ends`; None to compute them here.
    """
    flat = truth.ravel()
    last = np.append(np.flatnonzero(flat[1:] != flat[:-1]), flat.size - 1) if ends is None else ends
    ids = table[flat[last]]
    kept = np.append(ids[1:] != ids[:-1], True)  # two different raw ids that are void may be neighbours
    digest = hashlib.sha256(_write_size(truth.shape).encode())
    digest.update(last[kept].astype("<u8").tobytes())
    digest.update(ids[kept].tobytes())
    return digest.hexdigest()


def _sum_to_classes(joint: Counts, rows: Mask, columns: Mask, *, classes: int) -> Counts:
    """Sum joint counts of bytes into the confusion matrix, int64 (C, C + 1).

    Args:
        rows: train id of each byte of the label.
        columns: train id of each byte of the prediction.
    """
    by_class = np.zeros((classes, 256), dtype=np.int64)
    labelled = rows < classes
    np.add.at(by_class, rows[labelled], joint[labelled])
    counts = np.zeros((classes + 1, classes), dtype=np.int64)
    np.add.at(counts, np.minimum(columns, classes), by_class.T)
    return counts.T.copy()


def _read(path: Path) -> bytes:
    expected = "readable files"
    try:
        return read_bytes(
            path,
            limit=image_bytes(),
            expected=expected,
            remedy="write it to a file",
            setting="SEGLINE_IMAGE_BYTES",
        )
    except OSError as error:
        raise DataError(
            path, found=f"cannot be read: {error.strerror}", expected=expected, remedy="restore it"
        ) from error


def _decode_prediction(data: bytes, path: Path, *, colours: Colours | None) -> DecodedMask:
    """Decode a prediction to ids; from colours only if the dataset's own masks are colour images."""
    try:
        return _decode(data, path, colours=None)
    except DataError:
        if colours is None or colours.indexed or path.suffix.lower() == ARRAY:
            raise
    return _decode(data, path, colours=replace(colours, otherwise=None))


def _decode(data: bytes, path: Path, *, colours: Colours | None) -> DecodedMask:
    """Decode a file to ids, uint8 (H, W), and its palette.

    Raises:
        DataError: the file does not contain ids.
    """
    if path.suffix.lower() == ARRAY:
        return DecodedMask(ids=_decode_array(data, path), palette={})
    return decode_mask_and_palette(data, place=path, colours=colours)


def _decode_array(data: bytes, path: Path) -> Mask:
    expected = "label maps: two-dimensional arrays of integers 0..255"
    try:
        array = arrays.parse(data)
    except ValueError as error:
        raise DataError(
            path, found=f"not a NumPy array: {error}", expected=expected, remedy="write it again"
        ) from error
    if array.ndim != 2 or array.dtype.kind not in "iub" or array.size == 0:
        probable = ": probabilities or logits, not ids" if array.dtype.kind == "f" else ""
        raise DataError(
            path,
            found=f"{array.dtype} of shape {array.shape}{probable}",
            expected=expected,
            remedy="save the argmax over the classes",
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 255:
        raise DataError(path, found=f"ids {low}..{high}", expected=expected, remedy="write 255 for void")
    return np.ascontiguousarray(array, dtype=np.uint8)


def _histogram(mask: Mask) -> Histogram:
    return np.bincount(mask.ravel(), minlength=256).astype(np.int64)


def _write_size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]}"


def _report_size(path: Path, found: tuple[int, ...], expected: tuple[int, ...]) -> tuple[str, str]:
    kind = "predictions with another size than their label"
    return kind, f"{path.name}: {_write_size(found)}, expected {_write_size(expected)}"


def strange_ids(name: str, held: Histogram, reading: Reading) -> str:
    """Write the name of the file and those of its ids that `reading` does not allow."""
    return f"{name}: {_list_strange_ids(held, reading)}"


def strange_in_all(name: str, held: Histogram, tried: Mapping[Ids, Reading]) -> str:
    """Write the file's name and its ids that no reading allows; if there are none, the illegal ids of each reading."""
    legal_somewhere = np.any([reading.legal for reading in tried.values()], axis=0)
    if (held[~legal_somewhere] > 0).any():
        nowhere = Reading(legal=legal_somewhere, table=np.full(256, VOID, dtype=np.uint8))
        return strange_ids(name, held, nowhere)
    return f"{name}: " + ", ".join(
        f"as {kind} ids {_list_strange_ids(held, reading)}" for kind, reading in tried.items()
    )


def _list_strange_ids(held: Histogram, reading: Reading) -> str:
    strange = np.flatnonzero((held > 0) & ~reading.legal)
    shown = ", ".join(f"id {value} in {held[value]} pixels" for value in strange[:_IDS_SHOWN])
    return f"{shown}{', ...' if len(strange) > _IDS_SHOWN else ''}"


def suggest_ids(held: Histogram, other: Reading | None, *, option: str, raw: Reading | None = None) -> str:
    """Suggest what illegal ids may be; empty if nothing is likely.

    Args:
        other: the reading that was not tried; the user can select it with `option`.
        raw: the reading as raw ids, if it was tried.
    """
    if other is not None and other.permits(held):
        return f" (they are legal as the other kind of ids: {option})"
    if raw is not None and np.array_equal(np.flatnonzero((held > 0) & ~raw.legal), [VOID]):
        void = np.flatnonzero(raw.legal & (raw.table == VOID))
        instead = f": write {void[0]} instead, a raw id that is void" if void.size else ""
        return f" (all are raw ids except {VOID}, which is void only as a train id{instead})"
    if np.count_nonzero(held) > _MAX_IDS_OF_A_LABEL_MAP:
        return " (there are so many ids that the files are probably probabilities or grey pictures)"
    # Imported here: workers that find no problem start in half the time without these.
    from segline import datasets

    fitting = [dataset.name for dataset in datasets.public() if not dataset.label_map.illegal(held)]
    return f" (they are legal raw ids of {' or '.join(fitting)})" if fitting else ""
