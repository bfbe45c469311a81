import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segline.core.vision.polygons import Shape, draw, leaves, runs_of

HEIGHT, WIDTH = 23, 31
points = arrays.arrays(np.float64, st.tuples(st.integers(3, 9), st.just(2)), elements=st.floats(-9, 40, width=32))


def inside(outline, *, height, width):
    return draw([Shape(raw=1, outlines=(outline,))], height=height, width=width, background=0) == 1


def by_crossings(outline):
    """Even-odd, pixel by pixel, as the textbook says."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    found = np.zeros((HEIGHT, WIDTH), bool)
    for (x1, y1), (x2, y2) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if y1 != y2:
            (y1, x1), (y2, x2) = sorted([(y1, x1), (y2, x2)])
            crossing = x1 + (rows - y1) * (x2 - x1) / (y2 - y1)
            found ^= ((y1 > rows) != (y2 > rows)) & (columns >= crossing)
    return found


@given(points)
def test_pixels_inside_are_those_whose_centres_are(outline):
    found, expected = inside(outline, height=HEIGHT, width=WIDTH), by_crossings(outline)
    # Centres that lie exactly on an edge belong to one side or the other.
    assert (found != expected).mean() < 0.02


def test_a_square_has_its_own_area_and_no_rim():
    square = np.array([[2, 3], [12, 3], [12, 13], [2, 13]], float)
    assert inside(square, height=HEIGHT, width=WIDTH).sum() == 100
    painted = cv2.fillPoly(np.zeros((HEIGHT, WIDTH), np.uint8), [square.astype(np.int32)], 1)
    assert painted.sum() == 121


def test_later_shapes_lie_over_earlier_ones_and_parts_are_joined():
    def box(left, top, right, bottom):
        return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)

    mask = draw(
        [Shape(raw=4, outlines=(box(0, 0, 4, 4), box(2, 2, 6, 6))), Shape(raw=9, outlines=(box(1, 1, 2, 3),))],
        height=8,
        width=9,
        background=1,
    )
    assert [int((mask == raw).sum()) for raw in (4, 9, 1)] == [26, 2, 44]


@given(points)
def test_what_leaves_the_image_is_cut_off(outline):
    cut = inside(outline, height=HEIGHT, width=WIDTH)
    whole = inside(outline + 20, height=80, width=80)[20 : 20 + HEIGHT, 20 : 20 + WIDTH]
    assert (cut != whole).mean() < 0.02


def test_leaving_is_told_beyond_the_tolerance():
    shape = Shape(raw=1, outlines=(np.array([[0, 0], [WIDTH + 0.5, 5], [3, 9]], float),))
    assert not leaves(shape, height=HEIGHT, width=WIDTH)
    assert leaves(shape, height=HEIGHT, width=WIDTH - 5)


def compressed(runs):
    """Written anew from the description of the format."""
    text = ""
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place > 2 else run
        while True:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(bits + (32 if more else 0) + 48)
            if not more:
                break
    return text


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=30))
def test_compressed_runs_are_the_runs(runs):
    assert runs_of(compressed(runs)) == tuple(runs)


def test_the_coco_apis_own_example_of_compressed_runs():
    # mask [[0,1],[1,1]] of the COCO API: runs 1, 3 down the columns
    assert runs_of("13") == (1, 3)
    mask = draw([Shape(raw=1, runs=(1, 3))], height=2, width=2, background=0)
    assert mask.tolist() == [[0, 1], [1, 1]]


@pytest.mark.parametrize("text", ["\x00", "Q"])
def test_damaged_runs_are_refused(text):
    with pytest.raises(ValueError, match="compressed run lengths"):
        runs_of(text)


def test_runs_of_another_size_are_refused():
    with pytest.raises(ValueError, match="runs of 5 pixels for an image of 2 x 2"):
        draw([Shape(raw=1, runs=(2, 3))], height=2, width=2, background=0)


def test_a_hole_of_runs_stays_open():
    mask = draw([Shape(raw=3, runs=(0, 4, 1, 4))], height=3, width=3, background=0)
    assert mask.tolist() == [[3, 3, 3], [3, 0, 3], [3, 3, 3]]
