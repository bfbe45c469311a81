"""What the network is shown: a batch of augmented crops, each beside the same with its mask over it."""

from pathlib import Path

import cv2
import numpy as np

from segline.core.labels import VOID, Image, LabelMap, Mask
from segline.data.images.decode import write_png
from segline.inference.overlay import hatched, overlay, present, with_legend
from segline.storage import atomic_file
from segline.training.fit.batch_sequence import Batch

_SHOWN = 8  # crops of a batch
_ACROSS = 900  # pixels that a row of the grid may take, where two crops beside each other leave a choice
_SMALLEST, _LARGEST = 160, 320  # pixels of a crop's longer side
_GAP = 6


def batch_picture(batch: Batch, labels: LabelMap, path: Path) -> None:
    """Draw the first crops of `batch` as a grid; void is hatched, edges between classes are white.

    Raises:
        StorageError: no room or no right to write.
    """
    images, masks = batch
    cells = [_cell(image, mask, labels) for image, mask in zip(images[:_SHOWN], masks[:_SHOWN], strict=True)]
    columns = max(1, min(len(cells), _ACROSS // cells[0].shape[1]))
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % columns)
    grid = np.concatenate(
        [np.concatenate(cells[start : start + columns], axis=1) for start in range(0, len(cells), columns)]
    )
    with atomic_file(path) as partial:
        write_png(partial, with_legend(grid, present(masks[:_SHOWN]), labels))


def _cell(image: Image, mask: Mask, labels: LabelMap) -> Image:
    """The crop, and the crop under its mask, beside each other with a margin."""
    longer = max(mask.shape)
    scale = min(max(longer, _SMALLEST), _LARGEST) / longer
    size = round(mask.shape[1] * scale), round(mask.shape[0] * scale)
    image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST))
    mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST))
    covered = np.where(_edges(mask)[..., None], np.uint8(255), hatched(overlay(image, mask, labels), mask == VOID))
    pair = np.concatenate([image, covered], axis=1)
    return np.pad(pair, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255)


def _edges(mask: Mask) -> np.ndarray:
    """Flags (H, W): pixels whose right or lower neighbour is of another class."""
    edges = np.zeros(mask.shape, dtype=bool)
    edges[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    edges[:-1] |= mask[:-1] != mask[1:]
    return edges
