"""The files that define the datasets of ``params.yaml``: a module of Segline, or ``own/NAME.yaml`` for own data.

``dvc.yaml`` reads the same mapping, so that a change of one file runs only the stages of its dataset.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_core import PydanticCustomError

from segline.config.data_sections import Options
from segline.config.fields import own_name
from segline.config.known_names import dataset_names
from segline.config.source import Source
from segline.errors import ConfigError

_PUBLIC_FOLDER, _OWN_FOLDER = "src/segline/datasets/", "own/"
_PUBLIC_KEYS = ("task", "split")


def own_file(name: str) -> str:
    """Return the path, from the project's folder, of the file that defines the own data `name`."""
    return f"{_OWN_FOLDER}{name}.yaml"


def defining_file(name: str) -> str:
    """Return the path, from the project's folder, of the file that defines the dataset `name`."""
    return f"{_PUBLIC_FOLDER}{name}.py" if name in dataset_names() else own_file(name)


def is_own(file: str) -> bool:
    """Return whether the defining file of a dataset is one of own data."""
    return file.startswith(_OWN_FOLDER)


def read_own(path: Path) -> Options:
    """Read the file that defines own data.

    Raises:
        ConfigError: the file is missing, is not YAML, or holds an invalid value.
    """
    source = Source(
        path,
        remedy=f"restore it (git checkout -- {own_file(path.stem)}); or take {path.stem} out of params.yaml (datasets, "
        f"own, options, promotion.floor, dataset), then run `segline init FOLDER --name {path.stem}`",
    )
    source.refuse_secrets()
    for key in _PUBLIC_KEYS:
        if key in source.content:
            raise ConfigError(
                source.place(key),
                found="a key for public datasets",
                expected="no such key, because own data have one task, and their splits are under `splits`",
                remedy="delete the key",
            )
    return source.parse(Options)


def read_listed(source: Source) -> dict[str, Options]:
    """Read the definitions of all own data that ``datasets`` of ``params.yaml`` lists.

    Returns:
        Name of the data -> their options.

    Raises:
        ConfigError: ``datasets`` is a list, names a wrong file or a wrong name, or ``options`` contradict it; or a file
            of own data is missing or wrong.
    """
    listed = source.content.get("datasets")
    if isinstance(listed, list):
        raise _report_list(source, listed)
    if not isinstance(listed, dict):
        return {}  # the model reports it, with its line
    own = [name for name, file in listed.items() if _check_file(source, name, file)]
    _refuse_unlisted(source, listed)
    _check_options(source, own)
    return {name: read_own(source.path.parent / own_file(name)) for name in own}


def _report_list(source: Source, listed: list[Any]) -> ConfigError:
    mapping = ", ".join(f"{name}: {defining_file(str(name))}" for name in listed)
    return ConfigError(
        source.place("datasets"),
        found="a list",
        expected="a mapping from each dataset to the file that defines it",
        remedy=f"write `datasets: {{{mapping}}}`",
    )


def _check_file(source: Source, name: Any, file: Any) -> bool:
    """Check the defining file of a dataset; return whether these are own data.

    A name that is neither public nor defined in ``own`` is left to the model, which suggests the nearest one.
    """
    if not isinstance(name, str):
        return False
    is_public = name in dataset_names()
    if not is_public and (not isinstance(file, str) or file.startswith(_PUBLIC_FOLDER)):
        return False
    if not is_public:
        _check_name(source, name)
    if file != defining_file(name):
        raise ConfigError(
            source.place("datasets", name),
            found=repr(file),
            expected=f"{defining_file(name)!r}, the file that defines {name}",
            remedy="correct the value",
        )
    return not is_public


def _check_name(source: Source, name: str) -> None:
    try:
        own_name(name)
    except PydanticCustomError as error:
        raise ConfigError(
            source.place("datasets", name),
            found=repr(name),
            expected=error.message(),
            remedy="rename the data: here, their file in own/, and in own, options, promotion.floor and dataset",
        ) from error


def _refuse_unlisted(source: Source, listed: Mapping[str, Any]) -> None:
    """Refuse own data that ``own`` names and a file defines, but ``datasets`` lacks."""
    stated = source.content.get("own")
    for place, name in enumerate(stated if isinstance(stated, list) else []):
        if name not in listed and (source.path.parent / own_file(str(name))).is_file():
            raise ConfigError(
                source.place("own", place),
                found=f"{name}, which `datasets` lacks",
                expected="only names of `datasets`",
                remedy=f"add the line `{name}: {own_file(str(name))}` under `datasets`, or take {name} out of `own`",
            )


def _check_options(source: Source, own: list[str]) -> None:
    """Refuse keys under ``options`` that belong into the file of own data."""
    options = source.content.get("options")
    entries = options if isinstance(options, Mapping) else {}
    for name, entry in entries.items():
        known = () if name in own else _PUBLIC_KEYS
        keys = [*entry] if isinstance(entry, Mapping) else []
        stray = [key for key in keys if key not in known and (name in own or key in Options.model_fields)]
        if stray and (name in own or name in dataset_names()):
            holds = f"`{name}: {{}}`, because {own_file(name)} holds the options of {name}"
            raise ConfigError(
                source.place("options", name, str(stray[0])),
                found="a key for own data",
                expected=holds if name in own else f"only {' and '.join(_PUBLIC_KEYS)}, because {name} is public",
                remedy=f"move it to {own_file(name)}"
                if name in own
                else "delete it; `segline init FOLDER` sets up your own data",
            )
