"""How a planned training validates."""

from collections.abc import Collection

from segline.errors import ConfigError
from segline.training.fit.memory_estimate import Footprint
from segline.training.plan.draft import Draft
from segline.training.plan.facts import Facts
from segline.training.plan.room import Room, gibibytes, multiple_above, rounded_up


def settle_validation(draft: Draft, facts: Facts, room: Room, peaks: Collection[Footprint], batch: int) -> None:
    """As many whole images at a time as fit, and no more than there are crops in a batch.

    Raises:
        ConfigError: a single one does not fit, or as many as ``params.yaml`` says do not.
    """

    def most(images: int) -> int:
        return max(peak.of_validation(size=padded, batch=images) for peak in peaks)

    height, width = facts.validated
    padded = multiple_above(height), multiple_above(width)  # as `data.loader.Whole` gives them
    fitting = next((number for number in range(batch, 0, -1) if most(number) <= room.budget), 0)
    if fitting == 0:
        raise ConfigError(
            "training.memory",
            found=f"a budget of {gibibytes(room.budget)}",
            expected=f"{gibibytes(most(1))} for validating one whole image, which has up to {height}x{width} pixels",
            remedy=f"lower prepare.short_side, or raise training.memory to {rounded_up(most(1))}",
        )
    settled = draft.settle("training.validation_batch", fitting, f"whole images of up to {height}x{width}, as fit")
    images = settled or batch
    if most(images) > room.budget:
        raise ConfigError(
            "training.validation_batch",
            found=f"{images} images of up to {height}x{width} pixels, which take {gibibytes(most(images))}",
            expected=f"at most {gibibytes(room.budget)} (training.memory)",
            remedy=f"lower it to {fitting}, or raise training.memory to {rounded_up(most(images))}",
        )
