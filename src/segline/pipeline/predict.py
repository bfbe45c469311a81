"""Label every pixel of images with a model."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from segline.config import refuse_unknown
from segline.pipeline.choose_model import chosen_model
from segline.progress import Report


def predict(
    model: str,
    source: Path,
    *,
    output: Path,
    report: Report,
    opacity: float,
    shown: Collection[str] = (),
    head: int | None = None,
    fast: bool = False,
) -> Iterator[Path]:
    """Write a label map and an overlay for every image of `source`.

    Args:
        model: registered, or a folder or file.
        report: takes one line about each image that cannot be read; the others go on.
        opacity: of the overlays' colours, 0..1.
        shown: names of the classes that overlays tint; none: all.
        head: of a network with several heads: answer by this one alone.
        fast: answer each image once, without the mirror images that the model averages.

    Yields:
        Each image, once its files are written.

    Raises:
        ConfigError: a class is not the model's.
        DataError: two images would write the same files, or none could be read.
        TrackingError: no such model is registered.
    """
    from segline.inference import bundle
    from segline.inference.predict import predict_files

    with chosen_model(model) as chosen:
        network = bundle.load(chosen.folder)
    if head is not None:
        network = bundle.pruned(network, head=head)
    if fast:
        network = replace(network, mirrors=())
    names = network.labels.names
    for name in shown:
        refuse_unknown("--show", name, names)
    train_ids = {names.index(name) for name in shown} or None
    yield from predict_files(network, source, output=output, report=report, opacity=opacity, shown=train_ids)
