"""What the steps of one training run share: its project and data, its scratch folder, the batches."""

from dataclasses import dataclass
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
    from segline.training.plan import Plan

_MAX_LOADERS = 8  # one makes some hundred crops a second; more of them would wait for a GPU


@dataclass(frozen=True, kw_only=True)
class Work:
    """One training run in progress.

    Args:
        tags: its lineage, which its model version gets, too.
        plan: what gave `params` its values, where ``params.yaml`` asks for one.
        progress: shows how far each step is, and takes lines for a person.
    """

    project: Project
    params: config.Params
    prepared: Prepared
    client: tracking.Client
    tracker: tracking.MlflowTracker
    scratch: Path
    tags: dict[str, str]
    plan: "Plan | None" = None
    progress: Progress

    def report(self, line: str) -> None:
        """Say one line to a person."""
        self.progress.report(line)

    @property
    def name(self) -> str:
        """The registered model's name."""
        return versions.model_name(self.dataset.model)

    @property
    def training(self) -> config.Training:
        """How networks are fitted, with the steps that an epoch has on these data."""
        return self.params.training.over(len(self.prepared.split("train")))

    @property
    def dataset(self) -> Dataset:
        """The definition, for the task and split of ``params.yaml``."""
        return load_definition(self.project, self.params)

    @property
    def flips(self) -> tuple[Flip, ...]:
        """The flips that give one more image of the dataset."""
        given = self.params.training.flips
        if given is not None:
            return given
        return ("left_right",) if self.dataset.mirrored else ()

    @property
    def loaders(self) -> int:
        """Processes that make batches: what the arithmetic leaves of the CPUs; it does not change a result.

        Where it leaves none, one is still worth it (5 % more images a second on two cores); two are not.
        """
        if self.project.workers == 1:
            return 0
        return min(_MAX_LOADERS, max(1, self.project.workers - self.params.training.threads))

    @property
    def class_weights(self) -> tuple[float, ...] | None:
        """Weights of the loss, by the pixels of the training split; None for equal ones."""
        if self.params.training.loss.class_weights == "equal":
            return None
        from segline.training.objective.losses import balanced_weights

        return balanced_weights(self.prepared.split("train").pixels)

    def batches(self, strength: float, put: Any, *, rare: float | None = None) -> tuple[Any, Any]:
        """Make the batches of both splits.

        Args:
            strength: of the augmentation, 0..1.
            put: where batches to train on are made: `segline.data.batches.loader.on_processes`.
            rare: share of crops centred on rare classes, if not that of ``params.yaml``.
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
