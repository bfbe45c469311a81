"""What a fit needs of its data; ``data.loader`` has it.

A batch is ``(images, masks)``: uint8 (N, H, W, 3) RGB 0..255 and uint8 (N, H, W) train ids, void
where nothing is to be learned or scored. N, H and W may differ from batch to batch, at the price of
compiling the network again; H and W are multiples of the network's stride.
"""

from typing import Protocol

import keras

from segline.core.labels import Image, Mask


class TrainBatches(Protocol):
    """An endless sequence."""

    def batch(self, step: int) -> tuple[Image, Mask]:
        """The batch of the fit's global `step`, from 0: the same at every call, in any order.

        It is called from a thread of its own, ahead of need; never from two at once.
        """


class ValidationBatches(Protocol):
    """A split, once, in a fixed order."""

    def __len__(self) -> int:
        """How many batches there are."""

    def batch(self, index: int) -> tuple[Image, Mask]:
        """Batch `index`, the same at every call."""


class StepSequence(keras.utils.PyDataset):
    """Training batches ``first`` to ``last - 1`` as one sequence over all epochs.

    One sequence for the whole fit, so that the first batch of an epoch is prepared while the one
    before is still trained or validated on, and nothing depends on when an epoch begins.
    """

    def __init__(self, batches: TrainBatches, *, first: int, last: int) -> None:
        super().__init__()
        self._batches, self._first, self._last = batches, first, last

    def __len__(self) -> int:
        return self._last - self._first

    def __getitem__(self, index: int) -> tuple[Image, Mask]:
        return self._batches.batch(self._first + index)


class SplitSequence(keras.utils.PyDataset):
    """Validation batches for Keras."""

    def __init__(self, batches: ValidationBatches) -> None:
        super().__init__()
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[Image, Mask]:
        return self._batches.batch(index)
