"""Find published weights of encoders, keep them in Segline's format, and resolve what ``search.weights`` asks for."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segline import config, models
from segline.errors import ConfigError
from segline.models.weights import catalogue
from segline.models.weights.catalogue import Published
from segline.pipeline import chosen_weights
from segline.project import Project

if TYPE_CHECKING:
    from segline.models.weights.stored import Stored
    from segline.training.plan import KnownWeights

_SHOWN_DIGITS = 16  # of a digest


def locate(published: Published, folder: Path | None) -> str:
    """Describe where weights are on this machine, without reading them; "" if they are not here.

    Args:
        folder: the project's folder of weights; None outside a project.

    Raises:
        ConfigError: another version of the package is installed, or the folder contradicts itself.
    """
    from segline.models.weights import packages, stored

    path = stored.find(folder, published) if folder else None
    if path:
        return str(path)
    return f"package {published.origin}" if published.package and packages.locate(published) else ""


def obtain(published: Published, folder: Path, *, fetch: bool) -> "Stored":
    """Return the weights as a file in `folder`; if there is none, make it from their package or from Keras's files.

    Args:
        fetch: whether Keras Applications may be asked, which uses its cache or the network.

    Raises:
        ConfigError: the weights are not here, are damaged, or are those of another version.
        SourceError: they cannot be fetched.
        StorageError: the disk is full, or writing is not permitted.
    """
    from segline.models.weights import stored

    path = stored.find(folder, published)
    if path is not None:
        return stored.read(path, published)
    if published.application and not fetch:
        raise ConfigError(
            f"weights of {published.encoder}",
            found=f"none in {folder}",
            expected=f"those of {published.origin}",
            remedy=f"run {published.command}; or carry its file here, and set SEGLINE_WEIGHTS to the folder",
        )
    return stored.write(folder, published, _convert(published))


def _convert(published: Published) -> dict[str, Any]:
    """Build the encoder, fill it with the published weights, and list them under our names."""
    from segline.models import encoders
    from segline.models.weights import packages

    if published.package:
        weights = packages.read(published)
        model = encoders.build(published.encoder, output_stride=32)
        packages.fill(model, weights)
    else:
        from segline.models.weights import applications

        classifier = applications.fetch(published)
        model = encoders.build(published.encoder, output_stride=32)
        applications.copy(classifier, model)
    return encoders.list_weights(model)


def fetch(encoder: str, folder: Path) -> "Stored":
    """Bring the published weights of `encoder` into `folder`, from where they can be carried to another machine.

    Raises:
        ConfigError: nothing is published for this encoder, or its package is missing or of another version.
        SourceError: the weights cannot be fetched.
    """
    config.refuse_unknown("encoder", encoder, config.encoder_names())
    return obtain(_require(encoder, asked="segline weights fetch"), folder, fetch=True)


def _require(encoder: str, *, asked: str) -> Published:
    published = catalogue.find(encoder)
    if published is None:
        known = ", ".join(each.encoder for each in catalogue.list_published())
        raise ConfigError(
            asked,
            found=f"{encoder}, for which no weights are published",
            expected=f"one of {known}",
            remedy="choose one of these; or set search.weights to classification, which trains the encoder, or to null",
        )
    return published


def resolve(project: Project, params: config.Params) -> "dict[str, Stored]":
    """Find the published weights that a training starts from, and check a file of weights, before time is spent.

    Weights that `search.weights: auto` chose are recorded in ``weights.yaml``. Later runs have the same, or stop.

    Returns:
        Encoder -> its published weights. Empty if ``search.weights`` names none.

    Raises:
        ConfigError: weights are not here, are damaged, are those of another encoder, or are not those recorded.
        SourceError: ``imagenet`` is asked for, and weights cannot be fetched.
    """
    search = params.search
    if search.weights in (None, config.CLASSIFICATION):
        return {}
    if not any(models.has_option(network, "encoder") for network in search.networks):
        return {}  # the search refuses such parameters, with the networks that have an encoder
    if search.weights_file is not None:
        _check_file(str(project.root / search.weights_file), search.encoders[0])
        return {}
    can_fetch = search.weights == config.IMAGENET
    found = {
        encoder: obtain(_require(encoder, asked="params.yaml search.weights"), project.weights, fetch=can_fetch)
        for encoder in search.encoders
    }
    for encoder, kept in found.items():
        _check_file(str(kept.path), encoder)
    if search.weights == config.AUTO:
        digests = {encoder: stored.digest for encoder, stored in found.items()}
        chosen_weights.keep(project, params.dataset, digests)
    return found


def _check_file(path: str, encoder: str) -> None:
    """Refuse a file that does not hold the weights of `encoder`."""
    from segline.models import encoders

    encoders.load_weights(encoders.build(encoder, output_stride=32), encoder=encoder, weights=path)


def describe(found: "Mapping[str, Stored]") -> dict[str, str]:
    """Describe weights for the run key and the lineage: encoder -> name, origin and digest."""
    return {
        encoder: f"{encoder} from {stored.origin}, sha256:{stored.digest}" for encoder, stored in sorted(found.items())
    }


def survey(project: Project, dataset: str, search: config.Search) -> "KnownWeights":
    """Collect what a plan must know of published weights: those here, those elsewhere, and an earlier run's choice.

    Args:
        search: of the plan; only ``weights: auto`` reads what an earlier run chose.

    Raises:
        ConfigError: ``weights.yaml`` cannot be read.
    """
    from segline.training.plan import KnownWeights

    here, commands, faults = {}, {}, {}
    for published in catalogue.list_published():
        commands[published.encoder] = published.command
        try:
            place = locate(published, project.weights)
        except ConfigError as error:
            faults[published.encoder] = error
        else:
            if place:
                here[published.encoder] = f"{published.origin}, digest {_find_digest(published, place)}"
    chosen = tuple(chosen_weights.read(project, dataset)) if search.weights == config.AUTO else ()
    return KnownWeights(here=here, commands=commands, faults=faults, chosen=chosen)


def _find_digest(published: Published, place: str) -> str:
    """Find the start of the digest: pinned, or in the name of the file at `place`."""
    return (published.digest or Path(place).stem.rpartition("-")[2])[:_SHOWN_DIGITS]
