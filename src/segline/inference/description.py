"""``segline.json``: what goes into a network, what comes out and what it was trained on, read strictly."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from segline.config.fields import MULTIPLE, Byte, Flip, Name, Strict
from segline.core.labels import BINARY, VOID, LabelClass, LabelMap
from segline.errors import DataError, shortened
from segline.formats import strict_json

FORMAT = 3
_EARLIER = {1, 2}  # without thresholds, which were argmax then, and without mirror images
MAX_SIDE = 4096
MAX_CHARACTERS = 1 << 20


class Class(Strict):
    """One class, at the position of its train id."""

    name: Name
    raw: Byte
    colour: tuple[Byte, Byte, Byte]
    merged: tuple[Byte, ...] = ()
    category: str = Field(default="", max_length=200)


class Description(Strict):
    """All of a bundle but its network, as `segline.inference.bundle.Bundle` has it."""

    format: int
    dataset: Name
    family: Name
    short_side: Annotated[int, Field(ge=1, le=MAX_SIDE)] | None
    stride: Annotated[int, Field(ge=1, le=MULTIPLE)]
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    mirrors: Annotated[tuple[Flip, ...], Field(max_length=2)] = ()
    classes: Annotated[tuple[Class, ...], Field(min_length=1, max_length=VOID - 1)]
    void: tuple[Byte, ...]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        names = [item.name for item in self.classes]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"two classes {shortened(repr(twice[0]))}")
        if len(set(self.mirrors)) < len(self.mirrors):
            raise ValueError(f"mirrors are {self.mirrors}")
        if self.threshold is not None and len(names) != BINARY:
            raise ValueError(f"threshold {self.threshold} of {len(names)} classes")
        self.label_map()
        return self

    def label_map(self) -> LabelMap:
        """The classes and what is void.

        Raises:
            ValueError: a raw id stands twice.
        """
        classes = (LabelClass(**dict(item)) for item in self.classes)
        return LabelMap(classes=tuple(classes), void=self.void)


def parse(text: bytes, *, place: Path) -> Description:
    """Read a description.

    Raises:
        DataError: it is none, says something impossible, or is of a format that is not known here.
    """
    try:
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"{len(text)} bytes")
        content = strict_json.loads(text)
    except ValueError as error:
        raise _no_description(place, shortened(str(error))) from error
    stated = content.get("format") if isinstance(content, dict) else None
    if type(stated) is int and stated not in {*_EARLIER, FORMAT}:
        raise DataError(
            place,
            found=f"format {shortened(str(stated))}",
            expected=f"format {FORMAT} or an earlier one",
            remedy="use the Segline release that wrote it",
        )
    try:
        return Description.model_validate_json(text)
    except ValidationError as error:
        raise _no_description(place, _reason(error)) from error


def _no_description(place: Path, reason: str) -> DataError:
    return DataError(
        place,
        found=f"no description of a network ({reason})",
        expected="what Segline wrote beside the network",
        remedy="restore the folder, or name another with --model",
    )


def _reason(error: ValidationError) -> str:
    details = error.errors(include_url=False)
    detail = min(details, key=lambda each: each["type"] == "extra_forbidden")  # a misspelt key lacks, too
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
