"""Write the guess about the user's own data into the class table and into ``params.yaml``."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from segline import config
from segline.config import Options
from segline.config.edit import Document
from segline.data.look.answers import read_answers
from segline.data.look.class_entries import format_table
from segline.data.look.guess import Guess, guess
from segline.data.look.own_name import check_name, derive_name
from segline.datasets.folder import NAME
from segline.datasets.own import classes
from segline.errors import ConfigError
from segline.progress import Report, silent
from segline.project import Files
from segline.reading import require_regular
from segline.storage import atomic_file

_FOLLOW_LINKS = "follow_links"
_ANSWERS = ("drawn_on", "beyond_image", "without_area", "overlap")
"""Keys that no guess gives: the user has answered a question with them."""

_ID_BYTES = 8

FLOOR = 0.1
"""Default minimum test mIoU for the first version of a model on the user's data."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """The result of `set_up`.

    Args:
        changes: what was written or kept, in words.
    """

    guess: Guess
    changes: tuple[str, ...]


def set_up(
    folder: Path,
    *,
    params: Path,
    force: bool,
    name: str | None = None,
    follow_links: bool | None = None,
    report: Report = silent,
) -> Written:
    """Guess what `folder` holds and write its class table and the entry in `params`.

    An existing table or entry is kept unless `force` is True. A second run changes nothing.

    Args:
        name: name of the data; None keeps the stored name, or takes the folder's.
        follow_links: whether links in `folder` may lead out of it. The value is stored in `params`; None keeps the
            stored value.

    Raises:
        DataError: no guess is possible.
        LinkError: a link leads out of `folder`, although links must not.
        ConfigError: `params` is wrong, or describes another folder, or `name` is not valid.
        StorageError: the disk is full, or writing is not permitted.
    """
    document = Document(params)  # read first, so that a mistake in it is reported before the slow guess
    options = config.load(params).options.get(NAME)
    content = document.content
    named = None if name is None else check_name(name)
    stated = _state_path(folder, root=params.parent)
    earlier = content["options"].get(NAME) or {}
    _refuse_other_folder(params, earlier, stated, force=force)
    remembered = earlier.get("path") == stated and bool(earlier.get(_FOLLOW_LINKS))
    follow = remembered if follow_links is None else follow_links
    here = earlier.get("path") in (None, stated)  # otherwise --force replaces the entry of another folder
    table = folder / Files.CLASSES
    answers = read_answers(options if here else None, table, force=force)
    guessed = guess(folder, follow_links=follow, answers=answers, report=report)
    changes = [_write_table(table, guessed, force=force)]
    entry = _make_entry(guessed.options, stated)
    if here:  # --force replaces guesses, not answers
        entry |= {name: value for name, value in earlier.items() if name in _ANSWERS}
    if earlier and not force and (answers.layout is None or "path" not in earlier):
        content["options"][NAME] = CommentedMap({**entry, **earlier})  # an entry that only answers questions
    elif earlier and not force:
        if "encoding" not in earlier and "encoding" in entry:
            earlier["encoding"] = entry["encoding"]
            changes.append(f"params.yaml: options.{NAME}.encoding {entry['encoding']}")
        if follow != remembered:
            earlier[_FOLLOW_LINKS] = follow
            changes.append(f"params.yaml: options.{NAME}.{_FOLLOW_LINKS} {str(follow).lower()}")
        same = {_FOLLOW_LINKS: False, **earlier} == {_FOLLOW_LINKS: False, **entry}
        changes.append(
            f"params.yaml: options.{NAME} kept" + ("" if same else ", although the guess differs (--force replaces it)")
        )
    else:
        content["options"][NAME] = CommentedMap(entry)
    changes += _name_data(content["options"][NAME], earlier if here else {}, named or derive_name(folder), named)
    changes += _list_dataset(content)
    document.save()
    return Written(guess=guessed, changes=tuple(changes))


def _state_path(folder: Path, *, root: Path) -> str:
    """Return the path for ``params.yaml``: relative where the folder is in the project."""
    whole = Path(os.path.realpath(folder))  # `resolve` fails on circular links
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
            found="a folder that contains the project itself",
            expected="a folder that contains only the data",
            remedy="move the data into a separate folder, beside the project or inside it",
        )
    return whole.relative_to(root.resolve()).as_posix() if whole.is_relative_to(root.resolve()) else str(whole)


def _refuse_other_folder(params: Path, earlier: Mapping[str, Any], stated: str, *, force: bool) -> None:
    if earlier and earlier.get("path") not in (None, stated) and not force:
        raise ConfigError(
            f"{params} options.{NAME}.path",
            found=repr(earlier.get("path")),
            expected=f"{stated!r}: a project has one set of own data",
            remedy="use --force to replace the entry; or use a second project for the second folder: copy this "
            "checkout, and select the project of a command with SEGLINE_ROOT",
        )


def _write_table(path: Path, guessed: Guess, *, force: bool) -> str:
    if path.exists():
        require_regular(path)
    if path.exists() and not force:
        classes.read(path, encoding=guessed.options.encoding, remedy="correct it, or replace it with --force")
        return f"{path} kept (--force replaces it)"
    with atomic_file(path) as partial:
        partial.write_text(format_table(guessed.classes), "utf-8")
    classes.read(path, encoding=guessed.options.encoding, remedy="correct it")
    return f"{path} written: {len(guessed.classes.entries)} classes"


def _make_entry(options: Options, stated: str) -> dict[str, Any]:
    """Collect the options that differ from the defaults, in the order of `Options`."""
    given = options.model_dump(exclude_defaults=True)
    return {"path": stated, **{name: given[name] for name in Options.model_fields if name in given}}


def _name_data(entry: CommentedMap, earlier: Mapping[str, Any], default: str, named: str | None) -> list[str]:
    """Write name and id of the data; those of an earlier entry stay, unless the user gave another name."""
    was = earlier.get("name")
    entry["name"] = named or was or default
    entry["id"] = earlier.get("id") or secrets.token_hex(_ID_BYTES)
    if entry["name"] == was:
        return []
    return [f"params.yaml: options.{NAME}.name {entry['name']}: models are registered as segline-{entry['name']}"]


def _list_dataset(document: CommentedMap) -> list[str]:
    """Add the dataset to every list of datasets in ``params.yaml``; return the changes in words."""
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
