"""Assign samples to splits: to the published split, or to a validation split taken out of train."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

from segline.datasets.base import Pair, Split, held_out


def assign(pairs: Iterable[Pair], *, validation_share: float) -> dict[str, Split]:
    """Assign every pair to a split.

    If the dataset has no published validation split, `held_out` chooses the validation samples of each stratum.

    Returns:
        Sample id -> split.
    """
    splits: dict[str, Split] = {}
    undecided: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        if pair.split is not None:
            splits[pair.id] = pair.split
        else:
            undecided[pair.stratum].append(pair)
    for candidates in undecided.values():
        chosen = held_out(candidates, share=validation_share)
        splits |= {pair.id: "validation" if pair.id in chosen else "train" for pair in candidates}
    return splits


def digest(splits: Mapping[str, str]) -> str:
    """Compute a digest (16 hex digits) of the assignment of ids to splits; the order of ids does not matter."""
    text = "\n".join(f"{name} {splits[name]}" for name in sorted(splits))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
