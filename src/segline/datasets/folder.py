"""The user's own data: image and mask folders or a CSV, and a class table.

``options.folder`` in ``params.yaml`` says where they are (see `segline.config.Options`); `segline init`
writes it. A project has one such dataset; further ones are projects of their own (``SEGLINE_ROOT``).

The download stage (`segline.data.download.own`) lists the files and their digests, the extract stage
(`segline.data.extract.own`) copies them and paints masks from polygons. So what is described here is the
copy: its class table and its samples.
"""

import json
from pathlib import Path

from segline.config import Options
from segline.datasets.base import Dataset, Own, Pair
from segline.datasets.own import classes
from segline.errors import ConfigError, DataError
from segline.formats import strict_json
from segline.project import Files

NAME = "folder"
TABLE = f"{Files.OWN}/{Files.CLASSES}"
SAMPLES = f"{Files.OWN}/{Files.SAMPLES}"
MASKS = f"{Files.OWN}/{Files.MASKS}"
"""Where masks that were painted from polygons are."""

LIST_AGAIN = f"run `dvc repro` again, or `segline data download {NAME}` and then extract"
_AGAIN = f"segline data download {NAME}, then dvc repro"


def define(options: Options, raw: Path | None) -> Dataset:
    """The dataset, as the extracted copy `raw` describes it.

    Raises:
        ConfigError: `options` do not say where the user's data are.
        DataError: they are not extracted yet.
    """
    path = source_of(options)
    own = Own(path=path, table=f"{path.rstrip('/')}/{options.classes}")
    if raw is None or not (raw / TABLE).is_file():
        raise DataError(
            raw or path,
            found="your own data are not here yet",
            expected="what the stages download and extract leave",
            remedy=f"run `dvc repro extract@{NAME}`",
        )
    table = classes.read(raw / TABLE, encoding=options.encoding, remedy=f"run `dvc repro extract@{NAME}`")
    return Dataset(
        name=NAME,
        title=f"Your own data ({path})",
        terms="your own: Segline knows of none",
        archives=(),
        label_map=table.label_map(),
        protocol="folder/1",
        pairs=_pairs,
        colours=table.colours() if options.encoding == "rgb" else None,
        split="own",
        own=own,
    )


def source_of(options: Options) -> str:
    """The user's folder, as ``params.yaml`` names it.

    Raises:
        ConfigError: it names none.
    """
    if options.path is None:
        raise ConfigError(
            f"params.yaml options.{NAME}",
            found="no `path`",
            expected="where your own data are",
            remedy="run `segline init FOLDER`, which writes it",
        )
    return options.path


def write_samples(path: Path, pairs: list[Pair]) -> None:
    """Write what `_pairs` reads; equal pairs give equal bytes."""
    rows = [{"id": p.id, "image": p.image, "mask": p.mask, "split": p.split, "group": p.group} for p in pairs]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(f"[\n{lines}\n]\n", "utf-8")


def _pairs(raw: Path) -> list[Pair]:
    return read_samples(raw / SAMPLES)


def read_samples(path: Path) -> list[Pair]:
    """The pairs that `write_samples` wrote."""
    rows = strict_json.read(path, remedy=_AGAIN)
    try:
        return [Pair(**row) for row in rows]
    except TypeError as error:
        raise DataError(
            path, found=f"no list of samples ({error})", expected="what the download stage wrote", remedy=_AGAIN
        ) from error
