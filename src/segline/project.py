"""Say where everything lies: the environment's settings, every place, file name and tag name of a project.

The environment never changes a result; what does is in ``params.yaml``.

| variable              | meaning                                    | default                          |
|-----------------------|--------------------------------------------|----------------------------------|
| SEGLINE_ROOT          | the project folder (holds params.yaml)     | the nearest one upwards          |
| MLFLOW_TRACKING_URI   | MLflow server or database                  | sqlite:///<root>/mlflow.db       |
| SEGLINE_SOURCE_*      | a mirror's login (`segline.data.download.source_login`)   | none                             |
| SEGLINE_WORKERS       | processes for per-sample data work         | the CPUs this process may use    |
| SEGLINE_IMAGE_PIXELS  | pixels that an image may have              | 536870912 (23170 x 23170)        |
| SEGLINE_IMAGE_BYTES   | bytes that an image's file may have        | 2147483648 (2 GiB)               |
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from segline.errors import ConfigError

IMAGE_PIXELS = 1 << 29
"""Pixels that an image may have: more than the largest of public aerial data sets (DOTA's 20 000 x 20 000).

They take 1.5 GiB as RGB, and three times that while they are decoded: what a machine of 8 GiB bears.
"""

IMAGE_BYTES = 2 << 30
"""Bytes that an image's file may have: those of as many pixels without compression, RGB and alpha."""


class Files:
    """Names of files and folders, of those that Segline writes and reads by name."""

    PARAMS: Final = "params.yaml"
    """What changes a result."""
    LOCK: Final = "dvc.lock"
    """DVC's record of what each data stage read and wrote."""
    PINS: Final = "pins.yaml"
    """Digests of archives whose publisher states none."""

    SUMS: Final = "SHA256SUMS"
    """Digests of the archives beside it; or of one's own files."""
    SOURCE: Final = "SOURCE.json"
    """Where archives came from, and on what terms."""
    OWN: Final = "_segline"
    """The folder, among one's own files, of what Segline says of them."""
    CLASSES: Final = "classes.yaml"
    """The class table of one's own data."""
    SAMPLES: Final = "samples.json"
    """The pairs of images and masks of one's own data."""
    RECIPE: Final = "recipe.json"
    """How one's own data are copied, and their masks painted."""
    MASKS: Final = "masks"
    """The folder of masks that were painted from polygons."""

    MANIFEST: Final = "manifest.parquet"
    """One row a sample, of those that are good."""
    VERDICT: Final = "validation.json"
    """What the validate stage found."""
    FINGERPRINT: Final = "fingerprint.json"
    """The figures of a dataset, which plans are made from."""
    META: Final = "meta.json"
    """What the splits of prepared data are."""
    INDEX: Final = "index.arrow"
    """Where each sample lies in the prepared splits."""

    RESULT_PAGE: Final = "index.html"
    """What the validate stage found, as a page."""
    GALLERY_PAGE: Final = "gallery.html"
    """The pictures of its findings."""
    FINGERPRINT_PAGE: Final = "fingerprint.html"
    """The fingerprint as a page."""
    EXPECTATIONS_PAGE: Final = "expectations.html"
    """The rules that data are judged by."""

    BUNDLE: Final = "bundle"
    """The folder of a trained network, in a run's scratch and in the registry."""
    NETWORK: Final = "network.keras"
    """The network in it."""
    DESCRIPTION: Final = "segline.json"
    """What the network is of, beside it."""

    COUNTS: Final = "evaluation.npz"
    """The counts of each image, which all scores come from."""
    EVALUATION: Final = "evaluation.json"
    """The scores."""
    COST: Final = "cost.json"
    """Time and memory that an answer takes."""
    CALIBRATION: Final = "calibration.json"
    """How far confidences are probabilities."""
    EVALUATION_PAGE: Final = "evaluation.html"
    """All three for a person, with pictures."""
    COMPARISON: Final = "comparison.json"
    """Scores side by side."""
    COMPARISON_PAGE: Final = "comparison.html"
    """The same for a person."""


class Scratch:
    """Names in the scratch folder of an unfinished training, beside those of its bundle and evaluation."""

    PLAN: Final = "plan.json"
    """What gave the parameters their values."""
    CLASSIFICATION: Final = "classification"
    """The folder of pre-trained encoders."""
    TUNER: Final = "tuner"
    """The folder of the search's trials."""
    CHOICE: Final = "choice.json"
    """What the search chose."""
    CHECKPOINT: Final = "checkpoint.npz"
    """The fit after its last whole epoch."""
    AUGMENTATION: Final = "augmentation.json"
    """What is done to training images."""
    BATCHES: Final = "batches"
    """The folder of pictures of the first batches."""
    CONFUSION: Final = "confusion.png"
    """The confusion matrix, drawn."""
    EXAMPLES: Final = "examples"
    """The folder of test images and answers."""
    VALIDATION_COUNTS: Final = "validation.npz"
    """The counts of the validation split."""
    VALIDATION: Final = "validation"
    """The folder of the validation images that are answered worst and best."""
    CHAMPION: Final = "champion"
    """The folder that the champion is brought to."""


class Artifacts:
    """Folders of an MLflow run."""

    PLAN: Final = "plan"
    """The plan that the run follows."""
    LINEAGE: Final = "lineage"
    """What was done to training images."""
    BATCHES: Final = "batches"
    """Pictures of the first batches."""
    EVALUATION: Final = "evaluation"
    """What the training itself found on the test split."""
    EXAMPLES: Final = "examples"
    """Test images and answers."""
    VALIDATION: Final = "validation"
    """Validation images and counts."""
    EVALUATIONS: Final = "evaluations"
    """Later evaluations of the run's model, a folder each."""


class Tags:
    """Names of the tags of MLflow runs and model versions."""

    RUN_KEY: Final = "segline.run_key"
    """Equal keys mean the same training."""
    CHILD: Final = "segline.child"
    """Which part of its parent a child run is."""
    DECISION: Final = "segline.decision"
    """The gate's; set last of all: a parent run without it is unfinished, whatever its status says."""
    FLOW_RUN: Final = "segline.flow_run"
    """Id of Prefect's flow run, or ``none``."""
    NETWORK: Final = "segline.network"
    """The family of the network."""
    AUGMENTATION: Final = "segline.augmentation"
    """What is done to training images."""
    DATASET: Final = "segline.dataset"
    """What was trained on."""
    PROTOCOL: Final = "segline.protocol"
    """The rules of its scores."""
    DVC_LOCK: Final = "segline.dvc_lock"
    """Digest of the dataset's stages in ``dvc.lock``."""
    RAW_MD5: Final = "segline.raw_md5"
    """DVC's digest of the extracted data."""
    PREPARED_MD5: Final = "segline.prepared_md5"
    """DVC's digest of the prepared data."""
    LABEL_MAP: Final = "segline.label_map"
    """Digest of the label map."""
    TEST_SPLIT: Final = "segline.test_split"
    """Digest of the test split."""
    VALIDATION: Final = "segline.validation"
    """The verdict of the validate stage."""
    TERMS: Final = "segline.terms"
    """The publisher's terms of use."""
    GIT_COMMIT: Final = "segline.git_commit"
    """The commit that is checked out."""
    GIT_DIRTY: Final = "segline.git_dirty"
    """Whether anything differs from it."""
    GIT_CHANGES: Final = "segline.git_changes"
    """Digest of what differs in code; or ``none``."""
    PARAMS: Final = "segline.params"
    """All parameters, as JSON."""
    MACHINE: Final = "segline.machine"
    """What of the machine last digits depend on."""
    PACKAGES: Final = "segline.packages"
    """Releases of the packages that results depend on."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """Resolved places of one project."""

    root: Path
    tracking_uri: str = field(repr=False)
    """Without a login where it is a server's; a database's has its password."""
    workers: int

    @classmethod
    def load(cls) -> "Project":
        """Read the environment.

        Raises:
            ConfigError: no ``params.yaml`` here or above, or a variable with an impossible value.
        """
        project = cls.find()
        if project is None:
            raise ConfigError(
                Path.cwd() / Files.PARAMS,
                found="no such file here or in any folder above",
                expected="a Segline project",
                remedy="run from the project's folder, or set SEGLINE_ROOT to it",
            )
        return project

    @classmethod
    def find(cls) -> "Project | None":
        """As `load`, for what needs no project: None where none is here or above, and none is stated.

        Raises:
            ConfigError: SEGLINE_ROOT is no project, or a variable has an impossible value.
        """
        root = _root()
        if root is None:
            return None
        return cls(root=root, tracking_uri=_tracking_uri() or embedded_store(root), workers=workers())

    @property
    def params(self) -> Path:
        """The file that holds what changes a result."""
        return self.root / Files.PARAMS

    @property
    def dvc_lock(self) -> Path:
        """DVC's record of what each data stage read and wrote."""
        return self.root / Files.LOCK

    @property
    def artifacts(self) -> Path:
        """Where the embedded MLflow store keeps artifacts."""
        return self.root / "mlartifacts"

    @property
    def runs(self) -> Path:
        """Scratch of unfinished training runs, one folder per MLflow parent run."""
        return self.root / ".segline" / "runs"

    def scratch(self, run_id: str) -> Path:
        """Scratch of one unfinished training run; names in it are `Scratch`'s."""
        return self.runs / run_id

    def run_lock(self, key: str) -> Path:
        """Lock that a training of this run key holds."""
        return self.runs / f"{key}.lock"

    def gate_lock(self, model: str) -> Path:
        """Lock that whoever judges versions of `model` holds."""
        return self.runs / f"{model}.gate.lock"

    @property
    def tracking_lock(self) -> Path:
        """Lock that whoever may create the tracking store holds."""
        return self.runs / "tracking.lock"

    @property
    def pins(self) -> Path:
        """Digests of archives whose publisher states none."""
        return self.root / Files.PINS

    def data_report(self, dataset: str) -> Path:
        """Folder of the pages about a dataset itself."""
        return self.reports / "data" / dataset

    @property
    def reports(self) -> Path:
        """Pages for people; nothing reads them back."""
        return self.root / "reports"

    def evaluation_report(self, dataset: str, name: str) -> Path:
        """Folder of one evaluation's files: a training run's id, or ``<model>-<split>``."""
        return self.reports / dataset / name

    def comparison_report(self, dataset: str) -> Path:
        """Folder of the page that puts scores side by side."""
        return self.reports / dataset / "comparison"

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


def embedded_store(root: Path) -> str:
    """Address of the MLflow store that needs no server."""
    return f"sqlite:///{root / 'mlflow.db'}"


def _root() -> Path | None:
    stated = os.environ.get("SEGLINE_ROOT")
    start = Path(stated) if stated else Path.cwd()
    for folder in (start.absolute(), *(() if stated else start.absolute().parents)):
        if (folder / Files.PARAMS).is_file():
            return folder
    if stated:
        raise ConfigError(
            start / Files.PARAMS,
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
