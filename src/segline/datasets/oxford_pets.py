"""Oxford-IIIT Pet (Parkhi et al., CVPR 2012): trimaps of cats and dogs.

Split ``official``: the images of the publisher's lists; images in no list are left out.

Split ``shuffled_1337`` is that of the well-known Keras example: all trimap files are sorted by name and shuffled
with ``random.Random(1337)``, and the last 1,000 of 7,390 are held out. They are the test here; the example also
chooses its model on them. The split is not balanced over the breeds. If the archive has fewer images, the same
share is held out. Then the recipe is that of the example, but the test set is another one.

In both splits, validation is taken from the rest and balanced over the breeds (see `segline.data.images.split`).

An image's name tells what the whole image shows: its breed, and so its species.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path

from segline.core.labels import label_map
from segline.datasets.base import Archive, Dataset, FileNames, Member, Pair, Split
from segline.reading import read_text

_ADDRESS = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"

_TRIMAPS, _HELD_OUT, _SEED = 7390, 1000, 1337  # of the Keras example

_IMAGE_NAME = re.compile(
    r"(Abyssinian|american_bulldog|american_pit_bull_terrier|basset_hound|beagle|Bengal|Birman|Bombay|boxer"
    r"|British_Shorthair|chihuahua|Egyptian_Mau|english_cocker_spaniel|english_setter|german_shorthaired"
    r"|great_pyrenees|havanese|japanese_chin|keeshond|leonberger|Maine_Coon|miniature_pinscher|newfoundland"
    r"|Persian|pomeranian|pug|Ragdoll|Russian_Blue|saint_bernard|samoyed|scottish_terrier|shiba_inu|Siamese"
    r"|Sphynx|staffordshire_bull_terrier|wheaten_terrier|yorkshire_terrier)_\d{1,3}"
)


def _breed(name: str) -> str:
    """Return one of 37 breeds: ``Bengal`` of ``Bengal_12``."""
    return name.rpartition("_")[0]


def _species(name: str) -> str:
    """Tell cats from dogs, by the publisher's ``list.txt``: "All images with 1st letter as captial are cat images"."""
    return "cat" if name[0].isupper() else "dog"


def _pairs(raw: Path) -> list[Pair]:
    found: list[Pair] = []
    splits: tuple[tuple[str, Split | None], ...] = (("trainval", None), ("test", "test"))
    for listing, split in splits:
        for line in read_text(raw / "annotations" / f"{listing}.txt").splitlines():
            if line.strip() and not line.startswith("#"):
                name, breed, *_ = line.split()
                found.append(_make_pair(raw, name, breed, split))
    return sorted(found, key=lambda pair: pair.id)


def _pair_shuffled(raw: Path) -> list[Pair]:
    files = (path.name for path in (raw / "annotations" / "trimaps").glob("*.png"))
    names = [name.removesuffix(".png") for name in sorted(files) if not name.startswith(".")]
    random.Random(_SEED).shuffle(names)  # noqa: S311  the example's generator; no secret depends on it
    held_out = set(names[len(names) - round(len(names) * _HELD_OUT / _TRIMAPS) :])
    pairs = (_make_pair(raw, name, _breed(name), "test" if name in held_out else None) for name in names)
    return sorted(pairs, key=lambda pair: pair.id)


def _make_pair(raw: Path, name: str, breed: str, split: Split | None) -> Pair:
    image, mask = f"images/{name}.jpg", f"annotations/trimaps/{name}.png"
    return Pair(
        id=name,
        image=image if (raw / image).is_file() else None,
        mask=mask if (raw / mask).is_file() else None,
        split=split,
        stratum=breed,
    )


def _draw(seed: int) -> Iterator[Member]:
    from segline.datasets.drawing import pet_archives

    return pet_archives.oxford_pets(seed)


DATASET = Dataset(
    name="oxford_pets",
    title="Oxford-IIIT Pet, trimaps",
    terms="CC BY-SA 4.0 by the publisher's page; research use only by the README in the archive",
    archives=(
        Archive(
            name="images.tar.gz",
            url=_ADDRESS + "images.tar.gz",
            size=791_918_971,
            md5="5c4f3ee8e5d25df40f4fd59a7f44e54c",
            folders=("images",),
            extracted=900_000_000,  # JPEGs do not compress: little more than the archive
        ),
        Archive(
            name="annotations.tar.gz",
            url=_ADDRESS + "annotations.tar.gz",
            about=20_000_000,
            md5="95a8c909bbe2e81eed6a22bccdf3f68f",
            folders=("annotations/trimaps",),
            extracted=80_000_000,  # trimaps, and boxes in XML, which compress well
        ),
    ),
    label_map=label_map(
        [(1, "foreground", (230, 120, 40)), (2, "background", (60, 90, 140)), (3, "border", (240, 230, 80))]
    ),
    protocol="oxford-pets-trimap/1",
    pairs=_pairs,
    extra_scores=("foreground",),
    splits={"shuffled_1337": _pair_shuffled},
    image_labels={"breed": _breed, "species": _species},
    names=FileNames(image=_IMAGE_NAME),
    draw=_draw,
)
