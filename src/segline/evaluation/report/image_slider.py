"""The images that a page shows, each as layers that the reader slides between.

A photograph is a WebP, all that lies over it are PNGs of few colours, transparent where nothing is to be
seen; truth and prediction come in the official colours and in the colour-blind-safe ones.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import PIL.Image

from segline.core.labels import VOID, Image, LabelMap, Mask
from segline.core.metrics.confusion import mean_iou
from segline.core.palette import safe_colours
from segline.data.images.thumbnails import uri
from segline.evaluation.bundles.scored_split import ScoredSplit
from segline.evaluation.results import Evaluation
from segline.inference.bundle import Bundle
from segline.inference.overlay import present
from segline.inference.predict import predict_scaled

_WIDTH, _HEIGHT = 720, 480  # greatest sides, pixels
_STRIPES = (VOID - 1, VOID)  # palette places of void's two greys; there are never that many classes
_STRIPE = 4  # pixels
_GREYS = ((96, 96, 96), (176, 176, 176))
_RIGHT, _WRONG, _UNLABELLED = 0, 1, 2
_ERRORS = ((255, 255, 255), (200, 0, 70), (120, 120, 120))
_ERRORS_SEEN = (150, 255, 190)  # of 255, how much of those covers the image


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """One image.

    Args:
        kind: why it is shown: worst or median.
        place: among all images, 1 for the worst.
        miou: of this image alone.
        wrong: share of its labelled pixels that are.
        width: pixels, as height.
        layers: name -> ``data:`` address: image, errors, and truth and answer in either colours.
        classes: train ids in truth or prediction.
        void: whether some of it is unlabelled.
    """

    id: str
    kind: str
    place: int
    miou: float
    wrong: float
    width: int
    height: int
    layers: dict[str, str]
    classes: tuple[int, ...]
    void: bool


def chosen(evaluation: Evaluation, *, worst: int, median: int) -> list[tuple[str, int, int]]:
    """Which images are shown: (kind, place among all from the worst, index); none twice, none without a label."""
    scores = mean_iou(evaluation.per_image)
    order = np.argsort(scores, kind="stable")[: int(np.isfinite(scores).sum())].tolist()
    first = min(worst, len(order))
    start = max(first, (len(order) - median) // 2)
    middle = range(start, min(start + median, len(order)))
    named = [("worst", place) for place in range(first)] + [("median", place) for place in middle]
    return [(kind, place + 1, order[place]) for kind, place in named]


def exhibits(
    bundle: Bundle, split: ScoredSplit, evaluation: Evaluation, *, worst: int = 5, median: int = 3
) -> list[Exhibit]:
    """The worst images and those in the middle, answered again."""
    return [
        _exhibit(bundle, split, evaluation, kind=kind, place=place, index=index)
        for kind, place, index in chosen(evaluation, worst=worst, median=median)
    ]


def _exhibit(
    bundle: Bundle, split: ScoredSplit, evaluation: Evaluation, *, kind: str, place: int, index: int
) -> Exhibit:
    label, scaled = split.label(index), split.image(index)
    answer = predict_scaled(bundle, scaled, height=label.shape[0], width=label.shape[1])
    counts = evaluation.per_image[index]
    scale = min(_WIDTH / label.shape[1], _HEIGHT / label.shape[0], 1.0)
    size = max(1, round(label.shape[1] * scale)), max(1, round(label.shape[0] * scale))
    wrong = (answer != label) & (label != VOID)
    truth, given = _nearest(label, size), _nearest(answer, size)
    errors = np.where(truth == VOID, _UNLABELLED, _nearest(wrong.astype(np.uint8), size)).astype(np.uint8)
    palettes = {
        "official": bundle.labels.colours[: len(bundle.labels)].tolist(),
        "safe": safe_colours(len(bundle.labels)),
    }
    layers = {
        "image": uri(np.asarray(cv2.resize(scaled, size, interpolation=_towards(scaled, size)))),
        "errors": _flat_uri(errors, _ERRORS, _ERRORS_SEEN),
    }
    for name, colours in palettes.items():
        layers[f"truth_{name}"] = mask_uri(truth, bundle.labels, colours)
        layers[f"answer_{name}"] = mask_uri(given, bundle.labels, colours)
    return Exhibit(
        id=evaluation.ids[index],
        kind=kind,
        place=place,
        miou=float(mean_iou(counts)),
        wrong=1.0 - float(np.trace(counts) / counts.sum()),
        width=size[0],
        height=size[1],
        layers=layers,
        classes=tuple(present(label, answer)),
        void=bool((label == VOID).any()),
    )


def mask_uri(mask: Mask, labels: LabelMap, colours: Sequence[Sequence[int]]) -> str:
    """A mask's colours as a PNG in a ``data:`` address; void is striped in two greys.

    Raises:
        ValueError: `mask` holds an id beyond `labels`, or `colours` are not as many as the classes.
    """
    ids = present(mask)
    if ids and ids[-1] >= len(labels):
        raise ValueError(f"mask holds train id {ids[-1]}, but there are {len(labels)} colours")
    if len(colours) != len(labels):
        raise ValueError(f"there are {len(labels)} classes, but {len(colours)} colours")
    stripes = np.add.outer(*(np.arange(side) for side in mask.shape)) // _STRIPE % 2
    filled = np.where(mask == VOID, np.take(_STRIPES, stripes), mask).astype(np.uint8)
    table = [*colours, *[(0, 0, 0)] * (_STRIPES[0] - len(colours)), *_GREYS]
    return _flat_uri(filled, table, [255] * len(table))


def _flat_uri(picture: Mask, colours: Sequence[Sequence[int]], opacities: Sequence[int]) -> str:
    """Palette places uint8 (H, W) -> a PNG as a ``data:`` address."""
    # Places that do not occur would cost some hundred bytes a picture.
    used, dense = np.unique(picture, return_inverse=True)
    flat = PIL.Image.fromarray(dense.reshape(picture.shape).astype(np.uint8), mode="P")
    flat.putpalette([value for place in used for value in colours[place]])
    content = io.BytesIO()
    flat.save(content, "PNG", optimize=True, transparency=bytes(opacities[place] for place in used))
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def _nearest(mask: Mask, size: tuple[int, int]) -> Mask:
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def _towards(image: Image, size: tuple[int, int]) -> int:
    return cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_LINEAR
