import numpy as np
import pytest

from segline.core.confusion import confusion, mean_iou
from segline.core.statistics import bootstrap_mean_iou


def images(count, seed):
    generator = np.random.default_rng(seed)
    counts = []
    for _ in range(count):
        truth = generator.integers(0, 3, (8, 11)).astype(np.uint8)
        right = generator.random(truth.shape) < generator.beta(8, 2)
        counts.append(confusion(truth, np.where(right, truth, (truth + 1) % 3).astype(np.uint8), classes=3))
    return np.stack(counts)


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
