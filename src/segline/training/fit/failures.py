"""What ends a fit before its time, and what it says then: no number any more, or no memory."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from segline.config import MULTIPLE, Training
from segline.errors import TrainingError
from segline.storage import atomic_file, size_text
from segline.training import backend
from segline.training.fit import batch_sequence

Memory = Callable[[int], float]
"""Batch -> bytes that training takes by an estimate (`training.memory`)."""

_SHOWN = 8  # sample ids in an error; the file has all


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """A step after which training is about nothing any more.

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
        """What to raise; `path` gets all that is known of the step."""
        if path is not None:
            with atomic_file(path) as partial:
                partial.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        shown = ", ".join(self.ids[:_SHOWN]) + (", .." if len(self.ids) > _SHOWN else "")
        return TrainingError(
            f"epoch {self.epoch}, step {self.step} of {self.steps}",
            found=f"{self.what} at learning rate {self.learning_rate:.3g} with the samples {shown}"
            + (f" (all in {path})" if path else ""),
            expected="finite numbers",
            remedy="lower search.learning_rate, raise training.warm_up, or set training.clip; "
            "if it is always these samples, look at them",
        )


@contextmanager
def explained(
    training: Training, *, memory: Memory | None, budget: float | None, sources: Sequence[batch_sequence.Sequence]
) -> Iterator[None]:
    """Say in the terms of ``params.yaml`` that memory ran out, and let errors of `sources` through as they were."""
    try:
        yield
    except Exception as error:
        cause = next((source.error for source in sources if source.error is not None), error)
        if backend.is_out_of_memory(cause):
            raise _out_of_memory(training, memory=memory, budget=budget) from error
        if cause is not error:
            raise cause from error
        raise


def _out_of_memory(training: Training, *, memory: Memory | None, budget: float | None) -> TrainingError:
    allowed = _allowed(training.batch, memory=memory, budget=budget)
    estimate = "" if memory is None else f"; it was estimated to take {size_text(memory(training.batch), unit='GiB')}"
    limit = "" if budget is None else f" of {size_text(budget, unit='GiB')}"
    height, width = training.crop
    return TrainingError(
        "memory",
        found=f"none left for batches of {training.batch} crops of {height}x{width}{estimate}{limit}",
        remedy=" or ".join(_remedies(training, allowed, memory=memory)),
    )


def _allowed(batch: int, *, memory: Memory | None, budget: float | None) -> float:
    """Bytes to aim at: the budget, or half of what was too much where that was within it; without estimates a share."""
    taken = 1.0 if memory is None else memory(batch)
    return budget if budget is not None and memory is not None and taken > budget else taken / 2


def _remedies(training: Training, allowed: float, *, memory: Memory | None) -> Iterator[str]:
    cost = memory or (lambda batch: batch / training.batch)
    fitting = [batch for batch in range(1, training.batch) if cost(batch) <= allowed]
    if fitting:
        yield f"set training.batch to {max(fitting)}{_about(memory, max(fitting))}"
    scale = math.sqrt(allowed / cost(training.batch))
    crop = [max(MULTIPLE, math.floor(side * scale / MULTIPLE) * MULTIPLE) for side in training.crop]
    if crop != list(training.crop):
        yield f"set training.crop to {crop}"
    yield "take a smaller network (search.width)"


def _about(memory: Memory | None, batch: int) -> str:
    return "" if memory is None else f" (about {size_text(memory(batch), unit='GiB')})"
