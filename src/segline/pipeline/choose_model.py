"""Find the model that a person names."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segline.errors import ConfigError, DataError
from segline.project import Files, Project

if TYPE_CHECKING:
    from segline.registry.versions import Version


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A model.

    Args:
        name: for a person.
        folder: where its files are.
        version: in the registry; None for a folder.
    """

    name: str
    folder: Path
    version: "Version | None" = None


@contextmanager
def chosen_model(model: str) -> Iterator[Chosen]:
    """Resolve `model` to a folder of files; a downloaded one is deleted when the block ends.

    Raises:
        ConfigError: `model` is empty.
        DataError: it is a file of no model folder.
        TrackingError: no such model is registered.
    """
    import tempfile

    from segline.registry import tracking, versions

    if not model.strip():
        raise ConfigError(
            "--model",
            found="an empty name",
            expected="a model folder, or a registered model such as segline-oxford_pets@champion",
            remedy="name one; segline models list shows what is registered",
        )
    local = _local(Path(model))
    if local is not None:
        yield Chosen(name=local.absolute().name, folder=local)
        return
    client = tracking.connect(Project.load())
    with tempfile.TemporaryDirectory() as folder:
        version = versions.resolve(client, model)
        files = versions.download(version, Path(folder))
        yield Chosen(name=f"{version.name}-{version.version}", folder=files, version=version)


def _local(path: Path) -> Path | None:
    """Find the model folder that `path` is, or is a file of; None where nothing of a model is there."""
    if (path / Files.DESCRIPTION).is_file() or (path / Files.NETWORK).is_file():
        return path
    if not path.is_file():
        return None
    if path.name in (Files.DESCRIPTION, Files.NETWORK):
        return path.parent
    raise DataError(
        path,
        found="a file of no model folder",
        expected=f"a folder with {Files.NETWORK} and {Files.DESCRIPTION}, or one of these two",
        remedy="name that folder with --model",
    )
