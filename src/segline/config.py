"""``params.yaml`` -> frozen, strict models: everything that changes a result, and nothing else.

A mistake fails at once and names the file, the line, the key, the value found and what was
expected; an unknown key or name is answered with the nearest known one.
"""

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal, Self, TypeVar, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from segline.errors import ConfigError

_PACKAGE = Path(__file__).parent
_NOT_DATASETS = {"__init__", "base", "sample"}
_NOT_NETWORKS = {"__init__", "blocks", "classifier", "tracing"}

CLASSIFIER = "classifier"
"""The family of `segline.models.classifier`: what `ModelConfig.network` says where whole images are classified."""
IMAGENET, CLASSIFICATION = "imagenet", "classification"
"""First weights of an encoder that are not a file: published ones, and those of the data's own classification task."""

MULTIPLE = 32  # crop sides must be a multiple: the deepest network halves five times


def dataset_names() -> list[str]:
    """Names of the datasets: those of the files in ``segline/datasets``."""
    return _stems("datasets", _NOT_DATASETS)


def network_names() -> list[str]:
    """Names of the network families: those of the files in ``segline/models``."""
    return _stems("models", _NOT_NETWORKS)


def encoder_names() -> list[str]:
    """Names of the encoders: those of the files in ``segline/models/encoders``."""
    return _stems("models/encoders", {"__init__"})


def _stems(room: str, excluded: set[str]) -> list[str]:
    return sorted({path.stem for path in (_PACKAGE / room).glob("*.py")} - excluded)


def _nearest(name: str, known: Sequence[str]) -> str:
    """``known`` spelt out, led by the entry nearest to `name` where one is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    listing = ", ".join(known)
    return f"{near[0]!r}? (one of: {listing})" if near else f"one of: {listing}"


def _known(name: str, known: Sequence[str]) -> str:
    if name not in known:
        raise PydanticCustomError("unknown_name", "{expected}", {"expected": _nearest(name, known)})
    return name


def _sequence(value: Any) -> Any:
    """YAML has lists; frozen models hold tuples."""
    return tuple(value) if isinstance(value, list) else value


def _multiple(value: int) -> int:
    if value % MULTIPLE:
        raise PydanticCustomError("multiple", "a multiple of {multiple}", {"multiple": MULTIPLE})
    return value


def _ascending(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise PydanticCustomError("ascending", "[low, high] with low not above high", {})
    return pair


def _threshold(value: Any) -> Any:
    """Refuse what is no threshold with one message, where a union would give one for each of its parts."""
    if value != "validation" and not (isinstance(value, int | float) and 0 < value < 1):
        raise PydanticCustomError("threshold", "`validation`, or a number between 0 and 1", {})
    return value


def _inside(path: str) -> str:
    """Refuse what leads out of the folder that it counts from; Windows' separators become ours."""
    inside = PurePosixPath(path.replace("\\", "/"))
    if inside.is_absolute() or ".." in inside.parts or PureWindowsPath(path).drive:
        raise PydanticCustomError("inside", "a path inside the folder, such as images or masks/*.png", {})
    return inside.as_posix()


def _without_login(source: str) -> str:
    """Refuse a password: ``dvc.lock`` would record it, and git would publish it."""
    if "@" in urlsplit(source).netloc:
        raise PydanticCustomError("login", "an address without user name and password")
    return source


Encoding = Literal["ids", "palette", "rgb", "coco", "labelme"]
Relative = Annotated[str, Field(min_length=1), AfterValidator(_inside)]
DatasetName = Annotated[str, AfterValidator(lambda name: _known(name, dataset_names()))]
NetworkName = Annotated[str, AfterValidator(lambda name: _known(name, network_names()))]
FamilyName = Annotated[str, AfterValidator(lambda name: _known(name, [*network_names(), CLASSIFIER]))]
EncoderName = Annotated[str, AfterValidator(lambda name: _known(name, encoder_names()))]
Side = Annotated[int, Field(ge=MULTIPLE, le=4096), AfterValidator(_multiple)]
Positive = Annotated[int, Field(ge=1)]
Stride = Literal[8, 16, 32]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0)]


class Strict(BaseModel):
    """What a YAML file of ours holds: frozen, no unknown key, no value that must be converted first."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Model = TypeVar("Model", bound=Strict)


class Options(Strict):
    """One dataset's own choices; the lower ones are for the user's own data (``folder``) alone."""

    task: str | None = None
    """One of the dataset's tasks; its own if not given."""
    split: str | None = None
    """One of the dataset's published splits; its own if not given."""
    path: Annotated[str, Field(min_length=1)] | None = None
    """Folder of the user's own data; a relative one counts from the project's folder."""
    classes: Relative = "classes.yaml"
    """The class table, under `path`."""
    images: Relative | None = None
    """Where the images are under `path`: a folder, or a pattern such as ``images/**/*.jpg``."""
    masks: Relative | None = None
    """The same for the masks, or for the polygon files."""
    encoding: Encoding = "ids"
    """How masks say which class a pixel is of."""
    pairs: Relative | None = None
    """A CSV under `path` with columns image, mask and, if wanted, split and group: instead of the patterns."""
    splits: dict[Literal["train", "validation", "test"], Relative] | None = None
    """Split -> a list file under `path`, one id, file name or path a line."""
    test_share: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.2
    """Part of the samples held out as test split, where the user's own data name none."""


class Validation(Strict):
    """When the data are good enough to go on."""

    quarantine_share: Share
    """Samples that may be left out, of all: more of them stop the pipeline."""


class Prepare(Strict):
    """How samples are stored for training; scoring labels always stay native."""

    short_side: Annotated[int, Field(ge=32, le=4096)] | None
    """Images are scaled down (never up) until their shorter side is this many pixels; null keeps their own size."""
    validation_share: Annotated[float, Field(gt=0.0, lt=0.5)]
    """Part of the training samples held out for model choice, where the dataset names none."""


class ModelConfig(Strict):
    """One network, completely described."""

    network: FamilyName
    classes: Positive
    width: Positive = 16
    """Filters of the first level; each level below doubles them."""
    depth: Annotated[int, Field(ge=2, le=5)] = 4
    """How often the network halves its input's sides."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5
    batch_norm: bool = True
    penultimate: Positive | None = None
    """Channels of a 3x3 convolution put before the head (the classic U-Net has 2), or none."""
    residual: bool = False
    """Add a level's input to what its convolutions make of it."""
    separable: bool = False
    """Depthwise-separable convolutions in the levels: a fraction of the arithmetic."""
    heads: Positive = 1
    """Outputs that training looks at: more than one is deep supervision."""
    encoder: EncoderName | None = None
    """Which classifier's layers the network begins with, where it begins with one."""
    output_stride: Stride = 16
    """Sides of the image over sides of the encoder's deepest features."""
    weights: str | None = None
    """First weights of the encoder: ``imagenet``, a file that `segline` wrote, or none (drawn)."""
    freeze: bool = False
    """Leave the encoder as it is, its batch-norm statistics too."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.heads > self.depth:
            raise PydanticCustomError("heads", "at most as many heads as depth", {})
        return self


class Loss(Strict):
    """What training minimises: a sum of terms, each times the number given here (`training.losses`)."""

    cross_entropy: Weight = 1.0
    dice: Weight = 1.0
    focal: Weight = 0.0
    lovasz: Weight = 0.0
    hard: Weight = 0.0
    """Cross-entropy of the hardest pixels alone (online hard example mining)."""
    class_weights: Literal["equal", "balanced"] = "equal"
    """Whether rare classes weigh more in the cross-entropies."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    focal_gamma: Annotated[float, Field(ge=0.0)] = 2.0
    hard_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not any((self.cross_entropy, self.dice, self.focal, self.lovasz, self.hard)):
            raise PydanticCustomError("no_loss", "at least one term above 0", {})
        return self


class Training(Strict):
    """How one network is fitted."""

    crop: Annotated[tuple[Side, Side], BeforeValidator(_sequence)]
    """Height and width of the crops the network trains on, pixels."""
    batch: Positive
    rare: Share = 0.0
    """Share of the crops that are centred on a rare class."""
    steps: Positive
    """Batches that make one epoch; an epoch is a count of steps, not a pass over the data."""
    epochs: Positive
    weight_decay: Annotated[float, Field(ge=0.0)]
    warm_up: Share
    """Share of all steps in which the learning rate rises to its peak."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    loss: Loss = Loss()
    optimizer: Literal["adamw", "adam", "rmsprop", "sgd"] = "adamw"
    """``sgd`` is with Nesterov's momentum."""
    schedule: Literal["polynomial", "cosine", "constant"] = "polynomial"
    """How the learning rate falls after the warm-up."""
    clip: Annotated[float, Field(gt=0.0)] | None = None
    """Gradients of a larger norm, over all weights, are scaled down to it."""
    ema: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """Momentum of the weights' moving average, which is validated and kept instead of the weights."""
    patience: Positive | None = None
    """Epochs without a better validation after which the fit ends early."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    threshold: Annotated[Literal["validation"] | float, BeforeValidator(_threshold)] = "validation"
    """Of a binary task: the foreground's probability above which a pixel is foreground, or the best on validation."""
    threads: Positive
    """CPU threads of the arithmetic: pinned, because another count gives other last digits."""


class Search(Strict):
    """What Keras Tuner may choose from."""

    trials: Positive
    epochs: Positive
    networks: Annotated[tuple[NetworkName, ...], BeforeValidator(_sequence), Field(min_length=1)]
    width: Annotated[tuple[Positive, ...], BeforeValidator(_sequence), Field(min_length=1)]
    depth: Annotated[tuple[Annotated[int, Field(ge=2, le=5)], ...], BeforeValidator(_sequence), Field(min_length=1)]
    learning_rate: Annotated[tuple[Rate, Rate], BeforeValidator(_sequence), AfterValidator(_ascending)]
    augmentation: Annotated[tuple[Share, Share], BeforeValidator(_sequence), AfterValidator(_ascending)]
    """Range of the augmentation strength: 0 leaves flips and crops, 1 is strong."""
    encoders: Annotated[tuple[EncoderName, ...], BeforeValidator(_sequence), Field(min_length=1)] = ("mobilenet_v2",)
    """For networks that begin with one; so are the choices below for networks that have them."""
    output_stride: Annotated[tuple[Stride, ...], BeforeValidator(_sequence), Field(min_length=1)] = (16,)
    batch_norm: Annotated[tuple[bool, ...], BeforeValidator(_sequence), Field(min_length=1)] = (True,)
    residual: Annotated[tuple[bool, ...], BeforeValidator(_sequence), Field(min_length=1)] = (False,)
    separable: Annotated[tuple[bool, ...], BeforeValidator(_sequence), Field(min_length=1)] = (False,)
    weights: Annotated[str, Field(min_length=1)] | None = None
    """First weights of the encoders: ``imagenet``, ``classification`` (trained before the search on what the
    data say of whole images), a file that such a training wrote, or none."""
    freeze: bool = False
    """Leave the encoders as their first weights made them."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.freeze and self.weights is None:
            raise PydanticCustomError("freeze", "`search.weights` beside `search.freeze`: drawn ones know nothing", {})
        if self.weights not in (None, IMAGENET, CLASSIFICATION) and len(self.encoders) > 1:
            raise PydanticCustomError("one_encoder", "one of `search.encoders` where `search.weights` is a file", {})
        return self

    @property
    def weights_file(self) -> str | None:
        """The file that `weights` names, if it names one."""
        return None if self.weights in (None, IMAGENET, CLASSIFICATION) else self.weights


class Classification(Strict):
    """The training of an encoder on whole images, where ``search.weights`` asks for it; all else is `Training`'s."""

    task: str | None = None
    """What the images are told apart by: one of the dataset's, such as breed; its own if not given."""
    epochs: Positive = 30
    learning_rate: Rate = 0.001
    augmentation: Share = 0.5
    """Augmentation strength."""


class Evaluation(Strict):
    """How scores get their intervals."""

    resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)]


class Promotion(Strict):
    """What a model must reach."""

    floor: dict[DatasetName, Share]
    """Test mIoU that the first version of a dataset's model must beat."""


class Params(Strict):
    """The whole of ``params.yaml``."""

    source: Annotated[str, Field(min_length=1), AfterValidator(_without_login)]
    datasets: Annotated[tuple[DatasetName, ...], BeforeValidator(_sequence), Field(min_length=1)]
    own: Annotated[tuple[DatasetName, ...], BeforeValidator(_sequence)] = ()
    """Those of `datasets` that are the user's own: whether their files changed is looked at in every run."""
    dataset: DatasetName
    options: dict[DatasetName, Options] = Field(default_factory=dict)
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    validation: Validation
    prepare: Prepare
    training: Training
    search: Search
    classification: Classification = Classification()
    evaluation: Evaluation
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
        largest = _largest_crop(self.prepare)
        if largest is not None and (self.training.crop[0] > largest or self.training.crop[1] > 4 * largest):
            raise PydanticCustomError(
                "crop",
                "`training.crop` {crop} to fit images scaled to `prepare.short_side` {side}",
                {"crop": list(self.training.crop), "side": self.prepare.short_side},
            )
        return self

    def resolved(self) -> dict[str, Any]:
        """What a training run depends on: all but where the data came from (its digests say that)."""
        return self.model_dump(mode="json", exclude={"source", "datasets", "own"})


def _largest_crop(prepare: Prepare) -> int | None:
    """The largest legal crop height: the short side, rounded up to the network's multiple."""
    return None if prepare.short_side is None else -(-prepare.short_side // MULTIPLE) * MULTIPLE


class Source:
    """A YAML file that was read strictly, and which line each of its keys is on.

    Args:
        path: the file.
        remedy: what to do where it cannot be read at all.

    Raises:
        ConfigError: it is missing, is not YAML, gives a key twice, or holds no mapping.
    """

    def __init__(self, path: Path, *, remedy: str) -> None:
        self.path = path
        text = _read(path, remedy)
        self._node = _compose(path, text)
        _refuse_twice(path, self._node)
        content = _content(path, text)
        if not isinstance(content, dict):
            raise ConfigError(path, found="no keys", expected="a mapping", remedy=remedy)
        self.content: dict[str, Any] = content

    def parse(self, model: type[Model]) -> Model:
        """The content as `model`.

        Raises:
            ConfigError: it holds something impossible.
        """
        try:
            return model.model_validate(self.content)
        except ValidationError as error:
            # A misspelt key is both unknown and missing; the first says more.
            details = sorted(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
            more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
            raise _explain(self, model, details[0], more) from error

    def place(self, *location: int | str) -> str:
        """Where a key is, for an error: ``params.yaml:12 training.batch``."""
        key = ".".join(str(part) for part in location)
        return f"{self.path}:{_line(self._node, location)}" + (f" {key}" if key else "")


def load(path: Path, *, dataset: str | None = None) -> Params:
    """Read and check `path`; `dataset` replaces the file's own ``dataset``.

    Raises:
        ConfigError: the file is missing, is not YAML, or holds something impossible.
    """
    source = Source(path, remedy="restore it: git checkout -- params.yaml")
    if dataset is not None:
        if dataset not in dataset_names():
            raise ConfigError(
                "dataset",
                found=repr(dataset),
                expected=_nearest(dataset, dataset_names()),
                remedy="name one of those",
            )
        _refuse_unprepared(source, dataset)
        source.content["dataset"] = dataset
    return source.parse(Params)


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


def _read(path: Path, remedy: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            path, found=f"cannot be read ({error})", expected="a UTF-8 YAML file", remedy=remedy
        ) from error


def _content(path: Path, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ConfigError(
            path, found=f"a value that YAML cannot make sense of ({error})", expected="YAML", remedy="correct it"
        ) from error


def _compose(path: Path, text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(
            f"{path}:{mark.line + 1}" if mark else path,
            found=getattr(error, "problem", None) or str(error),
            expected="YAML",
            remedy="correct that line",
        ) from error


def _refuse_twice(path: Path, node: yaml.Node | None) -> None:
    """YAML's loader would take the last of equal keys in silence."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twice(path, item)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.value in lines:
            raise ConfigError(
                f"{path}:{line} {key.value}",
                found=f"a key that line {lines[key.value]} has already given",
                expected="each key once",
                remedy="delete one of them",
            )
        lines[key.value] = line
        _refuse_twice(path, value)


def _hint(value: Any) -> str:
    """Why YAML took what looks like a number for text."""
    try:
        float(value) if isinstance(value, str) else None
    except ValueError:
        return ""
    return " (YAML takes it for text: write 1.0e-3, not 1e-3, and no quotes)" if isinstance(value, str) else ""


def _explain(source: Source, model: type[BaseModel], detail: ErrorDetails, more: str) -> ConfigError:
    location = [part for part in detail["loc"] if part != "[key]"]
    place = source.place(*location)
    found = f"found {detail['input']!r}{_hint(detail['input'])}"
    match detail["type"]:
        case "extra_forbidden":
            known = sorted(_fields(model, location[:-1]))
            return ConfigError(
                place,
                found="unknown key" + more,
                expected=_nearest(str(location[-1]), known),
                remedy="rename the key, or delete it",
            )
        case "missing":
            return ConfigError(
                place, found="missing" + more, expected="this key", remedy="add it (README shows the file)"
            )
        case "login":
            return ConfigError(
                place,
                found="an address with a login" + more,
                expected=detail["msg"],
                remedy="put the login into ~/.netrc (http) or the environment (s3)",
            )
        case "options" | "floor":
            return ConfigError(
                source.path,
                found="a dataset that lacks an entry" + more,
                expected=detail["msg"],
                remedy="add that line",
            )
        case "twice" | "own" | "not_prepared" | "crop" | "freeze" | "one_encoder":
            return ConfigError(
                source.path,
                found="two values that contradict" + more,
                expected=detail["msg"],
                remedy="change one of them",
            )
        case "unknown_name" | "multiple" | "ascending" | "inside" | "threshold":
            expected = detail["msg"]
        case _:
            expected = detail["msg"].removeprefix("Input should be ").replace("tuple", "list")
    return ConfigError(place, found=found + more, expected=expected, remedy="correct the value")


def _fields(model: type[BaseModel], location: Sequence[int | str]) -> Iterator[str]:
    """Names of the keys that may stand at `location`."""
    annotation: Any = model
    for part in location:
        if _is_model(annotation):
            annotation = annotation.model_fields[str(part)].annotation
        else:  # a tuple or a dict of models
            annotation = next(inner for inner in get_args(annotation) if _is_model(inner))
    yield from annotation.model_fields


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _line(node: yaml.Node | None, location: Sequence[int | str]) -> int:
    """The 1-based line of the deepest part of `location` that the file holds."""
    line = 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
    return line
