import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segline.core.metrics.joint_histogram import joint_histogram

SHAPE = (7, 12)
sparse = st.sampled_from([0, 1, 2, 254, 255])
maps = hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 255))
patchy = hnp.arrays(np.uint8, SHAPE, elements=sparse, fill=st.just(2))


def one_by_one(first, second, width):
    counts = np.zeros((256, width), np.int64)
    np.add.at(counts, (first.ravel(), np.minimum(second.ravel(), width - 1)), 1)
    return counts


@given(st.one_of(maps, patchy), st.one_of(maps, patchy), st.integers(1, 256))
def test_every_pair_is_counted_once(first, second, width):
    np.testing.assert_array_equal(joint_histogram(first, second, width=width), one_by_one(first, second, width))


@given(st.integers(1, 40), st.data())
def test_long_runs_and_single_pixels_are_counted_alike(run, data):
    """From all runs to none: both ways of counting, and where one gives way to the other."""
    values = data.draw(hnp.arrays(np.uint8, (2, 30), elements=sparse))
    first, second = np.repeat(values, run, axis=1)
    second = np.roll(second, run // 2)
    np.testing.assert_array_equal(joint_histogram(first, second, width=4), one_by_one(first, second, 4))


@pytest.mark.parametrize("shape", [(0,), (0, 5), (1,), (1, 1, 1), (3, 4, 5)])
def test_any_shape_will_do(shape):
    ones = np.ones(shape, np.uint8)
    counts = joint_histogram(ones, 2 * ones)
    assert counts.shape == (256, 256)
    assert counts[1, 2] == counts.sum() == ones.size


def test_views_are_counted_as_their_copies():
    rng = np.random.default_rng(3)
    first, second = rng.integers(0, 4, (2, 30, 50), dtype=np.uint8)
    np.testing.assert_array_equal(
        joint_histogram(first[::-2, 1::3], second[::-2, 1::3]),
        one_by_one(first[::-2, 1::3].copy(), second[::-2, 1::3].copy(), 256),
    )


@pytest.mark.parametrize("apart", [8, 400])
def test_more_pixels_than_float32_can_count_are_counted_exactly(apart):
    """An odd number above 2^24, which float32 does not have; by pixel, then by run."""
    first = np.zeros(20 << 20, np.uint8)
    first[::apart] = 1
    rare = np.count_nonzero(first)
    if (first.size - rare) % 2 == 0:
        first[1], rare = 1, rare + 1
    common = first.size - rare
    assert common > 1 << 24
    assert int(np.float32(common)) != common
    counts = joint_histogram(first, np.full_like(first, 7))
    assert (counts[0, 7], counts[1, 7], counts.sum()) == (common, rare, first.size)


def test_maps_that_do_not_fit_are_refused_with_both_values():
    mask = np.zeros((2, 3), np.uint8)
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        joint_histogram(mask, mask.T)
    with pytest.raises(ValueError, match=r"uint8 and int64"):
        joint_histogram(mask, mask.astype(np.int64))
