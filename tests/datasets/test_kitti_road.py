"""KITTI road: blocks within each kind of road, coloured masks, and the images it shares with KITTI semantics."""

import itertools
from collections import Counter

import cv2
import numpy as np
import pytest

from segline import datasets
from segline.core.labels import VOID
from segline.data.images.decode import read_mask
from segline.datasets import kitti, kitti_road

NAMES = [f"{kind}_{number:06d}" for kind, count in kitti_road.COUNTS.items() for number in range(count)]


def test_289_images_in_contiguous_blocks_of_each_kind():
    assert len(NAMES) == 289
    assert Counter(map(kitti_road.split_of, NAMES)) == {"train": 173, "validation": 58, "test": 58}
    for kind in kitti_road.COUNTS:
        splits = [kitti_road.split_of(name) for name in NAMES if name.startswith(f"{kind}_")]
        changes = sum(one != other for one, other in itertools.pairwise(splits))
        assert (len(set(splits)), changes) == (3, 2)


@pytest.mark.parametrize("name", ["um_000095", "umm_000096", "uu_000098", "xx_000000"])
def test_an_image_that_does_not_exist_is_in_no_split(name):
    with pytest.raises(ValueError, match="um_000000 to um_000094"):
        kitti_road.split_of(name)


def test_shared_images_are_in_the_same_split_of_both_datasets():
    for road, frame in kitti_road.SHARED.items():
        assert kitti_road.split_of(road) == kitti.split_of(int(frame.split("_")[0]))


def test_lanes_are_not_taken_for_roads(tmp_path):
    training = tmp_path / "data_road/training"
    for path in (
        "image_2/um_000000.png",
        "image_2/uu_000097.png",
        "gt_image_2/um_road_000000.png",
        "gt_image_2/um_lane_000000.png",
        "gt_image_2/umm_road_000040.png",
        "calib/um_000000.txt",
    ):
        (training / path).parent.mkdir(parents=True, exist_ok=True)
        (training / path).touch()
    pairs = datasets.load("kitti_road").pairs(tmp_path)
    assert [(pair.id, pair.image and pair.image[19:], pair.mask and pair.mask[19:], pair.split) for pair in pairs] == [
        ("um_000000", "image_2/um_000000.png", "gt_image_2/um_road_000000.png", "train"),
        ("umm_000040", None, "gt_image_2/umm_road_000040.png", "train"),
        ("uu_000097", "image_2/uu_000097.png", None, "test"),
    ]


def test_magenta_is_road_red_is_not_and_the_rest_is_void(tmp_path):
    colours = [(255, 0, 255), (255, 0, 0), (0, 0, 0), (0, 0, 255), (254, 0, 255)]
    picture = np.array([colours, colours[::-1]], dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "mask.png"), picture[..., ::-1])
    dataset = datasets.load("kitti_road")
    ids = read_mask(tmp_path / "mask.png", colours=dataset.colours)
    assert dataset.label_map.encode(ids).tolist() == [[1, 0, VOID, VOID, VOID], [VOID, VOID, VOID, 0, 1]]
    assert dataset.label_map.legal[np.unique(ids)].all()
