"""Whether a challenger takes the champion's place."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The gate's answer, with the figures it rests on (test mIoU, 0..1)."""

    promote: bool
    reason: str
    challenger: float
    bar: float
    """What had to be beaten: the champion's score, or the floor where there is no champion."""


def decide(challenger: float, *, champion: float | None, floor: float) -> Decision:
    """Compare test mIoUs of the same split and protocol.

    Args:
        challenger: score of the new model.
        champion: score of the present champion on the same split, or None if there is none.
        floor: what a first version must beat.
    """
    if champion is None:
        better = challenger > floor
        reason = f"first version: mIoU {challenger:.4f} {'beats' if better else 'does not beat'} the floor {floor:.4f}"
        return Decision(promote=better, reason=reason, challenger=challenger, bar=floor)
    better = challenger > champion
    reason = (
        f"challenger mIoU {challenger:.4f} {'beats' if better else 'does not beat'} the champion's {champion:.4f} "
        f"on the same test split (difference {challenger - champion:+.4f})"
    )
    return Decision(promote=better, reason=reason, challenger=challenger, bar=champion)
