"""Write and read the file that says at which size a dataset is prepared.

The stage `prepare` depends on this file and not on what the size was derived from, so that it runs again only where the
size changes.
"""

import json
from pathlib import Path

from segline.errors import DataError
from segline.formats import strict_json
from segline.storage import write_text

_KEY = "short_side"


def write_size(path: Path, short_side: int | None) -> None:
    """Write the pixels of the shorter side; None means that images keep their own size.

    Raises:
        StorageError: the disk is full, or writing is not permitted.
    """
    write_text(path, json.dumps({_KEY: short_side}) + "\n")


def read_size(path: Path) -> int | None:
    """Read what `write_size` wrote.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        found = strict_json.loads(path.read_bytes())[_KEY]
        if found is not None and (type(found) is not int or found < 1):
            raise ValueError(f"{_KEY} {found!r}")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            path,
            found=f"no size ({error})",
            expected="the file of stage `size`, because params.yaml says `prepare.short_side: auto`",
            remedy=f"run dvc repro --force --single-item size@{path.stem}, then dvc repro",
        ) from error
    return found
