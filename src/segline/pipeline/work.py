"""The state that all steps of a training run share: project, data, scratch folder, batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segline import config
from segline.config.fields import Flip
from segline.data.prepare.prepared import Prepared
from segline.datasets.base import Dataset
from segline.pipeline.definition import load_definition
from segline.progress import Progress
from segline.project import Project
from segline.registry import tracking, versions

if TYPE_CHECKING:
    from segline.models.weights.stored import Stored
    from segline.training.plan import Plan

_MAX_LOADERS = 8  # one makes some hundred crops a second; more of them would wait for a GPU


@dataclass(frozen=True, kw_only=True)
class Work:
    """One training run in progress.

    Args:
        tags: lineage of the run and of its model version.
        plan: the plan that set values of `params`; None if ``params.yaml`` asks for none.
        weights: encoder -> published weights that it starts from.
        progress: shows the progress of each step, and takes lines for a person to read.
    """

    project: Project
    params: config.Params
    prepared: Prepared
    client: tracking.Client
    tracker: tracking.MlflowTracker
    scratch: Path
    tags: dict[str, str]
    plan: "Plan | None" = None
    weights: "Mapping[str, Stored]" = field(default_factory=dict)
    progress: Progress

    def report(self, line: str) -> None:
        """Report one line for a person to read."""
        self.progress.report(line)

    @property
    def name(self) -> str:
        """The registered model's name."""
        return versions.model_name(self.dataset.model)

    @property
    def training(self) -> config.Training:
        """Parameters of a fit, with the number of steps of an epoch on these data."""
        return self.params.training.over(len(self.prepared.split("train")))

    @property
    def dataset(self) -> Dataset:
        """Definition of the dataset, for the task and split of ``params.yaml``."""
        return load_definition(self.project, self.params)

    @property
    def flips(self) -> tuple[Flip, ...]:
        """Flips that turn an image of the dataset into another plausible one."""
        given = self.params.training.flips
        if given is not None:
            return given
        return ("left_right",) if self.dataset.mirrored else ()

    @property
    def loaders(self) -> int:
        """Number of processes that make batches: the CPUs that the network's threads leave free. It changes no result.

        If no CPU is free, one process is still used: on two cores it gives 5 % more images a second. Two would not.
        """
        if self.project.workers == 1:
            return 0
        return min(_MAX_LOADERS, max(1, self.project.workers - self.params.training.threads))

    @property
    def class_weights(self) -> tuple[float, ...] | None:
        """Class weights of the loss, from the pixels of the training split; None for equal weights."""
        if self.params.training.loss.class_weights == "equal":
            return None
        from segline.training.objective.losses import balanced_weights

        return balanced_weights(self.prepared.split("train").pixels)

    def batches(self, strength: float, put: Any, *, rare: float | None = None) -> tuple[Any, Any]:
        """Make the batches of the training and the validation split.

        Args:
            strength: of the augmentation, 0..1.
            put: moves the making of training batches to other processes: `segline.data.batches.loader.on_processes`.
            rare: share of crops centred on rare classes; default: that of ``params.yaml``.
        """
        from segline.data.batches import loader
        from segline.data.batches.augment import Augmenter

        fit = self.params.training
        augmenter = Augmenter(
            crop=fit.crop,
            strength=strength,
            mirrored="left_right" in self.flips,
            upended="up_down" in self.flips,
            kind=fit.augmentation,
        )
        train_split, validation_split = self.prepared.split("train"), self.prepared.split("validation")
        share = fit.rare if rare is None else rare
        crops = loader.Crops(train_split, augmenter=augmenter, batch=fit.batch, seed=self.params.seed, rare=share)
        validated = fit.validation_batch or fit.batch
        return put(crops), loader.Whole(validation_split, batch=validated, multiple=config.MULTIPLE)
