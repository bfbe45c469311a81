"""Read ``dvc.lock``: what each data stage of a dataset ran with, and what it wrote."""

import fcntl
import hashlib
import os
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from segline.config import Options, Params
from segline.errors import DataError, shortened
from segline.formats import strict_yaml
from segline.project import Files, Project

STAGES = ("download", "extract", "validate", "prepare")
"""The stages whose records identify the data of a training."""

_DVC_LOCK = Path(".dvc", "tmp", "lock")
"""The file that a DVC command locks while it works, below the project's folder."""

_WRITING_SECONDS = 5.0  # a change is this recent while DVC still writes the file
_WAIT_SECONDS = 30.0  # for DVC to finish; then the file is read as it is
_PAUSE_SECONDS = 0.05
_RESTORE_LOCK = "restore it: git checkout -- dvc.lock, then run dvc repro"


def read_stages(lock: Path) -> Mapping[str, Any]:
    """Read the stages in ``dvc.lock``; empty if there is no such file.

    Raises:
        ConfigError: the file is damaged.
        DataError: it has no stages, or is no text.
    """
    try:
        text = _read_whole(lock).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _make_lock_error(lock, f"not a text file ({error})") from error
    return _parse(text, lock)


def _read_whole(lock: Path) -> bytes:
    """Read the file at a moment when DVC does not write it; b"" if there is none.

    DVC empties the file and writes it in parts, after each stage. Stages of one dataset can run while another is
    trained on.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        before = _stat(lock)
        content = b"" if before is None else lock.read_bytes()
        is_written = before is not None and _is_fresh(before) and _is_dvc_working(lock.parent)
        if (not is_written and _stat(lock) == before) or time.monotonic() > deadline:
            return content
        time.sleep(_PAUSE_SECONDS)


def _stat(path: Path) -> tuple[int, int] | None:
    """Return size and mtime (nanoseconds) of a file; None if there is none."""
    if not path.is_file():
        return None
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _is_fresh(state: tuple[int, int]) -> bool:
    return abs(time.time_ns() - state[1]) < _WRITING_SECONDS * 1e9


def _is_dvc_working(root: Path) -> bool:
    """Return whether a DVC command holds the lock of the project at `root`."""
    try:
        place = os.open(root / _DVC_LOCK, os.O_RDONLY)
    except OSError:  # DVC never ran here
        return False
    try:
        fcntl.flock(place, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(place)  # releases the lock
    return False


@lru_cache(maxsize=1)  # strict parsing of a thousand lines takes a quarter of a second, and each check reads the file
def _parse(text: str, lock: Path) -> Mapping[str, Any]:
    content = strict_yaml.parse(text, place=lock, remedy=_RESTORE_LOCK).content or {}
    stages = content.get("stages", {}) if isinstance(content, dict) else None
    if not isinstance(stages, dict):
        raise _make_lock_error(lock, "no stages")
    return MappingProxyType(stages)


def read_current(project: Project, params: Params) -> Mapping[str, Any]:
    """Read the records of all stages of the dataset of `params`, which must have run with these parameters.

    Returns:
        Name of the stage, without the dataset -> its record.

    Raises:
        DataError: a stage has not run, or it ran with other parameters.
    """
    dataset, lock = params.dataset, project.dvc_lock
    stages = read_stages(lock)
    own: dict[str, Any] = {name: stages.get(f"{name}@{dataset}") for name in STAGES}
    missing = [name for name, stage in own.items() if stage is None]
    if missing:
        raise DataError(
            lock,
            found=f"no stage {missing[0]}@{dataset}",
            expected=f"{dataset} downloaded, checked and prepared",
            remedy=f"run dvc repro prepare@{dataset}",
        )
    try:
        _check_params(lock, own, params)
        _check_definition(project, own, params)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise _make_stages_error(lock, dataset, error) from error
    return own


def output_digest(project: Project, stage: str, dataset: str, *, folder: Path) -> str | None:
    """Find the digest of the `folder` that a stage wrote, such as ``0b1c….dir``; None if the stage never ran.

    Args:
        stage: name of the stage, without the dataset.

    Raises:
        DataError: the stage's record has no such folder.
    """
    lock = project.dvc_lock
    found = read_stages(lock).get(f"{stage}@{dataset}")
    if found is None:
        return None
    path = folder.relative_to(project.root).as_posix()
    try:
        return next(str(out["md5"]) for out in found["outs"] if out["path"] == path)
    except (LookupError, TypeError, StopIteration) as error:
        raise _make_stages_error(lock, dataset, error) from error


def _check_params(lock: Path, own: Mapping[str, Any], params: Params) -> None:
    """Refuse stages that ran with other parameters than the present ones."""
    wanted = params.model_dump(mode="json")
    for name, stage in own.items():
        for key, found in stage.get("params", {}).get(Files.PARAMS, {}).items():
            if key.startswith("options.") and params.dataset in params.own:
                continue  # always empty: `_check_definition` compares the file that holds them
            expected: Any = wanted
            for part in key.split("."):
                expected = expected[part]
            if key.startswith("options."):  # keys that an entry leaves out have default values
                found = Options.model_validate(found).model_dump(mode="json")
            if found != expected:
                raise DataError(
                    lock,
                    found=f"stage {name}@{params.dataset} ran with {key} {found}",
                    expected=f"{expected}, as in params.yaml",
                    remedy=f"run dvc repro prepare@{params.dataset}",
                )


def _check_definition(project: Project, own: Mapping[str, Any], params: Params) -> None:
    """Refuse stages of own data that ran with another file ``own/NAME.yaml`` than the present one."""
    if params.dataset not in params.own:
        return
    file = params.datasets[params.dataset]
    present = hashlib.md5((project.root / file).read_bytes(), usedforsecurity=False).hexdigest()  # as DVC does
    for name, stage in own.items():
        if any(dep["path"] == file and dep["md5"] != present for dep in stage["deps"]):
            raise DataError(
                project.dvc_lock,
                found=f"stage {name}@{params.dataset} ran with another {file}",
                expected=f"md5 {present}, as the file is now",
                remedy=f"run dvc repro prepare@{params.dataset}",
            )


def _make_stages_error(lock: Path, dataset: str, error: Exception) -> DataError:
    return _make_lock_error(lock, f"no valid stages of {dataset} ({shortened(str(error))})")


def _make_lock_error(lock: Path, found: str) -> DataError:
    return DataError(lock, found=found, expected="the stages that DVC recorded", remedy=_RESTORE_LOCK)
