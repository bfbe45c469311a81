"""Register model versions, find the champion, and promote another version to champion."""

import errno
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import DataType, ParamSchema, ParamSpec
from rich.markup import escape
from rich.table import Table

import segline
from segline.errors import TrackingError, shown
from segline.inference.description import Description
from segline.project import Files, Tags
from segline.registry import model_card, outage
from segline.registry.champion_check import CHAMPION, find_holder
from segline.registry.gate.rules import Decision
from segline.registry.tracking import reporting_tracking

SIGNATURE = ModelSignature(params=ParamSchema([ParamSpec("format", DataType.string, "ids")]))
"""Without a schema of the inputs: MLflow would cast them before the model's own checks see them.

It casts the JSON floats 0..1 of a bright image to uint8, which makes the image black. A schema has one type, so it
could not allow both arrays and image files in base64. `segline.inference.request` checks shape, range and type instead.
"""

_SERVING_PACKAGES = (
    "keras",
    "tensorflow",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pydantic",
    "pyyaml",
    "mlflow",
    "uvicorn",  # `mlflow models serve` starts it
)


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a registered model, so that no other package needs MLflow's own class.

    Args:
        source: address of its files, for a person to read.
        run_id: run that trained it; None if it was registered without a run.
    """

    name: str
    version: str
    source: str
    run_id: str | None
    tags: Mapping[str, str]


def _convert(found: ModelVersion) -> Version:
    return Version(
        name=found.name,
        version=str(found.version),
        source=str(found.source),
        run_id=found.run_id or None,
        tags=dict(found.tags),
    )


def model_name(model: str) -> str:
    """Return the registered model's name for a `Dataset.model`."""
    return f"segline-{model}"


def register(client: MlflowClient, *, run_id: str, name: str, bundle: Path, tags: Mapping[str, str]) -> Version:
    """Log `bundle` as the run's model and register it; after a kill, finish the registration.

    Args:
        tags: lineage, set on the model and on its version.

    Returns:
        The version of `name` that belongs to this run.
    """
    card = model_card.read_card(bundle)
    existing = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    if existing:
        return _describe(client, existing[0], card)
    run = client.get_run(run_id)
    _drop_half_logged(client, run.info.experiment_id, run_id)
    # Only MLflow's fluent interface logs models. It needs an active run, and ends it as FINISHED.
    with mlflow.start_run(run_id=run_id), warnings.catch_warnings():
        # MLflow would run an example input through the network only to check the signature, which is given above.
        warnings.filterwarnings("ignore", message=".*input example was not provided")
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={Files.BUNDLE: str(bundle)},
            code_paths=[str(Path(segline.__file__).parent)],
            signature=SIGNATURE,
            pip_requirements=[f"{package}=={installed(package)}" for package in _SERVING_PACKAGES],
            metadata=model_card.metadata(card),
            tags=dict(tags),
            registered_model_name=name,
        )
    client.update_run(run_id, status="RUNNING")
    return _describe(client, client.get_model_version(name, str(info.registered_model_version)), card)


def _describe(client: MlflowClient, version: ModelVersion, card: Description) -> Version:
    """Give a version its description, unless it has one already."""
    if not version.description:
        client.update_model_version(version.name, version.version, description=model_card.text(card))
    return _convert(version)


def _drop_half_logged(client: MlflowClient, experiment_id: str, run_id: str) -> None:
    for model in client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'"):
        client.delete_logged_model(model.model_id)


def champion(client: MlflowClient, name: str, *, challenger: Version | None = None) -> Version | None:
    """Find the version with the alias "champion"; None if there never was one.

    Args:
        challenger: the version that is being judged, if there is one.

    Raises:
        TrackingError: the champion was deleted, or the alias is not where the gate put it.
    """
    number = find_holder(client, name, challenger=challenger.version if challenger else None)
    return None if number is None else _convert(client.get_model_version(name, number))


def list_versions(client: MlflowClient, name: str) -> list[Version]:
    """List all versions of a registered model, newest first."""
    found = [_convert(version) for version in client.search_model_versions(f"name = '{name}'")]
    return sorted(found, key=lambda version: int(version.version), reverse=True)


def promote(client: MlflowClient, version: Version) -> None:
    """Make `version` the champion: move the alias to it from the version that has it now."""
    client.set_registered_model_alias(version.name, CHAMPION, version.version)


def tag(client: MlflowClient, version: Version, tags: Mapping[str, Any]) -> None:
    """Set tags of a version."""
    for key, value in tags.items():
        client.set_model_version_tag(version.name, version.version, key, str(value))


def download(version: Version, folder: Path) -> Path:
    """Download the bundle of `version` into `folder`; return the bundle's folder."""
    place = f"{version.name} version {version.version}"
    folder.mkdir(parents=True, exist_ok=True)
    with reporting_tracking(place):
        try:
            fetched = mlflow.artifacts.download_artifacts(
                artifact_uri=f"models:/{version.name}/{version.version}", dst_path=str(folder)
            )
        except OSError as error:
            if error.errno == errno.ENOSPC or isinstance(error, outage.LOST):
                raise  # a full disk here, or a server that is lost: the files may be all right
            raise TrackingError(
                place,
                found=f"its files cannot be fetched: {error}",
                expected=f"the artifacts at {version.source}",
                remedy="restore the artifact store; or remove the version's alias on MLflow's page "
                "(`make up`, Models), and run the same command again",
            ) from error
    return Path(fetched) / "artifacts" / Files.BUNDLE


def resolve(client: MlflowClient, model: str) -> Version:
    """Find the version that `model` names.

    Args:
        model: ``name@alias``, ``name/version``, or ``name`` for its champion; each also after ``models:/``.

    Raises:
        TrackingError: there is no such version; the error lists the registered models. Or the champion was deleted, or
            its alias was moved by hand.
    """
    found = find(client, model)
    if found is None:
        known = list_known(client)
        raise TrackingError(
            model,
            found="no such model in the registry",
            expected=", ".join(known) or "a registered model, but there is none yet",
            remedy="give one of these as --model" if known else "train one: make run, or make run RETRAIN=1",
        )
    return found


def find(client: MlflowClient, model: str) -> Version | None:
    """Find the version that `model` names, as `resolve` does; None if there is none."""
    name, alias, number = _parse(model)
    with reporting_tracking(model):
        try:
            if alias == CHAMPION:
                return champion(client, name)
            if alias:
                return _convert(client.get_model_version_by_alias(name, alias))
            return _convert(client.get_model_version(name, number))
        except MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise


def list_known(client: MlflowClient) -> list[str]:
    """List the registered models by their aliases; a model without one by its newest version."""
    with reporting_tracking("MLflow"):
        models = client.search_registered_models()
        aliased = [f"{model.name}@{alias}" for model in models for alias in model.aliases]
        bare = [model.name for model in models if not model.aliases]
        newest = [
            f"{name}/{max(int(each.version) for each in found)}"
            for name in bare
            if (found := client.search_model_versions(f"name = '{name}'"))
        ]
    return sorted(aliased + newest)


def _parse(model: str) -> tuple[str, str, str]:
    """Split ``name@alias``, ``name/version`` or a bare name (its champion) into name, alias, version."""
    model = re.sub(r"^models:/+", "", model)
    if "@" in model:
        name, alias = model.rsplit("@", 1)
        return name, alias, ""
    if "/" in model:
        name, number = model.rsplit("/", 1)
        return name, "", number
    return model, CHAMPION, ""


def table(client: MlflowClient) -> Table:
    """List every version with its test mIoU and aliases, newest first."""
    grid = Table("model", "version", "aliases", "test mIoU", "decision", title="Registered models")
    for model in client.search_registered_models():
        aliases = {number: alias for alias, number in model.aliases.items()}
        for version in list_versions(client, model.name):
            score, reason = _describe_decision(version.tags.get(Tags.DECISION))
            cells = (
                shown(model.name),
                version.version,
                aliases.get(version.version, ""),
                score,
                reason,
            )
            grid.add_row(*map(escape, cells))
    return grid


def _describe_decision(text: str | None) -> tuple[str, str]:
    """Write a version's test mIoU and the gate's reason; one tag that cannot be read hides no other version."""
    if text is None:
        return "", "not judged yet"
    try:
        decision = Decision.from_tag(text)
    except ValueError:
        return "", "not readable: another version of Segline wrote it"
    return f"{decision.challenger:.4f}", decision.reason
