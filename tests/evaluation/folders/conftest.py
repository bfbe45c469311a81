"""Folders to score, and a project that knows their dataset."""

import numpy as np
import pytest
from scored_folders import LABELS, RAW, TINY

from segline.data.images import manifest, split
from segline.data.images.decode import write_png
from segline.data.prepare.prepare import prepare
from segline.data.validate.build_manifest import build_manifest
from segline.progress import silent
from segline.project import Files


@pytest.fixture
def root(tmp_path):
    """Seven pairs of different sizes, in raw ids, none of which says which ids it holds by its name."""
    generator = np.random.default_rng(5)
    for number in range(7):
        shape = (11 + number, 17)
        truth, prediction = generator.choice(RAW, shape), generator.choice(RAW, shape, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.1])
        kept = generator.random(shape) < 0.5
        for name, ids in (("truth", truth), ("prediction", np.where(kept, truth, prediction))):
            (tmp_path / name).mkdir(exist_ok=True)
            write_png(tmp_path / name / f"image_{number}.png", ids)
    return tmp_path


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A validated and prepared dataset of three splits, larger than the scale it is prepared at."""
    root = tmp_path_factory.mktemp("project")
    generator = np.random.default_rng(8)
    for name in ("images", "masks"):
        (root / "raw" / name).mkdir(parents=True)
    for part, count in (("train", 2), ("validation", 3), ("test", 4)):
        for number in range(count):
            ids = generator.choice(RAW, (9, 13)).repeat(8, 0).repeat(8, 1)
            image = np.clip(LABELS.encode(ids)[..., None].astype(int) * 60 + generator.integers(0, 50, 3), 0, 255)
            write_png(root / "raw/images" / f"{part}_{number}.png", image.astype(np.uint8))
            write_png(root / "raw/masks" / f"{part}_{number}.png", ids)
    found = TINY.pairs(root / "raw")
    table = build_manifest(TINY, found, raw=root / "raw", splits=split.assign(found, validation_share=0.2), workers=1)
    (root / "manifest").mkdir()
    manifest.write(table, root / "manifest" / Files.MANIFEST)
    prepare(
        TINY,
        raw=root / "raw",
        manifest_folder=root / "manifest",
        folder=root / "prepared",
        short_side=40,
        workers=1,
        report=silent,
    )
    return root
