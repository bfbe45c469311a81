"""Draw training batches: each augmented crop, and beside it the same crop overlaid with its mask."""

from pathlib import Path

import cv2
import numpy as np

from segline.core.labels import VOID, Image, LabelMap, Mask
from segline.data.images.decode import write_png
from segline.inference.overlay import draw_stripes, overlay, present, with_legend
from segline.storage import atomic_file
from segline.training.fit.batch_sequence import Batch

_MAX_CROPS = 8
_MAX_ROW_WIDTH = 900  # pixels; a single crop may be wider
_MIN_SIDE, _MAX_SIDE = 160, 320  # pixels of a crop's longer side
_GAP = 6  # pixels


def batch_picture(batch: Batch, labels: LabelMap, path: Path) -> None:
    """Draw the first crops of `batch` as a grid into the PNG file `path`; void is striped, class edges are white.

    Raises:
        StorageError: no room or no right to write.
    """
    images, masks = (part[:_MAX_CROPS] for part in batch)
    cells = [_draw_cell(image, mask, labels) for image, mask in zip(images, masks, strict=True)]
    columns = max(1, min(len(cells), _MAX_ROW_WIDTH // cells[0].shape[1]))
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % columns)
    grid = np.concatenate(
        [np.concatenate(cells[start : start + columns], axis=1) for start in range(0, len(cells), columns)]
    )
    with atomic_file(path) as partial:
        write_png(partial, with_legend(grid, present(masks), labels))


def _draw_cell(image: Image, mask: Mask, labels: LabelMap) -> Image:
    """Draw the crop, and beside it the crop overlaid with its mask, with a margin."""
    longer = max(mask.shape)
    scale = min(max(longer, _MIN_SIDE), _MAX_SIDE) / longer
    size = round(mask.shape[1] * scale), round(mask.shape[0] * scale)
    image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST))
    mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST))
    covered = np.where(
        _find_edges(mask)[..., None], np.uint8(255), draw_stripes(overlay(image, mask, labels), mask == VOID)
    )
    pair = np.concatenate([image, covered], axis=1)
    return np.pad(pair, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255)


def _find_edges(mask: Mask) -> np.ndarray:
    """Flag the pixels (H, W) whose right or lower neighbour has another class."""
    edges = np.zeros(mask.shape, dtype=bool)
    edges[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    edges[:-1] |= mask[:-1] != mask[1:]
    return edges
