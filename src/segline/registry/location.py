"""Correct the addresses of artifacts in the embedded MLflow store after the project was moved, renamed or copied.

MLflow stores absolute addresses. Without this, a moved project would not find its models, and a copy would write into
the project that it was copied from.
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from segline.errors import TrackingError
from segline.project import Project, embedded_store

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
"""Tables and columns of MLflow's store that hold addresses of artifacts."""

_ANY_PREFIX = re.compile(
    r"(file:(?://)?/.*/mlartifacts)(?=/|$)"
)  # up to the last one: the project may lie below another
_WAIT_SECONDS = 60.0


def follow_move(project: Project) -> str | None:
    """Correct the addresses if they name another folder than the project's; return a line to tell the user.

    An address is corrected if its folder is gone, or if the project's own folder has the files. Only the embedded store
    is changed: any other store may belong to several projects.

    Raises:
        TrackingError: the store cannot be changed.
    """
    store = project.root / "mlflow.db"
    if project.tracking_uri != embedded_store(project.root) or not store.is_file():
        return None
    try:
        with closing(sqlite3.connect(store, timeout=_WAIT_SECONDS)) as database, database:
            return _correct(database, project)
    except sqlite3.Error as error:
        raise TrackingError(
            store,
            found=f"the project was moved or copied, and the addresses of its artifacts cannot be corrected: {error}",
            expected="a database that this user may change",
            remedy="change its owner or mode, or end the program that uses it",
        ) from error


def _correct(database: sqlite3.Connection, project: Project) -> str | None:
    own = project.artifacts.as_uri()
    columns = [column for column in _COLUMNS if _has_column(database, *column)]
    stored = {value for table, column in columns for value in _read_values(database, table, column)}
    prefixes = {found[1] for value in stored if (found := _ANY_PREFIX.match(value))} - {own}
    moved = [prefix for prefix in sorted(prefixes) if _is_moved(prefix, stored, project.artifacts)]
    for prefix in moved:
        for table, column in columns:
            database.execute(
                f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?) '  # noqa: S608 - names of `_COLUMNS`
                f'WHERE "{column}" = ? OR substr("{column}", 1, ?) = ?',
                (own, len(prefix) + 1, prefix, len(prefix) + 1, f"{prefix}/"),
            )
    if not moved:
        return None
    places = ", ".join(str(_to_path(prefix).parent) for prefix in moved)
    return f"this project was moved or copied from {places}: the addresses in mlflow.db are corrected"


def _has_column(database: sqlite3.Connection, table: str, column: str) -> bool:
    return any(row[1] == column for row in database.execute(f'PRAGMA table_info("{table}")'))


def _read_values(database: sqlite3.Connection, table: str, column: str) -> list[str]:
    rows = database.execute(f'SELECT DISTINCT "{column}" FROM "{table}" WHERE "{column}" LIKE ?', ("file:%",))  # noqa: S608
    return [str(value) for (value,) in rows]


def _is_moved(prefix: str, stored: set[str], own: Path) -> bool:
    """Return whether files with addresses below `prefix` belong to the project's own folder."""
    stored_at = _to_path(prefix)
    if not stored_at.is_dir():
        return True
    if own.is_dir() and stored_at.samefile(own):  # one folder under two paths, such as a link to the project
        return False
    below = [unquote(value.removeprefix(f"{prefix}/")) for value in stored if value.startswith(f"{prefix}/")]
    return any((own / name).exists() for name in below)


def _to_path(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))
