"""What is measured of one sample for the fingerprint, while its pixels are at hand.

A few kilobytes a sample whatever its size, as columns beside the manifest's own; `segline.data.fingerprint`
sums them up and they are not kept.
"""

from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from segline.core.components import components
from segline.core.labels import Image, Mask

GRID = 16
"""Points across and along at which a mask's layout is kept."""

BINS = 64
"""Bins of a colour channel's histogram; each is 256 / BINS grey levels wide."""

FIELDS = (
    # Components that are alike are one entry with a count, so that a mask of noise stays small too.
    pa.field("component_class", pa.list_(pa.uint8())),  # train id
    pa.field("component_area", pa.list_(pa.uint32())),  # pixels of the mask's own size, as height and width
    pa.field("component_height", pa.list_(pa.uint32())),
    pa.field("component_width", pa.list_(pa.uint32())),
    pa.field("component_count", pa.list_(pa.uint32())),
    pa.field("layout", pa.list_(pa.uint8())),  # train ids at GRID x GRID points, row by row
    pa.field("channel_mean", pa.list_(pa.float64())),  # grey levels 0..255; red, green, blue
    pa.field("channel_std", pa.list_(pa.float64())),
    pa.field("channel_bins", pa.list_(pa.uint32())),  # pixels; BINS of red, then of green, then of blue
)

_COUNTED = 1 << 20  # pixels, above which every second, third, ... row is enough for a histogram


def of_image(image: Image) -> dict[str, Any]:
    """Colour statistics of uint8 (H, W, 3) RGB, as `FIELDS`."""
    rows = image[:: 1 + image[..., 0].size // _COUNTED]
    counts = np.stack([cv2.calcHist([rows], [channel], None, [256], [0, 256]).ravel() for channel in range(3)])
    levels = np.arange(256)
    mean = (counts @ levels) / counts[0].sum()
    variance = (counts * (levels - mean[:, None]) ** 2).sum(axis=1) / counts[0].sum()
    bins = counts.reshape(3, BINS, -1).sum(axis=2).astype(np.uint32)
    return {"channel_mean": mean, "channel_std": np.sqrt(variance), "channel_bins": bins.ravel()}


def of_mask(mask: Mask, *, classes: int) -> dict[str, Any]:
    """Components and layout of uint8 (H, W) train ids, as `FIELDS`."""
    rows, columns = ((2 * np.arange(GRID) + 1) * length // (2 * GRID) for length in mask.shape)
    return {"layout": mask[np.ix_(rows, columns)].ravel()} | _component_facts(mask, classes)


def _component_facts(mask: Mask, classes: int) -> dict[str, Any]:
    found = components(mask, classes=classes)
    entries = np.stack([found.label, found.area, found.height, found.width], axis=1)
    unique, count = np.unique(entries, axis=0, return_counts=True)
    columns = [*unique.astype(np.uint32).T, count.astype(np.uint32)]
    columns[0] = columns[0].astype(np.uint8)
    names = [field.name for field in FIELDS if field.name.startswith("component_")]
    return dict(zip(names, columns, strict=True))
