"""Plan crops and batches: their sizes, their flips, and the share of crops that are centred on a rare class.

Crop and batch are chosen so that the candidates that the search must include fit into memory. `search_space` then
keeps the other candidates that fit too.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from segline.config import MULTIPLE, largest_crop
from segline.errors import ConfigError
from segline.training.fit.memory_estimate import Footprint
from segline.training.plan.constants import BATCH, BATCH_SHARE, CONTEXT, IMBALANCE, RARE, SIDE
from segline.training.plan.facts import Facts, Size
from segline.training.plan.memory_budget import MemoryBudget, format_budget, format_size
from segline.training.plan.plan import Draft


@dataclass(frozen=True)
class Certain:
    """The candidates that the search must include, at one width. Crop and batch are chosen so that they fit."""

    memory: MemoryBudget
    networks: tuple[str, ...]
    width: int

    def takes(self, crop: Size, batch: int) -> int:
        """Estimate the bytes of the candidate that takes most memory."""
        return max(self.memory.takes(network, self.width, crop=crop, batch=batch) for network in self.networks)

    def fits(self, crop: Size, batch: int) -> bool:
        """Return whether all candidates are within the budget."""
        return self.takes(crop, batch) <= self.memory.limit

    def describe(self, crop: Size, batch: int) -> str:
        """Format the memory that the candidates take."""
        return f"{' or '.join(self.networks)} with {batch} crops takes {format_size(self.takes(crop, batch))}"


def find_certain(memory: MemoryBudget, candidates: Sequence[str], widths: Sequence[int], *, given: bool) -> Certain:
    """Choose the candidates that the search must include.

    These are all `candidates` if ``params.yaml`` gives them. Else it is the first candidate that fits into memory
    with the smallest crop and batch.

    Raises:
        ConfigError: not even the smallest crops fit.
    """
    smallest, batch, width = (MULTIPLE, MULTIPLE), BATCH[0], max(widths)
    needs = {network: memory.takes(network, width, crop=smallest, batch=batch) for network in candidates}
    fitting = [network for network, need in needs.items() if need <= memory.limit]
    if given and len(fitting) == len(candidates):
        return Certain(memory, tuple(candidates), width)
    if fitting and not given:
        return Certain(memory, (fitting[0],), width)
    each = ", ".join(f"{network} {format_size(need)}" for network, need in needs.items())
    least = max(needs.values()) if given else min(needs.values())
    raise ConfigError(
        "training.memory",
        found=f"a budget of {format_size(memory.limit)}, too small for any crop",
        expected=f"at least {format_size(least)}, for {batch} crops of {MULTIPLE}x{MULTIPLE} at width {width} ({each})",
        remedy=f"raise training.memory to {format_budget(least)}",
    )


def choose_crop(facts: Facts, certain: Certain, short_side: int | None, *, given: int | None) -> tuple[Size, str]:
    """Find the largest crop that fits into memory.

    Crops that show an object with its context are tried first, with the target batch. If none fits, smaller crops are
    tried with the minimum batch.

    Args:
        given: the batch, if ``params.yaml`` gives it.

    Returns:
        The crop, and the reason in words.
    """
    whole = find_largest(facts, short_side)
    context = _find_context(facts, whole)
    enough = [crop for crop in shrink_crop(whole) if crop[0] >= context[0] and crop[1] >= context[1]]
    for crop in enough:
        batch = given or min(BATCH[1], _limit_batch(facts, crop))
        if certain.fits(crop, batch):
            reason = "the median prepared image" if crop == whole else "the largest that fits into memory"
            return crop, f"{reason}: {certain.describe(crop, batch)}"
    batch = given or BATCH[0]
    for crop in shrink_crop(enough[-1]):
        if certain.fits(crop, batch):
            wanted = f"objects and their context would need {context[0]}x{context[1]}"
            return crop, f"the largest that fits into memory: {certain.describe(crop, batch)}; {wanted}"
    return (MULTIPLE, MULTIPLE), "the smallest"


def find_largest(facts: Facts, short_side: int | None) -> Size:
    """Round the sides of the median prepared image down to legal crop sides, within the largest allowed crop."""
    cap = largest_crop(short_side) or (SIDE, SIDE)
    height, width = (min(round_down(side), most, SIDE) for side, most in zip(facts.size, cap, strict=True))
    return height, width


def _find_context(facts: Facts, whole: Size) -> Size:
    """Compute the crop that an object of the median class needs with its surroundings, within the image."""
    if facts.thing is None:
        return MULTIPLE, MULTIPLE
    height, width = (min(round_up(CONTEXT * side), most) for side, most in zip(facts.thing, whole, strict=True))
    return height, width


def _limit_batch(facts: Facts, crop: Size) -> int:
    """Compute the largest batch that holds at most `BATCH_SHARE` of the training pixels."""
    return max(BATCH[0], int(BATCH_SHARE * facts.pixels / math.prod(crop)))


def settle_batch(draft: Draft, facts: Facts, certain: Certain, crop: Size) -> tuple[int, int]:
    """Settle the crops in a batch, up to the limits of `BATCH` and `BATCH_SHARE`, and the parts that fit into memory.

    Returns:
        The batch, and the number of its parts.
    """
    cap = min(BATCH[2], _limit_batch(facts, crop))
    fitting = next((number for number in range(cap, BATCH[0], -1) if certain.fits(crop, number)), min(cap, BATCH[0]))
    divided = draft.given("training.precision") != "mixed_float16"  # which cannot add up parts
    parts = -(-cap // fitting) if divided else 1
    derived = parts * (cap // parts) if divided else fitting
    why = "enough for a stable gradient"
    if derived < BATCH[2]:
        why = f"at most {BATCH_SHARE:.0%} of the training pixels, at least {BATCH[0]} crops, in equal parts"
    if not divided and fitting < cap:
        why = f"as many as fit into memory: {certain.describe(crop, fitting)}"
    batch = draft.settle("training.batch", derived, why)
    parts = _choose_parts(certain, crop, batch) if divided else 1
    described = certain.describe(crop, batch // parts)
    return batch, draft.settle(
        "training.accumulate", parts, f"the fewest equal parts that fit into memory: {described}"
    )


def _choose_parts(certain: Certain, crop: Size, batch: int) -> int:
    """Find the smallest number of equal parts of `batch` that fit into memory; 1 if none does."""
    divisors = [number for number in range(1, batch + 1) if batch % number == 0 and batch // number >= BATCH[0]]
    return next((number for number in divisors if certain.fits(crop, batch // number)), 1)


def check_given(certain: Certain, crop: Size, batch: int) -> None:
    """Check that a crop or batch of ``params.yaml`` keeps to the memory budget.

    Args:
        certain: the candidates.
        crop: height and width.
        batch: number of crops whose gradients are computed together.

    Raises:
        ConfigError: it exceeds the budget.
    """
    if not certain.fits(crop, batch):
        need = certain.takes(crop, batch)
        raise ConfigError(
            "training.crop",
            found=f"{crop[0]}x{crop[1]}; at width {certain.width}, {certain.describe(crop, batch)}",
            expected=f"at most {format_size(certain.memory.limit)} (training.memory)",
            remedy=f"lower training.crop or training.batch, or raise training.memory to {format_budget(need)}",
        )


def settle_validation_batch(
    draft: Draft, facts: Facts, memory: MemoryBudget, peaks: Collection[Footprint], *, batch: int
) -> None:
    """Settle the number of whole images in a validation batch: as many as fit, but at most `batch`.

    Args:
        peaks: the memory of the largest candidate of each network.

    Raises:
        ConfigError: not even one image fits, or not as many as ``params.yaml`` asks for.
    """

    def most(images: int) -> int:
        return max(peak.of_validation(size=padded, batch=images) for peak in peaks)

    height, width = facts.validated
    padded = round_up(height), round_up(width)  # as `data.batches.loader.Whole` pads them
    fitting = next((number for number in range(batch, 0, -1) if most(number) <= memory.limit), 0)
    if fitting == 0:
        raise ConfigError(
            "training.memory",
            found=f"a budget of {format_size(memory.limit)}",
            expected=f"{format_size(most(1))} for validating one whole image, which has up to {height}x{width} pixels",
            remedy=f"lower prepare.short_side, or raise training.memory to {format_budget(most(1))}",
        )
    why = f"as many whole images of up to {height}x{width} as fit into memory"
    settled = draft.settle("training.validation_batch", fitting, why)
    images = settled or batch
    if most(images) > memory.limit:
        raise ConfigError(
            "training.validation_batch",
            found=f"{images} images of up to {height}x{width} pixels, which take {format_size(most(images))}",
            expected=f"at most {format_size(memory.limit)} (training.memory)",
            remedy=f"lower it to {fitting}, or raise training.memory to {format_budget(most(images))}",
        )


def settle_drawing(draft: Draft, facts: Facts) -> None:
    """Settle the flips of crops, and the share of crops that are centred on a rare class."""
    legal = [name for name, (is_legal, _) in facts.flips.items() if is_legal]
    reasons = "; ".join(f"{name.replace('_', '-')}: {why}" for name, (_, why) in facts.flips.items())
    draft.settle("training.flips", legal, reasons)
    if draft.given("training.augmentation.kind") == "none":
        draft.settle("training.rare", 0.0, "without augmentation, crops are not drawn at random")
        return
    imbalance = _measure_imbalance(facts)
    share = round(RARE, 3) if imbalance >= IMBALANCE else 0.0
    why = (
        f"the median class has {imbalance:.3g} times the pixels of the rarest class; rare classes are centred from "
        f"{IMBALANCE:g} times on"
    )
    draft.settle("training.rare", share, why)


def _measure_imbalance(facts: Facts) -> float:
    """Divide the pixels of the median class by those of the rarest class that occurs; return 1 if none occurs."""
    shares = list(facts.shares.values())
    return median(shares) / min(shares) if shares else 1.0


def shrink_crop(largest: Size) -> Iterator[Size]:
    """Yield crops from `largest` down to the smallest.

    Each step shortens the side that is larger relative to `largest`. As in nnU-Net, the crop so keeps about the
    aspect ratio of the image.
    """
    crop = largest
    yield crop
    while max(crop) > MULTIPLE:
        shares = [side / whole if side > MULTIPLE else 0.0 for side, whole in zip(crop, largest, strict=True)]
        place = int(shares[1] >= shares[0])
        crop = (crop[0] - MULTIPLE * (1 - place), crop[1] - MULTIPLE * place)
        yield crop


def round_down(side: int) -> int:
    """Round `side` down to a legal crop side, but at least to the smallest one."""
    return max(MULTIPLE, side // MULTIPLE * MULTIPLE)


def round_up(side: float) -> int:
    """Round `side` up to a legal crop side."""
    return max(MULTIPLE, -(-round(side) // MULTIPLE) * MULTIPLE)
