"""Train an encoder on the classification task of the same data, for the initial weights of a segmentation network.

Such weights are a better start than random ones (Girshick et al. 2014, arXiv:1311.2524, and most work since).
The training is a fit like any other (`segline.training.fit.fit`): the mask of an image has one pixel. If it is
killed and called again, it resumes and ends with the same weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segline.config import CLASSIFIER, Classification, Loss, ModelConfig, Training
from segline.core.labels import Mask
from segline.errors import ConfigError
from segline.models import encoders
from segline.storage import write_json
from segline.training.classification.classifier_scores import ClassifierScores, count_answers
from segline.training.fit.batch_sequence import Batch, Batches, ValidationBatches
from segline.training.fit.fit import fit
from segline.training.fit.job import Job
from segline.training.fit.memory_estimate import budget, by_batch
from segline.training.tracker import Tracker

_MAX_CLASSES = 254  # an image's class is stored as the pixel of a mask, whose highest id is void


@dataclass(frozen=True, kw_only=True)
class ImageClasses:
    """The classes of whole images.

    Args:
        task: name of the classification task, such as breed.
        names: names of the classes, by train id.
        label: a sample's id -> the name of its class.
    """

    task: str
    names: tuple[str, ...]
    label: Callable[[str], str]

    def masks(self, ids: Sequence[str]) -> Mask:
        """Encode the samples' classes as train ids uint8 (N, 1, 1): the truth for a classifier's logits."""
        return np.array([[[self.names.index(self.label(name))]] for name in ids], dtype=np.uint8)


def collect_classes(task: str, label: Callable[[str], str], ids: Sequence[str]) -> ImageClasses:
    """Collect the classes that occur among the samples `ids`, in the order of their names.

    Raises:
        ConfigError: there are fewer than two, or more than a mask can hold.
    """
    names = tuple(sorted({label(name) for name in ids}))
    if not 2 <= len(names) <= _MAX_CLASSES:
        raise ConfigError(
            "params.yaml classification.task",
            found=f"{task}, with {len(names)} classes in the data ({', '.join(names[:3])})",
            expected=f"2 to {_MAX_CLASSES} classes",
            remedy="choose another task, or other search.weights",
        )
    return ImageClasses(task=task, names=names, label=label)


class Labelled:
    """Batches of a segmentation task with the classes of the whole images instead of their masks."""

    def __init__(self, batches: Batches, classes: ImageClasses) -> None:
        self._batches, self._classes = batches, classes

    def batch(self, number: int, /) -> Batch:
        """Make batch `number`: images uint8 (N, H, W, 3) and their classes uint8 (N, 1, 1)."""
        images, _ = self._batches.batch(number)
        return images, self._classes.masks(self.ids(number))

    def ids(self, number: int, /) -> list[str]:
        """List the samples in batch `number`."""
        return self._batches.ids(number)


class LabelledSplit(Labelled):
    """One pass over a split, in a fixed order, with the classes of the whole images."""

    def __init__(self, batches: ValidationBatches, classes: ImageClasses) -> None:
        super().__init__(batches, classes)
        self._count = len(batches)

    def __len__(self) -> int:
        return self._count


def pretrain(
    encoder: str,
    training: Training,
    settings: Classification,
    *,
    classes: ImageClasses,
    train: Batches,
    validation: ValidationBatches,
    seed: int,
    tracker: Tracker,
    folder: Path,
    report: Callable[[str], None] = lambda _: None,
) -> ClassifierScores:
    """Train `encoder` on whole images, and write its best weights to ``<folder>/<encoder>.npz``.

    The best epoch is the one with the highest mean Jaccard index of the classes on validation, which is what
    ``miou`` means for masks of one pixel. The scores are those of that epoch.

    Args:
        encoder: its name.
        training: crop, batch, steps, optimizer and all else that `settings` does not contain. Of its loss only
            the label smoothing is used; the rest is for masks.
        settings: epochs and learning rate.
        classes: of the whole images.
        train: as for a segmentation fit.
        validation: as for a segmentation fit.
        seed: of initial weights and dropout.
        tracker: receives every epoch, the scores, and the two files.
        folder: for the weights, the scores and the checkpoint; finished work in it is not repeated.
        report: receives lines of text for people.

    Returns:
        The scores, which are also in ``<folder>/<encoder>.json``.

    Raises:
        TrainingError: as for `fit`.
        StorageError: `folder` cannot be written.
    """
    weights, stored = folder / f"{encoder}.npz", folder / f"{encoder}.json"
    labelled = LabelledSplit(validation, classes)
    if not stored.is_file():
        config = ModelConfig(network=CLASSIFIER, classes=len(classes.names), encoder=encoder, dropout=training.dropout)
        loss = Loss(dice=0.0, label_smoothing=training.loss.label_smoothing)
        job = Job(
            model_config=config,
            training=training.model_copy(update={"loss": loss}),
            learning_rate=settings.learning_rate,
            epochs=settings.epochs,
            seed=seed,
        )
        result = fit(
            job,
            train=Labelled(train, classes),
            validation=labelled,
            tracker=tracker,
            checkpoint=folder / f"{encoder}.checkpoint.npz",
            report=report,
            memory=by_batch(job),
            budget=budget(training),
        )
        encoders.save_weights(result.model.get_layer(encoders.NAME), weights)
        answers = count_answers(result.model, labelled, names=classes.names)
        found = answers.score(task=classes.task, encoder=encoder, best_epoch=result.best_epoch)
        write_json(stored, found.model_dump(mode="json"))
    scores = ClassifierScores.model_validate_json(stored.read_bytes())
    # Also if the file exists: the run that wrote it may have been killed before it logged.
    tracker.log_metrics(scores.metrics(), step=settings.epochs)
    for path in (weights, stored):
        tracker.log_artifact(path)
    for line in scores.describe():
        report(line)
    return scores
