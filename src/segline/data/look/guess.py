"""Guess how the user's own data are organised, from a survey: pairing, encoding, classes and splits.

A guess is tested before it is shown: images and masks are paired exactly as the download stage will pair them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from segline.config import Encoding, Options
from segline.data.images.decode import decode_image, is_deep
from segline.data.look.answers import Answers
from segline.data.look.class_guess import ClassGuess, describe_entries, guess_classes
from segline.data.look.glob_patterns import cover_folders, folder_of, write_coco_pattern, write_pattern
from segline.data.look.polygon_guess import guess_polygons
from segline.data.look.rival_labels import refuse_rivals
from segline.data.look.survey import Group, Survey, spread, survey
from segline.datasets.base import SPLITS, Split
from segline.datasets.own import lists
from segline.datasets.own.class_names import find_names, names_classes
from segline.datasets.own.collect import POLYGONS, Collection, collect, count_splits, overview
from segline.datasets.own.files import Pattern
from segline.errors import DataError, LinkError
from segline.pictures import read_bytes
from segline.progress import Report, silent

_NO_ANSWERS = Answers()
_MAX_IMAGES_CHECKED = 9
_DEEP_SUFFIXES = (".png", ".tif", ".tiff")
_PREFERRED = ("labelids", "mask", "masks", "label", "labels", "seg", "gt", "annotations", "labeltrainids")
_MASK_ENCODINGS = ("ids", "palette", "rgb")
_LAYOUTS = """one of these layouts:
      images/1.jpg  masks/1.png             (any depth; masks hold ids, a palette or colours)
      1.jpg         1_mask.png              (or _label, _gt, _labelIds ...)
      images/1.jpg  annotations/train.json  (COCO)
      1.jpg         1.json                  (LabelMe)
      pairs.csv     with columns image,mask[,split,group]"""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One part of the guess, and the reason for it."""

    what: str
    guess: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Guess:
    """The whole guess.

    Args:
        options: the entry for ``params.yaml``, still without the path.
        doubts: what a person should check.
    """

    options: Options
    classes: ClassGuess
    lines: tuple[Line, ...]
    doubts: tuple[str, ...]


def guess(
    folder: Path, *, follow_links: bool = False, answers: Answers = _NO_ANSWERS, report: Report = silent
) -> Guess:
    """Guess how the data in `folder` are organised.

    Args:
        follow_links: whether links in `folder` may lead out of it.
        answers: what the user has stated, where it cannot be guessed.

    Raises:
        DataError: no guess is possible; the error lists what was found and which layouts are supported.
        LinkError: a link leads out of `folder`, although `follow_links` is False.
    """
    seen = survey(folder, follow_links=follow_links, report=report)
    if not seen.groups:
        raise _make_error(seen, "no pictures")
    table, unused = lists.choose_pairs((path for path in seen.paths if not names_classes(path)), root=folder)
    if table is not None:
        options, why = Options(pairs=table, follow_links=follow_links), "it has the columns image and mask"
    else:
        options, why, unsure = _find_source(seen, answers.labels)
        unused += unsure
    collection = _collect_pairs(options, seen)
    options, collection, split_why, doubts = _add_split_lists(options, collection, seen)
    options = options.model_copy(update={"levels": answers.levels})
    _refuse_unknown_range(collection, seen.folder, answers.levels)
    names = find_names(folder, seen.paths)
    if options.encoding == "coco" or options.encoding == "labelme":
        classes, notes = guess_polygons(
            folder, options.encoding, collection, answers=answers, by_name=table is None, report=report
        )
        doubts += notes
    else:
        masks = [pair.mask for pair in collection.pairs if pair.image is not None and pair.mask is not None]
        classes = guess_classes(folder, masks, names, answers=answers, report=report)
        options = options.model_copy(update={"encoding": classes.encoding})
    paired = sum(pair.image is not None and pair.mask is not None for pair in collection.pairs)
    total = len(collection.pairs)
    doubts += [*unused, *collection.notes, *classes.doubts]
    where = f"images {options.images}, masks {options.masks}" if options.pairs is None else options.pairs
    lines = (
        Line(what="pairs", guess=where, why=f"{why}; {paired} of {total} samples have image and mask"),
        Line(what="encoding", guess=classes.what, why=classes.why),
        Line(
            what="classes",
            guess=", ".join(describe_entries(classes.entries)),
            why=f"names from {classes.named_by}" if classes.named_by else "",
        ),
        Line(what="split", guess=count_splits(collection.pairs), why=split_why),
    )
    return Guess(options=options, classes=classes, lines=lines, doubts=tuple(doubts))


def _refuse_unknown_range(collection: Collection, folder: Path, levels: tuple[int, int] | None) -> None:
    """Refuse 16-bit images of which some do not use all bits, unless their range is stated."""
    images = [pair.image for pair in collection.pairs if pair.image]
    for path in spread(images, _MAX_IMAGES_CHECKED):
        if PurePosixPath(path).suffix.lower() not in _DEEP_SUFFIXES:
            continue
        try:
            data = read_bytes(folder / path)
            deep = is_deep(data, place=folder / path)
        except DataError:
            continue  # the validate stage reports what cannot be read
        if deep:
            decode_image(data, place=folder / path, levels=levels)


def _collect_pairs(options: Options, seen: Survey) -> Collection:
    try:
        collection = collect(options, seen.folder)
    except LinkError:
        raise
    except DataError as error:
        if options.encoding in POLYGONS:
            raise  # the layout is known, and the file is wrong
        raise _make_error(seen, f"{error.place}: {error.found}") from error
    paired = sum(pair.image is not None and pair.mask is not None for pair in collection.pairs)
    if not paired:
        image = next(pair.image for pair in collection.pairs if pair.image)
        mask = next(pair.mask for pair in collection.pairs if pair.mask)
        raise _make_error(
            seen, f"no image and mask with the same name; for example, one image is {image}, and one mask is {mask}"
        )
    return collection


def _find_source(seen: Survey, encoding: str | None) -> tuple[Options, str, list[str]]:
    """Find where images and masks are; return it with the reason and with doubts.

    Args:
        encoding: the one in ``params.yaml``; it decides if there are both polygons and masks.
    """
    if (seen.coco or seen.labelme) and encoding not in _MASK_ENCODINGS:
        images = [group for group in seen.groups if not group.masklike] or list(seen.groups)
        doubts = [] if encoding in POLYGONS else refuse_rivals(images, seen)
        if seen.coco and encoding != "labelme":
            files = write_coco_pattern(seen)
            doubts += [f"{path} is not used" for path in seen.coco if Pattern(files).name(path) is None]
            return _make_options(images, files, seen, encoding="coco"), "COCO polygons", doubts
        files = cover_folders([folder_of(path) for path in seen.labelme]) + "*.json"
        return _make_options(images, files, seen, encoding="labelme"), "LabelMe polygons", doubts
    images, masks, why = _separate_masks(seen)
    kinds = [[group for group in masks if _get_kind(group) == kind] for kind in _sort_kinds(masks)]
    faults = []
    for chosen in [masks, *kinds]:
        options = _make_options(images, write_pattern(chosen), seen)
        try:
            if _match_masks(options, seen):
                rest = sorted({_get_kind(group)[0] or _get_kind(group)[1] for group in masks if group not in chosen})
                return options, why + (f"; other masks ({', '.join(rest)}) are not used" if rest else ""), []
        except DataError as error:
            faults.append(f"{error.place}: {error.found}")
    for chosen in kinds:
        found = _choose_mask_folder(images, chosen, seen)
        if found is not None:
            return found[0], why, [found[1]]
    if faults:
        raise _make_error(seen, faults[0])
    # `_collect_pairs` will report what does not match.
    return _make_options(images, write_pattern(masks), seen), why, []


def _make_options(images: Sequence[Group], masks: str, seen: Survey, *, encoding: Encoding = "ids") -> Options:
    return Options(images=write_pattern(images), masks=masks, encoding=encoding, follow_links=seen.follow_links)


def _match_masks(options: Options, seen: Survey) -> dict[str, str]:
    """Map each image to its mask.

    Raises:
        DataError: two masks belong to one image.
    """
    return {pair.image: pair.mask for pair in collect(options, seen.folder).pairs if pair.image and pair.mask}


def _choose_mask_folder(images: Sequence[Group], masks: Sequence[Group], seen: Survey) -> tuple[Options, str] | None:
    """Choose the folder of masks with a customary name (``masks``, not ``masks_old``); return it with a doubt.

    Raises:
        DataError: several folders hold a mask for one image, and none has a customary name.
    """
    trees: dict[str, list[Group]] = {}
    for group in masks:
        trees.setdefault(_find_mask_folder(group), []).append(group)
    fits: dict[str, tuple[Options, dict[str, str]]] = {}
    for name in sorted(trees, key=lambda name: (_rank_word(name), name)):
        options = _make_options(images, write_pattern(trees[name]), seen)
        try:
            if fitted := _match_masks(options, seen):
                fits[name] = options, fitted
        except DataError:
            continue  # two of its own masks belong to one image
    if not fits or len(trees) < 2:
        return None
    (name, (options, fitted)), *others = fits.items()
    rest = ", ".join(other for other in sorted(trees) if other != name)
    if _rank_word(name) == len(_PREFERRED):
        for other, (_, rival) in others:
            for image in sorted(fitted.keys() & rival.keys()):
                raise _make_error(
                    seen,
                    f"{fitted[image]} and {rival[image]} both belong to {image}",
                    remedy=f"move {name!r} or {other!r} out of the folder, or set `masks` under options.folder in "
                    "params.yaml to the right one",
                )
    return options, f"masks are taken from {name}, not from {rest}: move the masks that you do not need elsewhere"


def _find_mask_folder(group: Group) -> str:
    """Return the innermost folder of a group whose name is usual for masks; if there is none, the topmost folder."""
    parts = PurePosixPath(group.folder).parts
    called = [part for part in reversed(parts) if replace(group, folder=part, ending="").named == "mask"]
    return called[0] if called else (parts[0] if parts else ".")


def _separate_masks(seen: Survey) -> tuple[list[Group], list[Group], str]:
    """Separate groups of images from groups of masks; return both and the reason."""
    groups = [group for group in seen.groups if group.masklike is not None]
    masklike = [group for group in groups if group.masklike]
    pictures = [group for group in groups if not group.masklike]
    if masklike and pictures:
        named = [group for group in masklike if group.named != "image"]
        if named:
            images = [group for group in pictures if group.named != "mask"] or pictures
            return images, named, "by pixels: masks have few colours, images many"
        why = "by pixels, which contradict the names: the folder named images holds masks"
        return pictures, masklike, why
    by_name = {kind: [group for group in groups if group.named == kind] for kind in ("image", "mask", "")}
    if by_name["mask"] and (by_name["image"] or by_name[""]):
        masks = by_name["mask"]
        if all(group.lossy for group in masks):
            raise _make_error(
                seen,
                f"{masks[0].paths[0]} is a JPEG, like all masks here: its ids or colours are only approximate",
                remedy="export the masks again as PNG: JPEG changes the pixels",
            )
        return by_name["image"] or by_name[""], masks, "by the names of folders and files"
    faults = [group.fault for group in seen.groups if group.fault is not None]
    if faults:
        raise faults[0]
    kind = "masks: all pictures have few colours" if masklike else "images: no picture has as few colours as a mask"
    raise _make_error(seen, f"only {kind}")


def _get_kind(group: Group) -> tuple[str, str]:
    """Return the ending and the extension that all names of a group share."""
    return group.ending, group.suffix


def _sort_kinds(masks: Sequence[Group]) -> list[tuple[str, str]]:
    """Sort the endings and extensions of masks: usual ones first, then frequent ones."""
    counts: dict[tuple[str, str], int] = {}
    for group in masks:
        counts[_get_kind(group)] = counts.get(_get_kind(group), 0) + len(group.paths)

    def rank(kind: tuple[str, str]) -> tuple[int, int, tuple[str, str]]:
        return _rank_word(kind[0].strip(" _.-").lower().replace("gtfine_", "")), -counts[kind], kind

    return sorted(counts, key=rank)


def _rank_word(word: str) -> int:
    """Rank a word by how usual it is for masks; 0 is the most usual."""
    return _PREFERRED.index(word.lower()) if word.lower() in _PREFERRED else len(_PREFERRED)


def _add_split_lists(
    options: Options, collection: Collection, seen: Survey
) -> tuple[Options, Collection, str, list[str]]:
    """Use the list files of splits if they fit the data; return reason and doubts too."""
    if any(pair.split and pair.split != "test" for pair in collection.pairs) or _has_test_split(collection):
        return options, collection, _explain_split(options, collection), []
    found: dict[str, dict[Split, str]] = {}
    for path in seen.paths:
        split = lists.split_named(PurePosixPath(path).stem)
        if split is not None and PurePosixPath(path).suffix.lower() in (".txt", ".lst", ".list"):
            found.setdefault(folder_of(path), {}).setdefault(split, path)
    doubts: list[str] = []
    for files in found.values():
        if "train" not in files or len(files) < 2:
            continue
        ordered = {split: files[split] for split in SPLITS if split in files}
        try:
            listed = options.model_copy(update={"splits": ordered})
            return listed, collect(listed, seen.folder), f"the lists {', '.join(ordered.values())}", doubts
        except DataError as error:
            doubts.append(f"the lists {', '.join(ordered.values())} are not used: {error.place}: {error.found}")
    return options, collection, _explain_split(options, collection), doubts


def _has_test_split(collection: Collection) -> bool:
    """Return whether the data name a test split, that is, all its samples are in folders or rows named test."""
    tests = [pair for pair in collection.pairs if pair.split == "test"]
    return bool(tests) and all(lists.split_of_paths(pair.image or "", pair.mask or "") == "test" for pair in tests)


def _explain_split(options: Options, collection: Collection) -> str:
    named = {lists.split_of_paths(pair.image or pair.mask or "", pair.mask or "") for pair in collection.pairs} - {None}
    if options.pairs is None and len(named) > 1 and "train" in named:
        missing = [name for name in ("validation", "test") if name not in named]
        return "by the names of folders or files" + (f"; {' and '.join(missing)} taken out of train" if missing else "")
    if options.pairs is not None and any(pair.split in ("train", "validation") for pair in collection.pairs):
        return "the column split"
    return "no split was found: fixed shares, assigned by a hash of the names"


def _make_error(seen: Survey, found: str, *, remedy: str = "") -> DataError:
    return DataError(
        seen.folder,
        found=found if "the folder holds" in found else f"{found}; the folder holds {overview(seen.paths)}",
        expected=_LAYOUTS,
        remedy=remedy or "arrange the files in one of these layouts, or list them in a CSV with the columns image,mask",
    )
