"""Which model a command is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def bundle_folder(model: str) -> Iterator[tuple[str, Path]]:
    """The model's name for a person and its folder, fetched for as long as the block runs if it is a registered one."""
    import tempfile

    from segline import settings
    from segline.inference import bundle
    from segline.registry import promotion, tracking

    if (Path(model) / bundle.DESCRIPTION).is_file():
        yield Path(model).absolute().name, Path(model)
        return
    client = tracking.connect(settings.load())
    with tempfile.TemporaryDirectory() as folder:
        version = promotion.resolve(client, model)
        yield f"{version.name}-{version.version}", promotion.download(version, Path(folder))
