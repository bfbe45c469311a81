"""Predict the class of every pixel of images."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from segline.config import refuse_unknown
from segline.errors import ConfigError
from segline.pipeline.choose_model import chosen_model
from segline.progress import Report

MAX_LEVEL = 65535


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
    levels: tuple[int, int] | None = None,
) -> Iterator[Path]:
    """Write a label map and an overlay for every image of `source`.

    Args:
        model: a registered model, or a model folder or file.
        report: called with one line for each image that cannot be read; the other images are still predicted.
        opacity: of the overlays' colours, 0..1.
        shown: names of the classes that overlays colour; empty: all classes.
        head: for a network with several heads: predict with this one alone.
        fast: predict each image once, without averaging over mirror images.
        levels: values of 16-bit images that become 0 and 255; None: those that the model was trained with.

    Yields:
        The path of each image, after its files are written.

    Raises:
        ConfigError: the model has no class of this name, or the levels are no range.
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
        network = replace(network, mirrors=(), temperature=None)
    if levels is not None:
        _refuse_levels(levels)
        network = replace(network, levels=levels)
    names = network.labels.names
    for name in shown:
        refuse_unknown("--show", name, names)
    train_ids = {names.index(name) for name in shown} or None
    yield from predict_files(network, source, output=output, report=report, opacity=opacity, shown=train_ids)


def _refuse_levels(levels: tuple[int, int]) -> None:
    low, high = levels
    if not 0 <= low < high <= MAX_LEVEL:
        raise ConfigError(
            "--levels",
            found=f"{low} {high}",
            expected=f"two numbers within 0..{MAX_LEVEL}, the lower first",
            remedy="give the lowest and the highest value that the camera writes, such as --levels 0 4095",
        )
