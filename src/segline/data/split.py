"""Which sample belongs to which split: the published one, or a validation share carved from train."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

from segline.datasets.base import Pair, Split


def assign(pairs: Iterable[Pair], *, validation_share: float) -> dict[str, Split]:
    """Give every pair its split.

    Pairs whose dataset published no validation split are divided per stratum: in each, the share
    with the smallest digests of their ids. So the choice is fixed, needs no random generator, and
    a sample keeps its side when others come or go.

    Returns:
        Sample id -> split.
    """
    splits: dict[str, Split] = {}
    undecided: defaultdict[str, list[str]] = defaultdict(list)
    for pair in pairs:
        if pair.split is not None:
            splits[pair.id] = pair.split
        else:
            undecided[pair.stratum].append(pair.id)
    for ids in undecided.values():
        ranked = sorted(ids, key=_digest)
        held_out = max(1, round(len(ranked) * validation_share)) if len(ranked) > 1 else 0
        splits |= dict.fromkeys(ranked[:held_out], "validation")
        splits |= dict.fromkeys(ranked[held_out:], "train")
    return splits


def digest(splits: Mapping[str, str]) -> str:
    """16 hex digits naming which ids are in which split, order aside."""
    text = "\n".join(f"{name} {splits[name]}" for name in sorted(splits))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
