"""Draws a miniature mirror of each dataset, in its official archive layout.

Everything is drawn by code from a seed; nothing is taken from the real datasets. The archives are
the same bytes on every run (fixed times, owners, modes and order), so that their checksums can be
relied on like those of a download.
"""

import gzip
import hashlib
import io
import itertools
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Picture

from segline.core.labels import Image
from segline.datasets.cityscapes import LABEL_MAP
from segline.datasets.drawing.canvas import VOID_IDS, Canvas
from segline.datasets.drawing.pets import BREEDS, Breed, Portrait, portray
from segline.datasets.drawing.street import Lens, build, label_ids, photograph
from segline.errors import ConfigError
from segline.storage import atomic_file

Member = tuple[str, bytes]

_NOTE = b"A miniature drawn by Segline in the layout of the official archive. It holds none of the publisher's data.\n"

_DRIVES = tuple(itertools.pairwise((0, 11, 19, 31, 40, 51, 60, 69, 76, 82, 89, 95, 100)))
"""First and last-plus-one frame of each KITTI drive; the published split cuts at 60 and 82."""
_LENSES = ((424, 130), (423, 131), (418, 129), (417, 129))
_STEP = 6.0  # metres between two frames of a drive

_CITIES = (
    ("train", "aachen", 9),
    ("train", "bochum", 9),
    ("train", "zurich", 9),
    ("train", "stuttgart", 9),
    ("train", "ulm", 6),
    ("train", "weimar", 6),
    ("val", "frankfurt", 7),
    ("val", "lindau", 6),
    ("val", "munster", 7),
    ("test", "berlin", 4),
)

_PER_BREED = 20
_RGBA, _GIF, _GREY, _UNLISTED = "Abyssinian_5", "Egyptian_Mau_16", "Egyptian_Mau_129", "Abyssinian_34"
"""Odd files: a PNG with alpha, a GIF, a greyscale JPEG (each in a list) and a GIF that is in no list."""


def draw(dataset: str, folder: Path, *, seed: int = 0) -> None:
    """Write the archives of `dataset` and their ``SHA256SUMS`` into `folder`.

    Raises:
        ConfigError: there is no miniature of that dataset.
        StorageError: no room or no right to write.
    """
    if dataset not in _ARCHIVES:
        raise ConfigError(
            f"sample of {dataset!r}",
            found="no miniature of that dataset",
            expected="one of: " + ", ".join(NAMES),
            remedy="set `source` to `official` or to a mirror that holds it",
        )
    sums: dict[str, str] = {}
    for name, content in _ARCHIVES[dataset](seed):
        with atomic_file(folder / name) as partial:
            partial.write_bytes(content)
        sums[name] = hashlib.sha256(content).hexdigest()
    with atomic_file(folder / "SHA256SUMS") as partial:
        partial.write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)), encoding="utf-8")


def _zip(members: Iterable[Member]) -> bytes:
    """A ZIP archive; what is compressed already is stored as it is."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(members):
            entry = zipfile.ZipInfo(name, date_time=(2018, 4, 12, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, data)
    return content.getvalue()


def _tar_gz(members: Iterable[Member]) -> bytes:
    """A gzipped tar archive without names, owners or times of this machine."""
    content = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=content, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, data in sorted(members):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(data), 0o644, 1_340_000_000
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def _png(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> bytes:
    """RGB, RGBA, grey or 16-bit grey pixels as a PNG file."""
    orders = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    ordered = cv2.cvtColor(pixels, orders[pixels.shape[2]]) if pixels.ndim == 3 else pixels
    return cv2.imencode(".png", ordered)[1].tobytes()


def _jpeg(image: Image) -> bytes:
    ordered = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    return cv2.imencode(".jpg", ordered, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def _gif(image: Image) -> bytes:
    content = io.BytesIO()
    Picture.fromarray(image).quantize(64).save(content, "GIF")
    return content.getvalue()


def _label_colours() -> npt.NDArray[np.uint8]:
    """(256, 3) official colours by raw id."""
    table = np.zeros((256, 3), np.uint8)
    for item in LABEL_MAP.classes:
        table[item.raw] = item.colour
    table[VOID_IDS["dynamic"]] = (111, 74, 0)
    table[VOID_IDS["ground"]] = (81, 0, 81)
    table[VOID_IDS["parking"]] = (250, 170, 160)
    return table


_COLOURS = _label_colours()


def _kitti(seed: int) -> Iterator[Member]:
    yield "data_semantics.zip", _zip(_kitti_members(seed))


def _kitti_members(seed: int) -> Iterator[Member]:
    for number, (first, last) in enumerate([*_DRIVES, (0, 4)]):
        rng = np.random.default_rng([seed, 1, number])
        street = build(rng, length=_STEP * (last - first), seed=number)
        width, height = _LENSES[number % len(_LENSES)]
        lens = Lens(width=width, height=height, focal=0.58 * width, horizon=0.46 * height, eye=1.65)
        for place, frame in enumerate(range(first, last)):
            canvas = photograph(street, lens, rng, z=place * _STEP)
            name = f"{frame:06d}_10.png"
            if number == len(_DRIVES):
                yield f"testing/image_2/{name}", _png(canvas.image)
                continue
            labels = label_ids(canvas.identity)
            number_within = np.where(canvas.identity >= 1000, canvas.identity % 1000 + 1, 0).astype(np.uint16)
            yield f"training/image_2/{name}", _png(canvas.image)
            yield f"training/semantic/{name}", _png(labels)
            yield f"training/semantic_rgb/{name}", _png(_COLOURS[labels])
            yield f"training/instance/{name}", _png(labels.astype(np.uint16) * np.uint16(256) + number_within)


def _cityscapes(seed: int) -> Iterator[Member]:
    images: list[Member] = [("README", _NOTE), ("license.txt", _NOTE)]
    labels: list[Member] = [("README", _NOTE), ("license.txt", _NOTE)]
    lens = Lens(width=256, height=128, focal=184.0, horizon=54.0, eye=1.3, bonnet=True)
    for place, (split, city, count) in enumerate(_CITIES):
        for shot in range(count):
            rng = np.random.default_rng([seed, 2, place, shot])
            street = build(rng, length=20.0, seed=100 * place + shot)
            canvas = photograph(street, lens, rng, z=float(rng.uniform(0, 20)))
            frame = 19 if split == "train" else int(rng.integers(100, 30_000))
            name = f"{city}_{shot:06d}_{frame:06d}"
            images.append((f"leftImg8bit/{split}/{city}/{name}_leftImg8bit.png", _png(canvas.image)))
            labels += [(f"gtFine/{split}/{city}/{name}_gtFine_{end}", data) for end, data in _annotation(canvas, split)]
    yield "leftImg8bit_trainvaltest.zip", _zip(images)
    yield "gtFine_trainvaltest.zip", _zip(labels)


def _annotation(canvas: Canvas, split: str) -> Iterator[Member]:
    """The four official files; those of ``test`` say nothing but what is the car and the image's border."""
    identity, objects = canvas.identity, canvas.objects()
    if split == "test":
        told = ("ego vehicle", "out of roi")
        identity = np.where(np.isin(identity, [VOID_IDS[name] for name in told]), identity, 0).astype(np.uint16)
        objects = [item for item in objects if item[0] in told]
    height, width = identity.shape
    labels = label_ids(identity)
    polygons = {
        "imgHeight": height,
        "imgWidth": width,
        "objects": [{"label": label, "polygon": polygon} for label, polygon in objects],
    }
    yield "color.png", _png(_COLOURS[labels])
    yield "instanceIds.png", _png(identity)
    yield "labelIds.png", _png(labels)
    yield "polygons.json", json.dumps(polygons).encode()


def _oxford_pets(seed: int) -> Iterator[Member]:
    images: list[Member] = [("images/Abyssinian_100.mat", b"MATLAB 5.0 MAT-file\n")]
    annotations: list[Member] = [("annotations/trimaps/._Abyssinian_1.png", b"\x00\x05\x16\x07\x00\x02Mac OS X")]
    rows: list[str] = []
    for place, breed in enumerate(BREEDS):
        for name in _pet_names(breed):
            rng = np.random.default_rng([seed, 3, place, int(name.rsplit("_", 1)[1])])
            portrait = portray(breed, rng, **_pet_size(rng))
            images.append((f"images/{name}.jpg", _pet_file(name, portrait.image)))
            annotations.append((f"annotations/trimaps/{name}.png", _png(portrait.trimap)))
            if len(rows) % 2 == 0:  # where the row goes to trainval, see `_listings`
                annotations.append((f"annotations/xmls/{name}.xml", _head_box(name, breed, portrait)))
            if name != _UNLISTED:
                species = [other.name for other in BREEDS if other.cat == breed.cat]
                rows.append(f"{name} {place + 1} {1 if breed.cat else 2} {species.index(breed.name) + 1}\n")
    yield "images.tar.gz", _tar_gz(images)
    yield "annotations.tar.gz", _tar_gz([*annotations, *_listings(rows)])


def _pet_size(rng: np.random.Generator) -> dict[str, int]:
    """Photographs come in both orientations, none of them like the next."""
    short, long = int(rng.integers(104, 161)), int(rng.integers(150, 206))
    return {"height": short, "width": long} if rng.random() < 0.68 else {"height": long, "width": short}


def _pet_names(breed: Breed) -> list[str]:
    """``<breed>_<number>`` of one breed, the odd files included."""
    names = [f"{breed.name}_{number}" for number in range(1, _PER_BREED + 1)]
    return names + [odd for odd in (_GREY, _UNLISTED) if odd.rsplit("_", 1)[0] == breed.name]


def _pet_file(name: str, image: Image) -> bytes:
    """What lies under ``<name>.jpg``: a JPEG but for the few that the publisher got wrong."""
    if name == _RGBA:
        return _png(np.dstack([image, np.full(image.shape[:2], 255, np.uint8)]))
    if name in (_GIF, _UNLISTED):
        return _gif(image)
    if name == _GREY:
        return _jpeg(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False))
    return _jpeg(image)


def _head_box(name: str, breed: Breed, portrait: Portrait) -> bytes:
    """The box around the head, PASCAL VOC style."""
    height, width = portrait.trimap.shape
    left, top, right, bottom = portrait.head
    return (
        f"<annotation><folder>OXIIIT</folder><filename>{name}.jpg</filename>"
        "<source><database>OXFORD-IIIT Pet Dataset</database><annotation>OXIIIT</annotation></source>"
        f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size><segmented>0</segmented>"
        f"<object><name>{'cat' if breed.cat else 'dog'}</name><pose>Frontal</pose><truncated>0</truncated>"
        f"<occluded>0</occluded><bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax>"
        f"<ymax>{bottom}</ymax></bndbox><difficult>0</difficult></object></annotation>\n"
    ).encode()


_LIST_HEADER = """\
#Image CLASS-ID SPECIES BREED ID
#ID: 1:37 Class ids
#SPECIES: 1:Cat 2:Dog
#BREED ID: 1-25:Cat 1:12:Dog
#All images with 1st letter as captial are cat images
#images with small first letter are dog images
"""


def _listings(rows: list[str]) -> Iterator[Member]:
    """``list.txt`` with the publisher's header, the two halves without one, and the README."""
    yield "annotations/README", _NOTE + b"Trimaps: 1 foreground, 2 background, 3 not classified.\n"
    yield "annotations/list.txt", (_LIST_HEADER + "".join(rows)).encode()
    yield "annotations/trainval.txt", "".join(rows[::2]).encode()
    yield "annotations/test.txt", "".join(rows[1::2]).encode()


_ARCHIVES: dict[str, Callable[[int], Iterator[Member]]] = {
    "kitti": _kitti,
    "oxford_pets": _oxford_pets,
    "cityscapes": _cityscapes,
}
NAMES = tuple(_ARCHIVES)
"""Datasets that can be drawn."""
