"""Read a YAML file strictly. Each mistake is reported with its line, its key, what was found and what was expected."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from segline.config.fields import Strict
from segline.config.known_names import nearest
from segline.errors import ConfigError, shortened
from segline.formats import strict_yaml
from segline.masking import masked_addresses
from segline.reading import read_text

Model = TypeVar("Model", bound=Strict)


class Source:
    """A YAML file that was read strictly; it knows the line of each key.

    Args:
        path: the file.
        remedy: what the user should do if the file cannot be read.

    Raises:
        ConfigError: it is missing, is not YAML, gives a key twice, is not a mapping, or exceeds the limits of
            `segline.formats.strict_yaml`.
    """

    def __init__(self, path: Path, *, remedy: str) -> None:
        self.path = path
        document = strict_yaml.parse(_read(path, remedy), place=path)
        if not isinstance(document.content, dict):
            raise ConfigError(path, found="no keys", expected="a mapping", remedy=remedy)
        self._node = document.node
        self.content: dict[str, Any] = document.content

    def parse(self, model: type[Model], *, context: Any = None) -> Model:
        """Return the content as a `model`.

        Args:
            context: what the model's validators know beside the content.

        Raises:
            ConfigError: it holds an invalid value.
        """
        try:
            return model.model_validate(self.content, context=context)
        except ValidationError as error:
            # A misspelt key gives two errors: unknown and missing. "Unknown" is more helpful.
            details = sorted(error.errors(), key=lambda detail: detail["type"] != "extra_forbidden")
            more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
            raise _explain(self, model, details[0], more) from error

    def refuse_secrets(self, *, but: str = "") -> None:
        """Refuse an address with a login in any key, because git and every run would record it.

        Args:
            but: a key with a rule of its own.
        """
        for location, text in _list_texts(self.content):
            if location != (but,) and masked_addresses(text) != text:
                raise ConfigError(
                    self.place(*location),
                    found="an address with a secret in it",
                    expected=f"no secret in {self.path.name}, because git and every run record it",
                    remedy="copy the file to this machine, and give its path here",
                )

    def place(self, *location: int | str) -> str:
        """Format the place of a key for an error: ``params.yaml:12 training.batch``."""
        key = ".".join(str(part) for part in location)
        return f"{self.path}:{_find_line(self._node, location)}" + (f" {key}" if key else "")


def _list_texts(value: Any, *location: int | str) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Yield the place and the text of each text in `value`, also inside mappings and lists."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _list_texts(inner, *location, str(key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _list_texts(inner, *location, place)
    elif isinstance(value, str):
        yield location, value


def _read(path: Path, remedy: str) -> str:
    try:
        return read_text(path, remedy=remedy, error=ConfigError)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            path, found=f"cannot be read ({error})", expected="a UTF-8 YAML file", remedy=remedy
        ) from error


def _hint_at_number(value: Any) -> str:
    """Explain why YAML reads a value as text although it looks like a number."""
    try:
        float(value) if isinstance(value, str) else None
    except ValueError:
        return ""
    return " (YAML reads this as text: write 1.0e-3, not 1e-3, and no quotes)" if isinstance(value, str) else ""


def _explain(source: Source, model: type[BaseModel], detail: ErrorDetails, more: str) -> ConfigError:
    location = [part for part in detail["loc"] if part != "[key]"]
    place = source.place(*location)
    found = f"found {shortened(repr(detail['input']))}{_hint_at_number(detail['input'])}"
    match detail["type"]:
        case "extra_forbidden":
            known = sorted(_list_keys(model, location[:-1]))
            return ConfigError(
                place,
                found="unknown key" + more,
                expected=nearest(str(location[-1]), known),
                remedy="rename the key, or delete it",
            )
        case "missing":
            return ConfigError(
                place, found="missing" + more, expected="this key", remedy="add it (README shows the file)"
            )
        case "login":
            return ConfigError(
                place,
                found="an address with a secret in it" + more,
                expected=detail["msg"],
                remedy="remove it from the file, and set SEGLINE_SOURCE_TOKEN, or SEGLINE_SOURCE_USER and "
                "SEGLINE_SOURCE_PASSWORD; for s3://, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
            )
        case "options" | "floor":
            return ConfigError(
                source.path,
                found="a dataset that lacks an entry" + more,
                expected=detail["msg"],
                remedy="add that line",
            )
        case "stated":
            return ConfigError(
                source.place(*detail["msg"].split(".")),
                found="missing" + more,
                expected="this key",
                remedy="add it (README shows the file), or let `training.plan: auto` derive it",
            )
        case "own" | "not_prepared" | "crop" | "images" | "freeze" | "one_encoder":
            return ConfigError(
                source.path,
                found="two values that contradict each other" + more,
                expected=detail["msg"],
                remedy="change one of them",
            )
        case "unknown_name" | "own_name" | "ascending" | "inside" | "threshold" | "class_name":
            expected = detail["msg"]
        case _:
            expected = detail["msg"].removeprefix("Input should be ").replace("tuple", "list")
    return ConfigError(place, found=found + more, expected=expected, remedy="correct the value")


def _list_keys(model: type[BaseModel], location: Sequence[int | str]) -> Iterator[str]:
    """Yield the names of the keys that are allowed at `location`."""
    annotation: Any = model
    for part in location:
        if _is_model(annotation):
            annotation = annotation.model_fields[str(part)].annotation
        else:  # a tuple or a dict of models
            annotation = next(inner for inner in get_args(annotation) if _is_model(inner))
    yield from annotation.model_fields


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _find_line(node: yaml.Node | None, location: Sequence[int | str]) -> int:
    """Return the line, counted from 1, of the deepest part of `location` that the file holds."""
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
