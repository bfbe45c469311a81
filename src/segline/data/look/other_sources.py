"""Find masks that are no pictures of all classes: YOLO, Kaggle's run lengths, one mask for each class; nnU-Net."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from segline.config import Options
from segline.data.images.binary_mask import read_binary_mask
from segline.data.look.glob_patterns import (
    cover_folders,
    folder_of,
    is_split_word,
    write_annotation_pattern,
    write_pattern,
)
from segline.data.look.layout_errors import describe_entry
from segline.data.look.survey import Group, Survey, kind_of_name, spread
from segline.datasets.own import run_length_table, yolo
from segline.datasets.own.polygon_rules import PolygonRules
from segline.datasets.own.views import read_stored
from segline.errors import DataError

_TEXT_FILES_READ = 12
_AREAS_READ = 200
_LAYERED_IMAGES_READ = 3
_MAX_CLASSES = 64


def find_yolo(seen: Survey, images: Sequence[Group]) -> Options | None:
    """Find YOLO's text files beside the images, or in folders of their own."""
    stems = {PurePosixPath(path).stem for group in images for path in group.paths}
    texts = [path for path in seen.paths if yolo.may_be_labels(path) and PurePosixPath(path).stem in stems]
    held = [_is_yolo(seen.folder / path) for path in spread(texts, _TEXT_FILES_READ)]
    if True not in held or False in held:
        return None
    return Options(
        images=write_pattern(images, [group for group in seen.groups if group not in images]),
        masks=write_annotation_pattern(texts),
        encoding="yolo",
        follow_links=seen.follow_links,
    )


def _is_yolo(path: Path) -> bool | None:
    try:
        return yolo.is_yolo(path)
    except (OSError, ValueError, DataError):
        return False


def list_run_length_tables(seen: Survey) -> list[str]:
    """List the CSVs that hold run lengths; an example of a submission is not one."""
    tables = [path for path in seen.paths if path.lower().endswith(".csv")]
    return [
        path
        for path in tables
        if "submission" not in PurePosixPath(path).name.lower() and run_length_table.is_run_lengths(seen.folder / path)
    ]


def find_run_lengths(seen: Survey, images: Sequence[Group], table: str, *, rules: PolygonRules) -> Options:
    """Describe the masks in a table of run lengths, and how it numbers the pixels, if that can be told.

    Photos whose EXIF orientation swaps their sides tell nothing until `rules` say which view was labelled.
    """
    paths: dict[str, str] = {}
    for path in (path for group in images for path in group.paths):
        paths[PurePosixPath(path).name] = paths[PurePosixPath(path).stem] = path
    areas: list[tuple[run_length_table.Area, tuple[int, int]]] = []
    for name, found in run_length_table.read_table(seen.folder / table).items():
        described = paths.get(PurePosixPath(name).name)
        if described is not None and found and len(areas) < _AREAS_READ:
            try:
                stored = read_stored(seen.folder / described)
            except DataError:
                continue  # later stages report it
            size = stored.upright if rules.drawn_on == "upright" else stored.size
            if rules.drawn_on is not None or stored.size == stored.upright:
                areas += [(area, size) for area in found]
    return Options(
        images=write_pattern(images, [group for group in seen.groups if group not in images]),
        masks=table,
        encoding="run_lengths",
        run_lengths=run_length_table.guess_order(areas),
        follow_links=seen.follow_links,
    )


def find_nnunet(seen: Survey) -> Options | None:
    """Find nnU-Net's ``imagesTr/case_0000.png`` and ``labelsTr/case.png``.

    Raises:
        DataError: a case has several channels, in files of their own.
    """
    images = [group for group in seen.groups if PurePosixPath(group.folder).name.lower() == "imagestr"]
    labels = [group for group in seen.groups if PurePosixPath(group.folder).name.lower() == "labelstr"]
    names = [path for group in images for path in group.paths]
    if not names or not labels or not all(PurePosixPath(name).stem[-5:-4] == "_" for name in names):
        return None
    channels = sorted({PurePosixPath(name).stem[-4:] for name in names})
    if channels != ["0000"]:
        raise DataError(
            seen.folder,
            found=f"nnU-Net's images have {len(channels)} channels, in files of their own: _{', _'.join(channels[:4])}",
            expected="one picture for each case, in grey or RGB, whose name ends with _0000",
            remedy="merge the channels of each case into one PNG",
        )
    tested = [group for group in seen.groups if PurePosixPath(group.folder).name.lower() == "labelsts"]
    if tested:
        images += [group for group in seen.groups if PurePosixPath(group.folder).name.lower() == "imagests"]
    suffix = images[0].suffix
    return Options(
        images=f"{cover_folders([group.folder for group in images])}*_0000{suffix}",
        masks=f"{cover_folders([group.folder for group in [*labels, *tested]])}*{labels[0].suffix}",
        follow_links=seen.follow_links,
    )


def find_layers(
    seen: Survey, images: Sequence[Group], masks: Sequence[Group], *, overlap: Literal["later"] | None = None
) -> Options | None:
    """Find one mask for each class: in a folder for each class, or with the class at the end of the name.

    Args:
        overlap: the user's answer to the question whether classes may share pixels.

    Raises:
        DataError: the masks of two classes share pixels, so that they may be two versions of the masks instead.
    """
    pictures = [path for group in images for path in group.paths]
    found = _find_class_folders(masks) or _find_class_endings(pictures, masks)
    if found is None:
        return None
    pattern, layers = found
    stems = {PurePosixPath(path).stem for path in pictures}
    whole = [of_class for name, of_class in sorted(layers.items()) if name in stems and len(of_class) > 1]
    if not whole:
        return None
    options = Options(
        images=write_pattern(images, [group for group in seen.groups if group not in images]),
        masks=pattern,
        encoding="layers",
        overlap=overlap,
        follow_links=seen.follow_links,
    )
    chosen = whole[:: max(1, len(whole) // _LAYERED_IMAGES_READ)]
    if not all(_are_binary(seen.folder, of_class) for of_class in chosen):
        return None
    for of_class in chosen if overlap is None else []:
        _refuse_shared(seen.folder, of_class, options)
    return options


def _find_class_folders(masks: Sequence[Group]) -> tuple[str, dict[str, dict[str, str]]] | None:
    """Find folders that differ in one part, the class; return pattern, and image name -> class -> path."""
    parts = [PurePosixPath(group.folder).parts for group in masks]
    depth = len(parts[0]) if parts else 0
    if len({len(each) for each in parts}) != 1:
        return None
    for place in reversed(range(depth)):
        names = sorted({each[place] for each in parts})
        if not 2 <= len(names) <= _MAX_CLASSES or any(kind_of_name(name) or is_split_word(name) for name in names):
            continue
        if any("," in name or "{" in name for name in names) or len({group.ending for group in masks}) != 1:
            return None
        before = cover_folders(sorted({"/".join(each[:place]) for each in parts}))
        after = cover_folders(sorted({"/".join(each[place + 1 :]) for each in parts}))
        layers: dict[str, dict[str, str]] = {}
        for group, each in zip(masks, parts, strict=True):
            for path in group.paths:
                layers.setdefault(PurePosixPath(path).stem.removesuffix(group.ending), {})[each[place]] = path
        end = write_pattern([Group(folder="", ending=g.ending, suffix=g.suffix, paths=g.paths) for g in masks])
        return f"{before}{{{','.join(names)}}}/{after}{end}", layers
    return None


def _find_class_endings(images: Sequence[str], masks: Sequence[Group]) -> tuple[str, dict[str, dict[str, str]]] | None:
    """Find names that are those of images, with the class at the end: ``7_road.png`` for ``7.jpg``."""
    stems = {PurePosixPath(path).stem for path in images}
    layers: dict[str, dict[str, str]] = {}
    signs: set[str] = set()
    end = f"{masks[0].ending}{masks[0].suffix}" if masks else ""
    if any(f"{group.ending}{group.suffix}" != end for group in masks):
        return None
    for path in (path for group in masks for path in group.paths):
        stem = PurePosixPath(path).stem.removesuffix(masks[0].ending)
        cuts = [at for at in range(1, len(stem) - 1) if stem[at] in "_-. " and stem[:at] in stems]
        if not cuts:
            return None
        signs.add(stem[cuts[-1]])
        layers.setdefault(stem[: cuts[-1]], {})[stem[cuts[-1] + 1 :]] = path
    names = sorted({name for of_class in layers.values() for name in of_class})
    if not 2 <= len(names) <= _MAX_CLASSES or len(signs) != 1 or any(name.isdecimal() for name in names):
        return None
    if any(kind_of_name(name) or "," in name or "{" in name for name in names):
        return None
    folder = cover_folders(sorted({group.folder for group in masks}))
    return f"{folder}*{signs.pop()}{{{','.join(names)}}}{end}", layers


def _are_binary(folder: Path, layers: dict[str, str]) -> bool:
    try:
        for path in layers.values():
            read_binary_mask(folder / path)
    except DataError:
        return False
    return True


def _refuse_shared(folder: Path, layers: dict[str, str], options: Options) -> None:
    (first, first_path), *others = layers.items()
    for name, path in others:
        one, other = read_binary_mask(folder / first_path), read_binary_mask(folder / path)
        if one.shape == other.shape and (one & other).any():
            raise DataError(
                folder,
                found=f"{first_path} and {path} share {int((one & other).sum())} pixels: are {first!r} and {name!r} "
                "two classes, or two versions of the masks?",
                expected="one mask for each class without shared pixels, or one folder of masks",
                remedy="say it in own/NAME.yaml, then run segline init again. Two classes, where the later one wins:\n"
                + describe_entry(options.model_copy(update={"overlap": "later"}), folder)
                + f"\n  Two versions: set `masks` there to that of one version, such as {folder_of(path)}/*"
                + f"{PurePosixPath(path).suffix}, without `encoding` and `overlap`",
            )
