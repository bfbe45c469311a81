"""Assign samples to splits: the published one, or a validation share carved out of train."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

from segline.datasets.base import Pair, Split, held_out


def assign(pairs: Iterable[Pair], *, validation_share: float) -> dict[str, Split]:
    """Assign every pair to a split.

    Pairs whose dataset published no validation split are divided per stratum: in each, `held_out` chooses
    those of the validation split.

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
    """Compute 16 hex digits that name which ids are in which split, whatever their order."""
    text = "\n".join(f"{name} {splits[name]}" for name in sorted(splits))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
