"""Record which encoder weights `search.weights: auto` chose, so that later runs start from the same ones.

``weights.yaml`` at the project's root has one entry for each dataset: encoder -> digest of its weights. Commit it.
Without it, a run on a machine with other packages would start from other weights, and nobody would notice.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from segline.errors import ConfigError, shortened
from segline.formats import strict_yaml
from segline.project import Files, Project
from segline.reading import read_text
from segline.storage import reporting_storage, write_text

_HEAD = "# Encoder weights that `search.weights: auto` chose. Commit this file. Delete an entry to choose again.\n"
_DIGEST = re.compile(r"[0-9a-f]{64}")


def read(project: Project, dataset: str) -> dict[str, str]:
    """Return encoder -> digest of the weights chosen for `dataset`; empty if none were chosen yet.

    Raises:
        ConfigError: the file is not in the format that `keep` writes.
    """
    return dict(_read_all(project.chosen_weights).get(dataset, {}))


def keep(project: Project, dataset: str, chosen: Mapping[str, str]) -> None:
    """Record `chosen` for `dataset`, or check that it is what was recorded for the same encoders.

    Raises:
        ConfigError: other weights were recorded for an encoder, or the file cannot be read.
        StorageError: the disk is full, or writing is not permitted.
    """
    lock = project.root / ".segline" / "weights.lock"
    with reporting_storage(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            recorded = _read_all(project.chosen_weights)
            before = recorded.get(dataset, {})
            if before.keys() == chosen.keys():
                for encoder, digest in chosen.items():
                    _refuse_other(encoder, digest, recorded=before[encoder], dataset=dataset)
                return
            content = {**recorded, dataset: dict(chosen)}
            write_text(project.chosen_weights, _HEAD + yaml.safe_dump(content, sort_keys=True))


def _refuse_other(encoder: str, digest: str, *, recorded: str, dataset: str) -> None:
    if digest != recorded:
        raise ConfigError(
            f"{Files.WEIGHTS} {dataset}",
            found=f"weights of {encoder} with the digest {digest[:16]}… on this machine",
            expected=f"{recorded[:16]}…, which earlier runs on {dataset} started from",
            remedy="bring those weights here (SEGLINE_WEIGHTS names their folder). To train with the present ones, "
            f"delete the entry of {dataset} in {Files.WEIGHTS}",
        )


def _read_all(path: Path) -> dict[str, dict[str, str]]:
    remedy = f"restore it: git checkout {path.name}; or delete it to choose again"
    try:
        text = read_text(path, error=ConfigError)
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise _make_format_error(path, f"not UTF-8 text ({error})", remedy) from error
    content: Any = strict_yaml.parse(text, place=path, remedy=remedy).content or {}
    if not isinstance(content, dict):
        raise _make_format_error(path, f"a {type(content).__name__}", remedy)
    for dataset, entry in content.items():
        digests = entry.values() if isinstance(entry, dict) else [entry]
        if not all(isinstance(digest, str) and _DIGEST.fullmatch(digest) for digest in digests):
            raise _make_format_error(path, shortened(f"{entry!r} for {dataset}"), remedy)
    return content


def _make_format_error(path: Path, found: str, remedy: str) -> ConfigError:
    return ConfigError(path, found=found, expected="lines `encoder: digest` for each dataset", remedy=remedy)
