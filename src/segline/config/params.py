"""The whole of ``params.yaml``, and the rules that connect its sections."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from segline.config import definitions
from segline.config.data_sections import Options, Prepare, Validation
from segline.config.fields import MULTIPLE, DatasetName, Share, Strict, sequence, without_secret
from segline.config.known_names import CLASSIFICATION, dataset_names, refuse_unknown
from segline.config.source import Source
from segline.config.training_sections import Classification, FineTuning, Search, Training
from segline.errors import ConfigError


class EvaluationRules(Strict):
    """How confidence intervals of scores are computed, and how long a model's cost is measured."""

    resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)]
    cost_seconds: Annotated[float, Field(gt=0.0)] = 2.0
    """Time limit for measuring each of the three times of `evaluation.cost`; longer measurements vary less."""


class Promotion(Strict):
    """What a model must reach to be promoted."""

    floor: dict[DatasetName, Share]
    """Dataset -> test mIoU that the first version of its model must beat."""


class Params(Strict):
    """The whole of ``params.yaml``."""

    source: Annotated[str, Field(min_length=1), AfterValidator(without_secret)]
    datasets: Annotated[dict[DatasetName, str], Field(min_length=1)]
    """Dataset -> the file that defines it (`segline.config.definitions`)."""
    own: Annotated[tuple[DatasetName, ...], BeforeValidator(sequence)] = ()
    """Those of `datasets` that are the user's own. Every run checks whether their files have changed."""
    dataset: DatasetName
    options: dict[DatasetName, Options] = Field(default_factory=dict)
    """Dataset -> its options. Those of own data come from the files that define them."""
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    validation: Validation
    prepare: Prepare
    training: Training
    search: Search = Search()
    classification: Classification = Classification()
    evaluation: EvaluationRules
    promotion: Promotion

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_datasets()
        self._check_without_plan()
        self._check_crop()
        self._check_fine_tuning()
        return self

    def _check_datasets(self) -> None:
        """Check that the sections name the same datasets."""
        if self.dataset not in self.datasets:
            raise PydanticCustomError(
                "not_prepared", "`dataset` ({name}) to be one of `datasets`", {"name": self.dataset}
            )
        without = [name for name in self.datasets if name not in self.options]
        if without:
            raise PydanticCustomError(
                "options", "an `options` entry for {name}, such as `{name}: {}`", {"name": without[0]}
            )
        own = [name for name, file in self.datasets.items() if definitions.is_own(file)]
        if sorted(own) != sorted(self.own):
            raise PydanticCustomError(
                "own",
                "`own` to be {own}: those of `datasets` that a file own/NAME.yaml defines",
                {"own": f"[{', '.join(own)}]"},
            )
        if self.dataset not in self.promotion.floor:
            raise PydanticCustomError(
                "floor", "a `promotion.floor` for {name}, such as `{name}: 0.15`", {"name": self.dataset}
            )

    def _check_crop(self) -> None:
        """Check that `training.crop`, if it is given, fits the depth of the networks and the size of the images."""
        if "crop" not in self.training.model_fields_set:
            return
        crop, depth = self.training.crop, max(self.search.depth)
        if self.search.has_depth and any(side % 2**depth for side in crop):
            raise PydanticCustomError(
                "crop",
                "sides of `training.crop` {crop} in multiples of {multiple}: networks of depth {depth} halve them "
                "{depth} times",
                {"crop": list(crop), "multiple": 2**depth, "depth": depth},
            )
        largest = None if self.prepare.short_side == "auto" else largest_crop(self.prepare.short_side)
        if largest and (crop[0] > largest[0] or crop[1] > largest[1]):
            raise PydanticCustomError(
                "crop",
                "`training.crop` {crop} to fit images scaled to `prepare.short_side` {side}",
                {"crop": list(crop), "side": self.prepare.short_side},
            )

    def _check_fine_tuning(self) -> None:
        """Check that there are initial weights to fine-tune, if `training.fine_tuning` asks for that."""
        if self.training.fine_tuning == FineTuning():
            return
        if self.search.weights is None:
            raise PydanticCustomError(
                "fine_tuning", "`search.weights` with `training.fine_tuning`: there is nothing to tune without them", {}
            )
        if self.search.freeze:
            raise PydanticCustomError(
                "fine_tuning", "`search.freeze` or `training.fine_tuning`, not both: frozen encoders are not tuned", {}
            )

    def _check_without_plan(self) -> None:
        """Check a file without a plan: it must give all values that a plan would derive, and no `training.images`."""
        if self.training.plan is not None:
            return
        for section, keys in _PLAN_KEYS.items():
            for key in keys:
                if key not in getattr(self, section).model_fields_set:
                    raise PydanticCustomError("stated", "{key}", {"key": f"{section}.{key}"})
        if self.training.images is not None:
            raise PydanticCustomError(
                "images", "`training.plan: auto` with `training.images`, because only a plan reads it"
            )

    def scaled(self, short_side: int | None) -> Self:
        """Replace ``prepare.short_side: auto`` by the derived number.

        Raises:
            ConfigError: the given crop does not fit images of this size.
        """
        prepare = self.prepare.model_copy(update={"short_side": short_side})
        made = self.model_copy(update={"prepare": prepare})
        try:
            made._check_crop()
        except PydanticCustomError as error:
            raise ConfigError(
                "params.yaml training.crop",
                found=f"{list(self.training.crop)}, and `prepare.short_side: auto` gives {short_side}",
                expected=error.message(),
                remedy="delete training.crop and set `training.plan: auto`, lower the crop, or give prepare.short_side "
                "as a number",
            ) from error
        return made

    @property
    def is_planned(self) -> bool:
        """True if every value is final: there is no plan, or its values have been filled in."""
        return all(
            key in getattr(self, section).model_fields_set for section, keys in _PLAN_KEYS.items() for key in keys
        )

    def planned(self, *, training: Mapping[str, Any], search: Mapping[str, Any]) -> Self:
        """Fill in a plan's values under `training` and `search`, for all keys that ``params.yaml`` does not give.

        Raises:
            ConfigError: the given values contradict the plan's.
        """
        given = {section: getattr(self, section).model_dump(exclude_unset=True) for section in _PLAN_KEYS}
        return self.model_copy(
            update={
                "training": completed(Training, training, given["training"]),
                "search": completed(Search, search, given["search"]),
            }
        )

    def resolved(self) -> dict[str, Any]:
        """Return the values that a training run depends on.

        Left out are the entries of other datasets; where the data came from, because digests identify them; and the
        section `classification` where no encoder is trained by it.

        Raises:
            ValueError: the plan has not been made yet.
        """
        if not self.is_planned:
            raise ValueError("the values of `training.plan: auto` are not derived yet: call `planned` first")
        unread = {"source", "datasets", "own"}
        if self.search.weights != CLASSIFICATION:
            unread.add("classification")
        values = self.model_dump(mode="json", exclude=unread)
        values["options"] = {self.dataset: values["options"][self.dataset] | {"path": None}}
        values["promotion"]["floor"] = {self.dataset: values["promotion"]["floor"][self.dataset]}
        return values


_PLAN_KEYS = {
    "training": ("crop", "batch", "steps", "epochs", "weight_decay", "warm_up", "dropout"),
    "search": ("trials", "epochs", "networks", "width", "depth", "learning_rate", "augmentation"),
}
"""The keys that every plan derives. ``params.yaml`` must give them if there is no plan."""


def largest_crop(short_side: int | None) -> tuple[int, int] | None:
    """Return the largest allowed crop (height, width) of images prepared at `short_side`.

    The height is the short side, rounded up to `MULTIPLE`; the width is four times that, for panoramas. None if
    images keep their own size: then there is no limit.
    """
    if short_side is None:
        return None
    height = -(-short_side // MULTIPLE) * MULTIPLE
    return height, 4 * height


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two mappings key by key, also inside nested mappings; `over` wins."""
    both = {key: merged(under[key], over[key]) for key in under if key in over and isinstance(over[key], Mapping)}
    return {**under, **over, **both}


Section = TypeVar("Section", Training, Search)


def completed(kind: type[Section], derived: Mapping[str, Any], given: Mapping[str, Any]) -> Section:
    """Complete a section of `params.yaml`: take the `given` values, and a plan's `derived` values for the rest.

    Raises:
        ConfigError: the two contradict each other.
    """
    try:
        return kind.model_validate(merged(derived, given))
    except ValidationError as error:
        raise ConfigError(
            f"params.yaml {kind.__name__.lower()}",
            found=f"{', '.join(given)}, which contradict the values that the plan derives",
            expected="; ".join(detail["msg"] for detail in error.errors()),
            remedy="change the given value, or give the other value too",
        ) from error


def load(path: Path, *, dataset: str | None = None) -> Params:
    """Read and check ``params.yaml``, and the files ``own/NAME.yaml`` of the own data that it lists.

    Args:
        path: the file.
        dataset: replaces the ``dataset`` of the file.

    Raises:
        ConfigError: a file is missing, is not YAML, or holds an invalid value.
    """
    source = Source(path, remedy="restore it: git checkout -- params.yaml")
    source.refuse_secrets(but="source")
    own = definitions.read_listed(source)
    if dataset is not None:
        refuse_unknown("dataset", dataset, [*dataset_names(), *own])
        _refuse_unprepared(source, dataset)
        source.content["dataset"] = dataset
    params = source.parse(Params, context=tuple(own))
    return params.model_copy(update={"options": params.options | own})


def _refuse_unprepared(source: Source, dataset: str) -> None:
    """Refuse a dataset that params.yaml does not list."""
    listed = source.content.get("datasets")
    if not isinstance(listed, Mapping) or dataset in listed:
        return  # the model reports a wrong mapping, with its line
    raise ConfigError(
        source.place("datasets"),
        found=f"{', '.join(map(str, listed)) or 'nothing'}, without {dataset}",
        expected=f"{dataset} among these, because you asked for it",
        remedy=f"add the line `{dataset}: {definitions.defining_file(dataset)}`",
    )
