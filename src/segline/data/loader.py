"""Prepared splits -> batches, deterministic in (seed, step) alone.

A batch does not depend on the ones before it: a run resumed at step 700 sees what an undisturbed
one saw there, and any number of workers may make batches in any order.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from segline.core.labels import VOID
from segline.data.augment import Augmenter
from segline.data.prepare import PreparedSplit

Images = npt.NDArray[np.uint8]
Masks = npt.NDArray[np.uint8]
Batch = tuple[tuple[int, int], list[int]]  # padded size, members


class Crops:
    """Augmented training batches by global step.

    Args:
        split: what to draw from; every sample is drawn once a pass, in an order of the pass's own.
        augmenter: gives the crops.
        batch: samples a batch.
        seed: with the step, decides everything.

    Raises:
        ValueError: the split is empty.
    """

    def __init__(self, split: PreparedSplit, *, augmenter: Augmenter, batch: int, seed: int) -> None:
        if len(split) == 0:
            raise ValueError(f"the {split.name} split is empty")
        self._split = split
        self._augmenter = augmenter
        self._size = batch
        self._seed = seed
        self._order = lru_cache(maxsize=2)(self._shuffle)

    @property
    def augmentation(self) -> dict[str, Any]:
        """The augmentation's specification, for the log."""
        return self._augmenter.specification

    def batch(self, step: int) -> tuple[Images, Masks]:
        """Batch number `step`, counted from 0 over the whole training.

        Returns:
            uint8 (N, H, W, 3) and uint8 (N, H, W).
        """
        first = step * self._size
        crops = [self._crop(place) for place in range(first, first + self._size)]
        images, masks = zip(*crops, strict=True)
        return np.stack(images), np.stack(masks)

    def _crop(self, place: int) -> tuple[Images, Masks]:
        index = int(self._order(place // len(self._split))[place % len(self._split)])
        seed = int(np.random.SeedSequence([self._seed, place]).generate_state(1)[0])
        return self._augmenter(self._split.image(index), self._split.mask(index), seed=seed)

    def _shuffle(self, number: int) -> npt.NDArray[np.int64]:
        return np.random.default_rng([self._seed, number]).permutation(len(self._split))


class Whole:
    """Whole images of a split in batches of one padded size each, for validation while training.

    Images are padded at the bottom and right to multiples of `multiple`, their masks with void.
    """

    def __init__(self, split: PreparedSplit, *, batch: int, multiple: int) -> None:
        self._split = split
        by_size: dict[tuple[int, int], list[int]] = {}
        for index in range(len(split)):
            height, width = split.size(index)
            by_size.setdefault((_up(height, multiple), _up(width, multiple)), []).append(index)
        self._batches = _unlike_first(
            [
                (size, members[start : start + batch])
                for size, members in sorted(by_size.items())
                for start in range(0, len(members), batch)
            ]
        )

    def __len__(self) -> int:
        return len(self._batches)

    def batch(self, number: int) -> tuple[Images, Masks]:
        """Batch `number`: uint8 (N, H, W, 3) and uint8 (N, H, W)."""
        (height, width), members = self._batches[number]
        images = np.zeros((len(members), height, width, 3), dtype=np.uint8)
        masks = np.full((len(members), height, width), VOID, dtype=np.uint8)
        for place, index in enumerate(members):
            image = self._split.image(index)
            images[place, : image.shape[0], : image.shape[1]] = image
            masks[place, : image.shape[0], : image.shape[1]] = self._split.mask(index)
        return images, masks


def _unlike_first(batches: list[Batch]) -> list[Batch]:
    """Put the batch that differs from the first in most dimensions second.

    A traced network learns from two unlike inputs that a dimension varies; from like ones it is
    traced again, a second or more each time, at every batch that differs in another dimension.
    """
    if len(batches) < 3:
        return batches
    first, rest = batches[0], batches[1:]
    shape = (*first[0], len(first[1]))
    second = max(rest, key=lambda other: sum(a != b for a, b in zip(shape, (*other[0], len(other[1])), strict=True)))
    rest.remove(second)
    return [first, second, *rest]


def _up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
