"""Separate images from masks, and choose the folders of both that belong together.

Where several folders pair equally well, none is chosen: the error names them and asks for one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NoReturn

from segline.config import Options
from segline.data.look.glob_patterns import is_split_word, write_pattern
from segline.data.look.survey import Group, Survey, kind_of_name
from segline.datasets.own.files import Pattern, pair
from segline.errors import DataError

Fail = Callable[..., NoReturn]
"""Raises the error of `segline.data.look.guess`: ``fail(found, remedy=...)``."""

_ASIDE = frozenset(
    {"old", "backup", "bak", "copy", "unused", "previous", "tmp", "color", "colors", "colour", "colours", "rgb"}
    | {"instanceids", "instance", "instances", "labeltrainids", "machine"}
)
_MAX_PARTS = 12
_EQUAL_SHARE = 0.5  # of the samples of the best choice: a choice with fewer is a remnant


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Some groups of images and masks.

    Args:
        pairs: image -> mask.
    """

    images: tuple[Group, ...]
    masks: tuple[Group, ...]
    pairs: dict[str, str]


def separate(seen: Survey) -> tuple[list[Group], list[Group], str]:
    """Separate groups of images from groups of masks; return both and the reason. Either may be empty.

    Pictures in folders that are named after visualisations are neither, unless there are no others.
    """
    groups = [group for group in seen.groups if group.masklike is not None]
    groups = [group for group in groups if group.named != "view"] or groups
    masklike = [group for group in groups if group.masklike]
    pictures = [group for group in groups if not group.masklike]
    masklike = [group for group in masklike if not group.holds_instances] or masklike
    if masklike and pictures:
        named = [group for group in masklike if group.named != "image"]
        if named:
            images = [group for group in pictures if group.named != "mask"] or pictures
            return images, named, "by pixels: masks have few colours, images many"
        return pictures, masklike, "by pixels, which contradict the names: the folder named images holds masks"
    by_name = {kind: [group for group in groups if group.named == kind] for kind in ("image", "mask", "")}
    if by_name["mask"] and (by_name["image"] or by_name[""]):
        return by_name["image"] or by_name[""], by_name["mask"], "by the names of folders and files"
    return (pictures, [], "") if pictures else ([], masklike, "")


def choose(seen: Survey, images: Sequence[Group], masks: Sequence[Group], fail: Fail) -> tuple[Options, list[str]]:
    """Choose the groups that pair, and return the options with doubts about what is left out.

    If nothing pairs, the options describe all groups, and collecting them will fail.
    """
    found = _list_choices(images, masks)
    if not found:
        return _make_options(Choice(images=tuple(images), masks=tuple(masks), pairs={}), seen), []
    most = max(len(choice.pairs) for choice in found)
    equal = [choice for choice in found if len(choice.pairs) >= _EQUAL_SHARE * most]
    equal = [choice for choice in equal if not any(_replaces(other, choice) for other in equal)]
    best, *others = sorted(equal, key=lambda choice: (_rank(choice), -len(choice.pairs), _trees(choice.masks)))
    for other in others:
        if _rank(other) == _rank(best):
            _ask(best, other, seen, fail)
    rest = [group for group in (*images, *masks) if group not in (*best.images, *best.masks)]
    names = sorted({_describe(group) for group in rest})
    doubts = []
    if names:
        kind = "masks" if any(group in masks for group in rest) else "images"
        used = ", ".join(_trees(best.masks if kind == "masks" else best.images))
        doubts = [f"{kind} are taken from {used}, not from {', '.join(names)}: move what you do not need elsewhere"]
    return _make_options(best, seen), doubts


def _list_choices(images: Sequence[Group], masks: Sequence[Group]) -> list[Choice]:
    """Pair parts of the images with parts of the masks: all groups of one folder tree, of one ending, or of both."""
    keys: list[Callable[[Group], object]] = [_tree, _kind, lambda group: (_tree(group), _kind(group))]
    parts_of_masks = [list(masks), *(part for key in keys for part in _part(masks, key))]
    combined = {
        (tuple(some), tuple(chosen)): None
        for some in [list(images), *_part(images, _tree)]
        for chosen in parts_of_masks
    }
    found = (_try_pairing(some, chosen) for some, chosen in combined)
    return [choice for choice in found if choice is not None and choice.pairs]


def _part(groups: Sequence[Group], key: Callable[[Group], object]) -> list[list[Group]]:
    parts: dict[object, list[Group]] = {}
    for group in groups:
        parts.setdefault(key(group), []).append(group)
    return list(parts.values()) if len(parts) <= _MAX_PARTS else []


def _try_pairing(images: Sequence[Group], masks: Sequence[Group]) -> Choice | None:
    """Pair groups by the names that their patterns give; None if two files of one kind have the same name."""
    image_pattern, mask_pattern = (
        Pattern(write_pattern(part, other)) for part, other in ((images, masks), (masks, images))
    )
    named = [
        [(name, path) for group in groups for path in group.paths if (name := pattern.name(path)) is not None]
        for groups, pattern in ((images, image_pattern), (masks, mask_pattern))
    ]
    try:
        matched = pair(*named)
    except DataError:
        return None
    pairs = {image: mask for _, image, mask in matched if image is not None and mask is not None}
    return Choice(images=tuple(images), masks=tuple(masks), pairs=pairs)


def _replaces(one: Choice, other: Choice) -> bool:
    """Return whether two choices overlap, and the first pairs more, or as much with more groups."""
    ones, others = {*one.images, *one.masks}, {*other.images, *other.masks}
    if ones == others or not (ones >= others or ones <= others):
        return False
    return len(one.pairs) > len(other.pairs) or (len(one.pairs) == len(other.pairs) and ones > others)


def _rank(choice: Choice) -> tuple[int, int]:
    """Rank a choice by the names of its masks and of its images; (0, 0) is the most usual."""
    words = {part for group in choice.masks for part in _split(f"{_tree(group)}_{group.ending}")}
    usual = all(kind_of_name(_tree(group)) == "mask" or group.named == "mask" for group in choice.masks)
    image_usual = all(kind_of_name(_tree(group)) == "image" for group in choice.images)
    return (2 if words & _ASIDE else 0 if usual else 1), 0 if image_usual else 1


def _split(text: str) -> set[str]:
    return set(text.lower().replace("-", "_").replace(".", "_").replace(" ", "_").split("_"))


def _trees(groups: Sequence[Group]) -> list[str]:
    return sorted({_tree(group) for group in groups})


def _tree(group: Group) -> str:
    """Return the innermost folder of a group whose name is usual for images or masks, without the name of a split.

    If there is none, return the topmost folder that is no split; "." for the surveyed folder.
    """
    parts = [part for part in PurePosixPath(group.folder).parts if not is_split_word(part)]
    called = [part for part in reversed(parts) if kind_of_name(part) in ("mask", "image")]
    chosen = called[0] if called else (parts[0] if parts else ".")
    words = [word for word in chosen.split("_") if not is_split_word(word)]
    return "_".join(words) or chosen


def _kind(group: Group) -> tuple[str, str]:
    """Return the ending and the extension that all names of a group share."""
    return group.ending, group.suffix


def _describe(group: Group) -> str:
    return _tree(group) if not group.ending else f"{_tree(group)} (*{group.ending}{group.suffix})"


def _make_options(choice: Choice, seen: Survey) -> Options:
    chosen = {*choice.images, *choice.masks}
    images = [group for group in seen.groups if group not in choice.images]
    return Options(
        images=write_pattern(choice.images, images),
        masks=write_pattern(choice.masks, [group for group in seen.groups if group not in chosen]),
        follow_links=seen.follow_links,
    )


def _ask(best: Choice, other: Choice, seen: Survey, fail: Fail) -> NoReturn:
    """Ask which of two choices is meant."""
    same_masks = set(best.masks) == set(other.masks)
    options = [_make_options(choice, seen) for choice in (best, other)]
    kind = "images" if same_masks else "masks"
    names = [str(getattr(each, kind)) for each in options]
    if same_masks:
        inverse = {mask: image for image, mask in other.pairs.items()}
        image, mask = next((i, m) for i, m in best.pairs.items() if m in inverse)
        found = f"{image} and {inverse[mask]} both belong to {mask}: {names[0]} and {names[1]} pair equally well"
    else:
        shared = sorted(best.pairs.keys() & other.pairs.keys())
        image = shared[0] if shared else sorted(best.pairs)[0]
        one, two = best.pairs[image], other.pairs.get(image, sorted(other.pairs.values())[0])
        found = f"{one} and {two} both belong to {image}: {names[0]} and {names[1]} pair equally well"
    trees = [_tree((choice.images if same_masks else choice.masks)[0]) for choice in (best, other)]
    fail(
        found,
        remedy=f"move {trees[0]!r} or {trees[1]!r} out of the folder; or say which one you mean in own/NAME.yaml, "
        f"here `{kind}: {names[0]}` or `{kind}: {names[1]}`, then run segline init again:",
        options=options[0],
    )
