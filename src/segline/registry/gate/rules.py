"""Decide whether a challenger takes the champion's place."""

import json
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError


class Verdict(BaseModel):
    """The gate's answer and the figures it rests on.

    Args:
        challenger: test mIoU of the new model, 0..1.
        bar: what it had to beat: the champion's test mIoU, or the floor where there is no champion.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    promote: bool
    reason: str
    challenger: float
    bar: float


class Decision(Verdict):
    """A verdict on one version, as it is kept in MLflow.

    Args:
        version: of the challenger.
        champion: the version that it was compared with; None where there was none.
    """

    version: str
    champion: str | None

    @property
    def outcome(self) -> str:
        """The verdict in a word."""
        return "promoted" if self.promote else "not promoted"

    def as_tag(self) -> str:
        """Write the decision as the text of a tag."""
        return json.dumps(self.model_dump())

    @classmethod
    def from_tag(cls, text: str) -> Self:
        """Read what `as_tag` wrote.

        Raises:
            ValueError: it is no decision.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ValueError(f"it is no decision of the gate: {error}") from error


def decide(challenger: float, *, champion: float | None, floor: float) -> Verdict:
    """Compare test mIoUs of the same split and protocol.

    Args:
        challenger: score of the new model.
        champion: score of the present champion on the same split, or None if there is none.
        floor: what a first version must beat.
    """
    if champion is None:
        better = challenger > floor
        reason = f"first version: mIoU {challenger:.4f} {'beats' if better else 'does not beat'} the floor {floor:.4f}"
        return Verdict(promote=better, reason=reason, challenger=challenger, bar=floor)
    better = challenger > champion
    reason = (
        f"challenger mIoU {challenger:.4f} {'beats' if better else 'does not beat'} the champion's {champion:.4f} "
        f"on the same test split (difference {challenger - champion:+.4f})"
    )
    return Verdict(promote=better, reason=reason, challenger=challenger, bar=champion)
