"""Name the user's own data: the name that `segline init` was given, or the folder's name, made valid."""

import os
import re
import unicodedata
from pathlib import Path

from pydantic_core import PydanticCustomError

from segline.config.fields import MAX_OWN_NAME, own_name
from segline.errors import ConfigError


def check_name(name: str) -> str:
    """Return `name` if own data may have it.

    Raises:
        ConfigError: they may not.
    """
    try:
        return own_name(name)
    except PydanticCustomError as error:
        raise ConfigError(
            "--name", found=repr(name), expected=error.message(), remedy="choose such a name, or leave out --name"
        ) from error


def derive_name(folder: Path) -> str:
    """Make a valid name from the folder's: ``Fields 2024`` becomes ``fields_2024``, and ``kitti`` ``kitti_own``."""
    plain = (
        unicodedata.normalize("NFKD", Path(os.path.realpath(folder)).name).encode("ascii", "ignore").decode().lower()
    )
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if not name[:1].isalpha():
        name = f"data_{name}".rstrip("_")
    name = name[:MAX_OWN_NAME].rstrip("_")
    try:
        return own_name(name)
    except PydanticCustomError:  # a public dataset's name, or a word that YAML does not read as text
        return f"{name}_own"
