"""Change ``params.yaml``, or a file ``own/NAME.yaml``, and keep its comments and its order."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.representer import RoundTripRepresenter

from segline import config
from segline.errors import ConfigError, shortened
from segline.storage import atomic_file


class _Representer(RoundTripRepresenter):
    """Writes null as ``null``. ruamel's own representer leaves a blank, which looks like a forgotten value."""

    def represent_none(self, data: None) -> Any:  # noqa: ARG002
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)


class Document:
    """The file at `path`. Change `content`, then `save`.

    Args:
        check: reads the file, and raises a `ConfigError` if it is not valid.
        new: whether a missing file is empty; it is created by `save`.

    Raises:
        ConfigError: the file is not valid.
    """

    def __init__(self, path: Path, *, check: Callable[[Path], object] = config.load, new: bool = False) -> None:
        self._path, self._check, self._yaml = path, check, YAML()
        self._yaml.Representer = _Representer
        self._yaml.preserve_quotes = True
        self._yaml.width = 4096
        self.content = CommentedMap()
        if new and not path.exists():
            return
        check(path)
        try:
            self.content = self._yaml.load(path.read_text("utf-8-sig"))
        except YAMLError as error:
            raise ConfigError(
                path,
                found=shortened(" ".join(str(error).split())),
                expected="YAML that is valid in version 1.1 and in 1.2",
                remedy="rewrite that line in a simpler form",
            ) from error

    def save(self) -> None:
        """Write the file if its text has changed, completely or not at all.

        Raises:
            ConfigError: the new content is invalid; the file is not changed.
            StorageError: no room or no right to write.
        """
        text = io.StringIO()
        self._yaml.dump(self.content, text)
        if self._path.exists() and text.getvalue() == self._path.read_text("utf-8"):
            return
        with atomic_file(self._path) as partial:
            partial.write_text(text.getvalue(), "utf-8")
            self._check(partial)


def plain(value: Any) -> Any:
    """Return a value of a document without its comments."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def inline(value: Any) -> Any:
    """Prepare a value to be written on the line of its key, as ``{a: 1}`` or ``[1, 2]``."""
    if isinstance(value, dict):
        made: CommentedMap | CommentedSeq = CommentedMap({key: inline(inner) for key, inner in value.items()})
    elif isinstance(value, list | tuple):
        made = CommentedSeq([inline(inner) for inner in value])
    else:
        return value
    made.fa.set_flow_style()
    return made
