"""Decide whether a new model (the challenger) replaces the champion."""

import json
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError


class Verdict(BaseModel):
    """The decision and the scores that it is based on.

    Args:
        challenger: test mIoU of the new model, 0..1.
        bar: score that it had to beat: the champion's test mIoU, or the floor if there is no champion.
        compared: whether there was a champion with the same classes, perhaps under other names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    promote: bool
    reason: str
    challenger: float
    bar: float
    compared: bool


class Decision(Verdict):
    """A verdict on one version, as stored in MLflow.

    Args:
        version: version of the challenger.
        label_map: digest of the challenger's label map.
        champion: version of the champion at that time; None if there was none.
    """

    version: str
    label_map: str
    champion: str | None

    @property
    def outcome(self) -> str:
        """The verdict in words: promoted or not promoted."""
        return "promoted" if self.promote else "not promoted"

    def as_tag(self) -> str:
        """Write the decision as the text of a tag."""
        return json.dumps(self.model_dump())

    @classmethod
    def from_tag(cls, text: str) -> Self:
        """Read what `as_tag` wrote.

        Raises:
            ValueError: `text` is not a decision.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ValueError(f"not a decision of the gate: {error}") from error


def decide(
    challenger: float, *, champion: float | None, floor: float, label_map: str = "", other_classes: str = ""
) -> Verdict:
    """Promote the challenger if its test mIoU is higher than the champion's, on the same split and protocol.

    A challenger without a comparable champion must only beat the floor.

    Args:
        challenger: test mIoU of the new model.
        champion: test mIoU of the present champion; None if there is none, or if it has other classes.
        floor: test mIoU that a first version must beat.
        label_map: digest of the challenger's label map.
        other_classes: the present champion and its classes in words, if they are others; empty if they are not.
    """
    if champion is None:
        better = challenger > floor
        first = f"first version with label map {label_map}" if other_classes else "first version"
        apart = f"; not compared with {other_classes}" if other_classes else ""
        outcome = "beats" if better else "does not beat"
        reason = f"{first}: mIoU {challenger:.4f} {outcome} the floor {floor:.4f}{apart}"
        return Verdict(promote=better, reason=reason, challenger=challenger, bar=floor, compared=False)
    better = challenger > champion
    reason = (
        f"challenger mIoU {challenger:.4f} {'beats' if better else 'does not beat'} the champion's {champion:.4f} "
        f"on the same test split (difference {challenger - champion:+.4f})"
    )
    return Verdict(promote=better, reason=reason, challenger=challenger, bar=champion, compared=True)
