"""Store evaluations in MLflow with the run of a model version, and download them to compare them."""

import re
from collections.abc import Iterable
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from segline.errors import TrackingError
from segline.project import Artifacts, Files
from segline.registry import versions
from segline.registry.tracking import reporting_tracking

COUNTS = f"{Artifacts.EVALUATION}/{Files.COUNTS}"
"""The artifact that the training flow logs."""

_RUN_ID = re.compile(r"[0-9a-f]{32}")


def fetch(client: MlflowClient, wanted: str, folder: Path) -> tuple[str, Path]:
    """Download the counts of `wanted` into `folder`.

    Args:
        wanted: a model version (``name@alias``, ``name/3``, or ``name`` for its champion), or the id or name of an
            MLflow run. If several runs have this name, the newest is used.

    Returns:
        A name for a person to read, and the downloaded file.

    Raises:
        TrackingError: no run or model has this name, or the run has no counts.
    """
    with reporting_tracking(wanted):
        name, run_id = _find_run(client, wanted)
        folder.mkdir(parents=True, exist_ok=True)
        held = {item.path for item in client.list_artifacts(run_id, Artifacts.EVALUATION)}
        if COUNTS not in held:
            raise TrackingError(
                wanted,
                found=f"run {run_id} has no {COUNTS}",
                expected="the counts that a finished training run logs",
                remedy="let the run finish; or score the model with segline evaluate and compare the file it writes",
            )
        return name, Path(
            mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=COUNTS, dst_path=str(folder))
        )


def log(client: MlflowClient, version: versions.Version, files: Iterable[Path], *, name: str) -> str | None:
    """Log the files of an evaluation to the run that trained `version`, in ``evaluations/<name>``.

    The files overwrite an earlier evaluation of that name.

    Returns:
        The run's id; None if the version was registered without a run, so that nothing was logged.

    Raises:
        TrackingError: MLflow cannot store the files.
    """
    if not version.run_id:
        return None
    with reporting_tracking(f"{version.name} version {version.version}"):
        for path in files:
            client.log_artifact(version.run_id, str(path), f"{Artifacts.EVALUATIONS}/{name}")
    return str(version.run_id)


def _find_run(client: MlflowClient, wanted: str) -> tuple[str, str]:
    """Find the run that `wanted` names; return a readable name and the run's id."""
    if _RUN_ID.fullmatch(wanted):
        try:
            run = client.get_run(wanted)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        else:
            return f"{run.info.run_name} ({wanted[:8]})", wanted
    named = [] if "@" in wanted or "/" in wanted else _find_runs_named(client, wanted)
    if named:
        return wanted, named[0].info.run_id
    version = versions.find(client, wanted)
    if version is None:
        known = ", ".join(versions.list_known(client)) or "segline-oxford_pets@champion"
        raise TrackingError(
            wanted,
            found="no file, run or model of that name",
            expected=f"an evaluation.npz or its folder, an MLflow run's id or name, or a model such as {known}",
            remedy="correct the name; segline models list and MLflow's page (`make up`) show all names",
        )
    name = f"{version.name}/{version.version}"
    if not version.run_id:
        raise TrackingError(
            wanted,
            found=f"{name} was registered without a run",
            expected=f"the {COUNTS} of the run that trained it",
            remedy="score the model with segline evaluate, and compare the file that it writes",
        )
    return name, str(version.run_id)


def _find_runs_named(client: MlflowClient, name: str) -> list[Run]:
    """Find the runs of that name, newest first."""
    if '"' in name:
        return []
    experiments = [item.experiment_id for item in client.search_experiments()]
    return list(
        client.search_runs(
            experiments, f'attributes.run_name = "{name}"', order_by=["attributes.start_time DESC"], max_results=1
        )
    )
