"""Write the guess about the user's own data: the class table and the entry in ``params.yaml``."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from segline.config import Options
from segline.config.edit import Document
from segline.data.look.class_guess import format_table
from segline.data.look.guess import Guess, guess
from segline.datasets.folder import NAME
from segline.datasets.own import classes
from segline.errors import ConfigError
from segline.progress import Report, silent
from segline.project import Files
from segline.reading import require_regular
from segline.storage import atomic_file

_FOLLOW_LINKS = "follow_links"

FLOOR = 0.1
"""The test mIoU that a first version of the user's model must beat, unless they change it."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """The result of `set_up`.

    Args:
        changes: what was written or kept, in words.
    """

    guess: Guess
    changes: tuple[str, ...]


def set_up(
    folder: Path, *, params: Path, force: bool, follow_links: bool | None = None, report: Report = silent
) -> Written:
    """Guess what `folder` holds and write its class table and the entry in `params`.

    What exists already is kept, unless `force` is given; a second run changes nothing.

    Args:
        follow_links: whether links in `folder` may lead out of it; `params` remembers the answer, and None repeats it.

    Raises:
        DataError: a guess is impossible.
        LinkError: a link leads out of `folder`, and none may.
        ConfigError: `params` is wrong, or describes another folder.
        StorageError: no room or no right to write.
    """
    document = Document(params)  # read first: a mistake in it shows before minutes are spent
    content = document.content
    stated = _state_path(folder, root=params.parent)
    earlier = content["options"].get(NAME) or {}
    _refuse_other_folder(params, earlier, stated, force=force)
    remembered = earlier.get("path") == stated and bool(earlier.get(_FOLLOW_LINKS))
    follow = remembered if follow_links is None else follow_links
    guessed = guess(folder, follow_links=follow, report=report)
    table = folder / Files.CLASSES
    changes = [_write_table(table, guessed, force=force)]
    entry = _make_entry(guessed.options, stated)
    if earlier and not force:
        if follow != remembered:
            earlier[_FOLLOW_LINKS] = follow
            changes.append(f"params.yaml: options.{NAME}.{_FOLLOW_LINKS} {str(follow).lower()}")
        same = {_FOLLOW_LINKS: False, **earlier} == {_FOLLOW_LINKS: False, **entry}
        changes.append(f"params.yaml: options.{NAME} kept" + ("" if same else ", though the guess differs (--force)"))
    else:
        content["options"][NAME] = CommentedMap(entry)
    changes += _list_dataset(content)
    document.save()
    return Written(guess=guessed, changes=tuple(changes))


def _state_path(folder: Path, *, root: Path) -> str:
    """Return the path for ``params.yaml``: relative where the folder is in the project."""
    whole = Path(os.path.realpath(folder))  # `resolve` fails at links that lead in a circle
    if not str(whole).isprintable():
        raise ConfigError(
            folder,
            found="a path with invisible characters, or with bytes that are no UTF-8",
            expected="a path that a person can read in params.yaml",
            remedy="rename the folder, then run segline init on it",
        )
    if root.resolve().is_relative_to(whole):
        raise ConfigError(
            folder,
            found="a folder that holds the project itself",
            expected="a folder with data and nothing else",
            remedy="move the data into a folder of their own, beside the project or in it",
        )
    return whole.relative_to(root.resolve()).as_posix() if whole.is_relative_to(root.resolve()) else str(whole)


def _refuse_other_folder(params: Path, earlier: Mapping[str, Any], stated: str, *, force: bool) -> None:
    if earlier and earlier.get("path") != stated and not force:
        raise ConfigError(
            f"{params} options.{NAME}.path",
            found=repr(earlier.get("path")),
            expected=f"{stated!r}: a project has one set of own data",
            remedy="give --force to replace the entry, or make a second project for the second folder: copy this "
            "checkout, and set SEGLINE_ROOT to choose the project that a command works on",
        )


def _write_table(path: Path, guessed: Guess, *, force: bool) -> str:
    if path.exists():
        require_regular(path)
    if path.exists() and not force:
        classes.read(path, encoding=guessed.options.encoding, remedy="correct it, or give --force to write it anew")
        return f"{path} kept (--force writes it anew)"
    with atomic_file(path) as partial:
        partial.write_text(format_table(guessed.classes), "utf-8")
    classes.read(path, encoding=guessed.options.encoding, remedy="correct it")
    return f"{path} written: {len(guessed.classes.entries)} classes"


def _make_entry(options: Options, stated: str) -> dict[str, Any]:
    """Collect the options that differ from the defaults, in the order of `Options`."""
    given = options.model_dump(exclude_defaults=True)
    return {"path": stated, **{name: given[name] for name in Options.model_fields if name in given}}


def _list_dataset(document: CommentedMap) -> list[str]:
    """Name the dataset wherever ``params.yaml`` lists datasets; return the changes in words."""
    said = []
    for key in ("datasets", "own"):
        names = document.setdefault(key, CommentedSeq())
        if NAME not in names:
            names.append(NAME)
            said.append(f"{NAME} added to {key}")
    if NAME not in document["promotion"]["floor"]:
        document["promotion"]["floor"][NAME] = FLOOR
        said.append(f"promotion.floor.{NAME} {FLOOR}")
    if document["dataset"] != NAME:
        said.append(f"dataset: {NAME} (was {document['dataset']})")
        document["dataset"] = NAME
    return [f"params.yaml: {', '.join(said)}"] if said else []
