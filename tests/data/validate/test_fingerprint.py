import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import REAL
from scipy import ndimage

from segline.core.labels import VOID
from segline.data.images.decode import read_image, read_mask, write_png
from segline.data.images.split import assign
from segline.data.validate import fingerprint, mask_checks, sample_statistics
from segline.data.validate.build_manifest import build_manifest
from segline.datasets.base import SPLITS, Dataset


def _fingerprint(
    dataset: Dataset, raw: Path, *, alike: dict[str, list[str]] | None = None, left_out: set[str] = frozenset()
) -> dict[str, Any]:
    pairs = dataset.pairs(raw)
    splits = assign(pairs, validation_share=0.2)
    with sample_statistics.open_store() as store:
        table = build_manifest(dataset, pairs, raw=raw, splits=splits, workers=1, measured=store)
        if alike is None:
            alike = mask_checks.find_near_duplicates(table.to_pylist())
        figures = fingerprint.fingerprint(table, store, dataset=dataset, alike=alike, left_out=left_out)
    return json.loads(fingerprint.to_json(figures))


def _masks(dataset: Dataset, raw: Path, split: str) -> list[np.ndarray]:
    return [dataset.label_map.encode(read_mask(path)) for path in sorted((raw / "masks").glob(f"{split}_*.png"))]


@pytest.fixture
def varied(tiny: Dataset, raw: Path) -> Path:
    """The tiny dataset with more samples, of several sizes."""
    generator = np.random.default_rng(8)
    for split in SPLITS:
        for number in range(2, 9):
            height, width = generator.integers(5, 40, 2)
            blocks = generator.choice(np.array([3, 5, 9, 0], np.uint8), (height // 3 + 1, width // 3 + 1))
            mask = np.kron(blocks, np.ones((3, 3), np.uint8))[:height, :width]
            write_png(raw / "masks" / f"{split}_{number}.png", np.ascontiguousarray(mask))
            picture = generator.integers(0, 200, (height, width, 3), dtype=np.uint8)
            write_png(raw / "images" / f"{split}_{number}.png", picture)
    return raw


@pytest.mark.parametrize("split", SPLITS)
def test_figures_are_those_counted_pixel_by_pixel(tiny: Dataset, varied: Path, split: str) -> None:
    found = _fingerprint(tiny, varied)["splits"][split]
    masks = _masks(tiny, varied, split)
    pixels = sum(mask.size for mask in masks)
    labelled = sum(int((mask != VOID).sum()) for mask in masks)
    assert (found["samples"], found["pixels"]) == (len(masks), pixels)
    assert found["void_share"] == pytest.approx(1 - labelled / pixels, rel=1e-5)
    assert found["sizes"]["height"]["max"] == max(mask.shape[0] for mask in masks)
    assert found["sizes"]["width"]["median"] == sorted(mask.shape[1] for mask in masks)[(len(masks) - 1) // 2]
    assert sum(entry["samples"] for entry in found["sizes"]["commonest"]) == len(masks)
    for place, name in enumerate(tiny.label_map.names):
        counted = sum(int((mask == place).sum()) for mask in masks)
        entry = found["classes"][name]
        assert entry["pixels"] == counted
        assert entry["share"] == pytest.approx(counted / labelled, rel=1e-5)
        assert entry["presence"] == pytest.approx(np.mean([(mask == place).any() for mask in masks]), rel=1e-5)
        assert found["together"][place][0] == sum(bool((mask == place).any() and (mask == 0).any()) for mask in masks)
        _compare_components(entry["components"], masks, place)


def _compare_components(found: dict[str, Any], masks: list[np.ndarray], place: int) -> None:
    areas, shares, heights = [], [], []
    for mask in masks:
        places, count = ndimage.label(mask == place, structure=np.ones((3, 3)))
        areas += [int((places == number).sum()) for number in range(1, count + 1)]
        shares += [area / mask.size for area in areas[len(areas) - count :]]
        heights += [(rows.stop - rows.start) / mask.shape[0] for rows, _ in ndimage.find_objects(places)]
    assert found["count"] == len(areas)
    for name, share in fingerprint.QUANTILES.items():
        rank = max(0, int(np.ceil(share * len(areas) - 1e-9)) - 1)
        assert found["area"][name] == sorted(areas)[rank]
        assert found["area_share"][name] == pytest.approx(sorted(shares)[rank], rel=1e-5)
        assert found["height_share"][name] == pytest.approx(sorted(heights)[rank], rel=1e-5)


def test_thickness_sees_thin_lines_and_not_their_boxes() -> None:
    rows, columns = np.mgrid[:200, :300]
    distance = np.hypot(rows - 100, columns - 200)
    mask = np.full((200, 300), VOID, np.uint8)
    mask[10:190, 40:45] = 0  # a pole
    mask[2:7, 60:280] = 1  # a rail
    mask[(distance > 70) & (distance < 75)] = 2  # a ring
    counted = sample_statistics.measure_mask(mask, classes=3).components
    found = fingerprint._measure_thickness(counted["area"], counted["height"], counted["width"], counted["runs"])
    assert counted["class"].tolist() == [0, 1, 2]
    assert found[:2].tolist() == [5, 5]
    assert found[2] == pytest.approx(5, rel=0.1)


def test_colours_are_those_of_all_pixels_together(tiny: Dataset, varied: Path) -> None:
    found = _fingerprint(tiny, varied)["splits"]["all"]["channels"]
    pixels = np.concatenate([read_image(path).reshape(-1, 3) for path in (varied / "images").iterdir()])
    for place, name in enumerate(("red", "green", "blue")):
        values = pixels[:, place]
        assert found[name]["mean"] == pytest.approx(values.mean(), rel=1e-5)
        assert found[name]["std"] == pytest.approx(values.std(), rel=1e-5)
        for key, share in (("q005", 0.005), ("q995", 0.995)):
            assert found[name][key] == pytest.approx(np.quantile(values, share, method="inverted_cdf"), abs=2)
        assert found[name]["histogram"] == pytest.approx(np.histogram(values, 64, (0, 256))[0] / len(values), rel=1e-5)


def test_equal_data_give_equal_bytes(
    tiny: Dataset, raw: Path, tmp_path: Path, draw_raw: Callable[[Path], Path]
) -> None:
    again = draw_raw(tmp_path / "again")
    assert json.dumps(_fingerprint(tiny, raw)) == json.dumps(_fingerprint(tiny, again))


def test_samples_in_quarantine_do_not_count(tiny: Dataset, varied: Path) -> None:
    found = _fingerprint(tiny, varied, left_out={"train_2", "test_4"})
    for name in ("train_2", "test_4"):
        (varied / "images" / f"{name}.png").unlink()
        (varied / "masks" / f"{name}.png").unlink()
    assert found == _fingerprint(tiny, varied)


def test_what_cannot_be_read_is_left_out_and_nothing_at_all_is_told(tiny: Dataset, raw: Path) -> None:
    (raw / "images/train_0.png").write_bytes(b"no image")
    (raw / "masks/test_1.png").unlink()
    assert [_fingerprint(tiny, raw)["splits"][name]["samples"] for name in ("all", *SPLITS)] == [4, 1, 2, 1]
    for path in (raw / "masks").iterdir():
        path.write_bytes(b"no mask")
    empty = _fingerprint(tiny, raw)
    assert empty["splits"]["all"]["samples"] == 0
    assert empty["splits"]["train"]["classes"]["road"] | {"components": None} == {
        "pixels": 0,
        "share": None,
        "presence": None,
        "components": None,
    }
    assert empty["shift"] == []


def test_duplicates_are_joined_through_one_another_and_across_splits(tiny: Dataset, raw: Path) -> None:
    alike = {"test_0": ["train_0"], "train_0": ["test_0", "train_1"], "train_1": ["train_0"]}
    assert _fingerprint(tiny, raw, alike=alike)["near_duplicates"] == [
        {"splits": ["test", "train"], "samples": {"test_0": "test", "train_0": "train", "train_1": "train"}}
    ]
    (raw / "images/train_1.png").write_bytes((raw / "images/validation_1.png").read_bytes())
    assert list(_fingerprint(tiny, raw)["near_duplicates"][0]["samples"]) == ["train_1", "validation_1"]


def test_flips_follow_what_is_declared_and_what_is_seen(tiny: Dataset, raw: Path) -> None:
    for number in range(60):
        mask = np.full((32, 48), 3, np.uint8)
        mask[:16] = 9  # sky above, road below
        mask[20 : 20 + number % 7, 8 + number % 30 : 12 + number % 30] = 5
        mask = mask[:, ::-1] if number % 2 else mask
        write_png(raw / "masks" / f"train_{number}.png", np.ascontiguousarray(mask))
        write_png(raw / "images" / f"train_{number}.png", np.zeros((32, 48, 3), np.uint8))
    found = _fingerprint(tiny, raw)["symmetry"]
    assert (found["left_right"]["legal"], found["up_down"]["legal"]) == (True, False)
    assert found["left_right"]["overlap"]["value"] > 0.9
    assert found["up_down"]["overlap"]["value"] < 0.2
    assert found["up_down"]["by_class"]["sky"] == 0
    ruled_out = _fingerprint(dataclasses.replace(tiny, mirrored=False), raw)["symmetry"]["left_right"]
    assert (ruled_out["legal"], ruled_out["why"]) == (False, "the dataset declares it implausible")


def test_a_sample_stays_small_whatever_its_pixels() -> None:
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 20, (375, 1242)).astype(np.uint8)
    for mask in (noise, np.zeros((4000, 3000), np.uint8), noise[:64, :64]):
        image = np.zeros((*mask.shape, 3), np.uint8)
        statistics = (sample_statistics.measure_mask(mask, classes=19), sample_statistics.measure_image(image))
        assert {name for one in statistics for name in vars(one)} == {*sample_statistics.FIXED, "components"}
        assert len(pickle.dumps(statistics)) < 32_000


def test_a_histogram_of_a_large_image_is_of_its_rows() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3000, 1000, 3), dtype=np.uint8)
    found = sample_statistics.measure_image(image)
    assert found.channel_mean == pytest.approx(image.reshape(-1, 3).mean(axis=0), abs=0.5)
    assert found.channel_bins.sum() == 3 * 1000 * 1000


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no development mirror at {REAL}")
def test_the_real_street_and_pets_are_told_apart(tmp_path: Path) -> None:
    from segline.data.extract.archives import extract
    from segline.datasets import kitti, oxford_pets

    found = {}
    for dataset in (kitti.DATASET, oxford_pets.DATASET):
        raw = tmp_path / dataset.name
        extract(dataset, archives=REAL / dataset.name, folder=raw)
        found[dataset.name] = _fingerprint(dataset, raw)
    street, pets = (found[name]["symmetry"] for name in ("kitti", "oxford_pets"))
    assert street["up_down"]["overlap"]["value"] < 0.2 < 0.6 < street["left_right"]["overlap"]["value"]
    assert pets["left_right"]["overlap"]["p"] > 0.05 > pets["up_down"]["overlap"]["p"]
    assert not street["up_down"]["legal"] | pets["up_down"]["legal"]
    assert found["kitti"]["splits"]["all"]["classes"]["road"]["presence"] == 1
    groups = [set(group["samples"]) for group in found["kitti"]["near_duplicates"]]
    assert {"000043_10", "000046_10"} in groups  # one drive
    # Blocks of drives differ more than chance; Pets' validation is carved from its training split by breed.
    shift = {tuple(entry["between"]): entry["measures"]["class_frequencies"]["p"] for entry in found["kitti"]["shift"]}
    assert max(shift.values()) < 0.05
    assert found["oxford_pets"]["shift"][0]["measures"]["class_frequencies"]["p"] > 0.05
