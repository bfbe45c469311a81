"""Which sample belongs to which split: the published one, or a validation share carved from train."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

from segline.datasets.base import Pair, Split, held_out


def assign(pairs: Iterable[Pair], *, validation_share: float) -> dict[str, Split]:
    """Give every pair its split.

    Pairs whose dataset published no validation split are divided per stratum: in each, `held_out` says
    which share of them it gets.

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
    """16 hex digits naming which ids are in which split, order aside."""
    text = "\n".join(f"{name} {splits[name]}" for name in sorted(splits))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
