"""Where things live, read from the environment; never anything that changes a result.

| variable              | meaning                                    | default                          |
|-----------------------|--------------------------------------------|----------------------------------|
| SEGLINE_ROOT          | the project folder (holds params.yaml)     | the nearest one upwards          |
| MLFLOW_TRACKING_URI   | MLflow server or database                  | sqlite:///<root>/mlflow.db       |
| SEGLINE_SOURCE_*      | a mirror's login (`segline.data.permit`)   | none                             |
| SEGLINE_WORKERS       | processes for per-sample data work         | the CPUs this process may use    |
| SEGLINE_IMAGE_PIXELS  | pixels that an image may have              | 536870912 (23170 x 23170)        |
| SEGLINE_IMAGE_BYTES   | bytes that an image's file may have        | 2147483648 (2 GiB)               |
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from segline.errors import ConfigError

IMAGE_PIXELS = 1 << 29
"""Pixels that an image may have: more than the largest of public aerial data sets (DOTA's 20 000 x 20 000).

They take 1.5 GiB as RGB, and three times that while they are decoded: what a machine of 8 GiB bears.
"""

IMAGE_BYTES = 2 << 30
"""Bytes that an image's file may have: those of as many pixels without compression, RGB and alpha."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Resolved places of one project."""

    root: Path
    tracking_uri: str = field(repr=False)
    """Without a login where it is a server's; a database's has its password."""
    workers: int

    @property
    def params(self) -> Path:
        """The file that holds what changes a result."""
        return self.root / "params.yaml"

    @property
    def dvc_lock(self) -> Path:
        """DVC's record of what each data stage read and wrote."""
        return self.root / "dvc.lock"

    @property
    def artifacts(self) -> Path:
        """Where the embedded MLflow store keeps artifacts."""
        return self.root / "mlartifacts"

    @property
    def runs(self) -> Path:
        """Scratch of unfinished training runs, one folder per MLflow parent run."""
        return self.root / ".segline" / "runs"

    @property
    def reports(self) -> Path:
        """Pages for people; nothing reads them back."""
        return self.root / "reports"

    def archives(self, dataset: str) -> Path:
        """Folder of a dataset's downloaded archives."""
        return self.root / "data" / "archives" / dataset

    def own(self, dataset: str) -> Path:
        """File that changes when the user's own data do."""
        return self.root / "own" / f"{dataset}.txt"

    def raw(self, dataset: str) -> Path:
        """Folder of a dataset's extracted archives."""
        return self.root / "data" / "raw" / dataset

    def manifest(self, dataset: str) -> Path:
        """Folder of a dataset's judged manifest."""
        return self.root / "data" / "manifest" / dataset

    def prepared(self, dataset: str) -> Path:
        """Folder of a dataset's prepared, memory-mapped splits."""
        return self.root / "data" / "prepared" / dataset


def load() -> Settings:
    """Read the environment.

    Raises:
        ConfigError: no ``params.yaml`` here or above, or a variable with an impossible value.
    """
    settings = find()
    if settings is None:
        raise ConfigError(
            Path.cwd() / "params.yaml",
            found="no such file here or in any folder above",
            expected="a Segline project",
            remedy="run from the project's folder, or set SEGLINE_ROOT to it",
        )
    return settings


def find() -> Settings | None:
    """As `load`, for what needs no project: None where none is here or above, and none is stated.

    Raises:
        ConfigError: SEGLINE_ROOT is no project, or a variable has an impossible value.
    """
    root = _root()
    if root is None:
        return None
    return Settings(
        root=root,
        tracking_uri=_tracking_uri() or f"sqlite:///{root / 'mlflow.db'}",
        workers=workers(),
    )


def _root() -> Path | None:
    stated = os.environ.get("SEGLINE_ROOT")
    start = Path(stated) if stated else Path.cwd()
    for folder in (start.absolute(), *(() if stated else start.absolute().parents)):
        if (folder / "params.yaml").is_file():
            return folder
    if stated:
        raise ConfigError(
            start / "params.yaml",
            found="no such file here",
            expected="a Segline project",
            remedy="run from the project's folder, or set SEGLINE_ROOT to it",
        )
    return None


def _tracking_uri() -> str | None:
    """MLFLOW_TRACKING_URI; a server's login moves to MLflow's variables for it, so that no address holds it."""
    stated = os.environ.get("MLFLOW_TRACKING_URI")
    if not stated or not stated.lower().startswith(("http://", "https://")):
        return stated
    try:
        parts = urlsplit(stated)
        user, password, _ = parts.username, parts.password, parts.port
    except ValueError:
        raise _wrong_tracking(
            f"{stated}, which is no address", "an address; in its login, %40 for @, %2F for / and %3A for :"
        ) from None
    if parts.query or parts.fragment:
        raise _wrong_tracking(stated, "an address without query and fragment")
    if "@" not in parts.netloc:
        return stated
    if not user or not password:
        raise _wrong_tracking(f"{stated} with half a login", "user name and password, or neither")
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(user), unquote(password)
    os.environ["MLFLOW_TRACKING_URI"] = address
    return address


def _wrong_tracking(found: str, expected: str) -> ConfigError:
    return ConfigError(
        "MLFLOW_TRACKING_URI",
        found=found,
        expected=expected,
        remedy="correct it; what lets you in may stand in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
        "in MLFLOW_TRACKING_TOKEN",
    )


def workers() -> int:
    """Processes for per-sample data work.

    Raises:
        ConfigError: SEGLINE_WORKERS is no whole number from 1 up.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return _whole_number("SEGLINE_WORKERS", available)


def image_pixels() -> int:
    """Pixels that an image may have: it is refused by its header, before anything is decoded.

    Raises:
        ConfigError: SEGLINE_IMAGE_PIXELS is no whole number from 1 up.
    """
    return _whole_number("SEGLINE_IMAGE_PIXELS", IMAGE_PIXELS)


def image_bytes() -> int:
    """Bytes that an image's file may have.

    Raises:
        ConfigError: SEGLINE_IMAGE_BYTES is no whole number from 1 up.
    """
    return _whole_number("SEGLINE_IMAGE_BYTES", IMAGE_BYTES)


_LONGEST_NUMBER = 18  # digits


def _whole_number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or len(text) > _LONGEST_NUMBER or int(text) < 1:
        raise ConfigError(name, found=repr(text), expected="a whole number from 1 up", remedy="unset it, or correct it")
    return int(text)
