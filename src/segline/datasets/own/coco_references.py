"""Check that the parts of a COCO file fit together: ids are unique, and every reference resolves."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segline.datasets.own.geometry import LEAVE_OUT
from segline.datasets.own.polygon_rules import PolygonRules
from segline.datasets.own.shapes import FaultError, reporting
from segline.errors import DataError, shortened

_MAX_IDS_SHOWN = 3


def check_references(content: Mapping[str, Any], path: Path, *, rules: PolygonRules) -> None:
    """Check a whole COCO file, but for its outlines.

    Raises:
        DataError: two entries have one id or one file name, an annotation belongs to no image or to no category, or
            annotations have a box instead of an outline.
    """
    check_images(content, path)
    for section in ("categories", "annotations"):
        _refuse_repeated(content[section], section, "id", path)
    _resolve(content, "image_id", "images", path)
    if rules.without_area == "stop":
        _refuse_boxes(content, path)


def check_images(content: Mapping[str, Any], path: Path) -> None:
    """Check that each image of a COCO file has an id and a file name of its own.

    Raises:
        DataError: one has not.
    """
    for key in ("id", "file_name"):
        _refuse_repeated(content["images"], "images", key, path)


def _refuse_repeated(entries: Iterable[Mapping[str, Any]], section: str, key: str, path: Path) -> None:
    places: dict[Any, int] = {}
    with reporting(f"{path} {section}"):
        if not isinstance(entries, list):
            raise FaultError("no list", f"a list of {section}")
    for number, entry in enumerate(entries, start=1):
        place = f"{path} {section}, entry {number}"
        with reporting(place):
            value = entry[key]
            earlier = places.setdefault(value, number)
        if earlier != number:
            raise DataError(
                place,
                found=f"{key} {shortened(repr(value))}, which entry {earlier} of `{section}` already has",
                expected=f"each {key} once",
                remedy="two exports were probably joined: export them again as one file, or keep one file for each "
                "export; if an entry is there twice, delete one",
            )


def _resolve(content: Mapping[str, Any], key: str, section: str, path: Path) -> None:
    """Refuse annotations whose `key` is the id of no entry of `section`."""
    known = {entry["id"] for entry in content[section]}
    lost: list[tuple[int, Any]] = []
    for number, entry in enumerate(content["annotations"], start=1):
        with reporting(f"{path} annotations, entry {number}"):
            if entry[key] not in known:
                lost.append((number, entry[key]))
    if not lost:
        return
    number, value = lost[0]
    more = f" ({len(lost)} of {len(content['annotations'])} annotations have such an {key})" if len(lost) > 1 else ""
    raise DataError(
        f"{path} annotations, entry {number}",
        found=f"{key} {shortened(repr(value))}, which no entry of `{section}` has{more}",
        expected=_describe_known(value, known, section),
        remedy=f"export the file again; or add what is missing to `{section}`, or delete these annotations",
    )


def _describe_known(value: Any, known: Iterable[Any], section: str) -> str:
    ids = list(known)
    same = next((each for each in ids if str(each) == str(value)), None)
    if same is not None:
        return f"{same!r}, as it is written in `{section}` (a number and a text are not equal)"
    shown = ", ".join(shortened(repr(each)) for each in ids[:_MAX_IDS_SHOWN])
    return f"one of the {len(ids)} ids of `{section}`: {shown}{', ...' if len(ids) > _MAX_IDS_SHOWN else ''}"


def _refuse_boxes(content: Mapping[str, Any], path: Path) -> None:
    """Refuse annotations without an outline."""
    entries: Sequence[Mapping[str, Any]] = content["annotations"]
    empty = [entry for entry in entries if not entry.get("segmentation")]
    if not empty:
        return
    boxes = [entry for entry in empty if entry.get("bbox")]
    kind = "only a box" if len(boxes) == len(empty) else "no segmentation"
    name = next(image["file_name"] for image in content["images"] if image["id"] == empty[0]["image_id"])
    remedy = "export the data as segmentation (polygons or RLE), not as object detection: boxes are no masks"
    if len(empty) < len(entries):
        remedy += f"; or draw the missing outlines; or, to leave these annotations out, {LEAVE_OUT}"
    raise DataError(
        path,
        found=f"{len(empty)} of {len(entries)} annotations have {kind}, "
        f"such as annotation {shortened(str(empty[0]['id']))} (image {name})",
        expected="an outline for each annotation",
        remedy=remedy,
    )
