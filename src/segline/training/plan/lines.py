"""A plan as it is kept: its values line by line, each with its reason."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from segline.config import Params
from segline.storage import atomic_file


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
        """The values under ``training`` or ``search``, as ``params.yaml`` would have them."""
        return section(self.lines, name)

    def applied(self, params: Params) -> Params:
        """`params` with these values."""
        return params.planned(training=self.section("training"), search=self.section("search"))

    def write(self, path: Path) -> None:
        """Keep it in the JSON file `path`; equal plans give equal bytes.

        Raises:
            StorageError: no room or no right to write.
        """
        with atomic_file(path) as partial:
            partial.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Plan:
    """The plan that `Plan.write` left in `path`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Plan(**{**content, "lines": tuple(Line(**line) for line in content["lines"])})


def section(lines: Sequence[Line], name: str) -> dict[str, Any]:
    """The values of `lines` whose keys begin with `name`, nested as their keys are."""
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
