"""Sum the counts and collect the problems of all pairs of a folder."""

from collections.abc import Mapping

import numpy as np

from segline.core.labels import VOID
from segline.core.metrics.confusion import outside_share
from segline.core.metrics.joint_histogram import BYTES, Counts
from segline.errors import printable
from segline.evaluation.folders.count_pairs import Counted, Reading, strange_ids, strange_in_all, suggest_ids
from segline.evaluation.folders.label_folders import Ids

_MOST_OUTSIDE_OF_RIGHT_READING, _LEAST_OUTSIDE_OF_WRONG_READING, _LEAST_VOID_IDS = 0.01, 0.3, 2
"""Limits to choose between the two readings of ids. The right reading leaves at most the first share of the labelled
pixels without a class. The wrong one leaves at least the second share, in at least that number of different ids. So
train ids of a network are recognised, which as raw ids of Cityscapes would be ego vehicle and image border. Nothing is
chosen for a single class in raw ids on a background of 0."""

SHOWN = 3
"""Number of examples that are shown of each problem."""


class Problems:
    """Kinds of problems in the order they were found, each with its number of files and the first few of them."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[int, list[str]]] = {}

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def add(self, kind: str, *examples: str) -> None:
        """Record one problem of this `kind` for each of `examples`; control characters are escaped."""
        if examples:
            count, shown = self._kinds.get(kind, (0, []))
            self._kinds[kind] = count + len(examples), [*shown, *map(printable, examples[:SHOWN])][:SHOWN]

    def lines(self) -> list[str]:
        """Write one line for each kind."""
        return [
            f"{kind}: {count} ({'; '.join(shown)}{f'; and {count - len(shown)} more' if count > len(shown) else ''})"
            for kind, (count, shown) in self._kinds.items()
        ]


class Sums:
    """Counts of all pairs, for each reading of the predictions (raw, train) that all of them allow.

    Args:
        problems: collects the problems of the pairs.
        both: both readings.
        stated: reading that the user gave for the predictions; None to detect it from their ids.
    """

    def __init__(self, problems: Problems, both: Mapping[Ids, Reading], *, stated: Ids | None) -> None:
        self.contents: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self.void_pixels = 0
        self._problems, self._both, self._stated = problems, both, stated
        self._tried = dict(both) if stated is None else {stated: both[stated]}
        self._counts: dict[Ids, list[Counts]] = {name: [] for name in self._tried}
        self._boundary: dict[Ids, list[Counts]] = {name: [] for name in self._tried}
        self._seen = np.zeros(BYTES, dtype=np.int64)
        self._refuted: dict[Ids, str] = {}
        self._agree = True

    def take(self, one: Counted) -> None:
        """Add one pair."""
        for kind, example in one.problems:
            self._problems.add(kind, example)
        if one.seen is None:
            return
        refuted = [name for name, reading in self._tried.items() if not reading.permits(one.seen)]
        if len(refuted) == len(self._tried):
            other = next((reading for name, reading in self._both.items() if name not in self._tried), None)
            self._problems.add(
                f"predictions with ids that are no {' and no '.join(self._tried)} ids of the dataset"
                + suggest_ids(one.seen, other, option="--ids", raw=self._tried.get("raw")),
                strange_in_all(one.prediction, one.seen, self._tried),
            )
            return
        for name in refuted:
            self._refuted.setdefault(name, strange_ids(one.prediction, one.seen, self._tried[name]))
            self._counts[name].clear()
            self._boundary[name].clear()
        if not one.counts:
            return
        self.contents[one.id], self.files[one.id] = one.content, one.file
        self.void_pixels += one.void_pixels
        self._seen += one.seen
        for name in self._tried.keys() - self._refuted.keys():
            self._counts[name].append(one.counts[name])
            if one.boundary:
                self._boundary[name].append(one.boundary[name])
        first, *others = one.counts.values()
        self._agree = self._agree and all(np.array_equal(first, other) for other in others)

    def decide(self, *, named: Ids | None) -> tuple[Ids, str]:
        """Decide how the predictions are read, and say why.

        Args:
            named: kind of ids according to the file names; None if they do not say it.
        """
        if self._stated is not None:
            return self._stated, "given with --ids"
        left: list[Ids] = [name for name in self._tried if name not in self._refuted]
        if len(left) == 1:
            (other,) = self._refuted
            return left[0], f"not {other} ids: {self._refuted[other]}"
        if not left:
            mixed = (f"no {name} ids: {example}" for name, example in self._refuted.items())
            self._problems.add("kinds of ids, but a folder must contain only one kind", *mixed)
        elif self._agree:
            return "raw", "raw and train ids give the same counts here"
        elif named is not None:
            return named, "according to the file names"
        elif not self._problems:
            shares = {name: self.outside(name) for name in left}
            said = [
                f"as {name} ids {share:.1%} of the labelled pixels are of no class" for name, share in shares.items()
            ]
            best, worst = sorted(left, key=shares.__getitem__)
            if (
                shares[best] <= _MOST_OUTSIDE_OF_RIGHT_READING
                and shares[worst] >= _LEAST_OUTSIDE_OF_WRONG_READING
                and self._count_void_ids(worst) >= _LEAST_VOID_IDS
            ):
                return best, ", ".join(said)
            self._problems.add("possible kinds of ids: choose one with --ids raw or --ids train", *said)
        return "raw", ""

    def per_image(self, chosen: Ids) -> Counts:
        """Stack the counts of all pairs under one reading, int64 (N, C, C + 1); no row where there is no pair."""
        counts = self._counts[chosen]
        return np.stack(counts) if counts else np.zeros((0, 1, 2), dtype=np.int64)

    def boundary(self, chosen: Ids) -> Counts | None:
        """Stack the counts along the boundaries, int64 (N, 3, C); None where they were not counted."""
        counts = self._boundary[chosen]
        return np.stack(counts) if counts else None

    def _count_void_ids(self, name: Ids) -> int:
        """Count the different ids in predictions that are void under one reading."""
        return int(np.count_nonzero((self._seen > 0) & (self._both[name].table == VOID)))

    def outside(self, name: Ids) -> float:
        """Compute the share of the labelled pixels that are predicted void or no class under one reading."""
        return outside_share(self.per_image(name).sum(axis=0))
