"""Say why images and masks were not found, which layouts are known, and what to write into ``own/NAME.yaml``."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from segline.config import Options
from segline.data.look.glob_patterns import folder_of
from segline.data.look.suggested_patterns import suggest_patterns
from segline.data.look.survey import Group, Survey
from segline.datasets.own.collect import Collection, overview
from segline.errors import DataError

_LAYOUTS = """one of these layouts:
      images/1.jpg  masks/1.png             (any depth; masks hold ids, a palette or colours)
      1.jpg         1_mask.png              (or _label, _gt, _labelIds ...)
      train/1.jpg   trainannot/1.png        (or train_images and train_masks)
      images/1.jpg  masks/road/1.png        (one mask for each class; or 1_road.png)
      images/1.jpg  annotations/train.json  (COCO; or a file in the folder of each split)
      1.jpg         1.json                  (LabelMe)
      images/1.jpg  labels/1.txt            (YOLO polygons, with data.yaml)
      images/1.jpg  train.csv               (Kaggle's run lengths)
      imagesTr/1_0000.png  labelsTr/1.png   (nnU-Net)
      JPEGImages/1.jpg  SegmentationClass/1.png  (Pascal VOC, and CVAT's masks with labelmap.txt)
      pairs.csv     with columns image,mask[,split,group]"""


def make_error(seen: Survey, found: str, *, remedy: str = "", expected: str = _LAYOUTS) -> DataError:
    """Make the error about a folder whose images and masks were not found; by default it shows the known layouts.

    Args:
        remedy: what to do; if empty, a file ``own/NAME.yaml`` is shown, for the user to correct.
    """
    images = next((group for group in seen.groups if not group.masklike), None)
    example = f"{images.folder or '.'}/*{images.ending}{images.suffix}" if images is not None else "images/*.jpg"
    patterns = Options(images=example.removeprefix("./"), masks="masks/*.png", follow_links=seen.follow_links)
    return DataError(
        seen.folder,
        found=found if "the folder holds" in found else f"{found}; the folder holds {overview(seen.paths)}",
        expected=expected,
        remedy=remedy
        or "arrange the files in one of these layouts, or list them in a CSV with the columns image,mask; or write "
        "into own/NAME.yaml where they are (correct the patterns), then run segline init again:\n"
        f"{describe_entry(patterns, seen.folder)}",
    )


def describe_entry(options: Options, folder: Path) -> str:
    """Write the content of ``own/NAME.yaml`` for `options`, to be shown in an error."""
    given = options.model_dump(exclude_defaults=True)
    lines = [f"    {name}: {value!r}" for name, value in given.items() if isinstance(value, str)]
    return "\n".join([f"    path: {str(folder.absolute())!r}", *lines])


def refuse_causes(seen: Survey) -> None:
    """Raise the first error that explains why masks were not recognised: unreadable files, or an unknown format."""
    faults = [group.fault for group in seen.groups if group.fault is not None and group.named == "mask"]
    faults = faults or [group.fault for group in seen.groups if group.fault is not None]
    if faults and faults[0] is not None:
        raise faults[0]
    refuse_unread(seen)
    if seen.broken:
        raise seen.broken[0]


def refuse_unread(seen: Survey) -> None:
    """Refuse a folder whose annotations Segline does not read, and name the format."""
    for unread in seen.unread:
        raise make_error(
            seen,
            f"{unread.path} is of a format that Segline does not read: {unread.name}",
            remedy=f"{unread.convert}; put the result into the folder, then run segline init again",
        )


def explain_missing(seen: Survey, images: Sequence[Group]) -> NoReturn:
    """Raise the error that says why there are only images, or only masks."""
    refuse_causes(seen)
    if not images:
        raise make_error(seen, "only masks: all pictures have few colours")
    lossy = [group for group in seen.groups if group.lossy]
    more = "; JPEG and WebP cannot be masks, because they change the pixels" if lossy else ""
    raise make_error(seen, f"only images: no picture has as few colours as a mask{more}")


def explain_unpaired(options: Options, collection: Collection, seen: Survey) -> NoReturn:
    """Raise the error about images and masks whose names differ; show patterns that would pair them."""
    if not any(group.masklike and group.named == "mask" for group in seen.groups):
        refuse_causes(seen)
    images = [pair.image for pair in collection.pairs if pair.image]
    masks = [pair.mask for pair in collection.pairs if pair.mask]
    found = f"no image and mask with the same name; for example, one image is {images[0]}, and one mask is {masks[0]}"
    if options.encoding in ("coco", "run_lengths"):
        raise make_error(seen, found, remedy=f"correct the names of the images in {masks[0]}, or rename the images")
    folders = [[path for path in paths if folder_of(path) == folder_of(paths[0])] for paths in (images, masks)]
    suggested = suggest_patterns(*folders)
    if suggested is None:
        raise make_error(seen, found)
    written = options.model_copy(update={"images": suggested[0], "masks": suggested[1]})
    raise make_error(
        seen,
        found,
        remedy="rename the files; or, if these patterns pair the right files, write them into own/NAME.yaml and run "
        f"segline init again (`*` stands for the part that both names share):\n{describe_entry(written, seen.folder)}",
    )
