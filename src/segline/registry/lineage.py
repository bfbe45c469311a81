"""Record the origin of a run: digests of its data, code, parameters, and the run key computed from them."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from segline import datasets
from segline.config import Params
from segline.data.recorded import content, lock
from segline.errors import ConfigError, DataError
from segline.formats import strict_json
from segline.models import weights_digest
from segline.progress import Report, silent
from segline.project import Files, Project, Tags

CODE = ("src", "flows")
"""Folders whose uncommitted content changes results."""

_IN_PREPARED_DATA = ("validation",)  # parameters that change a result only by changing the prepared data
_PACKAGES = ("tensorflow", "keras", "keras-tuner", "numpy", "opencv-python-headless", "albumentations")
_VECTOR_FLAGS = {"avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16"}


@dataclass(frozen=True, kw_only=True)
class Code:
    """State of the checkout.

    Args:
        commit: full hash of HEAD.
        dirty: whether tracked files other than ``dvc.lock`` differ from HEAD.
        changes: digest of uncommitted content under `CODE`; empty if there is none.
    """

    commit: str
    dirty: bool
    changes: str


@dataclass(frozen=True, kw_only=True)
class Data:
    """Digests of one dataset's stages in ``dvc.lock``, and the terms of use shown at its download."""

    lock: str
    raw: str
    prepared: str
    validation: str
    terms: str


def code_state(root: Path) -> Code:
    """Ask git about the checkout at `root`.

    Raises:
        ConfigError: `root` is not a git checkout with a commit.
    """
    commit = _git(root, "rev-parse", "HEAD").strip()
    status = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", f":!{Files.LOCK}")
    others = _git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", *CODE).split("\0")
    untracked = [name for name in others if (root / name).is_file() and name]
    difference = _git(root, "diff", "--binary", "HEAD", "--", *CODE)
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
            expected="a git checkout with at least one commit, which identifies the code of a run",
            remedy="git init && git add --all && git commit -m start",
        ) from error
    return answer.stdout


def data_state(project: Project, params: Params, *, report: Report = silent) -> Data:
    """Read the digests that DVC recorded for the dataset of `params`, and check that data and digests are up to date.

    Raises:
        DataError: the dataset's stages have not run, or ran with other parameters, or a file of the manifest or of the
            prepared splits is not the one that DVC recorded.
    """
    dataset = params.dataset
    own = lock.read_current(project, params)
    raw = lock.output_digest(project, "extract", dataset, folder=project.raw(dataset))
    prepared = lock.output_digest(project, "prepare", dataset, folder=project.prepared(dataset))
    content.check_manifest(project, dataset, report=report)
    content.check_prepared(project, dataset, report=report)
    return Data(
        lock=hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:16],
        raw=str(raw),
        prepared=str(prepared),
        validation=_read_verdict(project.manifest(dataset) / Files.VERDICT),
        terms=_read_terms(project, params),
    )


def _read_terms(project: Project, params: Params) -> str:
    """Read the terms that were shown when the archives were downloaded.

    If the archives are missing, because `dvc pull` fetched only the prepared data, the terms in the dataset's
    definition are returned.
    """
    dataset = params.dataset
    record = project.archives(dataset) / Files.SOURCE
    if not record.is_file():
        return datasets.load(dataset, params.options.get(dataset), raw=project.raw(dataset)).terms
    try:
        return str(strict_json.loads(record.read_bytes())["terms"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            record,
            found=f"cannot be read ({error})",
            expected="the record that the download stage writes",
            remedy=f"dvc repro --force --single-item download@{dataset}",
        ) from error


def _read_verdict(path: Path) -> str:
    """Read the verdict of the validate stage: passed or failed."""
    try:
        return "passed" if strict_json.loads(path.read_bytes())["success"] else "failed"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            path,
            found=f"cannot be read ({error})",
            expected="the verdict of the validate stage",
            remedy=f"run dvc repro validate@{path.parent.name}",
        ) from error


def resolved(params: Params, *, root: Path, weights: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Collect what a run depends on besides data and code: its parameters, and the digests of initial weights.

    Args:
        weights: encoder -> origin and digest of the published weights that it starts from.

    Raises:
        ConfigError: the weights file does not exist under `root`.
    """
    values = params.resolved() | ({"weights": dict(weights)} if weights else {})
    file = params.search.weights_file
    return values if file is None else values | {"weights_sha256": weights_digest(str(root / file))}


def run_key(data: Data, training_code: str, resolved: Mapping[str, Any]) -> str:
    """Compute the run key, 16 hex digits: trainings with equal keys give the same model, so one is enough.

    Args:
        training_code: `segline.registry.training_code.digest`.
    """
    read = {name: value for name, value in resolved.items() if name not in _IN_PREPARED_DATA}
    return hashlib.sha256(json.dumps([data.prepared, training_code, read], sort_keys=True).encode()).hexdigest()[:16]


def tags(data: Data, code: Code, resolved: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, str]:
    """Make the tags that record the origin of a run and of its model version.

    Args:
        meta: the prepared folder's ``meta.json``.
    """
    return {
        Tags.DATASET: str(meta["dataset"]),
        Tags.PROTOCOL: str(meta["protocol"]),
        Tags.DVC_LOCK: data.lock,
        Tags.RAW_MD5: data.raw,
        Tags.PREPARED_MD5: data.prepared,
        Tags.LABEL_MAP: str(meta["label_map"]),
        Tags.TEST_SPLIT: str(meta["splits"]["test"]["digest"]),
        Tags.VALIDATION: data.validation,
        Tags.TERMS: data.terms,
        Tags.GIT_COMMIT: code.commit,
        Tags.GIT_DIRTY: str(code.dirty).lower(),
        Tags.GIT_CHANGES: code.changes or "none",
        Tags.PARAMS: json.dumps(resolved, separators=(",", ":")),
        Tags.MACHINE: _describe_machine(),
        Tags.PACKAGES: json.dumps({name: version(name) for name in _PACKAGES}),
    }


def _describe_machine() -> str:
    """Describe what the last digits of a result depend on: architecture, processor and its vector instructions."""
    described = platform.processor() or platform.machine()
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        first = listing.read_text(encoding="utf-8").split("\n\n")[0]
        lines = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
        flags = set(lines.get("flags", "").split()) & _VECTOR_FLAGS
        described = " ".join([lines.get("model name", described), *sorted(flags)])
    return f"{platform.machine()} {described}, Python {platform.python_version()}"


def flatten(resolved: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested parameters to ``a.b`` keys, the form that MLflow compares in columns."""
    result: dict[str, Any] = {}
    for key, value in resolved.items():
        result |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return result
