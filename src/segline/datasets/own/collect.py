"""Collect the samples of a user's folder, as ``options.folder`` in ``params.yaml`` describes them."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from segline.config import Options
from segline.datasets.base import SPLITS, Pair, held_out
from segline.datasets.own import annotations, lists
from segline.datasets.own.files import Pattern, is_image, pair, walk
from segline.datasets.own.labelme_images import pair_by_image_path
from segline.errors import ConfigError, DataError
from segline.reading import refuse_leaving

POLYGONS = ("coco", "labelme")

_MAX_NAMES_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Collection:
    """The samples of a user's folder.

    Args:
        pairs: image and mask, as paths relative to the folder. If masks are polygons, `mask` is the polygon file.
        entries: sample id -> its name in a COCO file.
        notes: remarks for the user.
    """

    pairs: tuple[Pair, ...]
    entries: Mapping[str, str] = field(default_factory=dict)
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
        entries: dict[str, str] = {}
    else:
        pairs, entries = _match_patterns(options, root)
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
    return Collection(pairs=tuple(_add_test(pairs, options.test_share)), entries=entries, notes=(*notes, *more))


def _list_files(options: Options, root: Path) -> list[str]:
    return list(walk(root, follow_links=options.follow_links))


def _read_listed_pairs(options: Options, table: str, root: Path) -> tuple[list[Pair], dict[str, str]]:
    """Read the pairs of the CSV `table`, and a note for each pair that has a missing file."""
    if options.encoding == "coco":
        raise ConfigError(
            "params.yaml options.folder",
            found="`pairs` with `encoding: coco`",
            expected="`images` and `masks`, because a COCO file itself says which images it describes",
            remedy="delete `pairs`, and let `masks` name the COCO file",
        )
    listed, gone = lists.read_pairs(root / table, root=root)
    if not options.follow_links:  # a list may name hidden files, and `walk` has not checked those
        refuse_leaving(root, (path for item in listed for path in (item.image, item.mask) if path is not None))
    return listed, gone


def _match_patterns(options: Options, root: Path) -> tuple[list[Pair], dict[str, str]]:
    """Pair the files that the patterns match; the dict maps sample ids to names in a COCO file."""
    if options.images is None or options.masks is None or options.images == options.masks:
        raise ConfigError(
            "params.yaml options.folder",
            found=f"images {options.images!r}, masks {options.masks!r}",
            expected="two patterns, such as images/*.jpg and masks/*.png, or `pairs`, a CSV",
            remedy="add them, or let `segline init FOLDER --force` guess them",
        )
    images, masks = Pattern(options.images), Pattern(options.masks)
    paths = _list_files(options, root)
    possible = [path for path in paths if _may_be_mask(path, options)]
    mask_files = [(name, path) for path in possible if (name := masks.name(path)) is not None]
    taken = {path for _, path in mask_files}
    image_files = [
        (name, path)
        for path in paths
        if is_image(path) and path not in taken and (name := images.name(path)) is not None
    ]
    for kind, found, pattern in (("image", image_files, options.images), ("mask", mask_files, options.masks)):
        if not found:
            raise _report_no_files(root, kind, pattern, paths)
    if options.encoding == "coco":
        return _pair_coco(image_files, [path for _, path in mask_files], root)
    return [
        Pair(id=name, image=image, mask=mask, split=None) for name, image, mask in pair(image_files, mask_files)
    ], {}


def _may_be_mask(path: str, options: Options) -> bool:
    return path.lower().endswith(".json") if options.encoding in POLYGONS else is_image(path)


def _pair_coco(
    images: Sequence[tuple[str, str]], files: Sequence[str], root: Path
) -> tuple[list[Pair], dict[str, str]]:
    """Pair the images with the entries of COCO files by name; it is enough if the ends of the paths are equal."""
    known: dict[str, list[tuple[str, str]]] = {}
    for name, path in images:
        parts = unicodedata.normalize("NFC", path).split("/")
        for start in range(len(parts)):
            known.setdefault("/".join(parts[start:]), []).append((name, path))
    mask_of: dict[str, str] = {}
    entries: dict[str, str] = {}
    lost: list[Pair] = []
    for file in files:
        for entry in annotations.file_names(root / file):
            found = _find_image(entry, known, root / file)
            if found is None:
                lost.append(Pair(id=f"{file}/{entry}", image=None, mask=file, split=None))
                continue
            if found in mask_of:
                raise DataError(
                    root / file,
                    found=f"image {entry!r}, which {mask_of[found]} describes too",
                    expected="each image in one COCO file",
                    remedy="change `masks` under options.folder in params.yaml so that it matches only one of them",
                )
            mask_of[found], entries[found] = file, entry
    pairs = [Pair(id=name, image=path, mask=mask_of.get(name), split=None) for name, path in images]
    return sorted([*pairs, *lost], key=lambda item: item.id), entries


def _find_image(entry: str, known: Mapping[str, Sequence[tuple[str, str]]], place: Path) -> str | None:
    """Return the name of the image whose path has the longest common end with a COCO entry; None if none has one."""
    parts = unicodedata.normalize("NFC", entry.replace("\\", "/")).split("/")
    for start in range(len(parts)):
        found = known.get("/".join(parts[start:]), ())
        if len(found) > 1:
            raise DataError(
                place,
                found=f"image {entry!r}, which matches several files: {_list_some([path for _, path in found])}",
                expected="a name that only one image's path ends with",
                remedy="change `images` under options.folder in params.yaml so that it matches only one of them",
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
        remedy=f"correct `{kind}s` under options.folder in params.yaml, or let `segline init FOLDER --force` guess it",
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
