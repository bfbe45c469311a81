"""Pictures of an evaluation: the confusion matrix, and images beside truth, answer and error."""

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
_HEIGHT = 220  # pixels of a panel
_LETTERS = 0.48  # OpenCV's scale of the titles
_TITLE_WIDTH = 640  # pixels that a title may take where its panel is narrower
_LABEL_LENGTH = 48  # characters of a class's name beside the confusion matrix
_FILE_LENGTH = 55  # characters of a picture's name: with four bytes each, and what is added, a file system takes them


def confusion_picture(evaluation: Evaluation, path: Path) -> None:
    """Draw the split's confusion matrix, each row as shares of its true class."""
    counts = evaluation.counts
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    size = 2.8 + 0.42 * len(evaluation.names)
    figure = Figure(figsize=(size + 1.2, size), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(shares, vmin=0, vmax=1, cmap="cividis")
    figure.colorbar(picture, ax=axes, label="share of the true class's pixels", shrink=0.8)
    names = [shown(name, limit=_LABEL_LENGTH) for name in evaluation.names]
    # Matplotlib would take what is between dollars for a formula.
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
    """Write image, truth, answer and error of the worst, the median and the best image.

    Returns:
        The files, worst first.
    """
    order = np.argsort(np.nan_to_num(mean_iou(evaluation.per_image), nan=1.0), kind="stable")
    chosen = {"1_worst": order[0], "2_median": order[len(order) // 2], "3_best": order[-1]}
    return [_picture(bundle, split, evaluation, int(index), folder, name) for name, index in chosen.items()]


def extreme_pictures(
    bundle: Bundle, split: ScoredSplit, evaluation: Evaluation, folder: Path, *, count: int
) -> list[Path]:
    """Write the same of the `count` worst and the `count` best images; none twice, and none without a label.

    Returns:
        The files, worst first, then the best, the very best first.
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
    return [_picture(bundle, split, evaluation, index, folder, name) for name, index in named]


def _picture(bundle: Bundle, split: ScoredSplit, evaluation: Evaluation, index: int, folder: Path, name: str) -> Path:
    path = folder / f"{shown(f'{name}_{evaluation.ids[index]}', limit=_FILE_LENGTH)}.png"
    score = float(mean_iou(evaluation.per_image[index]))
    with atomic_file(path) as partial:
        write_png(partial, _panels(bundle, split, index, score=score))
    return path


def _panels(bundle: Bundle, split: ScoredSplit, index: int, *, score: float) -> Image:
    label = split.label(index)
    height, width = label.shape
    image = cv2.resize(split.image(index), (width, height), interpolation=cv2.INTER_LINEAR)
    predicted = predict_scaled(bundle, split.image(index), height=height, width=width)
    wrong = (predicted != label) & (label != VOID)
    error = np.where(wrong[..., None], np.array(_ERROR, dtype=np.uint8), image // 3 + 150)
    panels = [image, overlay(image, label, bundle.labels), overlay(image, predicted, bundle.labels), error]
    titles = [split.ids[index], "truth", f"prediction, mIoU {score:.3f}", "errors"]
    row = np.concatenate([_titled(panel, title) for panel, title in zip(panels, titles, strict=True)], axis=1)
    return with_legend(row, present(label, predicted), bundle.labels)


def _titled(panel: Image, title: str) -> Image:
    width = round(panel.shape[1] * _HEIGHT / panel.shape[0])
    scaled = cv2.resize(panel, (width, _HEIGHT), interpolation=cv2.INTER_AREA)
    title = fitted(title, max(width, _TITLE_WIDTH), letters=_LETTERS)
    missing = written_width(title, _LETTERS) + 8 - width
    scaled = np.pad(scaled, ((0, 0), (0, max(0, missing)), (0, 0)), constant_values=255)
    strip = np.full((22, scaled.shape[1], 3), 255, dtype=np.uint8)
    cv2.putText(strip, title, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, _LETTERS, (30, 30, 30), 1, cv2.LINE_AA)
    return np.pad(np.concatenate([strip, scaled]), ((0, 0), (0, 6), (0, 0)), constant_values=255)
