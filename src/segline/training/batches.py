"""What a fit needs of its data; ``data.loader`` has it.

A batch is ``(images, masks)``: uint8 (N, H, W, 3) RGB 0..255 and uint8 (N, H, W) train ids, void
where nothing is to be learned or scored. N, H and W may differ from batch to batch, at the price of
compiling the network again; H and W are multiples of the network's stride.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import keras

from segline.core.labels import Image, Mask

Batch = tuple[Image, Mask]

_AHEAD = 2  # batches prepared before they are asked for


class TrainBatches(Protocol):
    """An endless sequence."""

    def batch(self, step: int) -> Batch:
        """The batch of the fit's global `step`, from 0: the same at every call, in any order.

        It is called from a thread of its own, ahead of need; never from two at once.
        """


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
    """

    def __init__(self, batches: TrainBatches | ValidationBatches, *, first: int, last: int) -> None:
        super().__init__()
        self._batches, self._first, self._last = batches, first, last
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._pending: dict[int, Future[Batch]] = {}

    def __len__(self) -> int:
        return self._last - self._first

    def __getitem__(self, index: int) -> Batch:
        for ahead in range(index, min(index + _AHEAD + 1, len(self))):
            if ahead not in self._pending:
                self._pending[ahead] = self._thread.submit(self._batches.batch, self._first + ahead)
        return self._pending.pop(index).result()
