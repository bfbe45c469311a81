"""Where a run comes from: data digests, code, parameters, and the key made of them."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from segline.errors import ConfigError, DataError

CODE = ("src", "flows")
"""Folders whose uncommitted content changes results."""


@dataclass(frozen=True, kw_only=True)
class Code:
    """State of the checkout.

    Args:
        commit: full hash of HEAD.
        dirty: whether tracked files differ from it (``dvc.lock`` aside).
        changes: digest of uncommitted content under `CODE`; empty where there is none.
    """

    commit: str
    dirty: bool
    changes: str


@dataclass(frozen=True, kw_only=True)
class Data:
    """Digests of one dataset's stages in ``dvc.lock``."""

    lock: str
    raw: str
    prepared: str


def code_state(root: Path) -> Code:
    """Ask git about the checkout at `root`.

    Raises:
        ConfigError: it is no git checkout with a commit.
    """
    commit = _git(root, "rev-parse", "HEAD").strip()
    status = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!dvc.lock")
    untracked = _git(root, "ls-files", "--others", "--exclude-standard", "--", *CODE).splitlines()
    difference = _git(root, "diff", "HEAD", "--", *CODE)
    changes = hashlib.sha256(difference.encode())
    for name in sorted(untracked):
        changes.update(name.encode() + (root / name).read_bytes())
    changed = bool(difference or untracked)
    return Code(commit=commit, dirty=bool(status.strip()) or changed, changes=changes.hexdigest()[:16] if changed else "")


def _git(root: Path, *arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, errors="replace"
        )
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise ConfigError(
            root,
            found=f"git {arguments[0]} failed: {said.strip()}",
            expected="a git checkout with at least one commit: runs are identified by it",
            remedy="git init && git add --all && git commit -m start",
        ) from error
    return answer.stdout


def data_state(dvc_lock: Path, dataset: str) -> Data:
    """Read the digests that DVC recorded for `dataset`.

    Raises:
        DataError: the dataset's stages have not run.
    """
    text = dvc_lock.read_bytes() if dvc_lock.is_file() else b""
    stages = (yaml.safe_load(text) or {}).get("stages", {})
    missing = [name for name in ("extract", "prepare") if f"{name}@{dataset}" not in stages]
    if missing:
        raise DataError(
            dvc_lock,
            found=f"no stage {missing[0]}@{dataset}",
            expected=f"{dataset} downloaded, checked and prepared",
            remedy="run dvc repro",
        )
    own = {name: value for name, value in stages.items() if name.endswith(f"@{dataset}")}
    return Data(
        lock=hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:16],
        raw=str(own[f"extract@{dataset}"]["outs"][0]["md5"]),
        prepared=str(own[f"prepare@{dataset}"]["outs"][0]["md5"]),
    )


def run_key(data: Data, code: Code, resolved: Mapping[str, Any]) -> str:
    """16 hex digits: equal keys mean the same training, which need not be done twice."""
    content = [data.prepared, code.commit, code.changes, resolved]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
