"""Archives of drawn pets, in the official layout of Oxford-IIIT Pet, with its odd files."""

from collections.abc import Iterator

import cv2
import numpy as np

from segline.core.labels import Image
from segline.datasets.base import Member
from segline.datasets.drawing.packing import NOTE, gif, jpeg, png, tar_archive
from segline.datasets.drawing.pets import BREEDS, Breed, Portrait, portray

_PER_BREED = 20
_RGBA, _GIF, _GREY, _UNLISTED = "Abyssinian_5", "Egyptian_Mau_16", "Egyptian_Mau_129", "Abyssinian_34"
"""Odd files of the real archive: a PNG with alpha, a GIF, a greyscale JPEG (each in a list), and a GIF in no list."""


def oxford_pets(seed: int) -> Iterator[Member]:
    """Draw the two archives of Oxford-IIIT Pet: photographs, and trimaps with their lists."""
    images: list[Member] = [("images/Abyssinian_100.mat", b"MATLAB 5.0 MAT-file\n")]
    annotations: list[Member] = [("annotations/trimaps/._Abyssinian_1.png", b"\x00\x05\x16\x07\x00\x02Mac OS X")]
    rows: list[str] = []
    for place, breed in enumerate(BREEDS):
        for name in _list_names(breed):
            rng = np.random.default_rng([seed, 3, place, int(name.rsplit("_", 1)[1])])
            height, width = _draw_size(rng)
            portrait = portray(breed, rng, height=height, width=width)
            images.append((f"images/{name}.jpg", _encode(name, portrait.image)))
            annotations.append((f"annotations/trimaps/{name}.png", png(portrait.trimap)))
            if len(rows) % 2 == 0:  # the row goes to trainval, see `_write_lists`
                annotations.append((f"annotations/xmls/{name}.xml", _write_box(name, breed, portrait)))
            if name != _UNLISTED:
                species = [other.name for other in BREEDS if other.cat == breed.cat]
                rows.append(f"{name} {place + 1} {1 if breed.cat else 2} {species.index(breed.name) + 1}\n")
    yield "images.tar.gz", tar_archive(images)
    yield "annotations.tar.gz", tar_archive([*annotations, *_write_lists(rows)])


def _draw_size(rng: np.random.Generator) -> tuple[int, int]:
    """Draw height and width of a photograph, which may be upright."""
    short, long = int(rng.integers(104, 161)), int(rng.integers(150, 206))
    return (short, long) if rng.random() < 0.68 else (long, short)


def _list_names(breed: Breed) -> list[str]:
    """List the names ``<breed>_<number>`` of one breed, with those of its odd files."""
    names = [f"{breed.name}_{number}" for number in range(1, _PER_BREED + 1)]
    return names + [odd for odd in (_GREY, _UNLISTED) if odd.rsplit("_", 1)[0] == breed.name]


def _encode(name: str, image: Image) -> bytes:
    """Encode ``<name>.jpg``: as JPEG, or as another format for the odd files."""
    if name == _RGBA:
        return png(np.dstack([image, np.full(image.shape[:2], 255, np.uint8)]))
    if name in (_GIF, _UNLISTED):
        return gif(image)
    if name == _GREY:
        return jpeg(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False))
    return jpeg(image)


def _write_box(name: str, breed: Breed, portrait: Portrait) -> bytes:
    """Write the box around the head in the format of PASCAL VOC."""
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


def _write_lists(rows: list[str]) -> Iterator[Member]:
    """Yield ``list.txt`` with the publisher's header, its two halves without one, and the README."""
    yield "annotations/README", NOTE + b"Trimaps: 1 foreground, 2 background, 3 not classified.\n"
    yield "annotations/list.txt", (_LIST_HEADER + "".join(rows)).encode()
    yield "annotations/trainval.txt", "".join(rows[::2]).encode()
    yield "annotations/test.txt", "".join(rows[1::2]).encode()
