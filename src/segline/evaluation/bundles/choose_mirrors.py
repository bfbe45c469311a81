"""Choose on the validation split whether predictions average over mirror images."""

from dataclasses import dataclass, replace

from segline.config.fields import Flip
from segline.data.prepare.prepared import PreparedSplit
from segline.evaluation.bundles.evaluate import evaluate
from segline.evaluation.bundles.scored_split import AtTrainingScale
from segline.inference.bundle import Bundle
from segline.progress import Advance


@dataclass(frozen=True, kw_only=True)
class Mirrors:
    """The flips to average over, and their effect on the mean IoU.

    Args:
        flips: all legal flips, or none.
        miou: mean IoU on validation with all legal flips.
        miou_without: mean IoU on validation with none.
    """

    flips: tuple[Flip, ...]
    miou: float
    miou_without: float


def choose(bundle: Bundle, split: PreparedSplit, *, flips: tuple[Flip, ...], progress: Advance) -> Mirrors:
    """Choose all `flips` if averaging over them raises the mean IoU of `bundle` on `split`, else none.

    Images and labels are at the prepared scale.

    Args:
        bundle: its own mirrors and threshold are ignored.
        split: the split that chose the weights, never the one whose scores are reported.
        flips: the legal flips, at least one.
        progress: called with 1 after each image of each of the two passes.
    """
    scaled = AtTrainingScale(split)

    def miou(chosen: tuple[Flip, ...]) -> float:
        return evaluate(replace(bundle, mirrors=chosen, threshold=None), scaled, progress=progress).miou

    without, averaged = miou(()), miou(flips)
    return Mirrors(flips=flips if averaged > without else (), miou=averaged, miou_without=without)
