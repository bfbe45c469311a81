"""Which crops a planned training sees: flips, rare classes, augmentation."""

import math
from statistics import median

from segline.training.plan.draft import Draft
from segline.training.plan.facts import Facts
from segline.training.plan.rules import FEW, IMBALANCE, MANY, RARE, SPREAD, STRENGTH


def settle_sampling(draft: Draft, facts: Facts) -> None:
    """Flips that are legal, whether rare classes are sought out, the range of the augmentation."""
    legal = [name for name, (is_legal, _) in facts.flips.items() if is_legal]
    reasons = "; ".join(f"{name.replace('_', '-')}: {why}" for name, (_, why) in facts.flips.items())
    draft.settle("training.flips", legal, reasons)
    imbalance = _imbalance(facts)
    said = f"the median class has {imbalance:.3g} times the pixels of the rarest"
    if draft.given("training.augmentation.kind") == "none":
        draft.settle("training.rare", 0.0, "crops are not drawn where the augmentation is none")
    else:
        share = round(RARE, 3) if imbalance >= IMBALANCE else 0.0
        draft.settle("training.rare", share, f"{said}; from {IMBALANCE:g} on")
    draft.settle(
        "search.augmentation", _strengths(facts.samples), f"{facts.samples} training images: the fewer, the stronger"
    )


def _imbalance(facts: Facts) -> float:
    """Pixels of the median class over those of the rarest that occurs; 1 where there are none to compare."""
    shares = list(facts.shares.values())
    return median(shares) / min(shares) if shares else 1.0


def _strengths(samples: int) -> tuple[float, float]:
    """The range of the augmentation strength, falling with the logarithm of the number of images."""
    share = min(1.0, max(0.0, math.log(samples / FEW) / math.log(MANY / FEW)))
    middle = STRENGTH[0] + share * (STRENGTH[1] - STRENGTH[0])
    return round(max(0.0, middle - SPREAD), 2), round(min(1.0, middle + SPREAD), 2)
