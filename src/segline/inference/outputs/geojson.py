"""Outlines of the areas, as GeoJSON."""

import json
from pathlib import Path

from segline.core.vision.outlines import Ring, outlines
from segline.inference.answer import Answer
from segline.inference.outputs import Style

ENDING = "_contours.geojson"
SAYS = "outlines of all areas as GeoJSON (RFC 7946), in pixels: x to the right, y downward"


def write(answer: Answer, style: Style, path: Path) -> None:
    """Write one feature for each connected area, with its class, its id and its pixels."""
    labels = answer.labels
    features = [
        {
            "type": "Feature",
            "properties": {
                "class": labels.names[found.label],
                "id": labels.classes[found.label].raw,
                "pixels": found.pixels,
            },
            "geometry": {
                "type": "Polygon",
                "coordinates": [_close(found.outer), *(_close(hole) for hole in found.holes)],
            },
        }
        for found in outlines(answer.mask, classes=len(labels))
        if style.shown is None or found.label in style.shown
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")


def _close(ring: Ring) -> list[list[int]]:
    """Return the corners, with the first again at the end, as the format asks for."""
    corners: list[list[int]] = ring.tolist()
    return [*corners, corners[0]]
