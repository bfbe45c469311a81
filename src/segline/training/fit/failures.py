"""Errors that end a fit early: numbers that are not finite, and no memory left."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from segline.config import MULTIPLE, Training
from segline.errors import TrainingError
from segline.storage import size_text, write_json
from segline.training import backend
from segline.training.fit import batch_sequence

Memory = Callable[[int], float]
"""Batch -> bytes that training is estimated to take."""

_MAX_IDS_SHOWN = 8  # in an error; the file has all


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """The first step whose loss or gradient is NaN or infinite.

    Args:
        what: the loss or the gradient, with its value.
        epoch: counted from 1.
        step: of the epoch, counted from 1.
        steps: of one epoch.
        learning_rate: at that step.
        ids: the batch's samples.
    """

    what: str
    epoch: int
    step: int
    steps: int
    learning_rate: float
    ids: Sequence[str]

    def error(self, path: Path | None) -> TrainingError:
        """Make the error to raise; write all that is known of the step to `path`."""
        if path is not None:
            write_json(path, asdict(self))
        shown = ", ".join(self.ids[:_MAX_IDS_SHOWN]) + (", .." if len(self.ids) > _MAX_IDS_SHOWN else "")
        return TrainingError(
            f"epoch {self.epoch}, step {self.step} of {self.steps}",
            found=f"{self.what} at learning rate {self.learning_rate:.3g} with the samples {shown}"
            + (f" (all in {path})" if path else ""),
            expected="finite numbers",
            remedy="lower search.learning_rate, raise training.warm_up, or set training.clip; "
            "if it is always these samples, check their images and masks",
        )


@contextmanager
def explain_failures(
    training: Training, *, memory: Memory | None, budget: float | None, sources: Sequence[batch_sequence.Sequence]
) -> Iterator[None]:
    """If memory runs out in the block, raise an error that names the keys of ``params.yaml`` to change.

    An error of a batch reaches the caller of Keras as an error of TensorFlow. The original error is raised instead.

    Args:
        training: batch and crop.
        memory: estimates bytes from a batch, to suggest a batch that fits.
        budget: bytes that the fit may take; None if there is no budget.
        sources: sequences of batches, which remember their errors.
    """
    try:
        yield
    except Exception as error:
        cause = next((source.error for source in sources if source.error is not None), error)
        if backend.is_out_of_memory(cause):
            raise _report_no_memory(training, memory=memory, budget=budget) from error
        if cause is not error:
            raise cause from error
        raise


def _report_no_memory(training: Training, *, memory: Memory | None, budget: float | None) -> TrainingError:
    allowed = _choose_limit(training.batch, memory=memory, budget=budget)
    sizes = {"estimate": None if memory is None else memory(training.batch), "budget": budget}
    known = ", ".join(f"{name} {size_text(size, unit='GiB')}" for name, size in sizes.items() if size is not None)
    height, width = training.crop
    return TrainingError(
        "memory",
        found=f"none left for batches of {training.batch} crops of {height}x{width}" + (f" ({known})" if known else ""),
        remedy=" or ".join(_list_remedies(training, allowed, memory=memory)),
    )


def _choose_limit(batch: int, *, memory: Memory | None, budget: float | None) -> float:
    """Choose the limit in bytes that a remedy must keep to.

    It is the budget if the estimate exceeds that, else half the estimate. Without an estimate, the unit is not
    bytes but the current batch, and the limit is half a batch.
    """
    taken = 1.0 if memory is None else memory(batch)
    return budget if budget is not None and memory is not None and taken > budget else taken / 2


def _list_remedies(training: Training, allowed: float, *, memory: Memory | None) -> Iterator[str]:
    cost = memory or (lambda batch: batch / training.batch)
    fitting = [batch for batch in range(1, training.batch) if cost(batch) <= allowed]
    if fitting:
        about = "" if memory is None else f" (about {size_text(memory(max(fitting)), unit='GiB')})"
        yield f"set training.batch to {max(fitting)}{about}"
    scale = math.sqrt(allowed / cost(training.batch))
    crop = [max(MULTIPLE, math.floor(side * scale / MULTIPLE) * MULTIPLE) for side in training.crop]
    if crop != list(training.crop):
        yield f"set training.crop to {crop}"
    yield "use a smaller network (search.width)"
