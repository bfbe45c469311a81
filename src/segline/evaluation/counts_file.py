"""Find and read the counts of an evaluation, whatever the path names: a file, or a folder that holds one."""

from collections.abc import Sequence
from pathlib import Path
from zipfile import is_zipfile

from segline.errors import DataError
from segline.evaluation.results import Evaluation, load
from segline.formats import strict_json
from segline.project import Files


def read(path: Path) -> Evaluation | None:
    """Read the evaluation in a file, or in a folder's ``evaluation.npz``; None if there is no such file.

    Raises:
        DataError: the file is not an evaluation.
    """
    file = path / Files.COUNTS if path.is_dir() else path
    if not file.is_file():
        return None
    try:
        if is_zipfile(file):  # as all .npz are
            return load(file)
        scores = _holds_scores(file)
    except Exception as error:  # NumPy and zipfile do not document all errors that damaged bytes cause
        raise _make_no_counts_error(file, str(error)) from error
    raise _make_only_scores_error(file) if scores else _make_no_counts_error(file, "not an .npz file")


def _make_no_counts_error(file: Path, reason: str) -> DataError:
    return DataError(
        file,
        found=f"no counts of an evaluation ({reason})",
        expected="a file that segline evaluate, segline score --counts or a training run wrote",
        remedy="give such a file",
    )


def _make_only_scores_error(file: Path) -> DataError:
    return DataError(
        file,
        found="scores as JSON, without the counts of each image",
        expected=f"counts to draw intervals from (.npz, as {Files.COUNTS})",
        remedy="score again with `--counts FILE.npz` and compare that file; segline evaluate writes "
        f"{Files.COUNTS} beside its {Files.EVALUATION}",
    )


def _holds_scores(file: Path) -> bool:
    """Return whether a file is the JSON that `segline score --json` or `segline evaluate` writes."""
    with file.open("rb") as handle:
        if handle.read(64).lstrip()[:1] != b"{":  # other large files do not start with this
            return False
    try:
        content = strict_json.loads(file.read_bytes())
    except ValueError:
        return False
    return isinstance(content, dict) and "miou" in content


def short_names(paths: Sequence[Path]) -> list[str]:
    """Shorten each path to the name of its file or folder; keep the whole path if two names would be equal."""
    short = [(path.parent if path.name == Files.COUNTS else path).absolute() for path in paths]
    names = [path.stem if path.suffix == ".npz" else path.name for path in short]
    return [str(path) if names.count(name) > 1 else name for path, name in zip(paths, names, strict=True)]
