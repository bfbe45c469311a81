"""Make batches from prepared splits. A batch depends only on seed and step.

A batch does not depend on earlier batches. So a run resumed at step 700 gets the same batches as an uninterrupted
run, and any number of workers can make batches in any order. The workers are a pool of `segline.parallel.pool`. On
KITTI and Pets this made 3 to 4 times as many crops per second as ``tf.data`` with ``numpy_function``, 1.9 to 2.6
times as many as a Keras ``PyDataset`` (``benchmarks/data.py``), and more than Grain with the same number of
processes; Grain also needs five more packages.
"""

import math
import pickle
import tempfile
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segline.core.labels import VOID
from segline.data.batches.augment import Augmenter
from segline.data.images.scale import pad_image
from segline.data.prepare.prepared import PLACES, PreparedSplit
from segline.parallel import pool
from segline.storage import reporting_storage

Images = npt.NDArray[np.uint8]
Masks = npt.NDArray[np.uint8]
Batch = tuple[tuple[int, int], list[int]]
"""Padded height and width, and positions of the samples."""


class Crops:
    """Augmented training batches by global step.

    Args:
        split: each pass uses every sample once, in a new random order.
        augmenter: makes the crops.
        batch: samples per batch.
        seed: seed and step together determine a batch.
        rare: share of the crops that are centred on a pixel of a rare class, if the sample has one.

    Raises:
        ValueError: the split is empty.
    """

    def __init__(self, split: PreparedSplit, *, augmenter: Augmenter, batch: int, seed: int, rare: float = 0.0) -> None:
        if len(split) == 0:
            raise ValueError(f"the {split.name} split is empty")
        self._split = split
        self._augmenter = augmenter
        self._size = batch
        self._seed = seed
        self._rare = rare
        self._classes = rare_classes(split.pixels)
        self._orders: dict[int, npt.NDArray[np.int64]] = {}

    @property
    def augmentation(self) -> dict[str, Any]:
        """Return the specification of the augmentation, for the log."""
        return self._augmenter.specification

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return N, H and W of a batch."""
        return self._size, *self._augmenter.crop

    def batch(self, step: int) -> tuple[Images, Masks]:
        """Make batch number `step`, counted from 0 over the whole training.

        Returns:
            uint8 (N, H, W, 3) and uint8 (N, H, W).
        """
        images, masks = np.empty((*self.shape, 3), dtype=np.uint8), np.empty(self.shape, dtype=np.uint8)
        self.fill(step, images, masks)
        return images, masks

    def fill(self, step: int, images: Images, masks: Masks) -> None:
        """Write batch number `step` into arrays of its shape."""
        for place in range(self._size):
            images[place], masks[place] = self._make_crop(step * self._size + place)

    def ids(self, step: int) -> list[str]:
        """Return the ids of the samples in batch number `step`."""
        places = range(step * self._size, (step + 1) * self._size)
        return [self._split.ids[self._find_sample(place)] for place in places]

    def _make_crop(self, place: int) -> tuple[Images, Masks]:
        index = self._find_sample(place)
        seed, *draws = (int(word) for word in np.random.SeedSequence([self._seed, place]).generate_state(3))
        # Centre every n-th crop instead of choosing at random, so that the share is exact in every part of training.
        centred = int((place + 1) * self._rare) > int(place * self._rare)
        centre = self._find_rare_pixel(index, draws) if centred else None
        return self._augmenter(self._split.image(index), self._split.mask(index), seed=seed, centre=centre)

    def _find_rare_pixel(self, index: int, draws: list[int]) -> tuple[int, int] | None:
        """Choose a pixel (row, column) of one of the sample's rare classes; each class is equally likely.

        nnU-Net forces foreground into a third of its patches in a similar way (Isensee et al. 2021,
        doi:10.1038/s41592-020-01008-z). The pixels come from a table that the prepare stage made.
        """
        places = self._split.places(index)[self._classes]
        places = places[places[:, 0] >= 0]
        if len(places) == 0:
            return None
        flat = int(places[draws[0] % len(places), draws[1] % PLACES])
        return divmod(flat, self._split.size(index)[1])

    def _find_sample(self, place: int) -> int:
        """Return the index of the sample for crop number `place`, counted from 0 over the whole training."""
        number, position = divmod(place, len(self._split))
        return int(self._shuffle(number)[position])

    def _shuffle(self, number: int) -> npt.NDArray[np.int64]:
        """Return the order of samples in pass `number`. Two orders are cached, because a batch may span two passes."""
        order = self._orders.get(number)
        if order is None:
            order = np.random.default_rng([self._seed, number]).permutation(len(self._split))
            self._orders = {**dict(list(self._orders.items())[-1:]), number: order}
        return order


def rare_classes(pixels: list[int]) -> list[int]:
    """List the train ids of classes with fewer pixels than the median of the classes that occur.

    These are the classes with a weight above 1 in median frequency balancing (Eigen & Fergus 2015, arXiv:1411.4734).
    """
    occurring = [count for count in pixels if count]
    return [train_id for train_id, count in enumerate(pixels) if 0 < count < np.median(occurring)]


class Ahead:
    """Batches of a `Crops`, prefetched by the processes of an executor.

    They are equal to the batches of the `Crops` itself, from any step on. The processes write them into slots of a
    memory-mapped file. Sending half a megabyte per batch through a pipe took a third of the time.

    Args:
        folder: folder of that file; the caller removes it.
    """

    def __init__(self, crops: Crops, executor: Executor, *, workers: int, folder: Path) -> None:
        self._pickled = pickle.dumps(crops)
        self._executor, self._workers = executor, workers
        self._pending: dict[int, Future[None]] = {}
        self._slots = _Slots(path=_reserve(folder, 4 * math.prod(crops.shape) * self._window), shape=crops.shape)
        self.augmentation, self.ids = crops.augmentation, crops.ids

    @property
    def _window(self) -> int:
        """Return the number of batches that are prefetched at a time."""
        return 2 * self._workers + 1

    def batch(self, step: int) -> tuple[Images, Masks]:
        """Return batch number `step`, and prefetch the batches after it.

        Raises:
            SeglineError: a worker process was killed.
        """
        with pool.reporting_loss("training batches", workers=self._workers):
            wanted = range(step, step + self._window)
            self._drop(self._pending.keys() - set(wanted))
            for ahead in wanted:
                if ahead not in self._pending:
                    slot = ahead % self._window  # each wanted batch has its own
                    self._pending[ahead] = self._executor.submit(_make_batch, self._pickled, ahead, self._slots, slot)
            self._pending.pop(step).result()
            images, masks = self._slots.views(step % self._window)
            return images.copy(), masks.copy()

    def _drop(self, steps: Collection[int]) -> None:
        """Cancel batches that are no longer needed; wait for running ones, which could write into a reused slot."""
        for future in [self._pending.pop(step) for step in steps]:
            if not future.cancel():
                future.result()


@dataclass(frozen=True, kw_only=True)
class _Slots:
    """Slots for batches in a file.

    Args:
        shape: N, H and W of a batch.
    """

    path: Path
    shape: tuple[int, int, int]

    def views(self, slot: int) -> tuple[Images, Masks]:
        """Return images and masks of one slot as views of the file."""
        pixels = math.prod(self.shape)
        flat = _map(self.path)[4 * pixels * slot : 4 * pixels * (slot + 1)]
        return flat[: 3 * pixels].reshape(*self.shape, 3), flat[3 * pixels :].reshape(self.shape)


@lru_cache(maxsize=4)
def _map(path: Path) -> Images:
    return np.memmap(path, dtype=np.uint8, mode="r+")


def _reserve(folder: Path, size: int) -> Path:
    """Write a file of `size` zero bytes, so that writes to its memory map cannot fail on a full disk."""
    with reporting_storage(folder), tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(bytes(size))
        return Path(file.name)


@lru_cache(maxsize=1)
def _unpickle(crops: bytes) -> Crops:
    found: Crops = pickle.loads(crops)  # noqa: S301 (pickled by `Ahead`)
    return found


def _make_batch(crops: bytes, step: int, slots: _Slots, slot: int) -> None:
    _unpickle(crops).fill(step, *slots.views(slot))


@contextmanager
def on_processes(workers: int) -> Iterator[Callable[[Crops], Crops | Ahead]]:
    """Yield a function that moves a `Crops` to `workers` processes; with 0 workers, batches are made in this process.

    The processes can serve several `Crops`, one after the other. They end with the ``with`` block.
    """
    if workers == 0:
        yield lambda crops: crops
        return
    with tempfile.TemporaryDirectory(prefix="segline-batches-") as folder, pool.processes(workers) as executor:
        yield lambda crops: Ahead(crops, executor, workers=workers, folder=Path(folder))


class Whole:
    """Batches of whole images for validation during training; all images in a batch have the same padded size.

    Images are padded at the bottom and right to multiples of `multiple`, as in `predict` (`pad_image`). Masks are
    padded with void.
    """

    def __init__(self, split: PreparedSplit, *, batch: int, multiple: int) -> None:
        self._split, self._multiple = split, multiple
        by_size: dict[tuple[int, int], list[int]] = {}
        for index in range(len(split)):
            height, width = split.size(index)
            by_size.setdefault((_round_up(height, multiple), _round_up(width, multiple)), []).append(index)
        self._batches = _move_unlike_second(
            [
                (size, members[start : start + batch])
                for size, members in sorted(by_size.items())
                for start in range(0, len(members), batch)
            ]
        )

    def __len__(self) -> int:
        return len(self._batches)

    def batch(self, number: int) -> tuple[Images, Masks]:
        """Make batch `number`: uint8 (N, H, W, 3) and uint8 (N, H, W)."""
        (height, width), members = self._batches[number]
        images = np.stack([pad_image(self._split.image(index), multiple=self._multiple) for index in members])
        masks = np.full((len(members), height, width), VOID, dtype=np.uint8)
        for place, index in enumerate(members):
            mask = self._split.mask(index)
            masks[place, : mask.shape[0], : mask.shape[1]] = mask
        return images, masks

    def ids(self, number: int) -> list[str]:
        """Return the ids of the samples in batch `number`."""
        return [self._split.ids[index] for index in self._batches[number][1]]


def _move_unlike_second(batches: list[Batch]) -> list[Batch]:
    """Move the batch that differs from the first one in the most dimensions to the second position.

    TensorFlow learns from the first two different shapes which dimensions vary. If fewer dimensions differ, it traces
    the network again later, for a second or more, at every batch that differs in another dimension.
    """
    if len(batches) < 3:
        return batches
    first, rest = batches[0], batches[1:]
    shape = (*first[0], len(first[1]))
    second = max(rest, key=lambda other: sum(a != b for a, b in zip(shape, (*other[0], len(other[1])), strict=True)))
    rest.remove(second)
    return [first, second, *rest]


def _round_up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
