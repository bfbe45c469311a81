"""A tiny dataset of three splits, four classes and void, drawn by code: small, not square."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from own_project import make_project

from segline.core.labels import label_map
from segline.data.images.decode import write_png
from segline.datasets.base import SPLITS, Archive, Dataset, Pair, match

HEIGHT, WIDTH = 6, 9


def _pairs(raw: Path) -> list[Pair]:
    found = match(
        ((path.stem, path.relative_to(raw).as_posix()) for path in (raw / "images").iterdir()),
        ((path.stem, path.relative_to(raw).as_posix()) for path in (raw / "masks").iterdir()),
    )
    return [
        Pair(id=name, image=image, mask=mask, split=name.split("_")[0], group=name.rpartition("_")[0])
        for name, image, mask in found
    ]


@pytest.fixture
def tiny() -> Dataset:
    return Dataset(
        name="tiny",
        title="Tiny",
        terms="made by the tests: do as you like",
        archives=(Archive(name="tiny.zip", url=None, folders=("images", "masks")),),
        label_map=label_map(
            [
                (3, "road", (128, 64, 128)),
                (5, "car", (0, 0, 142)),
                (9, "sky", (70, 130, 180)),
                (10, "tree", (9, 99, 9)),
            ],
            void=[0, 200],
        ),
        protocol="tiny/1",
        pairs=_pairs,
    )


@pytest.fixture
def draw_raw() -> Callable[[Path], Path]:
    """Draws a whole raw folder: two samples in each split."""

    def draw(raw: Path) -> Path:
        (raw / "images").mkdir(parents=True)
        (raw / "masks").mkdir()
        generator = np.random.default_rng(3)
        for split in SPLITS:
            for number in range(2):
                name = f"{split}_{number}.png"
                write_png(raw / "images" / name, generator.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
                ids = np.array([3, 5, 9, 10, 0, 200], dtype=np.uint8)
                write_png(raw / "masks" / name, generator.choice(ids, (HEIGHT, WIDTH)))
        return raw

    return draw


@pytest.fixture
def raw(tmp_path: Path, draw_raw: Callable[[Path], Path]) -> Path:
    return draw_raw(tmp_path / "raw")


@pytest.fixture
def mirror(tmp_path: Path, raw: Path) -> Path:
    """A mirror of the tiny dataset."""
    folder = tmp_path / "mirror" / "tiny"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "tiny.zip", "w") as archive:
        for path in sorted(raw.rglob("*.png")):
            archive.write(path, path.relative_to(raw).as_posix())
    digest = hashlib.sha256((folder / "tiny.zip").read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  tiny.zip\n")
    return folder.parent


@pytest.fixture
def project(tmp_path, monkeypatch, capsys):
    return make_project(tmp_path / "project", monkeypatch, capsys)
