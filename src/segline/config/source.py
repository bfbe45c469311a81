"""A YAML file read strictly: each mistake with its line, its key, what was found and what was expected."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from segline.config.fields import Strict
from segline.config.names import nearest
from segline.errors import ConfigError, shown

Model = TypeVar("Model", bound=Strict)

_SHOWN = 200  # characters of a value that is wrong


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
    found = f"found {shown(repr(detail['input']), limit=_SHOWN)}{_hint(detail['input'])}"
    match detail["type"]:
        case "extra_forbidden":
            known = sorted(_fields(model, location[:-1]))
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
        case "stated":
            return ConfigError(
                source.place(*detail["msg"].split(".")),
                found="missing" + more,
                expected="this key",
                remedy="add it (README shows the file), or let `training.plan: auto` derive it",
            )
        case "twice" | "own" | "not_prepared" | "crop" | "images" | "freeze" | "one_encoder":
            return ConfigError(
                source.path,
                found="two values that contradict" + more,
                expected=detail["msg"],
                remedy="change one of them",
            )
        case "unknown_name" | "ascending" | "inside" | "threshold" | "class_name":
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
