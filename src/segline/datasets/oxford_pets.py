"""Oxford-IIIT Pet (Parkhi et al., CVPR 2012): trimaps of cats and dogs.

The official lists say what belongs to the dataset; images in no list are left out. Validation is
carved from ``trainval`` and balanced over the breeds (see `segline.data.split`).
"""

from pathlib import Path

from segline.core.labels import label_map
from segline.datasets.base import Archive, Dataset, Pair, Split

_ADDRESS = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/"


def _pairs(raw: Path) -> list[Pair]:
    found: list[Pair] = []
    splits: tuple[tuple[str, Split | None], ...] = (("trainval", None), ("test", "test"))
    for listing, split in splits:
        for line in (raw / "annotations" / f"{listing}.txt").read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                name, breed, *_ = line.split()
                found.append(_pair(raw, name, breed, split))
    return sorted(found, key=lambda pair: pair.id)


def _pair(raw: Path, name: str, breed: str, split: Split | None) -> Pair:
    image, mask = f"images/{name}.jpg", f"annotations/trimaps/{name}.png"
    return Pair(
        id=name,
        image=image if (raw / image).is_file() else None,
        mask=mask if (raw / mask).is_file() else None,
        split=split,
        stratum=breed,
    )


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
            extracted=900_000_000,  # JPEGs, which do not pack: little more than the archive
        ),
        Archive(
            name="annotations.tar.gz",
            url=_ADDRESS + "annotations.tar.gz",
            about=20_000_000,
            md5="95a8c909bbe2e81eed6a22bccdf3f68f",
            folders=("annotations/trimaps",),
            extracted=80_000_000,  # trimaps, and boxes in XML, which pack to a small part
        ),
    ),
    label_map=label_map(
        [(1, "foreground", (230, 120, 40)), (2, "background", (60, 90, 140)), (3, "border", (240, 230, 80))]
    ),
    protocol="oxford-pets-trimap/1",
    pairs=_pairs,
)
