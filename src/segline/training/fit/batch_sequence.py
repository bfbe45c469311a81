"""The batches that a fit needs; ``data.batches.loader`` makes them.

A batch is ``(images, masks)``: uint8 (N, H, W, 3) RGB 0..255 and uint8 (N, H, W) train ids, void where
nothing is to be learned or scored. N, H and W may differ between batches; the network is then compiled
again. H and W are multiples of the network's stride.
"""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import keras

from segline.core.labels import VOID, Image, Mask
from segline.errors import DataError

Batch = tuple[Image, Mask]

_PREFETCHED_BATCHES = 2


class Batches(Protocol):
    """An endless sequence of batches. In training, the number of a batch is the fit's global step, from 0."""

    def batch(self, number: int, /) -> Batch:
        """Make batch `number`: the same at every call, in any order.

        It is called from another thread, before the batch is needed; never from two threads at once.
        """

    def ids(self, number: int, /) -> list[str]:
        """List the samples in batch `number`, in their order; errors name them."""


class ValidationBatches(Batches, Protocol):
    """One pass over a split, in a fixed order."""

    def __len__(self) -> int:
        """Count the batches."""


class Sequence(keras.utils.PyDataset):
    """Batches `first` to ``last - 1`` for Keras, each prepared while the network computes on earlier ones.

    Training is one sequence over all epochs, so that the first batch of an epoch is prepared during the
    validation before. Keras's own prefetching uses TensorFlow's, which is off if op determinism is on.

    Args:
        batches: makes them.
        first: number of the first batch.
        last: number of the last batch plus 1.
        classes: number of classes of the network. A mask with another id is an error, because the loss would
            silently treat it as void. None: masks are not checked.
        parts: number of equal parts in which Keras gets each batch.
    """

    def __init__(self, batches: Batches, *, first: int, last: int, classes: int | None = None, parts: int = 1) -> None:
        super().__init__()
        self._batches, self._first, self._last, self._classes = batches, first, last, classes
        self._parts = parts
        self._made: tuple[int, Batch] | None = None  # the last batch that was divided, with its number
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._pending: dict[int, Future[Batch]] = {}
        self._lock = threading.Lock()  # Keras may still read from one pass while it begins another
        self.error: Exception | None = None
        """The error that a batch raised. The caller of Keras gets an error of TensorFlow instead of this one."""

    def __len__(self) -> int:
        return self._parts * (self._last - self._first)

    def __getitem__(self, index: int) -> Batch:
        with self._lock:
            for ahead in range(index, min(index + _PREFETCHED_BATCHES + 1, len(self))):
                if ahead not in self._pending:
                    self._pending[ahead] = self._thread.submit(self._make, ahead)
            future = self._pending.pop(index)
        try:
            return future.result()
        except Exception as error:
            self.error = error
            raise

    def _make(self, index: int) -> Batch:
        """Make the part with the number `index` of all parts. The batch is made once for its parts."""
        batch, part = divmod(index, self._parts)
        if self._parts == 1:
            return self._make_batch(self._first + batch)
        if self._made is None or self._made[0] != batch:
            self._made = batch, self._make_batch(self._first + batch)
        images, masks = self._made[1]
        size = len(images) // self._parts
        share = slice(part * size, (part + 1) * size)
        return images[share], masks[share]

    def _make_batch(self, number: int) -> Batch:
        images, masks = self._batches.batch(number)
        if self._classes is not None:
            foreign = masks[(masks >= self._classes) & (masks != VOID)]
            if foreign.size:
                raise DataError(
                    f"batch {number}",
                    found=f"train id {foreign.max()} in a mask",
                    expected=f"0..{self._classes - 1} (the network's classes) or {VOID} (void)",
                    remedy="build the network for the label map that the data were prepared with",
                )
        return images, masks
