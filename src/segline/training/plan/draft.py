"""A plan in the making."""

import json
from collections.abc import Mapping
from typing import Any

from segline.config import Search, Training, completed
from segline.training.plan.lines import Line, section

_ABSENT = object()


class Draft:
    """The lines so far, and what ``params.yaml`` says itself.

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
        """What ``params.yaml`` says of `key`."""
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
        """What is settled of the training, and what is given."""
        return completed(Training, section(self.lines, "training"), self._said["training"])
