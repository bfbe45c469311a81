"""Define the settings from the environment, and the names of all files, folders and tags of a project.

Environment variables never change results; only ``params.yaml`` does.

| variable              | meaning                                    | default                          |
|-----------------------|--------------------------------------------|----------------------------------|
| SEGLINE_ROOT          | the project folder (contains params.yaml)  | nearest folder upwards with it   |
| MLFLOW_TRACKING_URI   | MLflow server or database                  | sqlite:///<root>/mlflow.db       |
| SEGLINE_SOURCE_*      | a mirror's login (`segline.data.download.source_login`)   | none                             |
| SEGLINE_WEIGHTS       | folder of published encoder weights        | <root>/.segline/weights          |
| SEGLINE_WORKERS       | processes for per-sample data work         | the CPUs this process may use    |
| SEGLINE_IMAGE_PIXELS  | pixels that an image may have              | 536870912 (23170 x 23170)        |
| SEGLINE_IMAGE_BYTES   | bytes that an image's file may have        | 2147483648 (2 GiB)               |
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from segline.errors import ConfigError, is_visible

IMAGE_PIXELS = 1 << 29
"""Default limit of pixels in an image: more than the largest public aerial dataset has (DOTA: 20 000 x 20 000).

As RGB, such an image takes 1.5 GiB, and three times as much while it is decoded: possible on a machine with 8 GiB.
"""

IMAGE_BYTES = 2 << 30
"""Default limit of bytes in an image file: `IMAGE_PIXELS` uncompressed pixels of RGB and alpha."""

UNUSABLE_IN_PATHS = "%?:*[]\\"
"""Characters that the path of a project may not contain; blanks, quotes, ``#`` and all letters may be in it.

A database's address decodes ``%`` and ends at ``?``. PATH is split at ``:``. DVC and Keras Tuner read the others as
patterns.
"""

MAX_DIGITS = 18
"""Digits that a number in the environment may have."""


class Files:
    """Names of the files and folders that Segline writes and reads by name."""

    PARAMS: Final = "params.yaml"  # parameters: everything that changes a result
    LOCK: Final = "dvc.lock"  # DVC's record of what each data stage read and wrote
    PINS: Final = "pins.yaml"  # digests of archives whose publisher states none
    WEIGHTS: Final = "weights.yaml"  # encoder weights that `search.weights: auto` chose

    SUMS: Final = "SHA256SUMS"  # digests of the archives in its folder; or of the user's own files
    SOURCE: Final = "SOURCE.json"  # addresses and terms of the downloaded archives
    OWN: Final = "_segline"  # folder of the files that Segline adds to a copy of the user's own data
    CLASSES: Final = "classes.yaml"  # class table of the user's own data
    SAMPLES: Final = "samples.json"  # pairs of images and masks of the user's own data
    RECIPE: Final = "recipe.json"  # encoding of the user's own masks, and their names in COCO files
    MASKS: Final = "masks"  # folder of the masks painted from polygons

    MANIFEST: Final = "manifest.parquet"  # one row for each sample that passed validation
    VERDICT: Final = "validation.json"  # findings of the validate stage
    FINGERPRINT: Final = "fingerprint.json"  # figures of a dataset, from which plans are derived
    META: Final = "meta.json"  # description of the prepared splits
    INDEX: Final = "index.arrow"  # position of each sample in the prepared splits

    RESULT_PAGE: Final = "index.html"  # page of the validate stage's findings
    GALLERY_PAGE: Final = "gallery.html"  # page of the images with findings
    FINGERPRINT_PAGE: Final = "fingerprint.html"  # page of the fingerprint
    EXPECTATIONS_PAGE: Final = "expectations.html"  # page of the validation rules

    BUNDLE: Final = "bundle"  # folder of a trained network, in a run's scratch and in the registry
    NETWORK: Final = "network.keras"  # the network in a bundle
    DESCRIPTION: Final = "segline.json"  # dataset, labels and input size of the network in a bundle

    COUNTS: Final = "evaluation.npz"  # counts of each image, from which all scores are computed
    EVALUATION: Final = "evaluation.json"  # scores
    COST: Final = "cost.json"  # time and memory of a prediction
    CALIBRATION: Final = "calibration.json"  # calibration of the predicted confidences
    EVALUATION_PAGE: Final = "evaluation.html"  # page of scores, cost and calibration, with pictures
    COMPARISON: Final = "comparison.json"  # comparison of scores
    COMPARISON_PAGE: Final = "comparison.html"  # page of the comparison


class Scratch:
    """Names in the scratch folder of an unfinished training, besides those of its bundle and evaluation."""

    PLAN: Final = "plan.json"  # source of each parameter's value
    CLASSIFICATION: Final = "classification"  # folder of pre-trained encoders
    TUNER: Final = "tuner"  # folder of the search's trials
    CHOICE: Final = "choice.json"  # hyper-parameters that the search chose
    CHECKPOINT: Final = "checkpoint.npz"  # state of the fit after its last complete epoch
    AUGMENTATION: Final = "augmentation.json"  # augmentation of training images
    BATCHES: Final = "batches"  # folder of pictures of the first batches
    CONFUSION: Final = "confusion.png"  # drawing of the confusion matrix
    EXAMPLES: Final = "examples"  # folder of test images and predictions
    VALIDATION_COUNTS: Final = "validation.npz"  # counts of the validation split
    VALIDATION: Final = "validation"  # folder of the validation images with the worst and the best predictions
    CHAMPION: Final = "champion"  # folder that the champion is downloaded to


class Artifacts:
    """Artifact folders of an MLflow run."""

    PLAN: Final = "plan"  # source of each parameter's value
    LINEAGE: Final = "lineage"  # augmentation of training images
    BATCHES: Final = "batches"  # pictures of the first batches
    EVALUATION: Final = "evaluation"  # evaluation on the test split, made by the training itself
    EXAMPLES: Final = "examples"  # test images and predictions
    VALIDATION: Final = "validation"  # validation images and counts
    EVALUATIONS: Final = "evaluations"  # later evaluations of the run's model, a folder each


class Tags:
    """Names of the tags of MLflow runs and model versions."""

    RUN_KEY: Final = "segline.run_key"  # equal keys mean the same training
    CHILD: Final = "segline.child"  # which part of the parent run this child run is
    DECISION: Final = "segline.decision"  # of the gate; set last: a run without it is unfinished, whatever its status
    FLOW_RUN: Final = "segline.flow_run"  # id of Prefect's flow run, or ``none``
    RESTORED: Final = "segline.restored"  # of a version that was made the champion again: which one it replaced
    NETWORK: Final = "segline.network"  # family of the network
    AUGMENTATION: Final = "segline.augmentation"  # augmentation of training images
    DATA_ID: Final = "segline.data_id"  # of an experiment: id of the own data that it belongs to
    DATASET: Final = "segline.dataset"  # dataset that was trained on
    PROTOCOL: Final = "segline.protocol"  # rules by which it is scored
    DVC_LOCK: Final = "segline.dvc_lock"  # digest of the dataset's stages in ``dvc.lock``
    RAW_MD5: Final = "segline.raw_md5"  # DVC's digest of the extracted data
    PREPARED_MD5: Final = "segline.prepared_md5"  # DVC's digest of the prepared data
    LABEL_MAP: Final = "segline.label_map"  # digest of the label map
    TEST_SPLIT: Final = "segline.test_split"  # digest of the test split
    VALIDATION: Final = "segline.validation"  # result of the validate stage
    TERMS: Final = "segline.terms"  # publisher's terms of use
    GIT_COMMIT: Final = "segline.git_commit"  # commit that is checked out
    GIT_DIRTY: Final = "segline.git_dirty"  # whether any file differs from it
    GIT_CHANGES: Final = "segline.git_changes"  # digest of the changes of code; or ``none``
    TRAINING_CODE: Final = "segline.training_code"  # digest of the code that trains and scores
    PARAMS: Final = "segline.params"  # all parameters that the run depends on, as JSON
    WEIGHTS: Final = "segline.weights"  # published weights that encoders started from, with digests; or ``none``
    MACHINE: Final = "segline.machine"  # properties of the machine that change the last digits of results
    PACKAGES: Final = "segline.packages"  # versions of the packages that results depend on


@dataclass(frozen=True, kw_only=True)
class Project:
    """Settings and paths of one project."""

    root: Path
    tracking_uri: str = field(repr=False)
    """Address of the MLflow store. A server's address has no login; a database's address includes its password."""
    workers: int

    @classmethod
    def load(cls) -> "Project":
        """Find the project, and read the environment.

        Raises:
            ConfigError: no ``params.yaml`` in this folder or above, or a variable has an invalid value.
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
        """Find the project as `load` does; return None if there is none and SEGLINE_ROOT is not set.

        Raises:
            ConfigError: SEGLINE_ROOT is not a project, or a variable has an invalid value.
        """
        root = _find_root()
        if root is None:
            return None
        _refuse_unusable_path(root)
        return cls(root=root, tracking_uri=tracking_address() or embedded_store(root), workers=workers())

    @property
    def params(self) -> Path:
        """Return the path of the parameters."""
        return self.root / Files.PARAMS

    @property
    def dvc_lock(self) -> Path:
        """Return the path of DVC's record of what each data stage read and wrote."""
        return self.root / Files.LOCK

    @property
    def artifacts(self) -> Path:
        """Return the folder in which the embedded MLflow store keeps artifacts."""
        return embedded_artifacts(self.root)

    @property
    def runs(self) -> Path:
        """Return the folder of unfinished training runs' scratch, one folder for each MLflow parent run."""
        return self.root / ".segline" / "runs"

    def scratch(self, run_id: str) -> Path:
        """Return the scratch folder of one unfinished training run; its files are named in `Scratch`."""
        return self.runs / run_id

    def run_lock(self, key: str) -> Path:
        """Return the path of the lock that a training with this run key holds."""
        return self.runs / f"{key}.lock"

    def gate_lock(self, model: str) -> Path:
        """Return the path of the lock that the gate of `model` holds."""
        return self.runs / f"{model}.gate.lock"

    @property
    def tracking_lock(self) -> Path:
        """Return the path of the lock that a process holds while it may create the tracking store."""
        return self.runs / "tracking.lock"

    def content_record(self, stage: str, dataset: str) -> Path:
        """Return the path of this machine's record of the files that a data stage wrote."""
        return self.root / ".segline" / "content" / f"{stage}-{dataset}.json"

    @property
    def flow_locks(self) -> Path:
        """Return the folder of the locks that flows hold."""
        return self.root / ".segline" / "flows"

    def flow_lock(self, flow_run: str) -> Path:
        """Return the path of the lock that the process of a Prefect flow run holds."""
        return self.flow_locks / f"{flow_run}.lock"

    @property
    def up_lock(self) -> Path:
        """Return the path of the lock that ``make up`` holds."""
        return self.root / ".segline" / "up.lock"

    @property
    def weights(self) -> Path:
        """Return the folder of published encoder weights."""
        stated = os.environ.get("SEGLINE_WEIGHTS")
        return Path(stated) if stated else self.root / ".segline" / "weights"

    @property
    def speeds(self) -> Path:
        """Return the path of this machine's measured times of training steps."""
        return self.root / ".segline" / "speed.json"

    @property
    def chosen_weights(self) -> Path:
        """Return the path of the record of the encoder weights that `search.weights: auto` chose."""
        return self.root / Files.WEIGHTS

    @property
    def reports(self) -> Path:
        """Return the folder of pages for people; Segline never reads them."""
        return self.root / "reports"

    def data_report(self, dataset: str) -> Path:
        """Return the folder of the pages about a dataset."""
        return self.reports / "data" / dataset

    def evaluation_report(self, dataset: str, name: str) -> Path:
        """Return the folder of one evaluation; `name` is a training run's id, or ``<model>-<split>``."""
        return self.reports / dataset / name

    def comparison_report(self, dataset: str) -> Path:
        """Return the folder of the page that compares scores."""
        return self.reports / dataset / "comparison"

    def archives(self, dataset: str) -> Path:
        """Return the folder of a dataset's downloaded archives."""
        return self.root / "data" / "archives" / dataset

    def own(self, dataset: str) -> Path:
        """Return the path of the digest file that changes when the user's own data change."""
        return self.root / "own" / f"{dataset}.txt"

    def raw(self, dataset: str) -> Path:
        """Return the folder of a dataset's extracted archives."""
        return self.root / "data" / "raw" / dataset

    def manifest(self, dataset: str) -> Path:
        """Return the folder of a dataset's validated manifest."""
        return self.root / "data" / "manifest" / dataset

    def size(self, dataset: str) -> Path:
        """Return the path of the file that says at which size a dataset is prepared."""
        return self.root / "data" / "size" / f"{dataset}.json"

    def prepared(self, dataset: str) -> Path:
        """Return the folder of a dataset's prepared, memory-mapped splits."""
        return self.root / "data" / "prepared" / dataset


def embedded_store(root: Path) -> str:
    """Return the address of the MLflow store that needs no server."""
    return f"sqlite:///{root / 'mlflow.db'}"


def embedded_artifacts(root: Path) -> Path:
    """Return the folder in which the embedded MLflow store keeps artifacts."""
    return root / "mlartifacts"


def _find_root() -> Path | None:
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


def _refuse_unusable_path(root: Path) -> None:
    """Raise a `ConfigError` if a tool that Segline uses would read or write somewhere else than in `root`."""
    odd = sorted({each for each in str(root) if each in UNUSABLE_IN_PATHS or not is_visible(each)})
    if odd:
        raise ConfigError(
            root,
            found=f"the folder's path contains {' '.join(map(repr, odd))}",
            expected=f"a path without {' '.join(UNUSABLE_IN_PATHS)} and invisible characters, because tools give them "
            "another meaning",
            remedy="rename the folder, then run the same command in it",
        )


def tracking_address() -> str | None:
    """Return MLFLOW_TRACKING_URI. Move a server's login into MLflow's own variables, so that addresses contain none.

    Raises:
        ConfigError: it is not a valid address, or its login is incomplete.
    """
    stated = os.environ.get("MLFLOW_TRACKING_URI")
    if not stated or not stated.lower().startswith(("http://", "https://")):
        return stated
    try:
        parts = urlsplit(stated)
        user, password, _ = parts.username, parts.password, parts.port
    except ValueError:
        raise _wrong_tracking(
            f"{stated}, which is not a valid address",
            "an address; in its login, write %40 for @, %2F for / and %3A for :",
        ) from None
    if parts.query or parts.fragment:
        raise _wrong_tracking(stated, "an address without query and fragment")
    if "@" not in parts.netloc:
        return stated
    if not user or not password:
        raise _wrong_tracking(f"{stated} with an incomplete login", "user name and password, or neither")
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(user), unquote(password)
    os.environ["MLFLOW_TRACKING_URI"] = address
    return address


def _wrong_tracking(found: str, expected: str) -> ConfigError:
    return ConfigError(
        "MLFLOW_TRACKING_URI",
        found=found,
        expected=expected,
        remedy="correct it; the login may also be in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or in "
        "MLFLOW_TRACKING_TOKEN",
    )


def workers() -> int:
    """Return the number of processes for per-sample data work.

    Raises:
        ConfigError: SEGLINE_WORKERS is not a whole number >= 1.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return _read_number("SEGLINE_WORKERS", available)


def image_pixels() -> int:
    """Return the limit of pixels in an image; headers are checked against it before pixels are decoded.

    Raises:
        ConfigError: SEGLINE_IMAGE_PIXELS is not a whole number >= 1.
    """
    return _read_number("SEGLINE_IMAGE_PIXELS", IMAGE_PIXELS)


def image_bytes() -> int:
    """Return the limit of bytes in an image file.

    Raises:
        ConfigError: SEGLINE_IMAGE_BYTES is not a whole number >= 1.
    """
    return _read_number("SEGLINE_IMAGE_BYTES", IMAGE_BYTES)


def _read_number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or len(text) > MAX_DIGITS or int(text) < 1:
        raise ConfigError(name, found=repr(text), expected="a whole number from 1 up", remedy="unset it, or correct it")
    return int(text)
