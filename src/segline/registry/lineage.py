"""Where a run comes from: data digests, code, parameters, and the key made of them."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from segline.errors import ConfigError, DataError

CODE = ("src", "flows")
"""Folders whose uncommitted content changes results."""


_PACKAGES = ("tensorflow", "keras", "keras-tuner", "numpy", "opencv-python-headless", "albumentations")
_VECTOR_FLAGS = {"avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16"}


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
    return Code(
        commit=commit, dirty=bool(status.strip()) or changed, changes=changes.hexdigest()[:16] if changed else ""
    )


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


def tags(data: Data, code: Code, resolved: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, str]:
    """What every run and every model version says about its origin.

    Args:
        meta: the prepared folder's ``meta.json``.
    """
    return {
        "segline.dataset": str(meta["dataset"]),
        "segline.protocol": str(meta["protocol"]),
        "segline.dvc_lock": data.lock,
        "segline.raw_md5": data.raw,
        "segline.prepared_md5": data.prepared,
        "segline.label_map": str(meta["label_map"]),
        "segline.test_split": str(meta["splits"]["test"]["digest"]),
        "segline.validation": "passed",  # DVC prepares nothing that was not
        "segline.git_commit": code.commit,
        "segline.git_dirty": str(code.dirty).lower(),
        "segline.git_changes": code.changes or "none",
        "segline.params": json.dumps(resolved, separators=(",", ":")),
        "segline.machine": _machine(),
        "segline.packages": json.dumps({name: version(name) for name in _PACKAGES}),
    }


def _machine() -> str:
    """What of the machine last digits depend on: architecture, processor and its vector instructions."""
    described = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        first = listing.read_text(encoding="utf-8").split("\n\n")[0]
        lines = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
        flags = set(lines.get("flags", "").split()) & _VECTOR_FLAGS
        described = " ".join([lines.get("model name", described), *sorted(flags)])
    return f"{platform.machine()} {described}, Python {platform.python_version()}"


def flat(resolved: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters as ``a.b`` keys, the form MLflow compares in columns."""
    result: dict[str, Any] = {}
    for key, value in resolved.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return result
