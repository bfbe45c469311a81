"""A plan: its values, each with its reason; its draft and its file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segline.config import Params, Search, Training, completed
from segline.storage import write_text

_NOT_GIVEN = object()


@dataclass(frozen=True, kw_only=True)
class Line:
    """One value of a plan, in the form of ``params.yaml``: with lists, not tuples.

    Args:
        key: its place in ``params.yaml``, such as ``training.crop``.
        value: the value in effect.
        why: the rule that gives `derived`, in one line.
        derived: the value of the rule.
        given: whether `value` comes from ``params.yaml``.
    """

    key: str
    value: Any
    why: str
    derived: Any
    given: bool


@dataclass(frozen=True, kw_only=True)
class Composition:
    """An encoder under a decoder, and what training it takes.

    Args:
        encoder: its name.
        decoder: its name.
        parameters: number of weights.
        multiply_adds: of a prediction, for each pixel of the image.
        bytes: of memory, with the crops and the batch of the plan.
    """

    encoder: str
    decoder: str
    parameters: int
    multiply_adds: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A training that was derived from a dataset.

    Args:
        dataset: its name.
        fingerprint: digest of the dataset's fingerprint.
        lines: the values, in the order in which they were decided.
        memory: network -> estimated bytes of fitting its largest candidate.
        compositions: encoders under decoders that the search chooses from, with their price.
    """

    dataset: str
    fingerprint: str
    lines: tuple[Line, ...]
    memory: Mapping[str, int]
    compositions: tuple[Composition, ...] = ()

    def section(self, name: str) -> dict[str, Any]:
        """Collect the values under ``training`` or ``search``, as ``params.yaml`` would contain them."""
        return section(self.lines, name)

    def applied(self, params: Params) -> Params:
        """Return `params` completed with the values of the plan."""
        return params.planned(training=self.section("training"), search=self.section("search"))

    def write(self, path: Path) -> None:
        """Write it to the JSON file `path`; equal plans give equal bytes.

        Raises:
            StorageError: no room or no right to write.
        """
        write_text(path, json.dumps(asdict(self), indent=1) + "\n")


def section(lines: Sequence[Line], name: str) -> dict[str, Any]:
    """Collect the values of `lines` whose keys begin with `name`, nested as their keys are."""
    values: dict[str, Any] = {}
    for line in lines:
        first, *parts, last = line.key.split(".")
        if first != name:
            continue
        inner = values
        for part in parts:
            inner = inner.setdefault(part, {})
        inner[last] = line.value
    return values


class Draft:
    """An unfinished plan: the lines so far, and the values that ``params.yaml`` gives.

    Args:
        training: of ``params.yaml``; the plan decides the fields that are not set.
        search: of ``params.yaml``; the plan decides the fields that are not set.
    """

    def __init__(self, training: Training, search: Search) -> None:
        self._given = {
            "training": training.model_dump(mode="json", exclude_unset=True),
            "search": search.model_dump(mode="json", exclude_unset=True),
        }
        for key in ("memory", "images"):  # null means not set
            if self._given["training"].get(key, 0) is None:
                del self._given["training"][key]
        self.lines: tuple[Line, ...] = ()

    def given(self, key: str, otherwise: Any = None) -> Any:
        """Look up the value that ``params.yaml`` gives for `key`."""
        value: Any = self._given
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return otherwise
            value = value[part]
        return tuple(value) if isinstance(value, list) else value

    def settle(self, key: str, derived: Any, why: str) -> Any:
        """Add a line: the value that ``params.yaml`` gives, or else the `derived` one; return that value."""
        given = self.given(key, _NOT_GIVEN)
        value = derived if given is _NOT_GIVEN else given
        native = json.loads(json.dumps([value, derived]))  # tuples become lists, as in params.yaml
        line = Line(key=key, value=native[0], why=why, derived=native[1], given=given is not _NOT_GIVEN)
        self.lines = (*self.lines, line)
        return value

    def training(self) -> Training:
        """Build the training from the settled and the given values."""
        return completed(Training, section(self.lines, "training"), self._given["training"])
