"""KITTI semantics: drives, blocks between them, and the task road."""

import itertools
from collections import Counter

import cv2
import numpy as np
import pytest

from segline import datasets
from segline.config import Options
from segline.core.labels import VOID
from segline.data.images.split import assign
from segline.data.validate import mask_checks
from segline.data.validate.build_manifest import build_manifest
from segline.datasets import kitti
from segline.datasets.street_labels import LABEL_MAP

FRAMES = range(200)


def layout(raw, frames):
    for folder, frame in itertools.product(("image_2", "semantic"), frames):
        (raw / "training" / folder).mkdir(parents=True, exist_ok=True)
        (raw / "training" / folder / f"{frame:06d}_10.png").touch()
    return raw


def test_blocks_are_the_published_ones():
    blocks = [kitti.split_of(frame) for frame in FRAMES]
    assert blocks == ["train"] * 60 + ["validation"] * 22 + ["test"] * 36 + ["validation"] * 26 + ["train"] * 56


def test_drives_are_in_order_and_cut_by_no_block():
    firsts = [first for first, _ in kitti.DRIVES]
    assert firsts == sorted(set(firsts))
    names = [name for _, name in kitti.DRIVES if name]
    assert names == sorted(set(names))
    assert {first for first, _ in kitti.BLOCKS} <= set(firsts)
    for drive in ((43, 44, 46, 53), range(77, 82), range(89, 99)):
        assert len({kitti.drive_of(frame) for frame in drive}) == 1
    assert Counter(map(kitti.drive_of, FRAMES))["2011_09_26_drive_0051"] == 11
    assert kitti.drive_of(99) == kitti.drive_of(104) == "unreleased_000099"


@pytest.mark.parametrize("frame", [-1, 200])
def test_a_frame_that_does_not_exist_is_in_no_split(frame):
    with pytest.raises(ValueError, match=r"0\.\.199"):
        kitti.split_of(frame)
    with pytest.raises(ValueError, match=r"0\.\.199"):
        kitti.drive_of(frame)


def test_pairs_name_what_is_missing_and_their_drive(tmp_path):
    raw = layout(tmp_path, (0, 5, 88, 199))
    (raw / "training/image_2/000005_10.png").unlink()
    (raw / "training/semantic/000088_10.png").unlink()
    pairs = datasets.load("kitti").pairs(raw)
    assert [(pair.id, pair.split, pair.group) for pair in pairs] == [
        ("000000_10", "train", "unreleased_000000"),
        ("000005_10", "train", "unreleased_000004"),
        ("000088_10", "test", "2011_09_26_drive_0051"),
        ("000199_10", "train", "2011_10_03_drive_0047"),
    ]
    assert [(pair.image is None, pair.mask is None) for pair in pairs] == [
        (False, False), (True, False), (False, True), (False, False),
    ]  # fmt: skip


def test_last_30_is_the_tutorials_and_its_validation_is_of_whole_drives(tmp_path):
    pairs = datasets.load("kitti", Options(split="last_30")).pairs(layout(tmp_path, FRAMES))
    splits = assign(pairs, validation_share=0.2)
    assert {name for name, split in splits.items() if split == "test"} == {
        f"{frame:06d}_10" for frame in range(170, 200)
    }
    held_out = {pair.group for pair in pairs if splits[pair.id] == "validation"}
    assert held_out.isdisjoint(pair.group for pair in pairs if splits[pair.id] != "validation")
    assert 34 <= sum(split == "validation" for split in splits.values()) <= 34 + 10


def test_road_is_one_class_of_two_and_void_stays_void():
    road = datasets.load("kitti", Options(task="road")).label_map
    assert road.names == ("not road", "road")
    ids = np.arange(256, dtype=np.uint8)[None]
    semantics, binary = LABEL_MAP.encode(ids), road.encode(ids)
    assert ((binary == VOID) == (semantics == VOID)).all()
    assert (ids[binary == 1] == 7).all()
    assert Counter(binary.ravel().tolist()) == {0: 18, 1: 1, VOID: 237}
    assert (road.legal == LABEL_MAP.legal).all()
    assert road.decode(np.array([[0, 1]], dtype=np.uint8)).tolist() == [[8, 7]]


def test_masks_of_train_ids_are_recognised_for_the_task_road_too(raw):
    """Train ids are legal raw ids, and 7 is a traffic sign among them: it would silently be taken for road."""
    road = datasets.load("kitti", Options(task="road"))
    pairs = road.pairs(raw / "kitti")[:24]
    table = build_manifest(road, pairs, raw=raw / "kitti", splits=assign(pairs, validation_share=0.2), workers=1)
    rows = table.to_pylist()
    assert mask_checks.find_patterns(rows, road) == []
    for row in rows:
        row["raw_ids"] = np.unique(LABEL_MAP.encode(np.array(row["raw_ids"], dtype=np.uint8))).tolist()
    assert [pattern.name for pattern in mask_checks.find_patterns(rows, road)] == ["masks_are_train_ids"]


@pytest.mark.lengthy
def test_drives_are_told_apart_by_the_real_images(real):
    """Neighbours of a moving drive and of the next: what the list of drives says shows in matched features."""

    def features(frame):
        image = cv2.imread(str(real / f"kitti/training/image_2/{frame:06d}_10.png"), cv2.IMREAD_GRAYSCALE)
        points, descriptors = cv2.SIFT_create(nfeatures=1000).detectAndCompute(image, None)
        return np.array([point.pt for point in points]), descriptors

    def fitting(one, other):
        """Matches that fit one epipolar geometry."""
        found = cv2.BFMatcher().knnMatch(one[1], other[1], k=2)
        good = [first for first, second in found if first.distance < 0.7 * second.distance]
        if len(good) < 8:
            return 0
        pairs = [one[0][[match.queryIdx for match in good]], other[0][[match.trainIdx for match in good]]]
        _, inside = cv2.findFundamentalMat(*pairs, cv2.FM_RANSAC, 2, 0.999)
        return 0 if inside is None else int(inside.sum())

    within, across = (
        [(10, 11), (15, 16), (57, 58), (85, 86), (97, 98)],
        [(12, 13), (59, 60), (81, 82), (82, 83), (98, 99)],
    )
    for one, other in within + across:
        assert (kitti.drive_of(one) == kitti.drive_of(other)) == ((one, other) in within)
    assert min(fitting(features(one), features(other)) for one, other in within) > 50
    assert max(fitting(features(one), features(other)) for one, other in across) < 25
