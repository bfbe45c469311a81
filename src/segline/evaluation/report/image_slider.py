"""Encode the images that a page shows. Each has several layers, and a slider moves between them.

The image is a WebP. The layers over it are PNGs with few colours, transparent where they show nothing. Truth and
prediction come in the official and in the colour-blind-safe colours.
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

_WORST, _MEDIAN = 5, 3  # images shown of each kind
_MAX_WIDTH, _MAX_HEIGHT = 720, 480  # pixels
_STRIPE_IDS = (VOID - 1, VOID)  # palette entries of void's two greys; no class has such an id
_STRIPE_WIDTH = 4  # pixels
_GREYS = ((96, 96, 96), (176, 176, 176))
_RIGHT, _WRONG, _UNLABELLED = 0, 1, 2
_ERROR_COLOURS = ((255, 255, 255), (200, 0, 70), (120, 120, 120))
_ERROR_OPACITIES = (150, 255, 190)  # of 255


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """One image of the page.

    Args:
        kind: why it is shown: worst or median.
        place: rank among all images; 1 is the worst.
        miou: mean IoU of this image alone.
        wrong: share of its labelled pixels that are wrong.
        width: pixels, as height.
        layers: name -> ``data:`` address: image, errors, and truth and answer in both sets of colours.
        classes: train ids in truth or prediction.
        void: whether some pixels are unlabelled.
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


def choose_images(evaluation: Evaluation, *, worst: int, median: int) -> list[tuple[str, int, int]]:
    """Choose the images to show as (kind, rank from the worst, index); none twice, none without labelled pixels."""
    scores = mean_iou(evaluation.per_image)
    order = np.argsort(scores, kind="stable")[: int(np.isfinite(scores).sum())].tolist()
    first = min(worst, len(order))
    start = max(first, (len(order) - median) // 2)
    middle = range(start, min(start + median, len(order)))
    named = [("worst", place) for place in range(first)] + [("median", place) for place in middle]
    return [(kind, place + 1, order[place]) for kind, place in named]


def make_exhibits(bundle: Bundle, split: ScoredSplit, evaluation: Evaluation) -> list[Exhibit]:
    """Predict the worst and the median images again, and encode their layers."""
    return [
        _make_exhibit(bundle, split, evaluation, kind=kind, place=place, index=index)
        for kind, place, index in choose_images(evaluation, worst=_WORST, median=_MEDIAN)
    ]


def _make_exhibit(
    bundle: Bundle, split: ScoredSplit, evaluation: Evaluation, *, kind: str, place: int, index: int
) -> Exhibit:
    label, scaled = split.label(index), split.image(index)
    answer = predict_scaled(bundle, scaled, height=label.shape[0], width=label.shape[1])
    counts = evaluation.per_image[index]
    scale = min(_MAX_WIDTH / label.shape[1], _MAX_HEIGHT / label.shape[0], 1.0)
    size = max(1, round(label.shape[1] * scale)), max(1, round(label.shape[0] * scale))
    wrong = (answer != label) & (label != VOID)
    truth, given = _resize_mask(label, size), _resize_mask(answer, size)
    errors = np.where(truth == VOID, _UNLABELLED, _resize_mask(wrong.astype(np.uint8), size)).astype(np.uint8)
    palettes = {
        "official": bundle.labels.colours[: len(bundle.labels)].tolist(),
        "safe": safe_colours(len(bundle.labels)),
    }
    layers = {
        "image": uri(np.asarray(cv2.resize(scaled, size, interpolation=_choose_interpolation(scaled, size)))),
        "errors": _encode_png(errors, _ERROR_COLOURS, _ERROR_OPACITIES),
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
    """Encode a mask's colours as a PNG in a ``data:`` address; void is striped in two greys.

    Raises:
        ValueError: `mask` contains an id beyond `labels`, or the number of `colours` is not that of the classes.
    """
    ids = present(mask)
    if ids and ids[-1] >= len(labels):
        raise ValueError(f"mask contains train id {ids[-1]}, but there are {len(labels)} classes")
    if len(colours) != len(labels):
        raise ValueError(f"there are {len(labels)} classes, but {len(colours)} colours")
    stripes = np.add.outer(*(np.arange(side) for side in mask.shape)) // _STRIPE_WIDTH % 2
    filled = np.where(mask == VOID, np.take(_STRIPE_IDS, stripes), mask).astype(np.uint8)
    table = [*colours, *[(0, 0, 0)] * (_STRIPE_IDS[0] - len(colours)), *_GREYS]
    return _encode_png(filled, table, [255] * len(table))


def _encode_png(picture: Mask, colours: Sequence[Sequence[int]], opacities: Sequence[int]) -> str:
    """Encode palette entries, uint8 (H, W), as a PNG in a ``data:`` address."""
    # Palette entries that do not occur would cost some hundred bytes a picture.
    used, dense = np.unique(picture, return_inverse=True)
    flat = PIL.Image.fromarray(dense.reshape(picture.shape).astype(np.uint8), mode="P")
    flat.putpalette([value for place in used for value in colours[place]])
    content = io.BytesIO()
    flat.save(content, "PNG", optimize=True, transparency=bytes(opacities[place] for place in used))
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def _resize_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def _choose_interpolation(image: Image, size: tuple[int, int]) -> int:
    return cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_LINEAR
