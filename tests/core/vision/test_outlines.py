"""Outlines of areas: drawn again, they give the same mask."""

import cv2
import numpy as np
import pytest

from segline.core.labels import VOID
from segline.core.vision.outlines import outlines
from segline.core.vision.polygons import Shape, draw


def redraw(mask, found):
    """The mask that the outlines give by the even-odd rule."""
    again = np.full(mask.shape, VOID, dtype=np.uint8)
    for outline in found:
        area = np.zeros(mask.shape, dtype=np.uint8)
        for ring in (outline.outer, *outline.holes):
            shape = Shape(raw=1, outlines=(ring.astype(np.float64),))
            area ^= draw([shape], height=mask.shape[0], width=mask.shape[1], background=0)
        assert int(area.sum()) == outline.pixels
        assert not (again[area == 1] != VOID).any()
        again[area == 1] = outline.label
    return again


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (13, 17), (40, 31)])
def test_a_mask_is_drawn_again_exactly(seed, shape):
    generator = np.random.default_rng(seed)
    mask = generator.choice(np.array([0, 1, 2, VOID], dtype=np.uint8), shape)
    np.testing.assert_array_equal(redraw(mask, outlines(mask, classes=3)), mask)


def test_smooth_areas_with_holes_are_drawn_again_and_counted_as_opencv_counts_them():
    noise = np.random.default_rng(7).normal(size=(120, 160)).astype(np.float32)
    mask = np.digitize(cv2.GaussianBlur(noise, (0, 0), 4), [-0.05, 0.05]).astype(np.uint8)
    found = outlines(mask, classes=3)
    np.testing.assert_array_equal(redraw(mask, found), mask)
    assert any(outline.holes for outline in found)
    for label in range(3):
        number, _ = cv2.connectedComponents((mask == label).astype(np.uint8), connectivity=4)
        assert sum(outline.label == label for outline in found) == number - 1


def test_corners_are_those_of_pixels_and_areas_that_touch_by_a_corner_are_two():
    mask = np.full((4, 5), VOID, dtype=np.uint8)
    mask[1:3, 1:3] = 0
    mask[3, 3] = 0
    square, pixel = outlines(mask, classes=1)
    assert square.outer.tolist() == [[1, 1], [3, 1], [3, 3], [1, 3]]
    assert pixel.outer.tolist() == [[3, 3], [4, 3], [4, 4], [3, 4]]
    assert (square.holes, square.pixels) == ((), 4)


def test_void_has_no_outline():
    assert outlines(np.full((3, 3), VOID, dtype=np.uint8), classes=200) == []
