"""Read the label maps of registered versions, to know which of them a new model can be compared with."""

import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from segline.core.labels import LabelMap, same_classes
from segline.errors import SeglineError, TrackingError, shortened
from segline.inference import description
from segline.project import Files, Tags
from segline.registry import versions
from segline.registry.gate.rules import Decision
from segline.registry.versions import Version
from segline.storage import reporting_storage


def read(version: Version) -> LabelMap:
    """Read the label map of `version` from its description; the network is not downloaded.

    Raises:
        DataError: the description has another format.
        TrackingError: the description cannot be fetched.
    """
    place = f"{version.name} version {version.version}"
    uri = f"models:/{version.name}/{version.version}/artifacts/{Files.BUNDLE}/{Files.DESCRIPTION}"
    with tempfile.TemporaryDirectory() as folder, reporting_storage(Path(folder)):
        try:
            file = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder))
        except (MlflowException, FileNotFoundError) as error:
            raise TrackingError(
                place,
                found=f"its {Files.DESCRIPTION} cannot be fetched: {shortened(str(error))}",
                expected=f"the artifacts at {version.source}",
                remedy="restore the artifact store or start its server; or, if the files are lost, delete the version "
                "on MLflow's page (`make up`, Models)",
            ) from error
        return description.parse(file.read_bytes(), place=file).label_map()


def has_classes(version: Version, labels: LabelMap) -> bool:
    """Return whether `version` was trained on the classes of `labels`, perhaps under other names.

    Raises:
        DataError: its description has another format.
        TrackingError: its description cannot be fetched.
    """
    if version.tags.get(Tags.LABEL_MAP) == labels.digest:
        return True
    return same_classes(read(version).identity, labels.identity)


def find_earlier_champion(client: MlflowClient, name: str, labels: LabelMap, *, without: set[str]) -> Version | None:
    """Find the newest version that was promoted and that has the classes of `labels`; None if there is none.

    A version whose files are lost cannot become the champion again, and is passed over.

    Args:
        without: numbers of versions to leave out.
    """
    others: set[str] = set()
    for version in versions.list_versions(client, name):
        digest = version.tags.get(Tags.LABEL_MAP)
        if version.version in without or digest in others or not _was_promoted(version):
            continue
        try:
            found = read(version)
        except SeglineError:
            continue
        if same_classes(found.identity, labels.identity):
            return version
        others.add(found.digest)
    return None


def _was_promoted(version: Version) -> bool:
    try:
        return Decision.from_tag(version.tags.get(Tags.DECISION, "")).promote
    except ValueError:
        return False
