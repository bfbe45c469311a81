"""Names that ``params.yaml`` may give: those of the files in our rooms, which are not imported for that."""

import ast
import difflib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

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


def optimizer_names() -> list[str]:
    """List the optimizers: the rows of their table in ``segline/training/objective/optimizers.py``."""
    return list(_read_table("training/objective/optimizers.py", "OPTIMIZERS"))


def decay_names() -> list[str]:
    """List how a learning rate may fall: the rows of the table in ``segline/training/objective/schedule.py``."""
    return list(_read_table("training/objective/schedule.py", "DECAYS"))


def loss_terms() -> dict[str, dict[str, Any]]:
    """Return the terms of the loss with what their rows in ``segline/training/objective/losses.py`` say literally."""
    return _read_table("training/objective/losses.py", "TERMS")


@cache
def network_options(network: str) -> frozenset[str]:
    """Return the fields of `ModelConfig` that the family lists in its ``OPTIONS``, read off its file."""
    listed = _read_value(f"models/{network}.py", "OPTIONS")
    assert isinstance(listed, ast.Call), f"{network}.OPTIONS is to be frozenset({{...}})"
    return frozenset(ast.literal_eval(listed.args[0]))


@cache
def _read_table(file: str, name: str) -> dict[str, dict[str, Any]]:
    """Read the rows of the table `name`, a dictionary: key -> the keyword arguments of its value that are literals."""
    table = _read_value(file, name)
    assert isinstance(table, ast.Dict), f"{name} in {file} is to be a dictionary"
    return {
        str(ast.literal_eval(key)): {
            keyword.arg: ast.literal_eval(keyword.value)
            for keyword in (row.keywords if isinstance(row, ast.Call) else ())
            if keyword.arg and isinstance(keyword.value, ast.Constant | ast.Dict)
        }
        for key, row in zip(table.keys, table.values, strict=True)
        if key is not None
    }


def _read_value(file: str, name: str) -> ast.expr | None:
    """Find what the file of our package assigns to `name`; the file is not imported, because that takes Keras."""
    tree = ast.parse((_PACKAGE / file).read_text(encoding="utf-8"))
    (value,) = (
        node.value
        for node in tree.body
        if (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name)
        or (isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name)
    )
    return value


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
