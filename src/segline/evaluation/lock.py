"""The lock of a score: rules, labels and images that it is bound to. Scores with different locks do not compare.

Two figures say something of two models only where the same rules were applied to the same labels of
the same images (PROTOCOLS, rule 5). Which images show the same place or animal is no part of it: that
changes how far a figure can be trusted, not the figure, and `segline.evaluation.compare` sees to it.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass

from segline.errors import ComparisonError
from segline.evaluation.results import Evaluation
from segline.evaluation.summary import Summary


@dataclass(frozen=True, kw_only=True)
class Lock:
    """What must be equal for two scores to be compared.

    Args:
        protocol: name and version of the scoring rules.
        split_digest: which images, with which labels.
        label_map_digest: which classes.
        images: how many.
    """

    protocol: str
    split_digest: str
    label_map_digest: str
    images: int


_FIELD_TITLES = ("protocol", "split digest", "label-map digest", "number of images")


def lock_of(score: Evaluation | Summary) -> Lock:
    """Return what a score is bound to."""
    if isinstance(score, Evaluation):
        return Lock(
            protocol=score.protocol,
            split_digest=score.split_digest,
            label_map_digest=score.label_map,
            images=len(score.ids),
        )
    return Lock(**{name: getattr(score, name) for name in Lock.__dataclass_fields__})


def refuse_differences(locks: Mapping[str, Lock]) -> None:
    """Refuse to compare scores that are bound to different things.

    Args:
        locks: lock of each score, by a name that tells it from the others.

    Raises:
        ComparisonError: two of them differ; it names each difference with both values.
    """
    named = list(locks.items())
    differences = [
        f"{called} is {mine!r} of {named[0][0]}, but {theirs!r} of {name}"
        for name, other in named[1:]
        for called, mine, theirs in zip(_FIELD_TITLES, astuple(named[0][1]), astuple(other), strict=True)
        if mine != theirs
    ]
    if differences:
        raise ComparisonError(
            f"comparison of {', '.join(locks)}",
            found="; ".join(differences),
            expected="scores of the same images and labels, under the same rules",
            remedy="score all of them on the same split, task and version of Segline",
        )
