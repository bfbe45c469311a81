"""What a fit needs of its data; ``data.batches.loader`` has it.

A batch is ``(images, masks)``: uint8 (N, H, W, 3) RGB 0..255 and uint8 (N, H, W) train ids, void
where nothing is to be learned or scored. N, H and W may differ from batch to batch, at the price of
compiling the network again; H and W are multiples of the network's stride.
"""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import keras

from segline.core.labels import VOID, Image, Mask
from segline.errors import DataError

Batch = tuple[Image, Mask]

_AHEAD = 2  # batches prepared before they are asked for


class TrainBatches(Protocol):
    """An endless sequence."""

    def batch(self, step: int) -> Batch:
        """The batch of the fit's global `step`, from 0: the same at every call, in any order.

        It is called from a thread of its own, ahead of need; never from two at once.
        """

    def ids(self, step: int) -> list[str]:
        """The samples in the batch of `step`, in their order: who is to be looked at when it goes wrong."""


class ValidationBatches(Protocol):
    """A split, once, in a fixed order."""

    def __len__(self) -> int:
        """How many batches there are."""

    def batch(self, index: int) -> Batch:
        """Batch `index`, the same at every call; from a thread of its own, as above."""


class Sequence(keras.utils.PyDataset):
    """Batches `first` to ``last - 1`` for Keras, each prepared while those before are computed on.

    Training is one sequence over all epochs, so that an epoch's first batch is prepared while the one
    before is validated. Keras's own reading ahead goes through TensorFlow, which does none when only
    repeatable operations are allowed.

    Args:
        batches: where they come from.
        first: the first one.
        last: the one after the last.
        classes: of the network; None where it is not known. A mask with another id is an error then:
            a loss takes every id that is no class for void, and would learn nothing there in silence.
    """

    def __init__(
        self, batches: TrainBatches | ValidationBatches, *, first: int, last: int, classes: int | None = None
    ) -> None:
        super().__init__()
        self._batches, self._first, self._last, self._classes = batches, first, last, classes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._pending: dict[int, Future[Batch]] = {}
        self._lock = threading.Lock()  # Keras may still read from one pass while it begins another
        self.error: Exception | None = None
        """Why a batch could not be made: what reaches the caller through TensorFlow is one of its own errors."""

    def skip(self, steps: int) -> None:
        """Leave out the first `steps` batches, before any is read: they are those of epochs that are done."""
        self._first += steps

    def __len__(self) -> int:
        return self._last - self._first

    def __getitem__(self, index: int) -> Batch:
        with self._lock:
            for ahead in range(index, min(index + _AHEAD + 1, len(self))):
                if ahead not in self._pending:
                    self._pending[ahead] = self._thread.submit(self._made, self._first + ahead)
            future = self._pending.pop(index)
        try:
            return future.result()
        except Exception as error:
            self.error = error
            raise

    def _made(self, number: int) -> Batch:
        images, masks = self._batches.batch(number)
        if self._classes is not None:
            foreign = masks[(masks >= self._classes) & (masks != VOID)]
            if foreign.size:
                raise _foreign(int(foreign.max()), number, classes=self._classes)
        return images, masks


def _foreign(found: int, number: int, *, classes: int) -> DataError:
    return DataError(
        f"batch {number}",
        found=f"train id {found} in a mask",
        expected=f"0..{classes - 1} or {VOID} (void), because the network has {classes} classes",
        remedy="build the network for the label map that the data were prepared with",
    )
