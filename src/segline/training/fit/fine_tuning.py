"""Train an encoder with initial weights more carefully than the rest of its network.

A fit has one phase, or two: in the first the encoder is frozen. Each phase has an optimizer of its own, because the
optimizer's moments are those of the weights that it trains (https://keras.io/guides/transfer_learning).
"""

from dataclasses import dataclass, replace

import keras

from segline.models import encoders
from segline.training.fit.job import Job


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Epochs of a fit that train the same weights.

    Args:
        first: number of its first epoch, counted from 0.
        last: number of the epoch after its last one.
        frozen: whether the encoder is not trained.
    """

    first: int
    last: int
    frozen: bool


def list_phases(job: Job, *, done: int = 0, until: int | None = None) -> list[Phase]:
    """List the phases of `job` from the one that the epoch `done` belongs to; 0: all of them.

    Args:
        job: a fit.
        done: number of epochs that are complete.
        until: number of epochs after which the fit pauses; None for all.

    The last epoch of a phase belongs to it even if the next phase begins after it: the checkpoint has the state of its
    optimizer.
    """
    thaw = job.frozen_epochs
    phases = [Phase(first=0, last=thaw, frozen=True)] if thaw else []
    phases.append(Phase(first=thaw, last=job.epochs, frozen=False))
    left = [phase for phase in phases if phase.last >= done or phase is phases[-1]]
    if until is None:
        return left
    return [replace(phase, last=min(phase.last, until)) for phase in left if phase.first < until or phase is left[0]]


def set_trainable(model: keras.Model, job: Job, phase: Phase) -> None:
    """Freeze what `phase` does not train; change nothing in a network without initial weights.

    Frozen batch norms use their statistics and do not update them. Batches of fewer than 8 images estimate statistics
    badly (Wu & He 2018, arXiv:1803.08494).
    """
    if not job.fine_tunes:
        return
    encoder = model.get_layer(encoders.NAME)
    encoder.trainable = not phase.frozen
    if not phase.frozen and job.training.fine_tuning.norms == "frozen":
        for layer in encoder._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
