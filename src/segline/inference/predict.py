"""Predict masks at the images' own size."""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import combinations
from pathlib import Path

import cv2
import keras
import numpy as np

from segline.core.labels import Image, Mask
from segline.core.metrics.temperature import softmax
from segline.core.metrics.threshold import Logits, above
from segline.data.images.decode import write_png
from segline.data.images.scale import pad_image, scale_image
from segline.errors import DataError
from segline.inference.bundle import Bundle
from segline.inference.image_files import Found, count, find_images
from segline.inference.overlay import OPACITY, overlay, present, with_legend
from segline.inference.photos import read_photo
from segline.storage import atomic_file

_FLIPPED_AXES = {"left_right": 1, "up_down": 0}  # of an image (H, W, C)


def logits_of(bundle: Bundle, image: Image) -> Logits:
    """Compute logits float32 (h, w, C) of an image that is already scaled, uint8 (h, w, 3).

    With `Bundle.mirrors`, probabilities are averaged over the image and its mirror images, and the logits are
    the logarithms of the mean, as in nnU-Net (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z).

    Raises:
        DataError: the network's output is NaN or infinite.
    """
    height, width = image.shape[:2]
    views = _list_views(bundle)
    batch = np.stack([pad_image(np.flip(image, axes), multiple=bundle.stride) for axes in views])
    answer = keras.ops.convert_to_numpy(bundle.network.predict_on_batch(batch))
    logits: Logits = np.asarray(answer, dtype=np.float32)[:, :height, :width]
    if not np.isfinite(logits.sum(dtype=np.float64)):  # finds every bad value, faster than a test of each
        raise DataError(
            f"network {bundle.family}, trained on {bundle.dataset}",
            found="logits that are NaN or infinite",
            expected="finite logits",
            remedy="train it again, or name another model",
        )
    if len(views) == 1:
        return np.asarray(logits[0])
    mean = np.mean([np.flip(softmax(each), axes) for each, axes in zip(logits, views, strict=True)], axis=0)
    return np.asarray(np.log(np.maximum(mean, np.finfo(np.float32).tiny)), dtype=np.float32)


def _list_views(bundle: Bundle) -> list[tuple[int, ...]]:
    """List the axes to flip for each view: none, those of each single flip, and those of all flips together."""
    axes = [_FLIPPED_AXES[flip] for flip in bundle.mirrors]
    return [view for count in range(len(axes) + 1) for view in combinations(axes, count)]


def resized(logits: Logits, *, height: int, width: int) -> Logits:
    """Resize logits (h, w, C) to (height, width), bilinearly; return them unchanged if they have that size."""
    if logits.shape[:2] != (height, width):
        logits = np.asarray(cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
    return logits.reshape(height, width, -1)


def mask_of(logits: Logits, *, height: int, width: int, threshold: float | None) -> Mask:
    """Resize logits (h, w, C) to (height, width), then choose each pixel's class.

    Args:
        threshold: as in `Bundle`; None for the highest logit.

    Returns:
        Train ids uint8 (height, width).
    """
    whole = resized(logits, height=height, width=width)
    return np.asarray(whole.argmax(axis=-1), dtype=np.uint8) if threshold is None else above(whole, threshold)


def predict_scaled(bundle: Bundle, image: Image, *, height: int, width: int) -> Mask:
    """Predict train ids uint8 (height, width) of an image that is already scaled, uint8 (h, w, 3)."""
    return mask_of(logits_of(bundle, image), height=height, width=width, threshold=bundle.threshold)


def predict(bundle: Bundle, image: Image) -> Mask:
    """Predict train ids uint8 (H, W) of an image uint8 (H, W, 3) of any size."""
    height, width = image.shape[:2]
    return predict_scaled(bundle, scale_image(image, short_side=bundle.short_side), height=height, width=width)


def predict_files(
    bundle: Bundle,
    source: Path,
    *,
    output: Path,
    report: Callable[[str], None],
    opacity: float = OPACITY,
    shown: Collection[int] | None = None,
) -> Iterator[Path]:
    """Write ``<stem>_labels.png`` (raw ids) and ``<stem>_overlay.png`` for every image of `source`.

    Args:
        report: receives one line for each image that cannot be read, and one for each kind of file that is skipped,
            turned, or read in part. The other images are still predicted.
        opacity: of the overlays' colours, 0..1.
        shown: train ids of the classes that overlays tint and name; None: all.

    Yields:
        Each image, once its files are written.

    Raises:
        DataError: two images would write the same files, or at least one image cannot be read.
        StorageError: no room or no right to write.
    """
    found = find_images(source)
    _refuse_clashes(found.images)
    for line in _list_skipped(source, found, output=output):
        report(line)
    unreadable = 0
    turned: list[Path] = []
    partial: list[Path] = []
    for path in found.images:
        try:
            photo = read_photo(path, levels=bundle.levels)
        except DataError as error:
            unreadable += 1
            report(error.line)
            continue
        turned += [path] if photo.turned else []
        partial += [path] if photo.has_more else []
        _write(bundle, photo.pixels, output / path.stem, opacity=opacity, shown=shown)
        yield path
    for line in _list_peculiar(source, turned=turned, partial=partial):
        report(line)
    if unreadable:
        raise DataError(
            source,
            found=f"{unreadable} of {len(found.images)} images cannot be read (named above)",
            expected="images that can be decoded",
            remedy="replace or remove them; the masks of the other images are written",
        )


def _write(bundle: Bundle, image: Image, stem: Path, *, opacity: float, shown: Collection[int] | None) -> None:
    """Predict one image, and write its label map and its overlay."""
    mask = predict(bundle, image)
    listed = [train_id for train_id in present(mask) if shown is None or train_id in shown]
    tinted = overlay(image, mask, bundle.labels, opacity=opacity, shown=shown)
    picture = with_legend(tinted, listed, bundle.labels)
    for name, content in (("labels", bundle.labels.decode(mask)), ("overlay", picture)):
        with atomic_file(stem.with_name(f"{stem.name}_{name}.png")) as partial:
            write_png(partial, content)


def _list_skipped(source: Path, found: Found, *, output: Path) -> Iterator[str]:
    """Write a line about files that are not images, and one about sub-folders; `output` may be one of these."""
    if found.others:
        skipped = count(found.others, "file")
        yield f"{source}: {skipped} skipped, by the name no image; remedy: convert what is an image to PNG or JPEG"
    folders = [path for path in found.folders if path.resolve() != output.resolve()]
    if folders:
        remedy = "predict each by itself, with an --output of its own"
        yield f"{source}: {count(folders, 'sub-folder')} not searched; remedy: {remedy}"


def _list_peculiar(source: Path, *, turned: list[Path], partial: list[Path]) -> Iterator[str]:
    """Write a line about images that were turned, and one about files with further pages."""
    if turned:
        yield (
            f"{source}: {count(turned, 'image')} turned as the EXIF orientation says: label maps and overlays fit the "
            "image as programs show it; remedy, if they must fit the stored pixels: remove that tag"
        )
    if partial:
        pages = "only the first page or frame is predicted"
        yield f"{source}: {count(partial, 'file')}: {pages}; remedy: save each page as an image of its own"


def _refuse_clashes(files: Iterable[Path]) -> None:
    """Refuse two images of one stem, because both would write the same files."""
    first: dict[str, Path] = {}
    for path in files:
        other = first.setdefault(path.stem, path)
        if other is not path:
            raise DataError(
                path,
                found=f"{other.name} has the same stem, so both would write {path.stem}_labels.png",
                expected="file names that differ in more than the extension",
                remedy="rename one of them",
            )
