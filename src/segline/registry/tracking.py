"""Log to MLflow runs: one parent run for each training, one child run for each trial; find them again after a kill.

Run ids are always given explicitly, because MLflow's "active run" belongs to one thread, and Prefect uses many.
"""

import hashlib
import json
import logging
import os
import posixpath
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import mlflow
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from segline.console import complain
from segline.errors import ConfigError, TrackingError, shown
from segline.masking import masked
from segline.project import Files, Project, Tags, tracking_address
from segline.registry import location, outage
from segline.storage import NO_RIGHT, reporting_storage

Client = MlflowClient
"""MLflow's client, under a name that other packages can use without importing MLflow."""

_SAMPLING_SECONDS = 10.0  # MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL sets another
_SYSTEM_PREFIX = "system/"  # of the metrics that MLflow's monitor logs
_MAX_PARAM_CHARACTERS = 6000  # MLflow refuses longer values
_EMBEDDED = "sqlite:///"
_ILLEGAL_IN_METRIC = re.compile(r"[^\w.\- :/]")
_DIGEST_DIGITS = 6
_MAX_ENTRIES_PER_REQUEST = 100


@contextmanager
def reporting_tracking(place: str) -> Iterator[None]:
    """Convert errors of MLflow and its database to a `TrackingError` at `place`."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, RequestException) as error:
        raise outage.explain(place, error) from error


def connect(project: Project) -> MlflowClient:
    """Connect to the project's tracking store, and check that it answers.

    Raises:
        TrackingError: the store does not answer, or its address is wrong.
    """
    return _open(project.tracking_uri, _taking_store(project))


def connect_nearest() -> MlflowClient:
    """Connect to the store of the project around the current folder; without a project, to MLFLOW_TRACKING_URI.

    Raises:
        ConfigError: there is neither.
        TrackingError: the store does not answer, does not exist, or its address is wrong.
    """
    project = Project.find()
    if project is not None:
        return connect(project)
    uri = tracking_address()
    if uri is None:
        raise ConfigError(
            Path.cwd() / Files.PARAMS,
            found="no such file here or in any folder above, and no MLFLOW_TRACKING_URI",
            expected="a Segline project, or the address of an MLflow store",
            remedy="run from the project's folder, or set SEGLINE_ROOT to it; or set MLFLOW_TRACKING_URI",
        )
    if uri.startswith(_EMBEDDED) and not Path(uri.removeprefix(_EMBEDDED)).is_file():
        raise TrackingError(
            "MLFLOW_TRACKING_URI",
            found=f"no database {uri.removeprefix(_EMBEDDED)}",
            expected="a store that exists",
            remedy="correct the address",
        )
    return _open(uri, nullcontext())


@contextmanager
def _taking_store(project: Project) -> Iterator[None]:
    """Hold the store alone while its tables may be created; correct its addresses if the project was moved."""
    with _creating_tables_alone(project):
        if moved := location.follow_move(project):
            complain(f"note: {moved}")
        yield


def _open(uri: str, creating: AbstractContextManager[None]) -> MlflowClient:
    """Connect to the store at `uri`, and check that it answers; `creating` is held meanwhile."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # a progress bar for two files is useless
    for chatty in ("alembic", "mlflow.system_metrics"):  # they log every table, and success messages
        logging.getLogger(chatty).setLevel(logging.WARNING)
    outage.shorten_logs()
    if outage.is_server(uri):
        check_server(uri)
        outage.expect(uri)
    with reporting_tracking(uri), _converting_address_errors(uri), creating:
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


@contextmanager
def _converting_address_errors(uri: str) -> Iterator[None]:
    """Convert errors that a wrong address causes in MLflow or a database driver to a `TrackingError`."""
    try:
        yield
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise TrackingError(
            uri,
            found=f"it cannot be opened ({error})",
            expected="the address of an MLflow server, or of a database whose driver is installed",
            remedy="correct MLFLOW_TRACKING_URI, or install that driver, or unset it for the embedded store",
        ) from error


@contextmanager
def _creating_tables_alone(project: Project) -> Iterator[None]:
    """Lock out other processes: the first connection creates the tables, and two at once would create them twice.

    A process without write permission creates no tables, and reads the existing store.

    Raises:
        StorageError: no permission to write, and no store exists yet.
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
    """Check that a tracking server answers within seconds.

    Raises:
        TrackingError: the server does not answer.
    """
    try:
        with _converting_address_errors(uri):
            outage.ask_health(uri)
    except httpx.HTTPError as error:
        raise TrackingError(
            uri,
            found=f"no MLflow server answers ({error})",
            expected="HTTP 200 from /health",
            remedy="start it (`make up` starts one on this machine), or correct MLFLOW_TRACKING_URI, "
            "or unset it for the embedded store",
        ) from error


def experiment(
    client: MlflowClient, project: Project, name: str, *, tags: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Find the experiment `name`, or create it with `tags`; return its id."""
    with reporting_tracking(project.tracking_uri):
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        embedded = project.tracking_uri.startswith("sqlite:")
        location = project.artifacts.as_uri() if embedded else None
        kind = {"mlflow.experimentKind": "custom_model_development"}  # MLflow's page has another view for this kind
        return str(client.create_experiment(name, artifact_location=location, tags={**kind, **tags}))


def runs_with_key(client: MlflowClient, experiment_id: str, key: str) -> list[Run]:
    """Find the parent runs of this key, newest first."""
    found = client.search_runs(
        [experiment_id], f"tags.`{Tags.RUN_KEY}` = '{key}'", order_by=["attributes.start_time DESC"], max_results=100
    )
    return list(found)


def is_finished(run: Run) -> bool:
    """Return whether a parent run is finished, with the gate's decision."""
    return run.info.status == "FINISHED" and Tags.DECISION in run.data.tags


class MlflowTracker:
    """Log to one MLflow run; implements `segline.training.tracker.Tracker`."""

    def __init__(self, client: MlflowClient, run: Run) -> None:
        self._client = client
        self.place = str(client.tracking_uri)
        self.run_id: str = run.info.run_id
        self._experiment_id: str = run.info.experiment_id
        # A step that was logged before a kill is not logged again.
        self._last_step = self._read_last_steps(run)

    def _read_last_steps(self, run: Run) -> dict[str, int]:
        return {
            name: max(point.step for point in self._client.get_metric_history(self.run_id, name))
            for name in run.data.metrics
            if not name.startswith(_SYSTEM_PREFIX)  # the monitor itself finds where it stopped
        }

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; logging the same values again is allowed."""
        entries = [Param(key, shown(masked(value), limit=_MAX_PARAM_CHARACTERS)) for key, value in params.items()]
        with reporting_tracking(self.place):
            for batch in _split_into_requests(entries):
                self._client.log_batch(self.run_id, params=batch)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log values of metrics at `step`; values of steps that are already logged are skipped."""
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
        """Set tags of the run."""
        with reporting_tracking(self.place):
            for batch in _split_into_requests([RunTag(key, masked(value)) for key, value in tags.items()]):
                self._client.log_batch(self.run_id, tags=batch)

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Store a file as an artifact of the run."""
        with reporting_tracking(self.place):
            self._client.log_artifact(self.run_id, str(path), folder or None)

    @contextmanager
    def child(self, key: str, name: str) -> Iterator["MlflowTracker"]:
        """Create the child run of this key, or reopen it after a kill; `closing` ends it."""
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
    """Set `run` to RUNNING, yield its tracker, and end it: FINISHED, FAILED on an error, KILLED on a signal."""
    run_id, place = run.info.run_id, str(client.tracking_uri)
    with reporting_tracking(place):
        client.update_run(run_id, status="RUNNING")
        tracker = MlflowTracker(client, run)
    try:
        yield tracker
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"  # by Ctrl-C, or another signal
        _mark_as_ended(client, run_id, status, error)
        raise
    with reporting_tracking(place):
        client.set_terminated(run_id, "FINISHED")


def _mark_as_ended(client: MlflowClient, run_id: str, status: str, error: BaseException) -> None:
    """Set the status of a run that `error` ended. If that fails, `error` is still the important one.

    A server that is lost is not asked, because that would take two minutes more. The next training ends the run.
    """
    if outage.is_lost(str(client.tracking_uri)):
        error.add_note(f"run {run_id} could not be marked {status}: the server does not answer")
        return
    try:
        client.set_terminated(run_id, status)
    except (MlflowException, SQLAlchemyError) as second:
        error.add_note(f"run {run_id} could not be marked {status}: {second}")


@contextmanager
def watching_machine(tracker: MlflowTracker) -> Iterator[None]:
    """Log the load of the machine during the block, as MLflow's own ``system/`` metrics.

    These are CPU, memory, disk, network, and each NVIDIA GPU if ``nvidia-ml-py`` is installed. MLflow's thread ends
    with the block, also on an error; where MLflow's server is lost it is not waited for. The curves of a resumed run
    continue after their last point.
    """
    monitor = SystemMetricsMonitor(
        tracker.run_id, sampling_interval=_SAMPLING_SECONDS, resume_logging=True, tracking_uri=tracker.place
    )
    monitor.start()
    try:
        yield
    finally:
        ending = threading.Thread(target=monitor.finish, daemon=True)
        ending.start()
        ending.join(timeout=_SAMPLING_SECONDS)


def end_abandoned(client: MlflowClient, experiment_id: str, project: Project) -> None:
    """Mark abandoned runs of this machine, and their trials, as KILLED.

    A run in state RUNNING is of this machine if its scratch folder exists here. It is abandoned if no process holds the
    lock of its run key. It can still be continued, with the same data, code and parameters.
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
            continue  # another process is working on it


def unfinished(client: MlflowClient, experiment_id: str, key: str) -> Run | None:
    """Find the newest parent run of this key that has no decision yet; None if there is none."""
    return next((run for run in runs_with_key(client, experiment_id, key) if not is_finished(run)), None)


def open_parent(client: MlflowClient, experiment_id: str, *, key: str, name: str) -> Run:
    """Create a parent run with this run key."""
    user = shown(os.environ.get("USER") or os.environ.get("LOGNAME") or "unknown")
    return client.create_run(experiment_id, tags={Tags.RUN_KEY: key, "mlflow.user": user}, run_name=name)


def metric_name(name: str) -> str:
    """Convert a metric's name to one that MLflow accepts.

    A legal name is not changed. In other names, as for a class ``R&D``, underscores replace illegal characters, and a
    digest is added, so that different names stay different.
    """
    fit = _ILLEGAL_IN_METRIC.sub("_", name)
    if posixpath.normpath(fit) != fit:  # MLflow writes a file with this path
        fit = fit.replace("/", "_")
    return fit if fit == name else f"{fit}-{hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_DIGITS]}"


def log_dataset(client: MlflowClient, run_id: str, name: str, digest: str) -> None:
    """Log the prepared data as the run's dataset, with DVC's digest."""
    source = json.dumps({"uri": f"data/prepared/{name}"})
    dataset = Dataset(name=name, digest=digest.removesuffix(".dir"), source_type="local", source=source)
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def _split_into_requests(entries: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(entries), _MAX_ENTRIES_PER_REQUEST):
        yield entries[start : start + _MAX_ENTRIES_PER_REQUEST]
