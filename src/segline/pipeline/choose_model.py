"""Find the model that a person names."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segline.errors import ConfigError, DataError
from segline.project import Files

if TYPE_CHECKING:
    from segline.registry.versions import Version


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A model, resolved to its files.

    Args:
        name: name for a person to read.
        folder: folder with the model's files.
        version: its version in the registry; None for a local folder.
    """

    name: str
    folder: Path
    version: "Version | None" = None


@contextmanager
def chosen_model(model: str) -> Iterator[Chosen]:
    """Resolve `model` to a folder of files; a downloaded one is deleted when the block ends.

    Raises:
        ConfigError: `model` is empty.
            Or there is neither a project nor an MLflow address to look for a registered model.
        DataError: it is a file that does not belong to a model folder.
        TrackingError: no such model is registered.
    """
    import tempfile

    from segline.registry import tracking, versions

    if not model.strip():
        raise ConfigError(
            "--model",
            found="an empty name",
            expected="a model folder, or a registered model such as segline-oxford_pets@champion",
            remedy="give one of them; segline models list shows the registered models",
        )
    local = _find_local_folder(Path(model))
    if local is not None:
        yield Chosen(name=local.absolute().name, folder=local)
        return
    client = tracking.connect_nearest()
    with tempfile.TemporaryDirectory() as folder:
        version = versions.resolve(client, model)
        files = versions.download(version, Path(folder))
        yield Chosen(name=f"{version.name}-{version.version}", folder=files, version=version)


def _find_local_folder(path: Path) -> Path | None:
    """Find the model folder at `path`, or around the file `path`; None if there is no model."""
    if (path / Files.DESCRIPTION).is_file() or (path / Files.NETWORK).is_file():
        return path
    if not path.is_file():
        return None
    if path.name in (Files.DESCRIPTION, Files.NETWORK):
        return path.parent
    raise DataError(
        path,
        found="a file that does not belong to a model folder",
        expected=f"a folder with {Files.NETWORK} and {Files.DESCRIPTION}, or one of these two",
        remedy="give the model folder as --model",
    )
