"""Write an evaluation into one folder: counts, scores, cost, calibration and the page that shows them."""

from pathlib import Path

import numpy as np

from segline.core.metrics.calibration import Calibration
from segline.evaluation import results
from segline.evaluation.bundles.scored_split import ScoredSplit
from segline.evaluation.cost import measure
from segline.evaluation.report import evaluation_page, image_slider
from segline.evaluation.results import Evaluation
from segline.evaluation.summary import Summary
from segline.inference.bundle import Bundle
from segline.project import Files
from segline.storage import write_json, write_text


def write(
    folder: Path,
    *,
    bundle: Bundle,
    split: ScoredSplit,
    evaluation: Evaluation,
    summary: Summary,
    model: str,
    file: Path | None = None,
    threads: int | None = None,
    cost_seconds: float = measure.SECONDS,
    calibration: Calibration | None = None,
) -> tuple[Path, ...]:
    """Measure the cost, predict the images to show, and write all files.

    Args:
        summary: the summary of `evaluation`.
        model: name of the network, for a person to read.
        file: the network's file, for its size.
        threads: number of threads that the arithmetic is limited to, for the record.
        cost_seconds: limit of each timing.
        calibration: calibration of the network on `split`; None if it was not measured.

    Returns:
        The files: counts, scores, cost, calibration if it is given, and the page, which is the last.

    Raises:
        StorageError: no space or no permission to write.
    """
    measured = measure.summarise_cost(_measure_cost(bundle, split, file=file, threads=threads, seconds=cost_seconds))
    page = evaluation_page.page(
        evaluation,
        summary,
        labels=bundle.labels,
        model=model,
        pictures=image_slider.make_exhibits(bundle, split, evaluation),
        cost=measured,
        calibration=calibration.as_json() if calibration else None,
    )
    contents = {Files.EVALUATION: summary.as_json(), Files.COST: measured}
    if calibration:
        contents[Files.CALIBRATION] = calibration.as_json()
    results.save(evaluation, folder / Files.COUNTS)
    for name, content in contents.items():
        write_json(folder / name, content)
    write_text(folder / Files.EVALUATION_PAGE, page)
    return tuple(folder / name for name in (Files.COUNTS, *contents, Files.EVALUATION_PAGE))


def _measure_cost(
    bundle: Bundle, split: ScoredSplit, *, file: Path | None, threads: int | None, seconds: float
) -> measure.Cost:
    """Measure the cost on the first image."""
    image, (height, width) = np.asarray(split.image(0)), split.label(0).shape
    return measure.measure(bundle, image, size=(height, width), file=file, threads=threads, seconds=seconds)
