"""Notice that the class table in the user's folder is no longer the one that the data were read with."""

from pathlib import Path

from segline.config import Encoding
from segline.datasets.base import Dataset
from segline.datasets.own import classes
from segline.errors import DataError
from segline.project import Files
from segline.reading import is_regular

_MAX_CLASSES_SHOWN = 6


def refuse_stale(dataset: Dataset, *, encoding: Encoding, root: Path, raw: Path) -> None:
    """Refuse a copy in `raw` whose class table differs from that of the user's folder, if this can be reached.

    Raises:
        ConfigError: the class table of the folder is wrong.
        DataError: the tables differ: the folder or its table was changed after the copy was made.
    """
    if dataset.own is None:
        return
    table = root / Path(dataset.own.table).expanduser()
    if not is_regular(table):
        return
    copied = raw / Files.OWN / Files.CLASSES
    remedy = (
        f"if {table} is right, run `dvc repro extract@{dataset.name}`, which reads its folder again; if these are "
        "other data, give them a name of their own: `segline init FOLDER --name NAME`"
    )
    now = classes.read(table, encoding=encoding, remedy="correct it")
    copy = classes.read(copied, encoding=encoding, remedy=remedy)
    if now != copy:
        raise DataError(
            table,
            found=f"this project's data were read with other classes: {_describe_change(now, copy)}",
            expected=f"the classes of the copy that was made then, {copied}",
            remedy=remedy,
        )


def _describe_change(now: classes.ClassTable, copy: classes.ClassTable) -> str:
    texts = (", ".join(f"{row.id} {row.name}" for row in table.classes[:_MAX_CLASSES_SHOWN]) for table in (now, copy))
    first, second = texts
    return f"now {first}; then {second}" if first != second else "other colours, void or merged ids"
