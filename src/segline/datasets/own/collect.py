"""Collect the samples of a user's folder, as ``own/NAME.yaml`` describes them."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from segline.config import Options
from segline.datasets.base import SPLITS, Pair, held_out
from segline.datasets.own import coco, layers, lists, run_length_table, yolo
from segline.datasets.own.class_names import names_classes
from segline.datasets.own.files import Pattern, is_image, pair, walk
from segline.datasets.own.labelme_images import pair_by_image_path
from segline.errors import ConfigError, DataError
from segline.reading import refuse_leaving

_MAX_NAMES_SHOWN = 3
_SELF_NAMING = {
    "coco": "a COCO file itself says which images it describes",
    "run_lengths": "a table of run lengths itself says which images it describes",
    "layers": "the pattern `masks` names the classes",
}
_ANNOTATIONS = {"coco": ".json", "labelme": ".json", "yolo": ".txt", "run_lengths": ".csv"}


@dataclass(frozen=True, kw_only=True)
class Collection:
    """The samples of a user's folder.

    Args:
        pairs: image and mask, as paths relative to the folder. If masks are polygons, `mask` is the polygon file.
        entries: sample id -> its name in a COCO file or in a table of run lengths.
        class_numbers: class number in YOLO's files -> class name.
        layers: sample id -> class name -> mask of this class, if there is one mask for each class.
        notes: remarks for the user.
    """

    pairs: tuple[Pair, ...]
    entries: Mapping[str, str] = field(default_factory=dict)
    class_numbers: Mapping[int, str] = field(default_factory=dict)
    layers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def collect(options: Options, root: Path) -> Collection:
    """Find, pair and split the samples under `root`.

    Splits come from the first of these that exists: list files (``splits``), the CSV's column, folders named train,
    val and test. If there is no test split, ``test_share`` of the samples outside validation becomes the test (see
    `segline.datasets.base.held_out`). If there is no validation split, the training pairs have the split None, and
    `segline.data.images.split` takes validation from them.

    Raises:
        ConfigError: the options do not say where images and masks are.
        DataError: nothing is found there, or the files contradict each other.
        LinkError: a link leads out of `root`, and the options do not allow it.
    """
    gone: dict[str, str] = {}
    by_path: list[str] = []
    if not options.follow_links:
        refuse_leaving(root, [name for name in (options.pairs, *(options.splits or {}).values()) if name is not None])
    if options.pairs is not None:
        pairs, gone = _read_listed_pairs(options, options.pairs, root)
        found = Collection(pairs=tuple(pairs))
    else:
        found = _match_patterns(options, root)
        pairs = list(found.pairs)
        if options.encoding == "labelme":
            pairs, by_path = pair_by_image_path(pairs, root)
    for kind, pattern in (("image", options.images), ("mask", options.masks)):
        if not any(getattr(item, kind) for item in pairs):
            raise _report_no_files(root, kind, options.pairs or str(pattern), _list_files(options, root))
    notes = [*by_path, *list(gone.values())[:_MAX_NAMES_SHOWN]]
    if len(gone) > _MAX_NAMES_SHOWN:
        notes.append(f"{len(gone) - _MAX_NAMES_SHOWN} more lines of {options.pairs} name files that are not there")
    for kind, other in (("image", "mask"), ("mask", "image")):
        lacking = [item for item in pairs if getattr(item, other) is None and item.id not in gone]
        alone = [getattr(item, kind) for item in lacking if getattr(item, kind)]
        if alone:
            notes.append(f"{_count(alone, kind)} without {other}: {_list_some(alone)}")
    pairs, more = _assign_splits(options, pairs, root)
    return replace(found, pairs=tuple(_add_test(pairs, options.test_share)), notes=(*found.notes, *notes, *more))


def _list_files(options: Options, root: Path) -> list[str]:
    return list(walk(root, follow_links=options.follow_links))


def _read_listed_pairs(options: Options, table: str, root: Path) -> tuple[list[Pair], dict[str, str]]:
    """Read the pairs of the CSV `table`, and a note for each pair that has a missing file."""
    if options.encoding in _SELF_NAMING:
        raise ConfigError(
            "own/NAME.yaml",
            found=f"`pairs` with `encoding: {options.encoding}`",
            expected=f"`images` and `masks`, because {_SELF_NAMING[options.encoding]}",
            remedy="delete `pairs`, and let `images` and `masks` name the files",
        )
    listed, gone = lists.read_pairs(root / table, root=root)
    if not options.follow_links:  # a list may name hidden files, and `walk` has not checked those
        refuse_leaving(root, (path for item in listed for path in (item.image, item.mask) if path is not None))
    return listed, gone


def _match_patterns(options: Options, root: Path) -> Collection:
    """Pair the files that the patterns match."""
    if options.images is None or options.masks is None or options.images == options.masks:
        raise ConfigError(
            "own/NAME.yaml",
            found=f"images {options.images!r}, masks {options.masks!r}",
            expected="two patterns, such as images/*.jpg and masks/*.png, or `pairs`, a CSV",
            remedy="add them, or let `segline init FOLDER --force` guess them",
        )
    paths = _list_files(options, root)
    if options.encoding == "layers":
        return _pair_layers(options, options.masks, paths, root)
    images, masks = Pattern(options.images), Pattern(options.masks)
    possible = [path for path in paths if _may_be_mask(path, options)]
    if options.encoding == "run_lengths":
        mask_files = [("", path) for path in possible if path == options.masks]
    else:
        mask_files = [(name, path) for path in possible if (name := masks.name(path)) is not None]
    taken = {path for _, path in mask_files}
    image_files = [(name, path) for name, path in _match_images(images, paths) if path not in taken]
    for kind, found, pattern in (("image", image_files, options.images), ("mask", mask_files, options.masks)):
        if not found:
            raise _report_no_files(root, kind, pattern, paths)
    if options.encoding in ("coco", "run_lengths"):
        of_files = {path: _list_described(options.encoding, root / path) for _, path in mask_files}
        pairs, entries = _pair_described(image_files, of_files, root)
        return Collection(pairs=tuple(pairs), entries=entries)
    numbers = yolo.find_class_names(root, paths) if options.encoding == "yolo" else {}
    matched = pair(image_files, mask_files)
    return Collection(pairs=tuple(_make_pair(*entry) for entry in matched), class_numbers=numbers)


def _match_images(images: Pattern, paths: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, path) for path in paths if is_image(path) and (name := images.name(path)) is not None]


def _make_pair(name: str, image: str | None, mask: str | None) -> Pair:
    return Pair(id=name, image=image, mask=mask, split=None)


def _pair_layers(options: Options, pattern: str, paths: Sequence[str], root: Path) -> Collection:
    """Pair the images with the masks of each class."""
    found = layers.match_layers(paths, pattern)
    taken = {path for of_class in found.values() for path in of_class.values()}
    images = [entry for entry in _match_images(Pattern(str(options.images)), paths) if entry[1] not in taken]
    for kind, files, stated in (("image", images, str(options.images)), ("mask", list(found), pattern)):
        if not files:
            raise _report_no_files(root, kind, stated, paths)
    first = {next(iter(of_class.values())): of_class for of_class in found.values()}
    matched = pair(images, [(name, next(iter(of_class.values()))) for name, of_class in found.items()])
    of_sample = {name: first[mask] for name, _, mask in matched if mask is not None}
    return Collection(pairs=tuple(_make_pair(*entry) for entry in matched), layers=of_sample)


def _may_be_mask(path: str, options: Options) -> bool:
    if options.encoding not in _ANNOTATIONS:
        return is_image(path)
    if options.encoding == "yolo" and not yolo.may_be_labels(path):
        return False
    return path.lower().endswith(_ANNOTATIONS[options.encoding]) and not names_classes(path)


def _list_described(encoding: str, path: Path) -> list[str]:
    """List the images that a COCO file or a table of run lengths describes."""
    return coco.list_images(path) if encoding == "coco" else list(run_length_table.read_table(path))


def _pair_described(
    images: Sequence[tuple[str, str]], files: Mapping[str, Sequence[str]], root: Path
) -> tuple[list[Pair], dict[str, str]]:
    """Pair the images with the entries of annotation files by name; it is enough if the ends of the paths are equal."""
    known: dict[str, list[tuple[str, str]]] = {}
    for name, path in images:
        parts = unicodedata.normalize("NFC", path).split("/")
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            for key in {end, end.rpartition(".")[0]}:
                known.setdefault(key, []).append((name, path))
    mask_of: dict[str, str] = {}
    entries: dict[str, str] = {}
    lost: list[Pair] = []
    for file, described in files.items():
        near = _select_near(file, images)
        for entry in described:
            found = _find_image(entry, known, root / file, near)
            if found is None:
                lost.append(Pair(id=f"{file}/{entry}", image=None, mask=file, split=None))
                continue
            if found in mask_of:
                raise DataError(
                    root / file,
                    found=f"image {entry!r}, which {mask_of[found]} describes too",
                    expected="each image in one annotation file",
                    remedy="change `masks` in own/NAME.yaml so that it matches only one of them",
                )
            mask_of[found], entries[found] = file, entry
    pairs = [Pair(id=name, image=path, mask=mask_of.get(name), split=None) for name, path in images]
    return sorted([*pairs, *lost], key=lambda item: item.id), entries


def _select_near(file: str, images: Sequence[tuple[str, str]]) -> set[str]:
    """Select the paths of the images that an annotation file can mean.

    These are the images below its own folder, or all if there are none; of these, not those of another split than the
    one that the file's name or folder names.
    """
    folder = str(PurePosixPath(file).parent)
    inside = {path for _, path in images if path.startswith(f"{folder}/")} or {path for _, path in images}
    split = lists.split_of_paths(file, file)
    splits = {path: lists.split_of_paths(path, "") for path in inside}
    if split is None or split not in splits.values():
        return inside
    return {path for path, named in splits.items() if named in (split, None)}


def _find_image(
    entry: str, known: Mapping[str, Sequence[tuple[str, str]]], place: Path, near: AbstractSet[str]
) -> str | None:
    """Return the name of the image whose path has the longest common end with an entry; None if none has one.

    Args:
        near: paths of the images that the entry can mean.
    """
    parts = unicodedata.normalize("NFC", entry.replace("\\", "/")).split("/")
    for start in range(len(parts)):
        found = [item for item in known.get("/".join(parts[start:]), ()) if item[1] in near]
        if len(found) > 1:
            raise DataError(
                place,
                found=f"image {entry!r}, which matches several files: {_list_some([path for _, path in found])}",
                expected="a name that only one image's path ends with",
                remedy="change `images` in own/NAME.yaml so that it matches only one of them",
            )
        if found:
            return found[0][0]
    return None


def _assign_splits(options: Options, pairs: list[Pair], root: Path) -> tuple[list[Pair], list[str]]:
    """Give the pairs the splits that the user's data name, and return notes on it."""
    if options.splits:
        kept, rest = lists.read_splits(options.splits, pairs, root=root)
        if "validation" not in options.splits:
            kept = [replace(item, split=None) if item.split == "train" else item for item in kept]
        verb = "is" if len(rest) == 1 else "are"
        return kept, [f"{_count(rest, 'sample')} {verb} in no list and left out: {_list_some(rest)}"] if rest else []
    named = [item.split for item in pairs]
    if not any(named):
        named = [lists.split_of_paths(item.image or item.mask or "", item.mask or "") for item in pairs]
        if "train" not in named or len(set(named) - {None}) < 2:
            return pairs, []  # a single folder with such a name is no split
    if "validation" not in named:
        named = [None if split == "train" else split for split in named]
    free = [item.id for item, split in zip(pairs, named, strict=True) if split is None and "validation" in named]
    notes = [f"Segline chooses the split of {_count(free, 'sample')} without one: {_list_some(free)}"] if free else []
    return [replace(item, split=split) for item, split in zip(pairs, named, strict=True)], notes


def _add_test(pairs: Sequence[Pair], share: float) -> list[Pair]:
    """Hold out a test split of the training pairs, if there is none yet."""
    if any(item.split == "test" for item in pairs):
        return list(pairs)
    chosen = held_out([item for item in pairs if item.split != "validation"], share=share)
    return [replace(item, split="test") if item.id in chosen else item for item in pairs]


def _report_no_files(root: Path, kind: str, pattern: str, paths: Sequence[str]) -> DataError:
    return DataError(
        root / pattern,
        found=f"no {kind}; the folder holds {overview(paths)}",
        expected=f"at least one {kind}",
        remedy=f"correct `{kind}s` in own/NAME.yaml, or let `segline init FOLDER --force` guess it",
    )


def overview(paths: Sequence[str]) -> str:
    """Summarise in one line what a folder holds: ``120 .jpg in images, 120 .png in masks``."""
    counts = Counter(
        (PurePosixPath(path).parts[0] if "/" in path else ".", PurePosixPath(path).suffix) for path in paths
    )
    shown = [
        f"{count} {suffix or 'files without an ending'}" + (f" in {top}" if top != "." else "")
        for (top, suffix), count in counts.most_common(8)
    ]
    more = f" and more ({len(counts)} kinds)" if len(counts) > len(shown) else ""
    return ", ".join(shown) + more if shown else "no files"


def _count(found: Sequence[str], noun: str) -> str:
    return f"1 {noun}" if len(found) == 1 else f"{len(found)} {noun}s"


def _list_some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES_SHOWN} more" if len(names) > _MAX_NAMES_SHOWN else ""
    return ", ".join(names[:_MAX_NAMES_SHOWN]) + more


def count_splits(pairs: Sequence[Pair]) -> str:
    """Summarise in one line how many samples each split has."""
    counts = Counter(item.split for item in pairs)
    named = [f"{name} {counts[name]}" for name in SPLITS if counts[name]]
    free = [f"train and validation {counts[None]}"] if counts[None] else []
    return ", ".join(free + named)
