import numpy as np
import pytest

from segline.core.confusion import confusion, mean_iou
from segline.core.statistics import bootstrap_mean_iou, compare_mean_iou


def images(count, seed):
    return models(count, seed, skills=(8,))[0]


def models(count, seed, *, skills):
    """Counts of several models on the same images, some of which are hard for all of them."""
    generator = np.random.default_rng(seed)
    counts = [[] for _ in skills]
    for _ in range(count):
        truth = generator.integers(0, 3, (8, 11)).astype(np.uint8)
        easy = generator.beta(8, 2)
        for skill, own in zip(skills, counts, strict=True):
            right = generator.random(truth.shape) < easy ** (8 / skill)
            own.append(confusion(truth, np.where(right, truth, (truth + 1) % 3).astype(np.uint8), classes=3))
    return [np.stack(own) for own in counts]


def test_interval_is_reproducible_and_holds_the_score():
    per_image = images(60, seed=1)
    first = bootstrap_mean_iou(per_image, resamples=500, confidence=0.95, seed=3)
    assert first == bootstrap_mean_iou(per_image, resamples=500, confidence=0.95, seed=3)
    assert first.low < mean_iou(per_image.sum(axis=0)) < first.high


def test_interval_narrows_with_images_and_widens_with_confidence():
    few, many = images(40, seed=2), images(640, seed=2)
    width = lambda interval: interval.high - interval.low  # noqa: E731
    of = lambda counts, confidence: bootstrap_mean_iou(counts, resamples=400, confidence=confidence, seed=0)  # noqa: E731
    assert width(of(few, 0.95)) > 2 * width(of(many, 0.95))
    assert width(of(few, 0.99)) > width(of(few, 0.8))


def test_interval_covers_the_truth_about_as_often_as_it_says():
    """A small simulation: of 200 samples of 200 images, 95 % intervals hold the population's score."""
    population = images(4000, seed=5)
    truth = mean_iou(population.sum(axis=0))
    generator = np.random.default_rng(6)
    held = 0
    for number in range(200):
        chosen = population[generator.integers(0, len(population), 200)]
        interval = bootstrap_mean_iou(chosen, resamples=200, confidence=0.95, seed=number)
        held += interval.low <= truth <= interval.high
    assert 0.90 <= held / 200 <= 0.99


def test_few_images_carry_a_caveat():
    assert "60 images" in bootstrap_mean_iou(images(60, 1), resamples=100, confidence=0.95, seed=0).caveat
    assert bootstrap_mean_iou(images(200, 1), resamples=100, confidence=0.95, seed=0).caveat == ""
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_mean_iou(images(1, 1)[:0], resamples=100, confidence=0.95, seed=0)


def compared(first, second, seed=0):
    return compare_mean_iou(first, second, resamples=400, confidence=0.95, seed=seed)


def test_a_model_does_not_differ_from_itself():
    per_image = images(50, seed=1)
    found = compared(per_image, per_image)
    assert (found.difference, found.interval.low, found.interval.high, found.p) == (0, 0, 0, 1)


def test_a_better_model_is_told_from_a_worse_one_and_the_order_turns_the_sign():
    good, bad = models(100, 3, skills=(9, 7))
    found = compared(good, bad)
    assert found.difference == mean_iou(good.sum(axis=0)) - mean_iou(bad.sum(axis=0))
    assert 0 < found.interval.low < found.difference < found.interval.high
    assert found.p == pytest.approx(1 / 401)
    assert compared(bad, good).difference == -found.difference
    # Two intervals of their own, over images that are hard for both, overlap all the same.
    alone = [bootstrap_mean_iou(counts, resamples=400, confidence=0.95, seed=0) for counts in (good, bad)]
    assert alone[0].low < alone[1].high


def test_equally_good_models_are_called_different_as_often_as_chance_says():
    """150 pairs of 60 images, 5 % of them wanted; with 150 tosses 1 % to 10 % is what chance allows."""
    wrong = sum(compared(*models(60, seed, skills=(8, 8)), seed=seed).p <= 0.05 for seed in range(150))
    assert 1 <= wrong <= 16


def test_other_images_cannot_be_compared():
    with pytest.raises(ValueError, match="same images"):
        compared(images(20, seed=1), images(20, seed=2))
    with pytest.raises(ValueError, match="same images"):
        compared(images(20, seed=1), images(19, seed=1))
