"""The types of values that the models of ``params.yaml`` use, each with its own error message."""

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Final, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from segline.config.known_names import CLASSIFIER, dataset_names, decoder_names, encoder_names, known_one, network_names
from segline.errors import name_fault
from segline.masking import masked_addresses

MULTIPLE = 32
"""Crops have sides in multiples of this, because the deepest network halves them five times."""


def sequence(value: Any) -> Any:
    """Turn a list of YAML into a tuple, because the models are frozen."""
    return tuple(value) if isinstance(value, list) else value


def ascending(pair: tuple[float, float]) -> tuple[float, float]:
    """Refuse a range whose low end is above its high end."""
    if pair[0] > pair[1]:
        raise PydanticCustomError("ascending", "[low, high] with low not above high", {})
    return pair


def spread_out(pair: tuple[int, int]) -> tuple[int, int]:
    """Refuse a range without extent."""
    if pair[0] >= pair[1]:
        raise PydanticCustomError("ascending", "[low, high] with low below high, such as [0, 4095]", {})
    return pair


def as_threshold(value: Any) -> Any:
    """Refuse a value that is no threshold, with a single error. A union type would report one for each of its types."""
    if value != "validation" and not (isinstance(value, int | float) and 0 < value < 1):
        raise PydanticCustomError("threshold", "`validation`, or a number between 0 and 1", {})
    return value


def as_short_side(value: Any) -> Any:
    """Refuse a value that is no short side, with a single error."""
    if value not in ("auto", None) and not (type(value) is int and 32 <= value <= 4096):
        raise PydanticCustomError("short_side", "auto, null, or a whole number from 32 to 4096", {})
    return value


def inside(path: str) -> str:
    """Refuse a path that leads out of its folder, and replace Windows' separators with ``/``."""
    posix = PurePosixPath(path.replace("\\", "/"))
    if posix.is_absolute() or ".." in posix.parts or PureWindowsPath(path).drive:
        raise PydanticCustomError("inside", "a path inside the folder, such as images or masks/*.png", {})
    return posix.as_posix()


def without_secret(source: str) -> str:
    """Refuse an address with a login or a query: ``dvc.lock`` would record it, and git would publish it."""
    is_web = re.match(r"\s*https?:", source, re.IGNORECASE) is not None
    if masked_addresses(source) != source or (is_web and set(source) & set("?#")):
        raise PydanticCustomError("login", "an address without login, query and fragment", {})
    return source


def showable(name: str) -> str:
    """Refuse a name with characters that cannot be shown."""
    if fault := name_fault(name):
        raise PydanticCustomError("class_name", "{fault}", {"fault": fault})
    return name


MAX_OWN_NAME = 40
"""Maximum characters of the name of own data."""


def own_name(name: str) -> str:
    """Refuse a name that own data must not have: it names a file, an experiment and a model, and is a key in YAML."""
    if not re.fullmatch(rf"[a-z][a-z0-9_]{{0,{MAX_OWN_NAME - 1}}}", name):
        wanted = f"a lower-case letter, then up to {MAX_OWN_NAME - 1} lower-case letters, digits or underscores"
        raise PydanticCustomError("own_name", "{wanted}", {"wanted": wanted})
    if name in dataset_names():
        raise PydanticCustomError("own_name", "a name that no public dataset has", {})
    if yaml.safe_load(name) != name:
        raise PydanticCustomError("own_name", "a name that YAML reads as text, not as true, false or nothing", {})
    return name


def dataset_name(name: str, info: ValidationInfo) -> str:
    """Refuse a name that is neither a public dataset's nor, as the validation's context says, that of own data."""
    return known_one(name, [*dataset_names(), *(info.context or ())])


Item = TypeVar("Item")
Encoding = Literal["ids", "palette", "indices", "rgb", "coco", "labelme", "yolo", "run_lengths", "layers"]
PAINTED: Final = ("coco", "labelme", "yolo", "run_lengths", "layers")
"""Encodings whose masks the extract stage paints: from polygons, run lengths, or one mask for each class."""
_Word = Annotated[int, Field(ge=0, le=65535)]
Levels = Annotated[tuple[_Word, _Word], BeforeValidator(sequence), AfterValidator(spread_out)]
"""Values of 16-bit images that become 0 and 255."""
Name = Annotated[str, AfterValidator(showable)]
Byte = Annotated[int, Field(ge=0, le=255)]
Relative = Annotated[str, Field(min_length=1), AfterValidator(inside)]
DatasetName = Annotated[str, AfterValidator(dataset_name)]
NetworkName = Annotated[str, AfterValidator(lambda name: known_one(name, network_names()))]
FamilyName = Annotated[str, AfterValidator(lambda name: known_one(name, [*network_names(), CLASSIFIER]))]
EncoderName = Annotated[str, AfterValidator(lambda name: known_one(name, encoder_names()))]
DecoderName = Annotated[str, AfterValidator(lambda name: known_one(name, decoder_names()))]
Side = Annotated[int, Field(ge=MULTIPLE, le=4096)]
Positive = Annotated[int, Field(ge=1)]
Stride = Literal[8, 16, 32]
Offered = Annotated[tuple[Item, ...], BeforeValidator(sequence), Field(min_length=1)]
"""Values to choose from."""
Depth = Annotated[int, Field(ge=2, le=5)]
Flip = Literal["left_right", "up_down"]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0)]


class Strict(BaseModel):
    """A model of a configuration file: frozen, without unknown keys, converted values or infinite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, allow_inf_nan=False)
