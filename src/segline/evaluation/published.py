"""The splits of a dataset as its validated manifest has them: what a folder of labels is recognised by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from segline.datasets.base import SPLITS
from segline.evaluation.folders import image_name

_READ = ("id", "split", "mask", "image_sha256", "mask_sha256")


@dataclass(frozen=True, kw_only=True)
class Published:
    """A dataset's splits; none where nothing is known of them.

    Args:
        labels: split -> name of an image -> SHA-256 of its label's file.
        digests: split -> the digest that a prepared split has, and every score on it.
        masks: split -> name of an image -> its label's file under `raw`.
        raw: the extracted folder, which may be gone.
    """

    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    raw: Path = Path()

    def recognise(self, files: Mapping[str, str]) -> str | None:
        """The split that consists of these labels, given as name of an image -> SHA-256; None if none does."""
        return next((name for name, labels in self.labels.items() if labels and labels == files), None)

    def called(self, names: frozenset[str]) -> str | None:
        """The split that consists of images of these names; None if none does."""
        return next((name for name, labels in self.labels.items() if labels and labels.keys() == names), None)


def read(folder: Path, *, raw: Path) -> Published:
    """The splits of the manifest in `folder`, made of the files under `raw`; none if there is no manifest.

    Raises:
        DataError: there is one, and it cannot be read.
    """
    if not folder.is_dir():
        return Published()
    # A third of a second, for PyArrow.
    import pyarrow.compute as pc

    from segline.data import manifest
    from segline.data.prepare import split_digest

    path = folder / manifest.FILE_NAME
    if not path.is_file():
        return Published()
    rows = manifest.read(path, columns=_READ)
    of = {name: rows.filter(pc.equal(rows["split"], name)) for name in SPLITS}
    return Published(
        labels={name: _by_image(own, own["mask_sha256"].to_pylist()) for name, own in of.items()},
        digests={name: split_digest(name, own) for name, own in of.items()},
        masks={name: _by_image(own, own["mask"].to_pylist()) for name, own in of.items()},
        raw=raw,
    )


def _by_image(rows: "pa.Table", values: list[str]) -> dict[str, str]:  # type: ignore[name-defined]  # noqa: F821
    names = (image_name(PurePosixPath(mask).stem) for mask in rows["mask"].to_pylist())
    return dict(zip(names, values, strict=True))
