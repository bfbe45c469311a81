"""The names that ``params.yaml`` may use. They are file names, because importing the modules would take seconds."""

import ast
import difflib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic_core import PydanticCustomError

from segline.errors import ConfigError

_PACKAGE = Path(__file__).parents[1]
_DEFINES_DATASET = re.compile(r"^DATASET =", re.MULTILINE)
_NOT_NETWORKS = {"__init__", "blocks", "classifier"}  # the classifier is for whole images, not for pixels

CLASSIFIER = "classifier"
"""The value of `ModelConfig.network` for the classifier of whole images (`segline.models.classifier`)."""
AUTO, IMAGENET, CLASSIFICATION = "auto", "imagenet", "classification"
"""Initial weights of encoders without a file: published ones that are here, published ones that may be fetched, or
weights trained on the dataset's classification task."""


def dataset_names() -> list[str]:
    """List the public datasets: the names of the files in ``segline/datasets`` that define one."""
    return list(_find_datasets())


@cache
def _find_datasets() -> tuple[str, ...]:
    files = sorted((_PACKAGE / "datasets").glob("*.py"))
    return tuple(file.stem for file in files if _DEFINES_DATASET.search(file.read_text("utf-8")))


def network_names() -> list[str]:
    """List the network families: the names of the files in ``segline/models``."""
    return _list_stems("models", _NOT_NETWORKS)


def encoder_names() -> list[str]:
    """List the encoders: the names of the files in ``segline/models/encoders``."""
    return _list_stems("models/encoders", {"__init__"})


def decoder_names() -> list[str]:
    """List the decoders: the names of the files in ``segline/models/decoders``."""
    return _list_stems("models/decoders", {"__init__"})


@cache
def network_options(network: str) -> frozenset[str]:
    """Read a family's ``OPTIONS`` (fields of `ModelConfig`) from its file: importing the module would load Keras."""
    listed = _find_constant(_PACKAGE / "models" / f"{network}.py", "OPTIONS")
    assert isinstance(listed, ast.Call), f"{network}.OPTIONS must be written as frozenset({{...}})"
    return frozenset(ast.literal_eval(listed.args[0]))


@cache
def published_weights(encoder: str) -> Mapping[str, Any] | None:
    """Read an encoder's ``WEIGHTS`` from its file; None if no weights are published for it."""
    found = _find_constant(_PACKAGE / "models/encoders" / f"{encoder}.py", "WEIGHTS")
    return None if found is None else dict(ast.literal_eval(found))


def _find_constant(file: Path, name: str) -> ast.expr | None:
    """Find the expression that a module assigns to `name`, without importing the module; None if there is none."""
    found = (
        node.value
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]
    )
    return next(found, None)


def _list_stems(folder: str, excluded: set[str]) -> list[str]:
    return sorted({path.stem for path in (_PACKAGE / folder).glob("*.py")} - excluded)


def nearest(name: str, known: Sequence[str]) -> str:
    """Format the `known` names for a message. If one is similar to `name`, it comes first, as a suggestion."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    listing = ", ".join(known)
    return f"{near[0]!r}? (one of: {listing})" if near else f"one of: {listing}"


def known_one(name: str, known: Sequence[str]) -> str:
    """Return `name` if it is one of the `known` ones, else raise Pydantic's error for the field."""
    if name not in known:
        raise PydanticCustomError("unknown_name", "{expected}", {"expected": nearest(name, known)})
    return name


def refuse_unknown(place: str, name: str, known: Sequence[str]) -> None:
    """Check that `name`, given for `place`, is one of the `known` ones.

    Raises:
        ConfigError: it is not; the nearest one is suggested.
    """
    if name not in known:
        raise ConfigError(place, found=repr(name), expected=nearest(name, known), remedy="use one of these names")
