"""Presets: named sets of ``params.yaml`` keys, one YAML file each in this folder.

The first line of a file is a comment that says what the preset is. A preset decides the whole of ``training`` and
``search``: keys that it does not name get their defaults, so that nothing of earlier experiments stays. Keys
without a default (``training.threads``) and the other sections of ``params.yaml`` change only where the preset
names them.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python
from ruamel.yaml.comments import CommentedMap

from segline import config
from segline.config.edit import Document, inline, plain

_FOLDER = Path(__file__).parent
_RESET_SECTIONS: Mapping[str, type[config.Strict]] = {"training": config.Training, "search": config.Search}


def names() -> list[str]:
    """List the presets: the names of their files."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def title(name: str) -> str:
    """Return one line that says what the preset `name` is."""
    with _path(name).open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()


def apply(name: str, params: Path) -> list[str]:
    """Write the keys of the preset `name` into `params`. A second call changes nothing.

    Returns:
        The changes, one line for each key.

    Raises:
        ConfigError: there is no such preset, or `params` is not valid.
        StorageError: no room or no right to write.
    """
    wanted = config.Source(_path(name), remedy="install Segline again").content
    document = Document(params)
    changes = list(_merge(document.content, wanted, ""))
    for section, model in _RESET_SECTIONS.items():
        changes += _reset(document.content[section], wanted[section], section, model)
    if wanted["dataset"] not in document.content["datasets"]:
        document.content["datasets"][wanted["dataset"]] = config.defining_file(wanted["dataset"])
        changes.append(f"datasets: {wanted['dataset']} added")
    document.save()
    return changes


def _path(name: str) -> Path:
    config.refuse_unknown("preset", name, names())
    return _FOLDER / f"{name}.yaml"


def _merge(content: CommentedMap, wanted: Mapping[str, Any], place: str) -> Iterator[str]:
    """Put `wanted` into `content` key by key; inside a section of `_RESET_SECTIONS`, a mapping replaces the old one."""
    for key, value in wanted.items():
        if isinstance(value, dict) and place not in {f"{section}." for section in _RESET_SECTIONS}:
            inner = content.setdefault(key, CommentedMap())
            if not inner:  # ``{}`` stays on its line
                inner.fa.set_flow_style()
            yield from _merge(inner, value, f"{place}{key}.")
        else:
            yield from _put(content, key, value, f"{place}{key}")


def _reset(content: CommentedMap, wanted: Mapping[str, Any], section: str, model: type[config.Strict]) -> Iterator[str]:
    """Set the keys of a section that the preset does not name to their defaults."""
    for key in [key for key in content if key not in wanted]:
        field = model.model_fields[key]
        if not field.is_required():
            value = to_jsonable_python(field.get_default(call_default_factory=True))
            yield from _put(content, key, value, f"{section}.{key}")


def _put(content: CommentedMap, key: str, value: Any, place: str) -> Iterator[str]:
    if key not in content:
        yield f"{place}: {_format(value)} (new)"
    elif plain(content[key]) != value:
        yield f"{place}: {_format(value)} (was {_format(plain(content[key]))})"
    else:
        return
    content[key] = inline(value)


def _format(value: Any) -> str:
    """Format a value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_format(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_format, value)) + "]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
