"""Draw pictures of an evaluation: the confusion matrix, and images beside truth, prediction and errors."""

from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from segline.core.labels import VOID, Image
from segline.core.metrics.confusion import mean_iou
from segline.data.images.decode import write_png
from segline.errors import shown
from segline.evaluation.bundles.scored_split import ScoredSplit
from segline.evaluation.results import Evaluation
from segline.inference.bundle import Bundle
from segline.inference.overlay import fitted, overlay, present, with_legend, written_width
from segline.inference.predict import predict_scaled
from segline.storage import atomic_file

_ERROR = (220, 20, 60)
_PANEL_HEIGHT = 220  # pixels
_TITLE_SCALE = 0.48  # OpenCV's font scale
_MAX_TITLE_WIDTH = 640  # pixels; wider panels allow longer titles
_MAX_LABEL_LENGTH = 48  # characters of a class name beside the confusion matrix
_MAX_FILE_NAME = 55  # characters: at four bytes each, with prefix and ending, below a file system's limit of 255 bytes


def confusion_picture(evaluation: Evaluation, path: Path) -> None:
    """Draw the split's confusion matrix; each row holds shares of its true class."""
    counts = evaluation.counts
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    size = 2.8 + 0.42 * len(evaluation.names)
    figure = Figure(figsize=(size + 1.2, size), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(shares, vmin=0, vmax=1, cmap="cividis")
    figure.colorbar(picture, ax=axes, label="share of the true class's pixels", shrink=0.8)
    names = [shown(name, limit=_MAX_LABEL_LENGTH) for name in evaluation.names]
    # Matplotlib would read text between dollar signs as a formula.
    axes.set_xticks(range(len(names) + 1), [*names, "outside"], rotation=90, parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(
        f"{evaluation.dataset} {evaluation.split}: mIoU {evaluation.miou:.3f}", fontsize=10, parse_math=False
    )
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            colour = "black" if share > 0.6 else "white"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=colour)
    with atomic_file(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


def example_pictures(bundle: Bundle, split: ScoredSplit, evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write image, truth, prediction and errors of the worst, the median and the best image.

    Returns:
        The files, worst first.
    """
    order = np.argsort(np.nan_to_num(mean_iou(evaluation.per_image), nan=1.0), kind="stable")
    chosen = {"1_worst": order[0], "2_median": order[len(order) // 2], "3_best": order[-1]}
    return [_write_picture(bundle, split, evaluation, int(index), folder, name) for name, index in chosen.items()]


def extreme_pictures(
    bundle: Bundle, split: ScoredSplit, evaluation: Evaluation, folder: Path, *, count: int
) -> list[Path]:
    """Write such pictures of the `count` worst and best images; no image twice, and none without labelled pixels.

    Returns:
        The files: the worst images, worst first, then the best ones, best first.
    """
    scores = mean_iou(evaluation.per_image)
    order = np.argsort(scores, kind="stable")[: int(np.isfinite(scores).sum())].tolist()
    worst = order[: min(count, -(-len(order) // 2))]
    best = order[len(worst) :][::-1][:count]
    named = [
        (f"{kind}_{place}", index)
        for kind, found in (("worst", worst), ("best", best))
        for place, index in enumerate(found, 1)
    ]
    return [_write_picture(bundle, split, evaluation, index, folder, name) for name, index in named]


def _write_picture(
    bundle: Bundle, split: ScoredSplit, evaluation: Evaluation, index: int, folder: Path, name: str
) -> Path:
    path = folder / f"{shown(f'{name}_{evaluation.ids[index]}', limit=_MAX_FILE_NAME)}.png"
    score = float(mean_iou(evaluation.per_image[index]))
    with atomic_file(path) as partial:
        write_png(partial, _draw_panels(bundle, split, index, score=score))
    return path


def _draw_panels(bundle: Bundle, split: ScoredSplit, index: int, *, score: float) -> Image:
    label = split.label(index)
    height, width = label.shape
    image = cv2.resize(split.image(index), (width, height), interpolation=cv2.INTER_LINEAR)
    predicted = predict_scaled(bundle, split.image(index), height=height, width=width)
    wrong = (predicted != label) & (label != VOID)
    error = np.where(wrong[..., None], np.array(_ERROR, dtype=np.uint8), image // 3 + 150)
    panels = [image, overlay(image, label, bundle.labels), overlay(image, predicted, bundle.labels), error]
    titles = [split.ids[index], "truth", f"prediction, mIoU {score:.3f}", "errors"]
    row = np.concatenate([_add_title(panel, title) for panel, title in zip(panels, titles, strict=True)], axis=1)
    return with_legend(row, present(label, predicted), bundle.labels)


def _add_title(panel: Image, title: str) -> Image:
    width = round(panel.shape[1] * _PANEL_HEIGHT / panel.shape[0])
    scaled = cv2.resize(panel, (width, _PANEL_HEIGHT), interpolation=cv2.INTER_AREA)
    title = fitted(title, max(width, _MAX_TITLE_WIDTH), letters=_TITLE_SCALE)
    missing = written_width(title, _TITLE_SCALE) + 8 - width
    scaled = np.pad(scaled, ((0, 0), (0, max(0, missing)), (0, 0)), constant_values=255)
    strip = np.full((22, scaled.shape[1], 3), 255, dtype=np.uint8)
    cv2.putText(strip, title, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, _TITLE_SCALE, (30, 30, 30), 1, cv2.LINE_AA)
    return np.pad(np.concatenate([strip, scaled]), ((0, 0), (0, 6), (0, 0)), constant_values=255)
