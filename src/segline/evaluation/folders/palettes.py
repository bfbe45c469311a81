"""Compare the palettes of labels and predictions: does each index mean one class in all files?"""

from collections.abc import Iterator
from dataclasses import replace

from segline.core.coding import Colours
from segline.data.images.palettes import Comparison
from segline.datasets.base import Dataset
from segline.evaluation.folders.count_pairs import Counted
from segline.evaluation.folders.label_folders import Ids


def palettes_of(dataset: Dataset) -> Colours:
    """Return the raw id of each class's colour, to read palettes by; colours that two classes share are left out."""
    if dataset.own is not None and dataset.colours is not None:
        return replace(dataset.colours, indexed=True)
    classes = dataset.label_map.classes
    colours = [item.colour for item in classes]
    return Colours(
        ids={item.colour: item.raw for item in classes if colours.count(item.colour) == 1},
        indexed=True,
        colourless=frozenset(dataset.label_map.void),
    )


class Palettes:
    """Compares the palettes of both folders with each other and with the colours of the classes.

    Args:
        truth_stated: the user gave the kind of ids of the labels, so that palettes do not matter.
        named: kind of ids in the labels, according to their file names.
        stated: as `truth_stated`, of the predictions.
    """

    def __init__(self, dataset: Dataset, *, truth_stated: bool, named: Ids | None, stated: bool) -> None:
        ignored = dataset.own is not None and dataset.own.indices
        coloured = dataset.colours is not None and not dataset.colours.indexed
        known = palettes_of(dataset)
        self._own = dataset.own
        self._truth = None if truth_stated or ignored or coloured else Comparison(None if named == "train" else known)
        self._other = None if stated or ignored else Comparison(known)
        self._moved = 0

    def take(self, one: Counted, *, truth: str) -> None:
        """Add the palettes of one pair; `truth` is the name of the label's file."""
        for compared, name, palette, moved in (
            (self._truth, truth, one.palettes[0], None),
            (self._other, one.prediction, one.palettes[1], one.moved),
        ):
            if compared is None or palette is None:
                continue
            compared.add(name, palette, moved=moved)
        if self._other is not None and one.palettes[1] == {} and one.seen is not None:
            self._other.add_grey(one.prediction, one.seen.nonzero()[0].tolist())
        if self._truth is not None and one.palettes[0] == {}:
            self._truth.add_grey(truth, one.truth_ids)
        self._moved += one.moved

    def problems(self) -> Iterator[tuple[str, str]]:
        """Yield kind and description of each contradiction that the colours of the classes do not solve."""
        answers = " or ".join(
            [*([f"encoding: indices in {self._own.definition}"] if self._own else []), "--truth-ids raw"]
        )
        for compared, what, answer in (
            (self._truth, "labels", answers),
            (self._other, "predictions", "--ids raw or --ids train"),
        ):
            found = compared.contradiction() if compared is not None else ""
            if found:
                yield (
                    f"{what} whose palettes contradict each other, so that an index has no certain class: save them "
                    f"with one palette, or, if the stored numbers are right, give {answer}",
                    found,
                )
        if self._truth is not None and self._other is not None and (found := self._truth.unlike(self._other)):
            yield (
                "labels and predictions whose palettes contradict each other: save them with one palette, or, if the "
                "stored numbers are right, give --ids raw or --ids train",
                found,
            )

    def warnings(self) -> list[str]:
        """Say where the colours of palettes decided."""
        if not self._moved:
            return []
        return [
            f"{self._moved} predictions have a palette whose colours, but not its indices, are those of their classes: "
            "the colours decided"
        ]
