"""The whole of ``params.yaml``, and what its sections must say of each other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from segline.config.data_sections import Options, Prepare, Validation
from segline.config.fields import MULTIPLE, DatasetName, Share, Strict, sequence, without_secret
from segline.config.known_names import dataset_names, refuse_unknown
from segline.config.source import Source
from segline.config.training_sections import Classification, Search, Training
from segline.errors import ConfigError
from segline.masking import masked_addresses


class EvaluationRules(Strict):
    """How scores get their intervals, and how long a model's cost is measured."""

    resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)]
    cost_seconds: Annotated[float, Field(gt=0.0)] = 2.0
    """That each of the cost's three times may be measured for (`evaluation.cost`): the longer, the steadier."""


class Promotion(Strict):
    """What a model must reach."""

    floor: dict[DatasetName, Share]
    """Test mIoU that the first version of a dataset's model must beat."""


class Params(Strict):
    """The whole of ``params.yaml``."""

    source: Annotated[str, Field(min_length=1), AfterValidator(without_secret)]
    datasets: Annotated[tuple[DatasetName, ...], BeforeValidator(sequence), Field(min_length=1)]
    own: Annotated[tuple[DatasetName, ...], BeforeValidator(sequence)] = ()
    """Those of `datasets` that are the user's own: whether their files changed is looked at in every run."""
    dataset: DatasetName
    options: dict[DatasetName, Options] = Field(default_factory=dict)
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
        if len(set(self.datasets)) < len(self.datasets):
            raise PydanticCustomError("twice", "each dataset once in `datasets`", {})
        if self.dataset not in self.datasets:
            raise PydanticCustomError(
                "not_prepared", "`dataset` ({name}) to be one of `datasets`", {"name": self.dataset}
            )
        without = [name for name in self.datasets if name not in self.options]
        if without:
            raise PydanticCustomError(
                "options", "an `options` entry for {name}, such as `{name}: {}`", {"name": without[0]}
            )
        own = tuple(name for name in self.datasets if self.options[name].path is not None)
        if set(own) != set(self.own):
            raise PydanticCustomError(
                "own",
                "`own` to be {own}: those of `datasets` whose `options` have a path",
                {"own": f"[{', '.join(own)}]"},
            )
        if self.dataset not in self.promotion.floor:
            raise PydanticCustomError(
                "floor", "a `promotion.floor` for {name}, such as `{name}: 0.15`", {"name": self.dataset}
            )
        self._check_stated()
        self._check_crop()
        return self

    def _check_crop(self) -> None:
        """That `training.crop`, where it is given, suits what else is."""
        if "crop" not in self.training.model_fields_set:
            return
        crop, depth = self.training.crop, max(self.search.depth)
        if self.search.has_depth and any(side % 2**depth for side in crop):
            raise PydanticCustomError(
                "crop",
                "`training.crop` {crop} in multiples of {multiple}: networks of depth {depth} halve it so often",
                {"crop": list(crop), "multiple": 2**depth, "depth": depth},
            )
        largest = largest_crop(self.prepare.short_side)
        if largest and (crop[0] > largest[0] or crop[1] > largest[1]):
            raise PydanticCustomError(
                "crop",
                "`training.crop` {crop} to fit images scaled to `prepare.short_side` {side}",
                {"crop": list(crop), "side": self.prepare.short_side},
            )

    def _check_stated(self) -> None:
        """Without a plan, everything that it would derive has to be there; and nothing that only it reads."""
        if self.training.plan is not None:
            return
        for section, keys in _STATED.items():
            for key in keys:
                if key not in getattr(self, section).model_fields_set:
                    raise PydanticCustomError("stated", "{key}", {"key": f"{section}.{key}"})
        if self.training.images is not None:
            raise PydanticCustomError(
                "images", "`training.plan: auto` beside `training.images`, which only a plan reads"
            )

    @property
    def is_planned(self) -> bool:
        """Whether every value is the one to train with: no plan was asked for, or its values are in."""
        return all(key in getattr(self, section).model_fields_set for section, keys in _STATED.items() for key in keys)

    def planned(self, *, training: Mapping[str, Any], search: Mapping[str, Any]) -> Self:
        """With a plan's values under `training` and `search`, wherever ``params.yaml`` gave none of its own.

        Raises:
            ConfigError: what it gave contradicts them.
        """
        given = {section: getattr(self, section).model_dump(exclude_unset=True) for section in _STATED}
        return self.model_copy(
            update={
                "training": completed(Training, training, given["training"]),
                "search": completed(Search, search, given["search"]),
            }
        )

    def resolved(self) -> dict[str, Any]:
        """What a training run depends on: all but where the data came from (its digests say that).

        Raises:
            ValueError: there is a plan to be made yet.
        """
        if not self.is_planned:
            raise ValueError("`training.plan: auto` has values that stand in: use `planned` first")
        return self.model_dump(mode="json", exclude={"source", "datasets", "own"})


_STATED = {
    "training": ("crop", "batch", "steps", "epochs", "weight_decay", "warm_up", "dropout"),
    "search": ("trials", "epochs", "networks", "width", "depth", "learning_rate", "augmentation"),
}
"""What ``params.yaml`` has to say where no plan does, and what every plan says."""


def largest_crop(short_side: int | None) -> tuple[int, int] | None:
    """The largest legal crop of images prepared at `short_side`; none where they keep their own size.

    Its height is the short side, rounded up to the network's multiple; panoramas are up to four times as wide.
    """
    if short_side is None:
        return None
    height = -(-short_side // MULTIPLE) * MULTIPLE
    return height, 4 * height


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both, `over` winning key by key, inside sections too."""
    both = {key: merged(under[key], over[key]) for key in under if key in over and isinstance(over[key], Mapping)}
    return {**under, **over, **both}


Section = TypeVar("Section", Training, Search)


def completed(kind: type[Section], derived: Mapping[str, Any], given: Mapping[str, Any]) -> Section:
    """The section of that `kind` with what ``params.yaml`` gives, and a plan's `derived` values for the rest.

    Raises:
        ConfigError: the two contradict each other.
    """
    try:
        return kind.model_validate(merged(derived, given))
    except ValidationError as error:
        raise ConfigError(
            f"params.yaml {kind.__name__.lower()}",
            found=f"{', '.join(given)}, which contradict what the plan derives",
            expected="; ".join(detail["msg"] for detail in error.errors()),
            remedy="change what is given, or give the other value as well",
        ) from error


def load(path: Path, *, dataset: str | None = None) -> Params:
    """Read and check `path`; `dataset` replaces the file's own ``dataset``.

    Raises:
        ConfigError: the file is missing, is not YAML, or holds something impossible.
    """
    source = Source(path, remedy="restore it: git checkout -- params.yaml")
    _refuse_secrets(source, source.content)
    if dataset is not None:
        refuse_unknown("dataset", dataset, dataset_names())
        _refuse_unprepared(source, dataset)
        source.content["dataset"] = dataset
    return source.parse(Params)


def _refuse_secrets(source: Source, value: Any, *location: int | str) -> None:
    """An address with a login, in whichever key but `source`, which has its own rule: every run would record it."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_secrets(source, inner, *location, str(key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            _refuse_secrets(source, inner, *location, place)
    elif isinstance(value, str) and location != ("source",) and masked_addresses(value) != value:
        raise ConfigError(
            source.place(*location),
            found="an address with a secret in it",
            expected="no secret in params.yaml, which git and every run record",
            remedy="put the file on this machine, and its path there",
        )


def _refuse_unprepared(source: Source, dataset: str) -> None:
    """A dataset that was asked for by name, and that params.yaml does not list."""
    listed = source.content.get("datasets")
    if not isinstance(listed, list) or dataset in listed:
        return  # what else is wrong with the list is told with its line
    raise ConfigError(
        source.place("datasets"),
        found=f"{', '.join(map(str, listed)) or 'nothing'}, without {dataset}",
        expected=f"{dataset}, since it was asked for, to be among them",
        remedy="segline init FOLDER looks at your data and writes the entry"
        if dataset == "folder"
        else f"add {dataset} there",
    )
