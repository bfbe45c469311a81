"""The splits of a dataset as its validated manifest has them: what a folder of labels is recognised by."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from segline.datasets.base import SPLITS
from segline.evaluation.folders.label_folders import image_name
from segline.evaluation.results import grouping
from segline.formats import strict_json
from segline.project import Files

_READ = ("id", "split", "group", "mask", "image_sha256", "mask_sha256")


@dataclass(frozen=True, kw_only=True)
class Published:
    """A dataset's splits; none where nothing is known of them.

    Args:
        labels: split -> name of an image -> SHA-256 of its label's file.
        groups: split -> name of an image -> the group it is in; "" for one that stands for itself.
        digests: split -> the digest that a prepared split has, and every score on it.
        masks: split -> name of an image -> its label's file under `raw`.
        raw: the extracted folder, which may be gone.
        protocol: that the manifest was made for; "" where it is not known.
    """

    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    raw: Path = Path()
    protocol: str = ""

    def recognise(self, files: Mapping[str, str]) -> str | None:
        """The split that consists of these labels, given as name of an image -> SHA-256; None if none does."""
        return next((name for name, labels in self.labels.items() if labels and labels == files), None)

    def called(self, names: frozenset[str]) -> str | None:
        """The split that consists of images of these names; None if none does."""
        return next((name for name, labels in self.labels.items() if labels and labels.keys() == names), None)

    def grouped(self, images: Iterable[str]) -> tuple[str, ...] | None:
        """The groups of images of any of the splits, as an evaluation has them.

        Raises:
            KeyError: an image is in none of them.
        """
        group_of = {name: group for groups in self.groups.values() for name, group in groups.items()}
        return grouping([group_of[name] for name in images])


def read(folder: Path, *, raw: Path) -> Published:
    """The splits of the manifest in `folder`, made of the files under `raw`; none if there is no manifest.

    Raises:
        DataError: there is one, and it cannot be read.
    """
    if not folder.is_dir():
        return Published()
    # A third of a second, for PyArrow.
    import pyarrow as pa
    import pyarrow.compute as pc

    from segline.data.images import manifest
    from segline.data.prepare.prepare import split_digest

    path = folder / Files.MANIFEST
    if not path.is_file():
        return Published()
    rows = manifest.read(path, columns=_READ)
    of = {name: rows.filter(pc.equal(rows["split"], name)) for name in SPLITS}

    def by_image(own: pa.Table, column: str) -> dict[str, str]:
        values = zip(own["mask"].to_pylist(), own[column].to_pylist(), strict=True)
        return {image_name(PurePosixPath(mask).stem): value for mask, value in values}

    return Published(
        labels={name: by_image(own, "mask_sha256") for name, own in of.items()},
        groups={name: by_image(own, "group") for name, own in of.items()},
        digests={name: split_digest(name, own) for name, own in of.items()},
        masks={name: by_image(own, "mask") for name, own in of.items()},
        raw=raw,
        protocol=_protocol(folder / Files.VERDICT),
    )


def _protocol(verdict: Path) -> str:
    """The protocol in what `segline.data.validate.expectations` wrote; "" where it is of before it said one."""
    if not verdict.is_file():
        return ""
    content = strict_json.read(verdict, remedy="run dvc repro")
    return str(content.get("protocol", "")) if isinstance(content, dict) else ""
