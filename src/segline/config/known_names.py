"""Names that ``params.yaml`` may give: those of the files in our rooms, which are not imported for that."""

import ast
import difflib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pydantic_core import PydanticCustomError

from segline.errors import ConfigError

_PACKAGE = Path(__file__).parents[1]
_NOT_DATASETS = {"__init__", "base", "sample", "street_labels"}
_NOT_NETWORKS = {"__init__", "blocks", "classifier"}  # which classifies images, not pixels

CLASSIFIER = "classifier"
"""The family of `segline.models.classifier`: what `ModelConfig.network` says where whole images are classified."""
IMAGENET, CLASSIFICATION = "imagenet", "classification"
"""First weights of an encoder that are not a file: published ones, and those of the data's own classification task."""


def dataset_names() -> list[str]:
    """Names of the datasets: those of the files in ``segline/datasets``."""
    return _stems("datasets", _NOT_DATASETS)


def network_names() -> list[str]:
    """Names of the network families: those of the files in ``segline/models``."""
    return _stems("models", _NOT_NETWORKS)


def encoder_names() -> list[str]:
    """Names of the encoders: those of the files in ``segline/models/encoders``."""
    return _stems("models/encoders", {"__init__"})


@cache
def network_options(network: str) -> frozenset[str]:
    """Fields of `ModelConfig` that the family lists in its ``OPTIONS``, read off its file: to import it takes Keras."""
    tree = ast.parse((_PACKAGE / "models" / f"{network}.py").read_text(encoding="utf-8"))
    (listed,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["OPTIONS"]
    )
    assert isinstance(listed, ast.Call), f"{network}.OPTIONS is to be frozenset({{...}})"
    return frozenset(ast.literal_eval(listed.args[0]))


def _stems(room: str, excluded: set[str]) -> list[str]:
    return sorted({path.stem for path in (_PACKAGE / room).glob("*.py")} - excluded)


def nearest(name: str, known: Sequence[str]) -> str:
    """``known`` spelt out, led by the entry nearest to `name` where one is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    listing = ", ".join(known)
    return f"{near[0]!r}? (one of: {listing})" if near else f"one of: {listing}"


def known_one(name: str, known: Sequence[str]) -> str:
    """`name`, refused as a value of a model's field if it is none of the `known` ones."""
    if name not in known:
        raise PydanticCustomError("unknown_name", "{expected}", {"expected": nearest(name, known)})
    return name


def refuse_unknown(place: str, name: str, known: Sequence[str]) -> None:
    """See that `name`, given for `place`, is one of the `known` ones.

    Raises:
        ConfigError: it is not; the nearest one is suggested.
    """
    if name not in known:
        raise ConfigError(place, found=repr(name), expected=nearest(name, known), remedy="name one of those")
