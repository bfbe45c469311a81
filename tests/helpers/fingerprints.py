"""A real fingerprint of a drawn dataset: four classes, one of which training never sees, void, unequal sizes."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from segline.core.labels import label_map
from segline.data.images.decode import write_png
from segline.data.images.split import assign
from segline.data.validate import fingerprint, sample_statistics
from segline.data.validate.build_manifest import build_manifest
from segline.datasets.base import Archive, Dataset, Pair, match


def _pairs(raw: Path) -> list[Pair]:
    found = match(
        *(
            ((path.stem, path.relative_to(raw).as_posix()) for path in (raw / kind).iterdir())
            for kind in ("images", "masks")
        )
    )
    return [
        Pair(id=name, image=image, mask=mask, split=name.split("_")[0], group=name)  # type: ignore[arg-type]
        for name, image, mask in found
    ]


DATASET = Dataset(
    name="drawn",
    title="Drawn",
    terms="made by the tests",
    archives=(Archive(name="drawn.zip", url=None, folders=("images", "masks")),),
    label_map=label_map(
        [(1, "road", (1, 1, 1)), (2, "car", (2, 2, 2)), (3, "sky", (3, 3, 3)), (4, "tram", (4, 4, 4))], void=[0]
    ),
    protocol="drawn/1",
    pairs=_pairs,
)


def draw(raw: Path, *, splits: tuple[str, ...] = ("train", "validation", "test")) -> dict[str, Any]:
    """The fingerprint of twelve samples a split: sky above road, a car of 20 x 30 pixels, void at the left."""
    generator = np.random.default_rng(4)
    for kind in ("images", "masks"):
        (raw / kind).mkdir(parents=True)
    for split in splits:
        for number in range(12):
            height, width = (120, 200) if number < 8 else (90 + number, 150)
            mask = np.full((height, width), 3, np.uint8)
            mask[height // 2 :] = 1
            mask[height // 2 : height // 2 + 20, 60 + number : 90 + number] = 2
            mask[:, :5] = 0
            if split == "test":
                mask[:9, 20:40] = 4
            write_png(raw / "masks" / f"{split}_{number}.png", mask)
            write_png(
                raw / "images" / f"{split}_{number}.png", generator.integers(0, 256, (height, width, 3), np.uint8)
            )
    pairs = _pairs(raw)
    with sample_statistics.open_store() as store:
        table = build_manifest(
            DATASET, pairs, raw=raw, splits=assign(pairs, validation_share=0.2), workers=1, measured=store
        )
        figures = fingerprint.fingerprint(table, store, dataset=DATASET, alike={})
    found: dict[str, Any] = json.loads(fingerprint.to_json(figures))
    return found
