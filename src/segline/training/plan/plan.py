"""A plan: its values line by line, each with its reason; in the making, kept in a file, and read back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segline.config import Params, Search, Training, completed
from segline.storage import atomic_file

_ABSENT = object()


@dataclass(frozen=True, kw_only=True)
class Line:
    """One value of a plan; lists where ``params.yaml`` has them.

    Args:
        key: where it belongs in ``params.yaml``: ``training.crop``.
        value: what holds.
        why: the rule that gives `derived`, in one line.
        derived: what the rule gives.
        given: whether ``params.yaml`` says `value` itself.
    """

    key: str
    value: Any
    why: str
    derived: Any
    given: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A training, derived.

    Args:
        dataset: what for.
        fingerprint: digest of what it was read off.
        lines: its values, in the order in which they were decided.
        memory: network -> bytes that fitting its largest candidate is estimated to take.
    """

    dataset: str
    fingerprint: str
    lines: tuple[Line, ...]
    memory: Mapping[str, int]

    def section(self, name: str) -> dict[str, Any]:
        """Collect the values under ``training`` or ``search``, as ``params.yaml`` would have them."""
        return section(self.lines, name)

    def applied(self, params: Params) -> Params:
        """Give `params` these values."""
        return params.planned(training=self.section("training"), search=self.section("search"))

    def write(self, path: Path) -> None:
        """Keep it in the JSON file `path`; equal plans give equal bytes.

        Raises:
            StorageError: no room or no right to write.
        """
        with atomic_file(path) as partial:
            partial.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Plan:
    """Read the plan that `Plan.write` left in `path`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Plan(**{**content, "lines": tuple(Line(**line) for line in content["lines"])})


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
    """A plan in the making: the lines so far, and what ``params.yaml`` says itself.

    Args:
        training: as it was given; fields that nobody set are the plan's to decide.
        search: likewise.
    """

    def __init__(self, training: Training, search: Search) -> None:
        self._said = {
            "training": training.model_dump(mode="json", exclude_unset=True),
            "search": search.model_dump(mode="json", exclude_unset=True),
        }
        for key in ("memory", "images"):  # null is no budget and no amount
            if self._said["training"].get(key, 0) is None:
                del self._said["training"][key]
        self.lines: tuple[Line, ...] = ()

    def given(self, key: str, otherwise: Any = None) -> Any:
        """Look up what ``params.yaml`` says of `key`."""
        value: Any = self._said
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return otherwise
            value = value[part]
        return tuple(value) if isinstance(value, list) else value

    def settle(self, key: str, derived: Any, why: str) -> Any:
        """Add a line; returns what holds."""
        value = self.given(key, _ABSENT)
        given = value is not _ABSENT
        holds = value if given else derived
        native = json.loads(json.dumps([holds, derived]))
        line = Line(key=key, value=native[0], why=why, derived=native[1], given=given)
        self.lines = (*self.lines, line)
        return holds

    def training(self) -> Training:
        """Build the training of what is settled and what is given."""
        return completed(Training, section(self.lines, "training"), self._said["training"])
