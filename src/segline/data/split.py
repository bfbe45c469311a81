"""Which sample belongs to which split: the published one, or a validation share carved from train."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from segline.datasets.base import Pair, Split


def assign(pairs: Iterable[Pair], *, validation_share: float) -> dict[str, Split]:
    """Give every pair its split.

    Pairs whose dataset published no validation split are divided per stratum: in each, the share
    with the smallest digests of their names. So the choice is fixed, needs no random generator, and
    a sample keeps its side when others come or go. A group goes as a whole, with the stratum of its
    first pair; it may then take more than the share.

    Returns:
        Sample id -> split.
    """
    splits: dict[str, Split] = {}
    groups: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: pair.id):
        if pair.split is not None:
            splits[pair.id] = pair.split
        else:
            groups[pair.group or pair.id].append(pair)
    strata: defaultdict[str, list[str]] = defaultdict(list)
    for name, members in groups.items():
        strata[members[0].stratum].append(name)
    for names in strata.values():
        held_out = _held_out(names, {name: len(groups[name]) for name in names}, validation_share)
        for name in names:
            side: Split = "validation" if name in held_out else "train"
            splits |= dict.fromkeys((pair.id for pair in groups[name]), side)
    return splits


def _held_out(names: Sequence[str], sizes: Mapping[str, int], share: float) -> set[str]:
    """Groups of one stratum, until they have `share` of its samples; never the last one, never none."""
    wanted = max(1, round(sum(sizes.values()) * share))
    chosen: set[str] = set()
    for name in sorted(names, key=_digest)[:-1]:
        if sum(sizes[other] for other in chosen) >= wanted:
            break
        chosen.add(name)
    return chosen


def digest(splits: Mapping[str, str]) -> str:
    """16 hex digits naming which ids are in which split, order aside."""
    text = "\n".join(f"{name} {splits[name]}" for name in sorted(splits))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
