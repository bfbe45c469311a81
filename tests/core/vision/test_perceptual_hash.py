"""Perceptual hashes: what they outlive, what tells pictures apart, and all pairs against a plain loop."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segline.core.vision import perceptual_hash


def picture(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return cv2.resize(coarse, (300, 220), interpolation=cv2.INTER_CUBIC)


def bits_between(one: np.ndarray, other: np.ndarray) -> int:
    first, second = (perceptual_hash.hash_of(perceptual_hash.reduce(image)) for image in (one, other))
    return (first ^ second).bit_count()


@pytest.mark.parametrize(
    "change",
    [
        lambda image: cv2.resize(image, (150, 110), interpolation=cv2.INTER_AREA),
        lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR),
        lambda image: np.clip(image.astype(np.int16) + 12, 0, 255).astype(np.uint8),
    ],
)
def test_scaling_compression_and_light_change_few_bits(change) -> None:
    assert max(bits_between(picture(seed), change(picture(seed))) for seed in range(20)) <= 6


def test_other_pictures_differ_in_about_half_of_the_bits() -> None:
    distances = [bits_between(picture(seed), picture(seed + 1000)) for seed in range(40)]
    assert min(distances) > 10
    assert 24 < np.mean(distances) < 40


def pairs_by_loop(hashes: list[int], *, distance: int, most: int) -> list[tuple[int, int]]:
    found = []
    for first, one in enumerate(hashes):
        later = [second for second in range(first + 1, len(hashes)) if (one ^ hashes[second]).bit_count() <= distance]
        found += [(first, second) for second in later[:most]]
    return found


@given(st.lists(st.integers(0, 2**64 - 1), max_size=12), st.data(), st.integers(0, 5), st.integers(1, 4))
def test_pairs_are_those_of_a_plain_loop(base: list[int], data: st.DataObject, distance: int, most: int) -> None:
    flips = data.draw(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 63)), max_size=20))
    hashes = base + [base[place % len(base)] ^ (1 << bit) for place, bit in flips if base]
    found = perceptual_hash.near_pairs(np.array(hashes, np.uint64), distance=distance, most=most)
    assert [tuple(pair) for pair in found.tolist()] == pairs_by_loop(hashes, distance=distance, most=most)


def test_many_copies_give_few_pairs_that_join_them_all() -> None:
    pairs = perceptual_hash.near_pairs(np.zeros(5_000, np.uint64), distance=3, most=16)
    assert len(pairs) < 16 * 5_000
    leader = np.arange(5_000)
    for first, second in pairs.tolist():
        leader[second] = leader[first]
    assert not leader.any()


def test_a_mask_explains_its_own_picture_best() -> None:
    rng = np.random.default_rng(4)
    mask = np.zeros((perceptual_hash.SIDE, perceptual_hash.SIDE), np.uint8)
    mask[:, 12:] = 1
    mask[20:] = 2
    small = np.clip(
        np.array([[30, 60, 90], [200, 40, 10], [90, 220, 160]])[mask] + rng.normal(0, 9, (*mask.shape, 3)), 0, 255
    )
    void = np.full_like(mask, 255)
    own, other, nothing, missing = perceptual_hash.explained(
        small.astype(np.uint8), [mask, mask.T, void, None], void=255
    )
    assert own is not None
    assert other is not None
    assert own > 0.9 > other
    assert nothing is missing is None


@given(st.integers(0, 2**32 - 1))
def test_what_is_explained_is_eta_squared(seed: int) -> None:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (perceptual_hash.SIDE, perceptual_hash.SIDE, 3), dtype=np.uint8)
    mask = rng.choice([0, 1, 7, 255], (perceptual_hash.SIDE, perceptual_hash.SIDE)).astype(np.uint8)
    colours = small[mask != 255].astype(np.float64)
    means = np.empty_like(colours)
    for label in (0, 1, 7):
        means[mask[mask != 255] == label] = small[mask == label].astype(np.float64).mean(axis=0)
    spread = ((colours - colours.mean(axis=0)) ** 2).sum()
    expected = ((means - colours.mean(axis=0)) ** 2).sum() / spread
    assert perceptual_hash.explained(small, [mask], void=255)[0] == pytest.approx(expected, rel=1e-9)
