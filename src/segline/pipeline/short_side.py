"""Settle ``prepare.short_side: auto`` for a dataset."""

from segline import config
from segline.data.size.short_side import ShortSide, choose_short_side, read_fingerprint
from segline.project import Project


def choose(project: Project, params: config.Params, *, memory: float | None = None) -> ShortSide | None:
    """Derive the short side from the dataset's fingerprint and the memory budget; None if ``params.yaml`` gives it.

    Args:
        memory: GiB that a fit may take; default: ``training.memory``.

    Raises:
        DataError: the dataset is not validated, or has no training images.
    """
    if params.prepare.short_side != "auto":
        return None
    budget = memory or params.training.memory or config.DEFAULT_MEMORY
    return choose_short_side(read_fingerprint(project.manifest(params.dataset), params.dataset), memory=budget)


def settle(project: Project, params: config.Params, *, memory: float | None = None) -> config.Params:
    """Return `params` with a number, or None, as ``prepare.short_side``.

    Raises:
        DataError: it is ``auto``, and the dataset is not validated.
        ConfigError: the given crop does not fit images of this size.
    """
    chosen = choose(project, params, memory=memory)
    return params if chosen is None else params.scaled(chosen.pixels)
