import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.distance import jensenshannon

from segline.core.labels import VOID
from segline.core.vision.divergence import jensen_shannon, shifts, symmetry

COUNTS = arrays.arrays(np.float64, 5, elements=st.integers(0, 1000).map(float)).filter(lambda counts: counts.sum() > 0)


@given(one=COUNTS, other=COUNTS)
def test_the_distance_is_scipys(one: np.ndarray, other: np.ndarray) -> None:
    expected = jensenshannon(one, other, base=2)
    assert jensen_shannon(one, other) == pytest.approx(0 if np.isnan(expected) else expected, abs=1e-6)


def test_the_distance_is_that_of_many_pairs_at_once() -> None:
    pairs = np.random.default_rng(1).random((2, 7, 4))
    assert jensen_shannon(*pairs) == pytest.approx([jensenshannon(a, b, base=2) for a, b in zip(*pairs, strict=True)])
    assert jensen_shannon(np.array([1.0, 0]), np.array([0, 3.0])) == pytest.approx(1)


def test_a_shift_stands_out_from_chance_and_its_absence_does_not() -> None:
    generator = np.random.default_rng(2)
    second = np.arange(80) >= 50
    counts = generator.multinomial(1000, [0.5, 0.3, 0.2], 80).astype(float)
    features = np.stack([generator.normal(0, 1, 80), generator.normal(0, 1, 80) + 2 * second, np.full(80, 7.0)], axis=1)
    classes, same, moved, constant = shifts(counts, features, second, permutations=199)
    assert classes.p > 0.05
    assert classes.value < classes.chance_extreme
    assert same.p > 0.05
    assert moved.p == pytest.approx(1 / 200)
    gap = abs(features[second, 1].mean() - features[~second, 1].mean()) / features[:, 1].std()
    assert moved.value == pytest.approx(gap)
    assert moved.value > moved.chance_extreme > moved.chance_median
    assert (constant.value, constant.p) == (0, 1)


def test_pooled_counts_are_compared_and_not_images() -> None:
    counts = np.array([[90.0, 10], [10, 90], [500, 500], [80, 20]])
    second = np.array([False, False, True, True])
    (classes,) = shifts(counts, np.empty((4, 0)), second, permutations=9)
    assert classes.value == pytest.approx(jensenshannon([100, 100], [580, 520], base=2))


def test_chance_is_called_remarkable_as_seldom_as_is_said() -> None:
    by_symmetry, by_shift = [], []
    for seed in range(100):
        by_symmetry.append(symmetry(_layouts(20, seed=seed), classes=3, axis=2, permutations=99).overlap.p)
        counts = np.random.default_rng(seed).multinomial(200, [0.5, 0.3, 0.2], 30).astype(float)
        by_shift.append(shifts(counts, np.empty((30, 0)), np.arange(30) < 10, permutations=99)[0].p)
    for found in (by_symmetry, by_shift):
        assert np.count_nonzero(np.array(found) <= 0.05) <= 12  # 5 of 100 expected; 12 is 3 standard deviations off
        assert 0.35 < np.mean(found) < 0.65


def _layouts(images: int, *, seed: int = 3) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.choice(np.array([0, 1, 2, VOID], np.uint8), (images, 4, 6))


def test_a_lopsided_dataset_is_known() -> None:
    layouts = _layouts(60)
    left = layouts.copy()
    left[:, :, :3] = 1
    lopsided = symmetry(left, classes=3, axis=2, permutations=99)
    assert lopsided.overlap.p == pytest.approx(0.01)
    assert lopsided.overlap.value < lopsided.overlap.chance_extreme
    assert symmetry(left, classes=3, axis=1, permutations=99).overlap.value > lopsided.overlap.value + 0.2


def test_the_overlap_is_counted_by_hand() -> None:
    layouts = np.array([[[0, 0, 1, VOID]], [[0, 1, 1, 1]]], np.uint8)
    # By class and column: 0: 2 1 0 0, 1: 0 1 2 1; the mirror keeps none of 0's, min(0,1)+min(1,2)+... of 1's.
    seen = symmetry(layouts, classes=3, axis=2, permutations=9)
    assert seen.by_class[:2].tolist() == pytest.approx([0 / 3, 2 / 4])
    assert np.isnan(seen.by_class[2])
    assert seen.overlap.value == pytest.approx(2 / 7)


@given(axis=st.sampled_from([1, 2]))
def test_a_mirrored_dataset_is_as_symmetric(axis: int) -> None:
    layouts = _layouts(9)
    flipped = np.flip(layouts, axis=axis)
    one, other = (symmetry(given, classes=3, axis=axis, permutations=19) for given in (layouts, flipped))
    assert one.overlap == other.overlap
    assert np.array_equal(one.by_class, other.by_class)


def test_no_images_are_symmetric_without_reason() -> None:
    seen = symmetry(np.empty((0, 4, 4), np.uint8), classes=2, axis=2, permutations=9)
    assert (seen.overlap.value, seen.overlap.p) == (1, 1)
