"""Planted faults of images, masks and lists: each is named, weighed, and told in words one can act on."""

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from segline.core.labels import label_map
from segline.data.images.decode import read_image, read_mask, write_png
from segline.datasets.base import Archive, Dataset, Pair, match
from segline.errors import ValidationError
from segline.project import Files

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

REAL = Path(__file__).parents[3] / "shared" / "data" / "mirror"
HEIGHT, WIDTH, SAMPLES = 40, 60, 30
COLOURS = {7: (128, 64, 128), 11: (70, 70, 70), 23: (70, 130, 180), 26: (0, 0, 142)}
STREET = label_map(
    [(7, "road", COLOURS[7]), (11, "building", COLOURS[11]), (23, "sky", COLOURS[23]), (26, "car", COLOURS[26])],
    void=[0, 1, 2, 3, 8, 9, 10, 24, 25],
)
COUNTED = label_map([(0, "ground", (9, 9, 9)), (1, "house", (200, 0, 0)), (2, "tree", (0, 200, 0))])


def _split(name: str) -> str:
    return ("train", "train", "train", "validation", "test")[int(name[1:]) % 5]


def _pairs(raw: Path) -> list[Pair]:
    found = match(
        ((path.stem, path.relative_to(raw).as_posix()) for path in (raw / "images").iterdir()),
        ((path.stem, path.relative_to(raw).as_posix()) for path in (raw / "masks").iterdir()),
    )
    return [Pair(id=name, image=image, mask=mask, split=_split(name)) for name, image, mask in found]


def _dataset(classes=STREET) -> Dataset:
    return Dataset(
        name="street",
        title="Street",
        terms="made by the tests",
        archives=(Archive(name="street.zip", url=None, folders=("images", "masks")),),
        label_map=classes,
        protocol="street/1",
        pairs=_pairs,
    )


def _draw(raw: Path, ids=(7, 11, 23, 26)) -> None:
    """Each picture has its own arrangement of all classes, coloured by class with some noise."""
    generator = np.random.default_rng(5)
    palette = generator.integers(30, 220, (len(ids), 3))
    for folder in ("images", "masks"):
        (raw / folder).mkdir(parents=True)
    for number in range(SAMPLES):
        seeds = generator.integers(0, (HEIGHT, WIDTH), (8, 2))
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        nearest = np.argmin([(rows - y) ** 2 + (columns - x) ** 2 for y, x in seeds], axis=0)
        place = nearest % len(ids)
        noise = generator.normal(0, 12, (HEIGHT, WIDTH, 3))
        write_png(raw / "masks" / f"s{number:02}.png", np.array(ids, np.uint8)[place])
        write_png(raw / "images" / f"s{number:02}.png", np.clip(palette[place] + noise, 0, 255).astype(np.uint8))


def _remap(raw: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for path in sorted((raw / "masks").iterdir()):
        write_png(path, np.ascontiguousarray(change(read_mask(path))))


def _store(path: Path, form: str, picture: Pillow.Image, **options: object) -> None:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    path.write_bytes(stream.getvalue())


def _picture(raw: Path) -> Pillow.Image:
    return Pillow.fromarray(read_image(raw / "images/s00.png"))


def _smear(mask: np.ndarray) -> np.ndarray:
    small = cv2.resize(mask, (WIDTH // 3, HEIGHT // 3), interpolation=cv2.INTER_NEAREST)
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)


def _shift(raw: Path, step: int) -> None:
    masks = [path.read_bytes() for path in sorted((raw / "masks").iterdir())]
    for number in range(SAMPLES):
        (raw / "masks" / f"s{number:02}.png").write_bytes(masks[(number + step) % SAMPLES])


def _rotated(raw: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    _store(raw / "images/s00.png", "JPEG", _picture(raw), exif=exif, quality=95)


def _altered(raw: Path, *, source: str, target: str) -> None:
    picture = read_image(raw / source)
    write_png(raw / target, np.clip(picture.astype(np.int16) + 3, 0, 255).astype(np.uint8))


STREET_TRAIN_IDS = STREET.encode
AS_COLOURS = np.array([COLOURS.get(value, (0, 0, 0)) for value in range(256)], np.uint8)

FAULTS = {
    # name: (what plants it, check that names it, severity, phrase of the finding, phrase of the remedy)
    "image cut short": (
        lambda raw: (raw / "images/s00.png").write_bytes((raw / "images/s00.png").read_bytes()[:900]),
        "image_readable",
        "quarantine",
        "cut short after 900 bytes",
        "extract",
    ),
    "image with a flipped byte": (
        lambda raw: (raw / "images/s00.png").write_bytes(
            (lambda data: data[:500] + bytes([data[500] ^ 1]) + data[501:])((raw / "images/s00.png").read_bytes())
        ),
        "image_readable",
        "quarantine",
        "checksum of chunk",
        "extract",
    ),
    "empty image": (lambda raw: (raw / "images/s00.png").write_bytes(b""), "image_readable", "quarantine", "empty", ""),
    "image that is a web page": (
        lambda raw: (raw / "images/s00.png").write_bytes(b"<html>not found</html>"),
        "image_readable",
        "quarantine",
        "no image: it starts with b'<html>no",
        "",
    ),
    "image missing": (lambda raw: (raw / "images/s00.png").unlink(), "image_present", "quarantine", "has no image", ""),
    "mask missing": (lambda raw: (raw / "masks/s00.png").unlink(), "mask_present", "quarantine", "has no mask", ""),
    "mask cut short": (
        lambda raw: (raw / "masks/s00.png").write_bytes((raw / "masks/s00.png").read_bytes()[:60]),
        "mask_readable",
        "quarantine",
        "cut short",
        "",
    ),
    "mask as JPEG": (
        lambda raw: _store(raw / "masks/s00.png", "JPEG", Pillow.fromarray(read_mask(raw / "masks/s00.png"))),
        "mask_readable",
        "quarantine",
        "a JPEG of mode L",
        "",
    ),
    "mask of 16 bits": (
        lambda raw: (raw / "masks/s00.png").write_bytes(
            cv2.imencode(".png", np.full((HEIGHT, WIDTH), 700, np.uint16))[1].tobytes()
        ),
        "mask_readable",
        "quarantine",
        "16 bits",
        "",
    ),
    "mask of another size": (
        lambda raw: write_png(raw / "masks/s00.png", np.full((HEIGHT // 2, WIDTH // 2), 7, np.uint8)),
        "sizes_equal",
        "quarantine",
        "mask is 20x30, its image images/s00.png is 40x60",
        "pair the right files",
    ),
    "one mask turned": (
        lambda raw: write_png(raw / "masks/s00.png", np.ascontiguousarray(read_mask(raw / "masks/s00.png").T)),
        "sizes_equal",
        "quarantine",
        "sides swapped",
        "",
    ),
    "all masks turned": (
        lambda raw: _remap(raw, np.transpose),
        "mask_sides_swapped",
        "stop",
        "have the height and width of their images swapped",
        "transpose the masks",
    ),
    "mask all void": (
        lambda raw: write_png(raw / "masks/s00.png", np.full((HEIGHT, WIDTH), 3, np.uint8)),
        "mask_not_all_void",
        "quarantine",
        "every pixel is void (raw ids 3)",
        "label it",
    ),
    "a foreign id": (
        lambda raw: write_png(raw / "masks/s00.png", np.full((HEIGHT, WIDTH), 77, np.uint8)),
        "ids_legal",
        "quarantine",
        "mask holds id 77 in 2400 pixels",
        "raw masks",
    ),
    "masks of train ids": (
        lambda raw: _remap(raw, STREET_TRAIN_IDS),
        "masks_are_train_ids",
        "stop",
        "hold only the ids 0..3: they are already encoded to train ids",
        "use the raw masks",
    ),
    "masks of 0 and 255": (
        lambda raw: _remap(raw, lambda mask: np.where(mask == 26, 255, 0).astype(np.uint8)),
        "masks_are_binary",
        "stop",
        "only 0 and 255",
        "divide the masks by 255",
    ),
    "masks of colours": (
        lambda raw: _remap(raw, lambda mask: AS_COLOURS[mask]),
        "masks_are_rgb",
        "stop",
        "coloured pictures (RGB), not ids; it has 4 colours",
        "encoding: rgb",
    ),
    "masks interpolated": (
        lambda raw: _remap(raw, _smear),
        "masks_are_interpolated",
        "stop",
        "occur only on borders between other ids",
        "nearest neighbour",
    ),
    "masks of the sample before": (
        lambda raw: _shift(raw, -1),
        "masks_are_shifted",
        "stop",
        "fit the mask of the sample after them",
        "pair files by name",
    ),
    "masks of the sample after": (
        lambda raw: _shift(raw, 1),
        "masks_are_shifted",
        "stop",
        "fit the mask of the sample before them",
        "pair files by name",
    ),
    "copy of an image in another split": (
        lambda raw: (raw / "images/s00.png").write_bytes((raw / "images/s04.png").read_bytes()),
        "image_in_one_split",
        "quarantine",
        "the same bytes are in the splits test, train",
        "keep one",
    ),
    "copy of an image in its split": (
        lambda raw: (raw / "images/s00.png").write_bytes((raw / "images/s01.png").read_bytes()),
        "image_looks_like_another",
        "warn",
        "looks like s01 (the same bytes)",
        "compare the images",
    ),
    "nearly the same image in another split": (
        lambda raw: _altered(raw, source="images/s04.png", target="images/s00.png"),
        "image_looks_like_another",
        "warn",
        "looks like s04 (test)",
        "copies in two splits",
    ),
    "images that a mirror extracts twice": (
        lambda raw: [
            (raw / f"images/s{number:02}.png").write_bytes((raw / "images/s06.png").read_bytes()) for number in (5, 7)
        ],
        "image_looks_like_another",
        "warn",
        "looks like s06 (the same bytes), s07 (the same bytes)",
        "compare the images",
    ),
    "class lacking in test": (
        lambda raw: [
            write_png(path, np.where(read_mask(path) == 26, 7, read_mask(path)).astype(np.uint8))
            for path in (raw / "masks").iterdir()
            if _split(path.stem) == "test"
        ],
        "classes_in_every_split",
        "warn",
        "class 'car' (id 26) is in train, but in no mask of test",
        "move a sample",
    ),
    "class that is never there": (
        lambda raw: _remap(raw, lambda mask: np.where(mask == 26, 7, mask).astype(np.uint8)),
        "classes_in_every_split",
        "warn",
        "class 'car' (id 26) is in no mask",
        "class table",
    ),
    "only one class: prepared, with notes": (
        lambda raw: _remap(raw, lambda mask: np.full_like(mask, 7)),
        "two_classes",
        "stop",
        "only class 'road' (id 7) ever occurs in 30 masks",
        "masks in which several classes occur",
    ),
    "one class beside void: the same": (
        lambda raw: _remap(raw, lambda mask: np.where(mask == 7, 7, 1).astype(np.uint8)),
        "two_classes",
        "stop",
        "only class 'road' (id 7) ever occurs in 30 masks",
        "masks in which several classes occur",
    ),
    "CMYK image": (
        lambda raw: _store(raw / "images/s00.png", "JPEG", _picture(raw).convert("CMYK")),
        "image_usual",
        "warn",
        "JPEG CMYK read as RGB",
        "nothing to do",
    ),
    "RGBA image": (
        lambda raw: _store(raw / "images/s00.png", "PNG", _picture(raw).convert("RGBA")),
        "image_usual",
        "warn",
        "PNG RGBA read as RGB, alpha dropped",
        "",
    ),
    "16-bit image": (
        lambda raw: (raw / "images/s00.png").write_bytes(
            cv2.imencode(".png", np.full((HEIGHT, WIDTH), 40_000, np.uint16))[1].tobytes()
        ),
        "image_usual",
        "warn",
        "I;16 read as RGB",
        "",
    ),
    "turned by EXIF": (_rotated, "image_usual", "warn", "EXIF orientation not applied", ""),
    "GIF under another name": (
        lambda raw: _store(raw / "images/s00.png", "GIF", _picture(raw).quantize(16)),
        "image_usual",
        "warn",
        "GIF P read as RGB",
        "",
    ),
}

COUNTED_FAULTS = {
    "ids counted from 1": (
        lambda raw: _remap(raw, lambda mask: mask + 1),
        "masks_are_one_based",
        "stop",
        "hold the ids 1..3 and never 0",
        "subtract 1",
    ),
    "0 and 255 for one class": (
        lambda raw: _remap(raw, lambda mask: np.where(mask == 2, 255, 0).astype(np.uint8)),
        "masks_are_binary",
        "stop",
        "only 0 and 255",
        "divide the masks by 255",
    ),
}


def _judged(raw: Path, out: Path, dataset: Dataset) -> tuple[dict, ValidationError | None]:
    from segline.data.validate import expectations

    arguments = {"raw": raw, "folder": out / "manifest", "docs": out / "docs", "validation_share": 0.2}
    error = None
    try:
        expectations.validate(dataset, **arguments, quarantine_share=0.05, workers=1)
    except ValidationError as caught:
        error = caught
    return json.loads((out / "docs" / "validation.json").read_text()), error


def _assert_told(raw: Path, out: Path, dataset: Dataset, fault: tuple) -> None:
    plant, name, severity, found, remedy = fault
    before, error = _judged(raw, out, dataset)
    assert error is None
    assert before["quarantined"] == []
    assert all(entry["success"] for entry in before["expectations"])
    plant(raw)
    verdict, error = _judged(raw, out, dataset)
    failed = {entry["name"]: entry for entry in verdict["expectations"] if not entry["success"]}
    assert failed[name]["severity"] == severity
    assert len(failed[name]["examples"]) <= 2
    words = failed[name]["examples"][0]
    assert found in words["found"]
    assert remedy in words["remedy"]
    graver = {entry["name"] for entry in failed.values() if entry["severity"] == "stop" and not entry["explained_by"]}
    assert graver == ({name} if severity == "stop" else set())
    assert (error is not None) == (severity == "stop")
    assert (out / "manifest").exists() == (severity != "stop")
    if error is not None:
        assert found in str(error)
    assert len(verdict["quarantined"]) == (severity == "quarantine")


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_and_weighed(tmp_path: Path, name: str) -> None:
    _draw(tmp_path / "raw")
    _assert_told(tmp_path / "raw", tmp_path / "out", _dataset(), FAULTS[name])


@pytest.mark.parametrize("name", COUNTED_FAULTS)
def test_a_fault_of_masks_that_count_from_0_is_named(tmp_path: Path, name: str) -> None:
    _draw(tmp_path / "raw", ids=(0, 1, 2))
    _assert_told(tmp_path / "raw", tmp_path / "out", _dataset(COUNTED), COUNTED_FAULTS[name])


def test_too_many_unusable_samples_stop_and_none_is_lost_silently(tmp_path: Path) -> None:
    _draw(tmp_path / "raw")
    for number in (0, 1, 2):
        (tmp_path / "raw" / "images" / f"s{number:02}.png").write_bytes(b"")
    verdict, error = _judged(tmp_path / "raw", tmp_path / "out", _dataset())
    assert error is not None
    assert "3 of 30 samples cannot be used, expected at most 5 %" in str(error)
    for number in (0, 1, 2):
        assert f"images/s{number:02}.png: an empty file" in str(error)
    assert verdict["quarantined"] == ["s00", "s01", "s02"]


def test_what_is_left_out_is_in_no_manifest(tmp_path: Path) -> None:
    from segline.data.images import manifest

    _draw(tmp_path / "raw")
    (tmp_path / "raw/images/s07.png").write_bytes(b"")
    verdict, _ = _judged(tmp_path / "raw", tmp_path / "out", _dataset())
    ids = manifest.read(tmp_path / "out/manifest" / Files.MANIFEST)["id"].to_pylist()
    assert len(ids) == SAMPLES - 1
    assert "s07" not in ids
    assert sum(verdict["splits"].values()) == SAMPLES - 1
    assert verdict["samples"] == SAMPLES


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no development mirror at {REAL}")
@pytest.mark.parametrize("name", ["kitti", "oxford_pets"])
def test_nothing_stops_or_is_left_out_of_the_real_archives(tmp_path: Path, name: str) -> None:
    from segline import datasets
    from segline.data.extract.archives import extract

    dataset = datasets.load(name)
    extract(dataset, archives=REAL / name, folder=tmp_path / "raw")
    verdict, error = _judged(tmp_path / "raw", tmp_path / "out", dataset)
    assert error is None
    assert verdict["quarantined"] == []


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no development mirror at {REAL}")
@pytest.mark.parametrize("name", ["kitti", "oxford_pets"])
def test_a_shift_of_real_masks_is_seen(tmp_path: Path, name: str) -> None:
    from segline import datasets
    from segline.data.extract.archives import extract

    dataset = datasets.load(name)
    extract(dataset, archives=REAL / name, folder=tmp_path / "raw")

    def shifted(raw: Path) -> list[Pair]:
        pairs = dataset.pairs(raw)
        masks = [pair.mask for pair in pairs]
        return [dataclasses.replace(pair, mask=mask) for pair, mask in zip(pairs, masks[-1:] + masks[:-1], strict=True)]

    _, error = _judged(tmp_path / "raw", tmp_path / "out", dataclasses.replace(dataset, pairs=shifted))
    assert error is not None
    assert "masks are shifted by one sample" in str(error)
