"""What the steps of a training run share: its settings and data, its scratch folder, the batches."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segline import config, datasets
from segline import project as settings
from segline.config.fields import Flip
from segline.data.prepare.prepared import Prepared
from segline.datasets.base import Dataset
from segline.registry import tracking, versions
from segline.storage import atomic_file

if TYPE_CHECKING:
    from segline.training.plan import Plan

_LOADERS = 8  # one makes some hundred crops a second; more than these wait for a GPU


@dataclass(frozen=True, kw_only=True)
class Work:
    """What all steps of one run share."""

    settings: settings.Settings
    params: config.Params
    prepared: Prepared
    tracker: tracking.MlflowTracker
    scratch: Path
    tags: dict[str, str]
    plan: "Plan | None" = None
    """What gave `params` its values, where params.yaml asks for one."""

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
        """The definition, for the task and split of params.yaml."""
        return dataset_of(self.settings, self.params)


def dataset_of(places: settings.Settings, params: config.Params) -> Dataset:
    """The definition of the dataset that `params` trains on."""
    name = params.dataset
    return datasets.load(name, params.options.get(name), raw=places.raw(name))


def loaders_of(work: Work) -> int:
    """Processes that make batches: what the arithmetic leaves of the CPUs; it does not change a result.

    Where it leaves none, one is still worth it (5 % more images a second on two cores); two are not.
    """
    if work.settings.workers == 1:
        return 0
    return min(_LOADERS, max(1, work.settings.workers - work.params.training.threads))


def class_weights_of(work: Work) -> tuple[float, ...] | None:
    """Of the loss, by the pixels of the training split; none for equal ones."""
    if work.params.training.loss.class_weights == "equal":
        return None
    from segline.training.objective.losses import balanced_weights

    return balanced_weights(work.prepared.split("train").pixels)


def flips_of(work: Work) -> tuple[Flip, ...]:
    """Those that give one more image of the dataset."""
    given = work.params.training.flips
    if given is not None:
        return given
    return ("left_right",) if work.dataset.mirrored else ()


def batches_of(work: Work, strength: float, put: Any, *, rare: float | None = None) -> tuple[Any, Any]:
    """Batches of both splits, those to train on made where `put` puts them; `rare` other than params.yaml's."""
    from segline.data.batches import loader
    from segline.data.batches.augment import Augmenter

    fit, flips = work.params.training, flips_of(work)
    augmenter = Augmenter(
        crop=fit.crop,
        strength=strength,
        mirrored="left_right" in flips,
        upended="up_down" in flips,
        kind=fit.augmentation,
    )
    train_split, validation_split = work.prepared.split("train"), work.prepared.split("validation")
    share = fit.rare if rare is None else rare
    crops = loader.Crops(train_split, augmenter=augmenter, batch=fit.batch, seed=work.params.seed, rare=share)
    validated = fit.validation_batch or fit.batch
    return put(crops), loader.Whole(validation_split, batch=validated, multiple=config.MULTIPLE)


def progress(what: str) -> Any:
    """A callback for (done, total) that prints a line each quarter."""

    def show(done: int, total: int) -> None:
        if done == total or done % max(1, total // 4) == 0:
            print(f"{what}: {done} of {total} images")

    return show


def read(path: Path) -> dict[str, Any]:
    """What `write` left in the JSON file `path`."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write(path: Path, content: Any) -> None:
    """Put `content` into the JSON file `path`, whole or not at all."""
    with atomic_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
