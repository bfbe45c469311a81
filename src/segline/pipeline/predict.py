"""Predict the class of every pixel of images."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from segline.config import refuse_unknown
from segline.core.labels import BINARY
from segline.errors import ConfigError
from segline.pipeline.choose_model import chosen_model
from segline.progress import Report

if TYPE_CHECKING:
    from segline.inference.bundle import Bundle
    from segline.inference.folder import Wanted
    from segline.inference.sources import Found

MAX_LEVEL = 65535

AREAS = "areas"
"""Name by which the table of areas is asked for, beside the names of `inference.outputs`."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person asks of a prediction.

    Args:
        write: names of `list_outputs`; empty: label map and overlay.
        opacity: of the overlays' colours, 0..1.
        legend: whether overlays have one.
        shown: names of the classes that are coloured and named; empty: all classes.
        head: for a network with several heads: predict with this one alone.
        fast: predict each image once, without averaging over mirror images.
        levels: values of 16-bit images that become 0 and 255; None: those that the model was trained with.
        threshold: of a binary task, in place of the model's own.
        abstain: pixels whose confidence is below this stay void.
    """

    write: Collection[str] = ()
    opacity: float = 0.5
    legend: bool = True
    shown: Collection[str] = ()
    head: int | None = None
    fast: bool = False
    levels: tuple[int, int] | None = None
    threshold: float | None = None
    abstain: float | None = None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A prediction that is ready to run.

    Args:
        images: number of images.
        written: yields each image once its files are written.
        kinds: names of what is written.
    """

    images: int
    written: Iterator[Path] = field(repr=False)
    kinds: tuple[str, ...]


def list_outputs() -> dict[str, str]:
    """List what can be written: name -> one line about it."""
    from segline.inference import outputs

    return {name: outputs.load(name).says for name in outputs.names()} | {
        AREAS: "one table, areas.csv: the pixels of each class in each image"
    }


def predict(model: str, source: str, *, output: Path, options: Options, report: Report) -> Prediction:
    """Prepare to write what `options` ask for about every image of `source`.

    Args:
        model: a registered model, or a model folder or file.
        source: an image, a folder, a pattern, or a list of files.
        report: called with one line for each image that cannot be read; the other images are still predicted.

    Raises:
        ConfigError: the model has no class of this name; or an option does not fit the model.
        DataError: two images would write the same files, or none could be found; or `output` holds files of something
            else.
        TrackingError: no such model is registered.
    """
    from segline.inference import bundle
    from segline.inference.folder import predict_files
    from segline.inference.sources import find_images

    found: Found = find_images(source, output=output)
    with chosen_model(model) as chosen:
        digest = bundle.digest(chosen.folder)
        network = _adapt(bundle.load(chosen.folder), options)
    wanted = _describe(network, options, digest=digest)
    written = predict_files(network, source, output=output, wanted=wanted, report=report, found=found)
    kinds = (*wanted.kinds, *([AREAS] if wanted.areas else []))
    return Prediction(images=len(found.images), written=written, kinds=kinds)


def _adapt(network: "Bundle", options: Options) -> "Bundle":
    """Apply the options that change what the network answers."""
    from segline.inference import bundle

    if options.head is not None:
        network = bundle.pruned(network, head=options.head)
    if options.fast:
        network = replace(network, mirrors=(), temperature=None)
    if options.levels is not None:
        _refuse_levels(options.levels)
        network = replace(network, levels=options.levels)
    if options.threshold is not None:
        _refuse_threshold(options.threshold, network)
        network = replace(network, threshold=options.threshold)
    return network


def _describe(network: "Bundle", options: Options, *, digest: str) -> "Wanted":
    """Say what is to be written, with the names of `options` looked up."""
    from segline.inference import outputs
    from segline.inference.folder import Wanted
    from segline.inference.outputs.ids import void_id

    names = network.labels.names
    for name in options.shown:
        refuse_unknown("--show", name, names)
    known = (*outputs.names(), AREAS)
    for name in options.write:
        refuse_unknown("--write", name, known)
    kinds = tuple(name for name in outputs.names() if name in (options.write or outputs.DEFAULT))
    if options.abstain is not None:
        _refuse_abstaining(options.abstain, network, fast=options.fast or options.head is not None)
        if "ids" in kinds:
            void_id(network.labels)
    shown: Sequence[int] = sorted({names.index(name) for name in options.shown})
    style = outputs.Style(opacity=options.opacity, shown=tuple(shown) or None, legend=options.legend)
    return Wanted(
        kinds=kinds, style=style, abstain=options.abstain, areas=AREAS in options.write, model=_name(digest, options)
    )


def _name(digest: str, options: Options) -> str:
    """Name the network that answers: the digest of its files, and the head that is used."""
    return digest if options.head is None else f"{digest}, head {options.head}"


def _refuse_levels(levels: tuple[int, int]) -> None:
    low, high = levels
    if not 0 <= low < high <= MAX_LEVEL:
        raise ConfigError(
            "--levels",
            found=f"{low} {high}",
            expected=f"two numbers within 0..{MAX_LEVEL}, the lower first",
            remedy="give the lowest and the highest value that the camera writes, such as --levels 0 4095",
        )


def _refuse_threshold(threshold: float, network: "Bundle") -> None:
    if len(network.labels) != BINARY:
        raise ConfigError(
            "--threshold",
            found=f"a model of {len(network.labels)} classes",
            expected=f"a model of {BINARY} classes, background and foreground",
            remedy="leave the option out: with more classes, the most probable one is taken",
        )
    if not 0 < threshold < 1:
        raise ConfigError(
            "--threshold",
            found=f"{threshold:g}",
            expected="a probability between 0 and 1",
            remedy="give a number such as 0.5",
        )


def _refuse_abstaining(abstain: float, network: "Bundle", *, fast: bool) -> None:
    if not 0 < abstain < 1:
        raise ConfigError(
            "--abstain",
            found=f"{abstain:g}",
            expected="a confidence between 0 and 1",
            remedy="give a number such as 0.7",
        )
    if network.temperature is None:
        whole = "leave --fast and --head out: the temperature was fitted to the whole model"
        raise ConfigError(
            "--abstain",
            found=f"no temperature for these answers of the model {network.family}, so its confidences are not "
            "probabilities",
            expected="a model with a fitted temperature (`training` fits one where validation has labels)",
            remedy=whole if fast else "leave the option out, or train the model again",
        )
