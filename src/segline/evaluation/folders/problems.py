"""What is kept of a folder's pairs: their counts, and what is wrong with any of them."""

from collections.abc import Mapping

import numpy as np

from segline.core.labels import VOID
from segline.core.metrics.confusion import outside_share
from segline.core.metrics.joint_histogram import BYTES, Counts
from segline.errors import printable
from segline.evaluation.folders.count_pairs import Counted, Reading, hint, strange_ids, strange_in_all
from segline.evaluation.folders.label_folders import Ids

_GOOD, _BAD, _SEVERAL = 0.01, 0.3, 2
"""One reading leaves at most the first share of the labelled pixels without a class, the other at least the second,
and under as many different ids: then they are ids of the first kind. So a network's answers are told, of which raw
ids of Cityscapes would make ego vehicles and borders of the image; but not a class in raw ids on a ground of 0."""

SHOWN = 3
"""Examples of each problem."""


class Problems:
    """Kinds of problems in the order they were met, each with how many files have it and the first few."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[int, list[str]]] = {}

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def add(self, kind: str, *examples: str) -> None:
        """Note that each of `examples` is of that `kind`; what a terminal would act upon is shown escaped."""
        if examples:
            count, shown = self._kinds.get(kind, (0, []))
            self._kinds[kind] = count + len(examples), [*shown, *map(printable, examples[:SHOWN])][:SHOWN]

    def lines(self) -> list[str]:
        """One a kind."""
        return [
            f"{kind}: {count} ({'; '.join(shown)}{f'; and {count - len(shown)} more' if count > len(shown) else ''})"
            for kind, (count, shown) in self._kinds.items()
        ]


class Sums:
    """What is kept of all pairs: counts under each reading that all of them permit.

    Args:
        problems: what is wrong with any pair goes there.
        both: all readings.
        stated: the one that the predictions are said to be of.
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
                + hint(one.seen, other, option="--ids", raw=self._tried.get("raw")),
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
        """How the predictions are to be read, and why.

        Args:
            named: what their files' names say.
        """
        if self._stated is not None:
            return self._stated, "said so"
        left: list[Ids] = [name for name in self._tried if name not in self._refuted]
        if len(left) == 1:
            (other,) = self._refuted
            return left[0], f"not {other} ids: {self._refuted[other]}"
        if not left:
            mixed = (f"no {name} ids: {example}" for name, example in self._refuted.items())
            self._problems.add("kinds of ids, of which a folder should hold one", *mixed)
        elif self._agree:
            return "raw", "raw and train ids count the same here"
        elif named is not None:
            return named, "the files' names say so"
        elif not self._problems:
            shares = {name: self.outside(name) for name in left}
            said = [
                f"as {name} ids {share:.1%} of the labelled pixels are of no class" for name, share in shares.items()
            ]
            best, worst = sorted(left, key=shares.__getitem__)
            if shares[best] <= _GOOD and shares[worst] >= _BAD and self._void_ids(worst) >= _SEVERAL:
                return best, ", ".join(said)
            self._problems.add("ways to read the ids that would both do: say --ids raw or --ids train", *said)
        return "raw", ""

    def per_image(self, chosen: Ids) -> Counts:
        """Counts of all pairs under one reading, int64 (N, C, C + 1); without rows where there are none."""
        counts = self._counts[chosen]
        return np.stack(counts) if counts else np.zeros((0, 1, 2), dtype=np.int64)

    def boundary(self, chosen: Ids) -> Counts | None:
        """Counts along the boundaries, int64 (N, 3, C); None where pairs were not counted along them."""
        counts = self._boundary[chosen]
        return np.stack(counts) if counts else None

    def _void_ids(self, name: Ids) -> int:
        """How many different ids that predictions hold are void under one reading."""
        return int(np.count_nonzero((self._seen > 0) & (self._both[name].table == VOID)))

    def outside(self, name: Ids) -> float:
        """Share of the labelled pixels that are void or of no class under one reading."""
        return outside_share(self.per_image(name).sum(axis=0))
