"""The user's own data: image and mask folders or a CSV, and a class table.

``own/NAME.yaml`` says where they are (see `segline.config.Options`); `segline init` writes it. A project can have
several such datasets, each with a name and a file.

The download stage (`segline.data.download.own`) lists the files and their digests. The extract stage
(`segline.data.extract.own`) copies them and paints masks from polygons. This definition describes the copy:
its class table and its samples.
"""

import json
from pathlib import Path

from segline.config import Encoding, Options, own_file
from segline.core.coding import Colours
from segline.datasets.base import Dataset, Own, Pair
from segline.datasets.own import classes
from segline.datasets.own.naming import UNNAMED, naming
from segline.errors import ConfigError, DataError
from segline.formats import strict_json
from segline.project import Files

TABLE = f"{Files.OWN}/{Files.CLASSES}"
SAMPLES = f"{Files.OWN}/{Files.SAMPLES}"
MASKS = f"{Files.OWN}/{Files.MASKS}"
"""The folder of masks that were painted from polygons."""

LIST_AGAIN = "run `segline data download` with the name of these data, then dvc repro"


def define(name: str, options: Options, raw: Path | None) -> Dataset:
    """Define the dataset `name` from its extracted copy `raw`.

    Raises:
        ConfigError: `options` have no `path`.
        DataError: the data are not extracted yet.
    """
    with naming(name):
        path = source_of(options)
    own = Own(
        path=path,
        table=f"{path.rstrip('/')}/{options.classes}",
        indices=options.encoding == "indices",
        definition=own_file(name),
        id=options.id,
    )
    if raw is None or not (raw / TABLE).is_file():
        raise DataError(
            raw or path,
            found="your own data are not here yet",
            expected="the copy that the stages download and extract make",
            remedy=f"run `dvc repro extract@{name}`",
        )
    table = classes.read(raw / TABLE, encoding=options.encoding, remedy=f"run `dvc repro extract@{name}`")
    return Dataset(
        name=name,
        title=f"Your own data ({path})",
        terms="your own data: Segline knows no terms",
        archives=(),
        label_map=table.label_map(),
        protocol="own/1",
        pairs=_pairs,
        colours=_choose_colours(table, options.encoding),
        levels=options.levels,
        split="own",
        own=own,
    )


def _choose_colours(table: classes.ClassTable, encoding: Encoding) -> Colours | None:
    """Return the colours that masks are read by: of coloured pictures, or of palettes."""
    if encoding == "rgb":
        return table.colours()
    return table.palette_colours() if encoding in ("ids", "palette") else None


def source_of(options: Options) -> str:
    """Return the user's folder, as ``own/NAME.yaml`` names it.

    Raises:
        ConfigError: it names none.
    """
    if options.path is None:
        raise ConfigError(
            UNNAMED,
            found="no `path`",
            expected="the folder of your own data",
            remedy="run `segline init FOLDER --name NAME` with the name of this file, which completes it",
        )
    return options.path


def write_samples(path: Path, pairs: list[Pair]) -> None:
    """Write the list of samples that `read_samples` reads; equal pairs give equal bytes."""
    rows = [{"id": p.id, "image": p.image, "mask": p.mask, "split": p.split, "group": p.group} for p in pairs]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(f"[\n{lines}\n]\n", "utf-8")


def _pairs(raw: Path) -> list[Pair]:
    return read_samples(raw / SAMPLES)


def read_samples(path: Path) -> list[Pair]:
    """Read the pairs that `write_samples` wrote.

    Raises:
        DataError: the file cannot be read, or holds something else.
    """
    rows = strict_json.read(path, remedy=LIST_AGAIN)
    try:
        return [Pair(**row) for row in rows]
    except TypeError as error:
        raise DataError(
            path,
            found=f"not a list of samples ({error})",
            expected="the list that the download stage writes",
            remedy=LIST_AGAIN,
        ) from error
