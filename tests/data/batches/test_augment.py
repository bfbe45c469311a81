"""The ways to augment that are not our own: a crop of a random size, and none."""

import numpy as np
import pytest

from segline.config import Augmentation
from segline.core.labels import VOID
from segline.data.batches.augment import Augmenter

SIZED = Augmentation(kind="sized", heights=(30, 36), probability=1.0)


def sample(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image that says where each pixel is from, and a mask that says it coarsely; its first row is void."""
    rows, columns = np.indices((height, width))
    image = np.stack([rows, columns, np.full_like(rows, 77)], axis=-1).astype(np.uint8)
    mask = (columns // 10 % 3).astype(np.uint8)
    mask[0] = VOID
    return image, mask


def augmented(size: tuple[int, int], kind: Augmentation, *, crop=(40, 40), mirrored=False, seed=0, centre=None):
    augmenter = Augmenter(crop=crop, strength=0.7, mirrored=mirrored, kind=kind)
    return augmenter(*sample(*size), seed=seed, centre=centre)


def test_a_sized_crop_is_of_a_height_asked_for_and_keeps_its_aspect():
    heights = set()
    for seed in range(40):
        image, mask = augmented((41, 120), SIZED, seed=seed)
        assert image.shape == (40, 40, 3)
        rows, columns = (np.ptp(image[..., axis].astype(int)) + 1 for axis in (0, 1))
        assert 29 <= rows <= 36
        assert abs(rows - columns) <= 1
        heights.add(rows)
        labelled = mask != VOID
        shown = image[..., 1] // 10 % 3 == mask
        assert shown[labelled].mean() > 0.85  # the borders between bands aside, which interpolation blurs
        assert set(np.unique(mask)) <= {0, 1, 2, VOID}  # and no class between two
    assert len(heights) > 3


@pytest.mark.parametrize("size", [(60, 20), (20, 60), (31, 31), (36, 33)])
def test_a_narrow_image_gets_a_smaller_crop_and_none_that_overflows(size):
    for seed in range(10):
        image, _ = augmented(size, SIZED, seed=seed)
        assert image.shape == (40, 40, 3)
        assert (image[..., 2] == 77).all()  # all of it is from the image
        rows, columns = (np.ptp(image[..., axis].astype(int)) + 1 for axis in (0, 1))
        assert abs(rows - columns) <= 1


def test_another_aspect_is_kept_too():
    image, _ = augmented((41, 120), SIZED, crop=(40, 80))
    rows, columns = (np.ptp(image[..., axis].astype(int)) + 1 for axis in (0, 1))
    assert columns == pytest.approx(2 * rows, abs=2)


def test_the_other_images_are_cropped_as_they_are():
    kind = SIZED.model_copy(update={"probability": 0.0})
    lefts = set()
    for seed in range(20):
        image, mask = augmented((40, 120), kind, seed=seed)
        left = int(image[0, 0, 1])
        lefts.add(left)
        whole, truth = sample(40, 120)
        np.testing.assert_array_equal(image, whole[:, left : left + 40])
        np.testing.assert_array_equal(mask, truth[:, left : left + 40])
    assert len(lefts) > 5


def test_half_of_the_images_get_a_sized_crop_and_half_are_mirrored():
    kind = SIZED.model_copy(update={"probability": 0.5})
    images = [augmented((40, 120), kind, mirrored=True, seed=seed)[0].astype(int) for seed in range(200)]
    assert 70 < sum(np.ptp(image[..., 0]) < 38 for image in images) < 130
    assert 70 < sum(image[0, 0, 1] > image[0, -1, 1] for image in images) < 130


def test_a_sized_crop_is_centred_where_the_border_allows():
    for seed in range(10):
        image, _ = augmented((60, 120), SIZED, seed=seed, centre=(30, 70))
        assert np.abs(image[20, 20, :2].astype(int) - (30, 70)).max() <= 1
        image, _ = augmented((60, 120), SIZED, seed=seed, centre=(0, 119))
        assert image[0, -1, :2].tolist() == [0, 119]


@pytest.mark.parametrize("seed", [0, 5])
def test_none_is_the_middle_and_void_around_what_is_too_small(seed):
    kind = Augmentation(kind="none")
    image, mask = augmented((60, 80), kind, mirrored=True, seed=seed)
    whole, truth = sample(60, 80)
    np.testing.assert_array_equal(image, whole[10:50, 20:60])
    np.testing.assert_array_equal(mask, truth[10:50, 20:60])
    image, mask = augmented((30, 80), kind, seed=seed)
    assert (mask[:5] == VOID).all()
    assert (mask[-5:] == VOID).all()
    np.testing.assert_array_equal(image[5:35], sample(30, 80)[0][:, 20:60])


def test_the_specification_says_what_was_chosen():
    specification = Augmenter(crop=(40, 40), strength=0.0, mirrored=True, kind=SIZED).specification
    (crop,) = [entry for entry in specification["transform"]["transforms"] if "Sized" in entry["__class_fullname__"]]
    assert crop["min_max_height"] == (30, 36)
