"""Recognise annotations that Segline does not read, so that an error can name them and what to export instead."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from segline.errors import DataError
from segline.reading import read_bytes

_MAX_XML_FILES_READ = 3
_MAX_XML_BYTES = 1 << 26


@dataclass(frozen=True, kw_only=True)
class Unread:
    """A file of a format that Segline does not read.

    Args:
        name: the format.
        convert: what to do instead, as a sentence without a full stop.
    """

    path: str
    name: str
    convert: str


_COCO = "export COCO with polygons (`COCO 1.0` in CVAT, `COCO segmentation` in Roboflow, `COCO` in Label Studio)"
_BOXES = "label areas instead of boxes, or paint masks: boxes are no masks"


def _has(*keys: str) -> Callable[[Any], bool]:
    return lambda content: isinstance(content, dict) and set(keys) <= content.keys()


def _first(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Apply a test to the first entry of a list, or to the first value of a mapping."""

    def apply(content: Any) -> bool:
        if isinstance(content, dict):
            content = list(content.values())
        return isinstance(content, list) and bool(content) and test(content[0])

    return apply


def _is_panoptic(content: Any) -> bool:
    entries = content.get("annotations") if isinstance(content, dict) else None
    return isinstance(entries, list) and bool(entries) and _has("segments_info", "file_name")(entries[0])


_JSON: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    (
        "COCO panoptic",
        _is_panoptic,
        "convert it to masks of ids with `panopticapi` (converters/panoptic2semantic_segmentation.py)",
    ),
    (
        "Supervisely",
        lambda content: _has("objects", "size")(content) or _has("classes", "tags", "projectType")(content),
        "in Supervisely, run the app `Export as masks`, or export `COCO` or `Pascal VOC`",
    ),
    (
        "Label Studio",
        lambda content: (
            _first(lambda task: _has("data", "annotations")(task) or _has("annotation_id", "lead_time")(task))(content)
            or _has("task", "result")(content)
        ),
        "in Label Studio, export `COCO` for polygons; for brushes, export `Brush labels to PNG`, name each file after "
        "its image, and put it into a folder with the name of its class (masks/car/1.png)",
    ),
    (
        "VGG Image Annotator",
        lambda content: _has("_via_img_metadata")(content) or _first(_has("filename", "regions"))(content),
        "in VIA, export COCO (`Annotation` > `Export annotations (COCO format)`)",
    ),
    (
        "Cityscapes polygons",
        _has("imgHeight", "imgWidth", "objects"),
        "write `_labelIds.png` masks with `csCreateTrainIdLabelImgs` of cityscapesscripts",
    ),
    (
        "Datumaro",
        lambda content: _has("categories", "items")(content),
        "convert it: `datum convert -if datumaro -f coco` or `-f voc_segmentation`",
    ),
    (
        "Labelbox",
        lambda content: _has("data_row", "projects")(content) or _first(_has("data_row", "projects"))(content),
        "convert it to COCO with Labelbox's SDK, or download the masks as PNG",
    ),
    (
        "BDD100K or Scalabel",
        lambda content: _first(_has("name", "labels"))(content) or _has("frames", "config")(content),
        "convert it with `bdd100k.label.to_mask -m sem_seg`",
    ),
    ("Segments.ai", _has("dataset", "release"), "export `COCO panoptic` or semantic PNG with its SDK (export_dataset)"),
    ("Darwin (V7)", _has("item", "annotations"), "export `Semantic mask` or `COCO`"),
    ("CreateML", lambda content: _first(_has("image", "annotations"))(content), _BOXES),
    ("GeoJSON", lambda content: _has("type", "features")(content), "burn the shapes into masks (`gdal_rasterize`)"),
)

_SUFFIXES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    ((".nii", ".nii.gz", ".mha", ".mhd", ".nrrd"), "medical volumes", "save each slice of images and masks as PNG"),
    ((".dcm",), "DICOM", "save images and masks as PNG"),
    (
        (".npy", ".npz", ".mat", ".h5", ".hdf5", ".pkl", ".parquet"),
        "arrays",
        "save each mask as PNG: one channel, one id per pixel",
    ),
    ((".ndjson", ".jsonl"), "JSON lines", f"{_COCO}, or paint masks as PNG"),
    ((".tfrecord", ".record", ".lmdb", ".mdb"), "a database of records", "write images and masks as files (PNG)"),
    ((".shp", ".geojson", ".kml"), "map shapes", "burn the shapes into masks (`gdal_rasterize`)"),
    ((".ppm", ".pgm", ".pbm", ".tga", ".jp2", ".exr", ".psd", ".xcf", ".svg"), "pictures of another format",
     "convert them to PNG without loss"),
)  # fmt: skip


def recognise_json(path: str, content: Any) -> Unread | None:
    """Recognise a tool's annotations by the structure of a JSON file."""
    for name, test, convert in _JSON:
        if test(content):
            return Unread(path=path, name=name, convert=convert)
    return None


def recognise_others(folder: Path, paths: Sequence[str]) -> list[Unread]:
    """Recognise annotations in XML files, and files whose extension says that they may hold masks."""
    texts = [path for path in paths if path.lower().endswith(".xml")][:_MAX_XML_FILES_READ]
    found = [unread for path in texts if (unread := _recognise_xml(folder, path)) is not None]
    for suffixes, name, convert in _SUFFIXES:
        path = next((path for path in paths if path.lower().endswith(suffixes)), "")
        if path:
            kind = PurePosixPath(path).name.lower()
            shown = next(suffix for suffix in suffixes if kind.endswith(suffix))
            found.append(Unread(path=path, name=f"{name} ({shown})", convert=convert))
    return found


def _recognise_xml(folder: Path, path: str) -> Unread | None:
    try:
        text = read_bytes(folder / path, limit=_MAX_XML_BYTES).decode("utf-8", "replace")
    except (OSError, DataError):
        return None
    if re.search(r"<annotations\b", text) and "<image " in text:
        return Unread(
            path=path,
            name="CVAT for images (XML)",
            convert="in CVAT, export `Segmentation mask 1.1` or `COCO 1.0`",
        )
    if re.search(r"<annotation\b", text) and "<bndbox>" in text:
        return Unread(path=path, name="Pascal VOC boxes (XML)", convert=_BOXES)
    if re.search(r"<annotation\b", text) and "<polygon>" in text:
        return Unread(
            path=path, name="LabelMe (XML, the old web tool)", convert="convert it to LabelMe's JSON, or COCO"
        )
    return None
