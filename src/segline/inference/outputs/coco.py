"""Outlines of the areas, in COCO's format."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from segline.core.labels import Mask
from segline.core.vision.outlines import Outline, outlines
from segline.core.vision.polygons import Shape, draw
from segline.inference.answer import Answer
from segline.inference.outputs import Style

ENDING = "_coco.json"
SAYS = "outlines of all areas in COCO's format: polygons, or run lengths where an area has holes"


def write(answer: Answer, style: Style, path: Path) -> None:
    """Write one annotation for each connected area; the file is complete by itself."""
    labels, (height, width) = answer.labels, answer.mask.shape
    found = [
        outline
        for outline in outlines(answer.mask, classes=len(labels))
        if style.shown is None or outline.label in style.shown
    ]
    content = {
        "images": [{"id": 1, "file_name": answer.name, "height": height, "width": width}],
        "categories": [{"id": item.raw, "name": item.name} for item in labels.classes],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": labels.classes[outline.label].raw, "iscrowd": 0}
            | _describe(outline, height=height, width=width)
            for number, outline in enumerate(found, start=1)
        ],
    }
    path.write_text(json.dumps(content), encoding="utf-8")


def _describe(outline: Outline, *, height: int, width: int) -> dict[str, Any]:
    (left, top), (right, bottom) = outline.outer.min(axis=0).tolist(), outline.outer.max(axis=0).tolist()
    polygon = [outline.outer.ravel().tolist()]
    return {
        "bbox": [left, top, right - left, bottom - top],
        "area": outline.pixels,
        "segmentation": _to_runs(outline, height=height, width=width) if outline.holes else polygon,
    }


def _to_runs(outline: Outline, *, height: int, width: int) -> dict[str, Any]:
    """Convert an area with holes to run lengths down the columns, outside first."""
    area: Mask = np.zeros((height, width), dtype=np.uint8)
    for ring in (outline.outer, *outline.holes):  # even-odd: what two rings contain is outside
        shape = Shape(raw=1, outlines=(ring.astype(np.float64),))
        area ^= draw([shape], height=height, width=width, background=0)
    flat = area.T.ravel().astype(np.int64)
    changes = np.flatnonzero(np.diff(flat, prepend=0, append=1 - flat[-1]))
    return {"size": [height, width], "counts": np.diff(changes, prepend=0).tolist()}
