"""Read the splits of a dataset from its validated manifest, to recognise which split a folder of labels is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from segline.datasets.base import SPLITS
from segline.evaluation.folders.label_folders import image_name
from segline.evaluation.results import grouping
from segline.formats import strict_json
from segline.project import Files

_COLUMNS = ("id", "split", "group", "mask", "image_sha256", "mask_sha256")


@dataclass(frozen=True, kw_only=True)
class Published:
    """A dataset's splits; empty if nothing is known of them.

    Args:
        labels: split -> image name -> SHA-256 of its label's file.
        groups: split -> image name -> its group; "" if it has none.
        digests: split -> digest of the prepared split, which is also in every score on it.
        masks: split -> image name -> its label's file under `raw`.
        raw: the extracted folder; it may have been deleted.
        protocol: the protocol that the manifest was made for; "" if it is not known.
    """

    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    raw: Path = Path()
    protocol: str = ""

    def recognise(self, files: Mapping[str, str]) -> str | None:
        """Find the split that consists of exactly these labels, given as image name -> SHA-256; None if none does."""
        return next((name for name, labels in self.labels.items() if labels and labels == files), None)

    def called(self, names: frozenset[str]) -> str | None:
        """Find the split that consists of exactly the images with these names; None if none does."""
        return next((name for name, labels in self.labels.items() if labels and labels.keys() == names), None)

    def grouped(self, images: Iterable[str]) -> tuple[str, ...] | None:
        """Return the groups of images of any split, in the form of `Evaluation.groups`.

        Raises:
            KeyError: an image is in no split.
        """
        group_of = {name: group for groups in self.groups.values() for name, group in groups.items()}
        return grouping([group_of[name] for name in images])


def read(folder: Path, *, raw: Path) -> Published:
    """Read the splits of the manifest in `folder`, made of the files under `raw`; empty if there is no manifest.

    Raises:
        DataError: the manifest cannot be read.
    """
    if not folder.is_dir():
        return Published()
    # Imported here because PyArrow takes a third of a second.
    import pyarrow as pa
    import pyarrow.compute as pc

    from segline.data.images import manifest
    from segline.data.prepare.prepare import split_digest

    path = folder / Files.MANIFEST
    if not path.is_file():
        return Published()
    rows = manifest.read(path, columns=_COLUMNS)
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
        protocol=_read_protocol(folder / Files.VERDICT),
    )


def _read_protocol(verdict: Path) -> str:
    """Read the protocol from the verdict of `segline.data.validate.expectations`; "" if there is none."""
    if not verdict.is_file():
        return ""
    content = strict_json.read(verdict, remedy="run dvc repro")
    return str(content.get("protocol", "")) if isinstance(content, dict) else ""
