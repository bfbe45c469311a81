"""Write the guess about the user's own data into the class table and ``own/NAME.yaml``; list them in params.yaml."""

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

from segline import config
from segline.config import Options
from segline.config.edit import Document, inline, plain
from segline.data.look.answers import read_answers
from segline.data.look.class_entries import format_table
from segline.data.look.guess import Guess, guess
from segline.data.look.own_name import check_name, derive_name
from segline.datasets.own import classes
from segline.datasets.own.naming import UNNAMED, named, naming
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
        name: the name of the data.
        changes: what was written or kept, in words.
    """

    name: str
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
    """Guess what `folder` holds; write its class table and ``own/NAME.yaml``, and list the data in `params`.

    Existing files are kept unless `force` is True. A second run changes nothing. Other own data of the project stay as
    they are.

    Args:
        name: name of the data; None takes the name under which the project knows the folder, or makes one from the
            folder's.
        follow_links: whether links in `folder` may lead out of it. The value is stored; None keeps the stored value.

    Raises:
        DataError: no guess is possible.
        LinkError: a link leads out of `folder`, although links must not.
        ConfigError: `params` or a definition is wrong, the name belongs to another folder, or `name` is not valid.
        StorageError: the disk is full, or writing is not permitted.
    """
    document = Document(params)  # read first, so that a mistake in it is reported before the slow guess
    asked = None if name is None else check_name(name)
    stated = _state_path(folder, root=params.parent)
    known = _find_names(config.load(params), stated)
    chosen = asked or (known[0] if known else derive_name(folder))
    definition = Document(params.parent / config.own_file(chosen), check=config.read_own, new=True)
    changes = _copy_definition(definition, params.parent, known) if known and not definition.content else []
    _refuse_other_folder(config.own_file(chosen), definition.content, stated, force=force)
    with naming(chosen):
        guessed, written = _describe(folder, stated, definition.content, force, follow_links, report)
    changes = [named(change, chosen) for change in [*changes, *written]]
    definition.save()
    changes += _list_dataset(document.content, chosen)
    document.save()
    doubts = tuple(named(doubt, chosen) for doubt in guessed.doubts)
    lines = tuple(replace(line, why=named(line.why, chosen)) for line in guessed.lines)
    return Written(name=chosen, guess=replace(guessed, doubts=doubts, lines=lines), changes=tuple(changes))


def _find_names(params: config.Params, stated: str) -> list[str]:
    """List the own data of the project that are in the folder `stated`; those that are trained on come first."""
    names = [name for name in params.own if params.options[name].path == stated]
    return sorted(names, key=lambda name: name != params.dataset)


def _copy_definition(definition: Document, root: Path, known: Sequence[str]) -> list[str]:
    """Start a definition of a folder that the project knows under another name from the definition of that name."""
    file = config.own_file(known[0])
    definition.content.update(Document(root / file, check=config.read_own).content)
    return [f"{UNNAMED} copied from {file}, which describes the same folder and stays"]


def _describe(
    folder: Path, stated: str, content: CommentedMap, force: bool, follow_links: bool | None, report: Report
) -> tuple[Guess, list[str]]:
    """Guess, write the class table, and put the guess into the `content` of the definition.

    Returns:
        The guess, and what was written or kept, in words.
    """
    earlier = dict(content)
    here = earlier.get("path") in (None, stated)  # otherwise --force replaces the definition of another folder
    remembered = earlier.get("path") == stated and bool(earlier.get(_FOLLOW_LINKS))
    follow = remembered if follow_links is None else follow_links
    table = folder / Files.CLASSES
    options = Options.model_validate(plain(earlier)) if earlier and here else None
    answers = read_answers(options, table, force=force)
    guessed = guess(folder, follow_links=follow, answers=answers, report=report)
    changes = [_write_table(table, guessed, force=force)]
    entry = _make_entry(guessed.options, stated)
    if here:  # --force replaces guesses, not answers
        entry |= {name: value for name, value in earlier.items() if name in _ANSWERS}
    if earlier and not force and "path" in earlier and answers.layout is not None:
        changes += _keep(content, entry, follow=follow if follow != remembered else None)
    else:
        kept = {} if force else earlier  # without a path or a layout, it only answers questions
        _fill(content, {**entry, **kept})
        changes.append(f"{UNNAMED} written")
    content["id"] = (earlier.get("id") if here else None) or secrets.token_hex(_ID_BYTES)
    return guessed, changes


def _fill(content: CommentedMap, values: Mapping[str, Any]) -> None:
    """Replace the keys of a document; comments of keys that stay are kept."""
    for key in [key for key in content if key not in values]:
        del content[key]
    content.update(values)


def _keep(content: CommentedMap, entry: Mapping[str, Any], *, follow: bool | None) -> list[str]:
    """Keep a complete definition, but add a guessed encoding to it, and change what `follow` says about links."""
    changes = []
    if "encoding" not in content and "encoding" in entry:
        content["encoding"] = entry["encoding"]
        changes.append(f"{UNNAMED}: encoding {entry['encoding']}")
    if follow is not None:
        content[_FOLLOW_LINKS] = follow
        changes.append(f"{UNNAMED}: {_FOLLOW_LINKS} {str(follow).lower()}")
    present = {_FOLLOW_LINKS: False} | {key: value for key, value in plain(content).items() if key != "id"}
    same = present == {_FOLLOW_LINKS: False, **entry}
    return [*changes, f"{UNNAMED} kept" + ("" if same else ", although the guess differs (--force replaces it)")]


def _state_path(folder: Path, *, root: Path) -> str:
    """Return the path for ``own/NAME.yaml``: relative where the folder is in the project."""
    whole = Path(os.path.realpath(folder))  # `resolve` fails on circular links
    if not str(whole).isprintable():
        raise ConfigError(
            folder,
            found="a path with invisible characters, or with bytes that are no UTF-8",
            expected="a path that a person can read in own/NAME.yaml",
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


def _refuse_other_folder(file: str, earlier: Mapping[str, Any], stated: str, *, force: bool) -> None:
    if earlier.get("path") not in (None, stated) and not force:
        raise ConfigError(
            f"{file} path",
            found=repr(earlier.get("path")),
            expected=f"{stated!r}, or another name for the data in this folder",
            remedy="use --name to give these data another name; or use --force to replace the definition",
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


def _list_dataset(document: CommentedMap, name: str) -> list[str]:
    """List the data `name` everywhere in ``params.yaml``, and train on them; return the changes in words."""
    said = []
    if name not in document["datasets"]:
        document["datasets"][name] = config.own_file(name)
        said.append(f"{name} added to datasets: models are registered as segline-{name}")
    if name not in document.setdefault("own", CommentedSeq()):
        document["own"].append(name)
        said.append(f"{name} added to own")
    if name not in document["options"]:
        document["options"][name] = inline({})
    if name not in document["promotion"]["floor"]:
        document["promotion"]["floor"][name] = FLOOR
        said.append(f"promotion.floor.{name} {FLOOR}")
    if document["dataset"] != name:
        said.append(f"dataset: {name} (was {document['dataset']})")
        document["dataset"] = name
    return [f"params.yaml: {', '.join(said)}"] if said else []
