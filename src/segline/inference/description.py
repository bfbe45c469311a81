"""``segline.json``: the description of a network's input, output and training data, read strictly."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from segline.config.fields import MULTIPLE, Byte, Flip, Levels, Name, Strict
from segline.core.labels import BINARY, VOID, LabelClass, LabelMap
from segline.errors import DataError, shortened
from segline.formats import strict_json

FORMAT = 3
MAX_SIDE = 4096
MAX_CHARACTERS = 1 << 20


class Class(Strict):
    """One class, at the position of its train id."""

    name: Name
    raw: Byte
    colour: tuple[Byte, Byte, Byte]
    merged: tuple[Byte, ...] = ()
    category: str = Field(default="", max_length=200)


class Temperature(Strict):
    """The divisor of logits that brings confidences closer to probabilities, and the split that it was fitted on."""

    value: Annotated[float, Field(gt=0.0)]
    split: Name
    digest: Name


class Description(Strict):
    """Everything that `segline.inference.bundle.Bundle` holds besides the network."""

    format: int
    dataset: Name
    family: Name
    short_side: Annotated[int, Field(ge=1, le=MAX_SIDE)] | None
    stride: Annotated[int, Field(ge=1, le=MULTIPLE)]
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] | None
    mirrors: Annotated[tuple[Flip, ...], Field(max_length=2)]
    classes: Annotated[tuple[Class, ...], Field(min_length=1, max_length=VOID - 1)]
    void: tuple[Byte, ...]
    levels: Levels | None = None
    temperature: Temperature | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [item.name for item in self.classes]
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise ValueError(f"two classes {shortened(repr(repeated[0]))}")
        if len(set(self.mirrors)) < len(self.mirrors):
            raise ValueError(f"mirrors {self.mirrors} hold a flip twice")
        if self.threshold is not None and len(names) != BINARY:
            raise ValueError(f"threshold {self.threshold} of {len(names)} classes")
        self.label_map()
        return self

    def label_map(self) -> LabelMap:
        """Make the label map of the classes and the void ids.

        Raises:
            ValueError: a raw id occurs twice.
        """
        classes = (LabelClass(**dict(item)) for item in self.classes)
        return LabelMap(classes=tuple(classes), void=self.void)


def parse(text: bytes, *, place: Path) -> Description:
    """Read a description from the `text` of the file `place`.

    Raises:
        DataError: the text is not a description, contradicts itself, or has another format.
    """
    try:
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"{len(text)} bytes")
        content = strict_json.loads(text)
    except ValueError as error:
        raise _report_unreadable(place, shortened(str(error))) from error
    stated = content.get("format") if isinstance(content, dict) else None
    if type(stated) is int and stated != FORMAT:
        raise DataError(
            place,
            found=f"format {shortened(str(stated))}",
            expected=f"format {FORMAT}",
            remedy="use the version of Segline that wrote it",
        )
    try:
        return Description.model_validate_json(text)
    except ValidationError as error:
        raise _report_unreadable(place, _explain(error)) from error


def _report_unreadable(place: Path, reason: str) -> DataError:
    return DataError(
        place,
        found=f"no description of a network ({reason})",
        expected="the file that Segline wrote beside the network",
        remedy="restore the folder, or name another one with --model",
    )


def _explain(error: ValidationError) -> str:
    """Describe the problem with the first wrong key, and count the other problems."""
    details = error.errors(include_url=False)
    # A misspelt key is reported twice, as unknown and as missing. "Missing" is more helpful.
    detail = min(details, key=lambda each: each["type"] == "extra_forbidden")
    more = f", and {len(details) - 1} more" if len(details) > 1 else ""
    key = ".".join(str(part) for part in detail["loc"])
    match detail["type"]:
        case "missing":
            return f"no {key!r}{more}"
        case "extra_forbidden":
            return f"an unknown key {shortened(key)!r}{more}"
        case "value_error":
            return str(detail["ctx"]["error"]) + more
    expected = detail["msg"].removeprefix("Input should be ")
    return f"{key or 'it'} is {shortened(repr(detail['input']))}, not {expected}{more}"
