import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segline.data.images.scale import pad_image, scale_image, scale_mask, scaled_size


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(32, 1024))
def test_short_side_comes_out_exact_and_nothing_is_enlarged(height, width, side):
    scaled = scaled_size(height, width, short_side=side)
    assert min(scaled) == min(side, height, width)
    assert scaled[0] <= height
    assert scaled[1] <= width
    # Rounding moves the longer side by half a pixel at most.
    assert abs(scaled[0] / scaled[1] - height / width) <= 0.5 * (1 + height / width) / scaled[1] + 1e-9


def test_mask_keeps_its_ids_and_matches_the_image():
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (301, 517, 3)).astype(np.uint8)
    mask = generator.choice(np.array([0, 7, 255], dtype=np.uint8), (301, 517))
    small, ids = scale_image(image, short_side=64), scale_mask(mask, short_side=64)
    assert small.shape[:2] == ids.shape == (64, 110)
    assert small.dtype == ids.dtype == np.uint8
    assert set(np.unique(ids)) <= {0, 7, 255}


def test_small_images_stay_as_they_are():
    image = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    assert scale_image(image, short_side=64) is image


def test_padding_repeats_the_edge_at_the_bottom_and_right_up_to_whole_multiples():
    image = np.random.default_rng(1).integers(0, 256, (33, 64, 3)).astype(np.uint8)
    padded = pad_image(image, multiple=32)
    np.testing.assert_array_equal(padded, np.pad(image, [(0, 31), (0, 0), (0, 0)], mode="edge"))
    np.testing.assert_array_equal(pad_image(padded, multiple=32), padded)
