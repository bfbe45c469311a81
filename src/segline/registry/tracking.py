"""MLflow runs: one parent a training, one child a trial, found again after a kill.

Run ids are always explicit: MLflow's "active run" belongs to a thread, and Prefect has many.
"""

import hashlib
import json
import logging
import os
import posixpath
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import mlflow
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from sqlalchemy.exc import SQLAlchemyError

from segline.errors import TrackingError, shown
from segline.masking import masked
from segline.project import Project, Tags
from segline.storage import NO_RIGHT, reporting_storage

Client = MlflowClient
"""MLflow's client, by a name that others can use without importing MLflow."""

_HEALTH_CHECK_SECONDS = 5.0
_SAMPLING_SECONDS = 10.0  # MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL sets another
_SYSTEM_PREFIX = "system/"  # of the metrics that MLflow's monitor logs
_MAX_PARAM_CHARACTERS = 6000  # MLflow refuses longer values
_EMBEDDED = "sqlite:///"
_ILLEGAL_IN_METRIC = re.compile(r"[^\w.\- :/]")
_DIGEST_DIGITS = 6
_MAX_ENTRIES_PER_REQUEST = 100


@contextmanager
def reporting_tracking(place: str) -> Iterator[None]:
    """Turn what MLflow and its database raise into a `TrackingError` at `place`."""
    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        raise TrackingError(
            place,
            found=str(error).strip().splitlines()[0],
            expected="a working MLflow store",
            remedy="check the store (disk full? server down? another release's database?), then run the same "
            "command: it continues where it stopped",
        ) from error


def connect(project: Project) -> MlflowClient:
    """Connect to the project's tracking store, and check that it answers.

    Raises:
        TrackingError: it does not.
    """
    uri = project.tracking_uri
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # a bar for two files says nothing
    for chatty in ("alembic", "mlflow.system_metrics"):  # tell of every table, and that all is well
        logging.getLogger(chatty).setLevel(logging.WARNING)
    if uri.startswith(("http://", "https://")):
        check_server(uri)
    with reporting_tracking(uri), _reporting_address(uri), _creating_tables_alone(project):
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


@contextmanager
def _reporting_address(uri: str) -> Iterator[None]:
    """Turn what a wrong address makes of MLflow and its database's driver into a `TrackingError`."""
    try:
        yield
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise TrackingError(
            uri,
            found=f"it cannot be opened ({error})",
            expected="the address of an MLflow server, or of a database whose driver is installed",
            remedy="correct MLFLOW_TRACKING_URI, or install that driver, or unset it for the embedded store",
        ) from error


def _read_login() -> dict[str, Any]:
    """Read the login for the tracking server from the variables that MLflow itself reads."""
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
    user, password, token = (os.environ.get(name) for name in names)
    if user and password:
        return {"auth": (user, password)}
    return {"headers": {"Authorization": f"Bearer {token}"}} if token else {}


@contextmanager
def _creating_tables_alone(project: Project) -> Iterator[None]:
    """Hold off other processes: the first connection creates the tables, and two at once would create them twice.

    Whoever may not write creates none, and reads the store that there is.

    Raises:
        StorageError: no right to write, and no store yet.
    """
    with ExitStack() as lock:
        try:
            project.runs.mkdir(parents=True, exist_ok=True)
            lock.enter_context(FileLock(project.tracking_lock))
        except OSError as error:
            created = Path(project.tracking_uri.removeprefix(_EMBEDDED))
            if error.errno not in NO_RIGHT or (project.tracking_uri.startswith(_EMBEDDED) and not created.is_file()):
                with reporting_storage(project.runs):
                    raise
        yield


def check_server(uri: str) -> None:
    """Check, within seconds, that a tracking server answers.

    Raises:
        TrackingError: it does not.
    """
    try:
        with _reporting_address(uri):
            httpx.get(f"{uri.rstrip('/')}/health", timeout=_HEALTH_CHECK_SECONDS, **_read_login()).raise_for_status()
    except httpx.HTTPError as error:
        raise TrackingError(
            uri,
            found=f"no MLflow server answers ({error})",
            expected="HTTP 200 from /health",
            remedy="start it (`make up` starts one on this machine), or correct MLFLOW_TRACKING_URI, "
            "or unset it for the embedded store",
        ) from error


def experiment(client: MlflowClient, project: Project, name: str) -> str:
    """Find the experiment `name`, or create it; returns its id."""
    with reporting_tracking(project.tracking_uri):
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        embedded = project.tracking_uri.startswith("sqlite:")
        location = project.artifacts.as_uri() if embedded else None
        kind = {"mlflow.experimentKind": "custom_model_development"}  # which of its two faces the page shows
        return str(client.create_experiment(name, artifact_location=location, tags=kind))


def runs_with_key(client: MlflowClient, experiment_id: str, key: str) -> list[Run]:
    """Find the parent runs of this key, newest first."""
    found = client.search_runs(
        [experiment_id], f"tags.`{Tags.RUN_KEY}` = '{key}'", order_by=["attributes.start_time DESC"], max_results=100
    )
    return list(found)


def is_finished(run: Run) -> bool:
    """Return whether a parent run went all the way to the gate's decision."""
    return run.info.status == "FINISHED" and Tags.DECISION in run.data.tags


class MlflowTracker:
    """`segline.training.tracker.Tracker` on one MLflow run."""

    def __init__(self, client: MlflowClient, run: Run) -> None:
        self._client = client
        self.place = str(client.tracking_uri)
        self.run_id: str = run.info.run_id
        self._experiment_id: str = run.info.experiment_id
        # A step that was logged before a kill is not logged again.
        self._last_step = self._logged_up_to(run)

    def _logged_up_to(self, run: Run) -> dict[str, int]:
        return {
            name: max(point.step for point in self._client.get_metric_history(self.run_id, name))
            for name in run.data.metrics
            if not name.startswith(_SYSTEM_PREFIX)  # the monitor looks for itself where it stopped
        }

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record what the run was asked to do; the same values may be recorded again."""
        entries = [Param(key, shown(masked(value), limit=_MAX_PARAM_CHARACTERS)) for key, value in params.items()]
        with reporting_tracking(self.place):
            for batch in _batches(entries):
                self._client.log_batch(self.run_id, params=batch)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record points of curves; a step that is there already stays as it is."""
        now = int(time.time() * 1000)
        entries = [
            Metric(name, float(value), now, step)
            for name, value in ((metric_name(given), value) for given, value in metrics.items())
            if step > self._last_step.get(name, -1)
        ]
        if entries:
            with reporting_tracking(self.place):
                self._client.log_batch(self.run_id, metrics=entries)
            self._last_step |= {entry.key: step for entry in entries}

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Record facts about the run."""
        with reporting_tracking(self.place):
            for batch in _batches([RunTag(key, masked(value)) for key, value in tags.items()]):
                self._client.log_batch(self.run_id, tags=batch)

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Store a file with the run."""
        with reporting_tracking(self.place):
            self._client.log_artifact(self.run_id, str(path), folder or None)

    @contextmanager
    def child(self, key: str, name: str) -> Iterator["MlflowTracker"]:
        """Open the child run of this key, or reopen it after a kill; it ends as `closing` says."""
        with reporting_tracking(self.place):
            found = self._client.search_runs(
                [self._experiment_id],
                f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{self.run_id}' and tags.`{Tags.CHILD}` = '{key}'",
                max_results=1,
            )
            tags = {MLFLOW_PARENT_RUN_ID: self.run_id, Tags.CHILD: key}
            run = found[0] if found else self._client.create_run(self._experiment_id, tags=tags, run_name=name)
        with closing(self._client, run) as tracker:
            yield tracker


@contextmanager
def closing(client: MlflowClient, run: Run) -> Iterator[MlflowTracker]:
    """Set `run` RUNNING, hand out its tracker, and end it: FINISHED, FAILED on an error, KILLED on a signal."""
    run_id, place = run.info.run_id, str(client.tracking_uri)
    with reporting_tracking(place):
        client.update_run(run_id, status="RUNNING")
        tracker = MlflowTracker(client, run)
    try:
        yield tracker
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"  # by Ctrl-C, or another signal
        try:
            client.set_terminated(run_id, status)
        except (MlflowException, SQLAlchemyError) as second:
            error.add_note(f"and run {run_id} could not be marked {status}: {second}")  # the first reason counts
        raise
    with reporting_tracking(place):
        client.set_terminated(run_id, "FINISHED")


@contextmanager
def watching_machine(tracker: MlflowTracker) -> Iterator[None]:
    """Log what the machine does meanwhile to the run, as MLflow's own ``system/`` metrics.

    CPU, memory, disk, network, and each NVIDIA GPU where ``nvidia-ml-py`` is installed. MLflow's thread
    ends with the block however that ends, and a resumed run's curves go on after their last point.
    """
    monitor = SystemMetricsMonitor(
        tracker.run_id, sampling_interval=_SAMPLING_SECONDS, resume_logging=True, tracking_uri=tracker.place
    )
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def end_abandoned(client: MlflowClient, experiment_id: str, project: Project) -> None:
    """Mark as KILLED what processes of this machine left RUNNING under another key, trials included.

    A run is this machine's if its scratch folder is here, and abandoned if nobody holds its key's
    lock. It can still be continued: going back to its data, code and parameters finds it.
    """
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        key = run.data.tags.get(Tags.RUN_KEY)
        if key is None or not project.scratch(run.info.run_id).is_dir():
            continue
        try:
            with FileLock(project.run_lock(key), timeout=0):
                family = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run.info.run_id}' and attributes.status = 'RUNNING'"
                for left in (*client.search_runs([experiment_id], family), run):
                    client.set_terminated(left.info.run_id, "KILLED")
        except Timeout:
            continue  # somebody is working on it


def unfinished(client: MlflowClient, experiment_id: str, key: str) -> Run | None:
    """Find the newest parent run of this key that was begun and not decided."""
    return next((run for run in runs_with_key(client, experiment_id, key) if not is_finished(run)), None)


def open_parent(client: MlflowClient, experiment_id: str, *, key: str, name: str) -> Run:
    """Create a parent run."""
    user = shown(os.environ.get("USER") or os.environ.get("LOGNAME") or "unknown")
    return client.create_run(experiment_id, tags={Tags.RUN_KEY: key, "mlflow.user": user}, run_name=name)


def metric_name(name: str) -> str:
    """Make a metric's name one that MLflow takes.

    A legal name stays. In another, as of a class ``R&D``, illegal signs become underscores, and a digest tells it from
    names that look alike then.
    """
    fit = _ILLEGAL_IN_METRIC.sub("_", name)
    if posixpath.normpath(fit) != fit:  # MLflow would have to write a file that is named so
        fit = fit.replace("/", "_")
    return fit if fit == name else f"{fit}-{hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_DIGITS]}"


def log_dataset(client: MlflowClient, run_id: str, name: str, digest: str) -> None:
    """Tie the run to the prepared data, by DVC's digest of it."""
    source = json.dumps({"uri": f"data/prepared/{name}"})
    dataset = Dataset(name=name, digest=digest.removesuffix(".dir"), source_type="local", source=source)
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def _batches(entries: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(entries), _MAX_ENTRIES_PER_REQUEST):
        yield entries[start : start + _MAX_ENTRIES_PER_REQUEST]
