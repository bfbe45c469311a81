"""The lock of a score: the rules, labels and images that it belongs to. Scores with different locks are not compared.

Two scores can be compared only if the same rules were applied to the same labels of the same images (PROTOCOLS,
rule 5). A class that was renamed is the same class (`core.labels.same_classes`). Groups of images are not part of the
lock: they change the interval of a score, but not the score. `segline.evaluation.compare` checks them.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace

from segline.core.labels import same_classes
from segline.errors import ComparisonError
from segline.evaluation.results import Evaluation
from segline.evaluation.summary import Summary


@dataclass(frozen=True, kw_only=True)
class Lock:
    """Properties that must be equal for two scores to be compared.

    Args:
        protocol: name and version of the scoring rules.
        split_digest: digest of the images and their labels.
        label_map_digest: digest of the classes.
        images: number of images.
    """

    protocol: str
    split_digest: str
    label_map_digest: str
    images: int


_FIELD_TITLES = ("protocol", "split digest", "label-map digest", "number of images")


def lock_of(score: Evaluation | Summary) -> Lock:
    """Return the lock of a score."""
    if isinstance(score, Evaluation):
        return Lock(
            protocol=score.protocol,
            split_digest=score.split_digest,
            label_map_digest=score.label_map,
            images=len(score.ids),
        )
    return Lock(**{name: getattr(score, name) for name in Lock.__dataclass_fields__})


def locks_of(named: Mapping[str, Evaluation]) -> dict[str, Lock]:
    """Return the lock of each evaluation; renamed classes get the label-map digest of the first evaluation.

    So evaluations before and after a class was renamed can be compared. Exchanged names keep their own digest.
    """
    first = next(iter(named.values()))
    return {
        name: replace(lock_of(evaluation), label_map_digest=first.label_map)
        if same_classes(first.identity, evaluation.identity)
        else lock_of(evaluation)
        for name, evaluation in named.items()
    }


def refuse_differences(locks: Mapping[str, Lock]) -> None:
    """Refuse to compare scores with different locks.

    Args:
        locks: name of each score -> its lock.

    Raises:
        ComparisonError: two locks differ; the error names each difference with both values.
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
            remedy="score all of them on the same split and task, with the same version of Segline",
        )
