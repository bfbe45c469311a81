import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from segline.core.labels import VOID, Mask
from segline.core.vision.components import components

CLASSES = 3
MASKS = arrays.arrays(
    np.uint8,
    st.tuples(st.integers(1, 9), st.integers(1, 11)),
    elements=st.sampled_from([0, 1, 2, CLASSES, VOID]),
)


def _found(mask: Mask) -> list[tuple[int, ...]]:
    found = components(mask, classes=CLASSES)
    columns = (found.label, found.area, found.height, found.width)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def _by_scipy(mask: Mask) -> list[tuple[int, ...]]:
    found = []
    for label in range(CLASSES):
        places, count = ndimage.label(mask == label, structure=np.ones((3, 3)))
        for number, (rows, columns) in enumerate(ndimage.find_objects(places), start=1):
            area = int((places == number).sum())
            found.append((label, area, rows.stop - rows.start, columns.stop - columns.start))
        assert count == len(ndimage.find_objects(places))
    return sorted(found)


@given(mask=MASKS)
def test_components_are_those_of_scipy(mask: Mask) -> None:
    assert _found(mask) == _by_scipy(mask)


@given(mask=MASKS)
def test_mirrors_keep_components_and_turning_swaps_their_sides(mask: Mask) -> None:
    found = _found(mask)
    assert _found(mask[:, ::-1]) == found
    assert _found(np.ascontiguousarray(mask[::-1])) == found
    assert _found(mask.T) == sorted((label, area, width, height) for label, area, height, width in found)


@given(mask=MASKS)
def test_runs_are_the_starts_of_labels_along_rows_and_columns(mask: Mask) -> None:
    found = components(mask, classes=CLASSES)
    left = np.pad(mask, ((0, 0), (1, 0)), constant_values=VOID)[:, :-1]
    above = np.pad(mask, ((1, 0), (0, 0)), constant_values=VOID)[:-1]
    starts = [int(((mask == label) & (left != label)).sum()) for label in range(CLASSES)]
    starts = [count + int(((mask == label) & (above != label)).sum()) for label, count in enumerate(starts)]
    assert np.bincount(found.label, weights=found.runs, minlength=CLASSES).tolist() == starts


@given(mask=MASKS)
def test_areas_add_up_to_the_labelled_pixels(mask: Mask) -> None:
    found = components(mask, classes=CLASSES)
    counts = np.bincount(found.label, weights=found.area, minlength=CLASSES)
    assert counts.tolist() == [int((mask == label).sum()) for label in range(CLASSES)]


def test_a_corner_joins_and_the_edge_of_the_picture_does_not() -> None:
    staircase = np.full((4, 6), VOID, np.uint8)
    staircase[[0, 1, 2], [1, 2, 3]] = 1
    assert _found(staircase) == [(1, 3, 3, 3)]
    around = np.full((4, 6), VOID, np.uint8)
    around[1, 5] = around[2, 0] = around[3, 0] = 1  # neighbours in memory, strangers in the picture
    assert _found(around) == [(1, 1, 1, 1), (1, 2, 2, 1)]


def test_a_spiral_is_one_component() -> None:
    side = 61
    mask = np.zeros((side, side + 2), np.uint8)
    for ring in range(0, side // 2, 2):
        cv2.rectangle(mask, (ring, ring), (side - 1 - ring, side - 1 - ring), 1)
        mask[ring + 1, ring] = 0
        mask[ring + 2, ring + 1] = 1
    assert _found(mask) == _by_scipy(mask)


@pytest.mark.parametrize("classes", [2, 3])
def test_noise_is_no_worse_than_slow(classes: int) -> None:
    mask = np.random.default_rng(0).integers(0, 4, (97, 131)).astype(np.uint8)
    found = components(mask, classes=classes)
    assert found.area.sum() == (mask < classes).sum()
    assert len(found.area) == sum(
        ndimage.label(mask == label, structure=np.ones((3, 3)))[1] for label in range(classes)
    )


def test_nothing_labelled_is_no_component() -> None:
    assert len(components(np.full((3, 5), VOID, np.uint8), classes=3).area) == 0
