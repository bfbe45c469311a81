"""Crop and batch, as large as fit for the candidates that are there in any case."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from segline.config import MULTIPLE, largest_crop
from segline.errors import ConfigError
from segline.training.plan.facts import Facts
from segline.training.plan.room import (
    Room,
    Size,
    gibibytes,
    multiple_above,
    multiple_below,
    rounded_up,
    shrinking,
)
from segline.training.plan.rules import BATCH, BATCH_SHARE, CONTEXT, SIDE


@dataclass(frozen=True)
class Certain:
    """Candidates that are there in any case, at one width, against the budget: crop and batch are made to fit them."""

    room: Room
    networks: tuple[str, ...]
    width: int

    def takes(self, crop: Size, batch: int) -> int:
        """Bytes of the one that takes most."""
        return max(self.room.takes(network, self.width, crop=crop, batch=batch) for network in self.networks)

    def fits(self, crop: Size, batch: int) -> bool:
        """Whether all of them are within the budget."""
        return self.takes(crop, batch) <= self.room.budget

    def said(self, crop: Size, batch: int) -> str:
        """What they take, in words."""
        return f"{' or '.join(self.networks)} with {batch} crops takes {gibibytes(self.takes(crop, batch))}"


def find_certain(room: Room, candidates: Sequence[str], widths: Sequence[int], *, given: bool) -> Certain:
    """All candidates where they were given, or else the first whose smallest fit is within the budget.

    Raises:
        ConfigError: not even the smallest crops fit.
    """
    smallest, batch, width = (MULTIPLE, MULTIPLE), BATCH[0], max(widths)
    needs = {network: room.takes(network, width, crop=smallest, batch=batch) for network in candidates}
    fitting = [network for network, need in needs.items() if need <= room.budget]
    if given and len(fitting) == len(candidates):
        return Certain(room, tuple(candidates), width)
    if fitting and not given:
        return Certain(room, (fitting[0],), width)
    each = ", ".join(f"{network} {gibibytes(need)}" for network, need in needs.items())
    least = max(needs.values()) if given else min(needs.values())
    raise ConfigError(
        "training.memory",
        found=f"a budget of {gibibytes(room.budget)}, too small for any crop",
        expected=f"at least {gibibytes(least)}: {batch} crops of {MULTIPLE}x{MULTIPLE} at width {width} take {each}",
        remedy=f"raise training.memory to {rounded_up(least)}",
    )


def crop_for(facts: Facts, certain: Certain, short_side: int | None, *, given: int | None) -> tuple[Size, str]:
    """The largest crop whose batch of the wanted number fits; then smaller batches; then less than the context.

    Args:
        given: the batch, if ``params.yaml`` says it.
    """
    whole = _whole(facts, short_side)
    context = _context(facts, whole)
    enough = [crop for crop in shrinking(whole) if crop[0] >= context[0] and crop[1] >= context[1]]
    for crop in enough:
        batch = given or min(BATCH[1], _cap(facts, crop))
        if certain.fits(crop, batch):
            full = "the median prepared image" if crop == whole else "as large as fits into memory"
            return crop, f"{full}: {certain.said(crop, batch)}"
    batch = given or BATCH[0]
    for crop in shrinking(enough[-1]):
        if certain.fits(crop, batch):
            known = f"with their context, objects want {context[0]}x{context[1]}"
            return crop, f"as large as fits into memory: {certain.said(crop, batch)}; {known}"
    return (MULTIPLE, MULTIPLE), "the smallest"


def _whole(facts: Facts, short_side: int | None) -> Size:
    """The median prepared image, in whole multiples."""
    cap = largest_crop(short_side) or (SIDE, SIDE)
    height, width = (min(multiple_below(side), most, SIDE) for side, most in zip(facts.size, cap, strict=True))
    return height, width


def _context(facts: Facts, whole: Size) -> Size:
    """What an object of the median class needs round it, within the image."""
    if facts.thing is None:
        return MULTIPLE, MULTIPLE
    height, width = (min(multiple_above(CONTEXT * side), most) for side, most in zip(facts.thing, whole, strict=True))
    return height, width


def _cap(facts: Facts, crop: Size) -> int:
    """The largest batch that does not see too much of the dataset at once."""
    return max(BATCH[0], int(BATCH_SHARE * facts.pixels / math.prod(crop)))


def batch_for(facts: Facts, certain: Certain, crop: Size) -> tuple[int, str]:
    """As many crops as fit, up to what is steady and does not see too much of the dataset at once."""
    cap = min(BATCH[2], _cap(facts, crop))
    fitting = next((number for number in range(cap, BATCH[0], -1) if certain.fits(crop, number)), BATCH[0])
    if fitting < cap:
        return fitting, f"as many as fit: {certain.said(crop, fitting)}"
    if cap == BATCH[2]:
        return cap, "enough for a steady gradient"
    return cap, f"{BATCH_SHARE:.0%} of the training pixels at most, {BATCH[0]} crops at least"


def check_given(certain: Certain, crop: Size, batch: int) -> None:
    """Refuse a crop or batch of ``params.yaml`` that cannot be within the budget."""
    if not certain.fits(crop, batch):
        need = certain.takes(crop, batch)
        raise ConfigError(
            "training.crop",
            found=f"{crop[0]}x{crop[1]}, of which {certain.said(crop, batch)} at width {certain.width}",
            expected=f"at most {gibibytes(certain.room.budget)} (training.memory)",
            remedy=f"lower training.crop or training.batch, or raise training.memory to {rounded_up(need)}",
        )
