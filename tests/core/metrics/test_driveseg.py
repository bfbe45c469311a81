import math

import numpy as np
import pytest

from segline.core.labels import VOID
from segline.core.metrics import driveseg
from segline.core.metrics.confusion import confusion

SCORED = [0, 1, 2, 5, 6, 7, 8, 9, 11, 13]
SHAPE = (24, 37)


def frames(count, seed=0, predicted=range(19)):
    """Pairs whose truth has the ten classes and void, and whose predictions have Cityscapes' classes."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        truth = rng.choice(np.array([*SCORED, VOID], np.uint8), SHAPE)
        truth[: number + 1] = VOID  # as many labelled pixels in no two frames
        prediction = np.where(rng.random(SHAPE) < 0.6, truth, rng.choice(np.array(predicted, np.uint8), SHAPE))
        yield truth, np.where(prediction == VOID, 10, prediction).astype(np.uint8)


def counted(pairs):
    return np.stack([confusion(*pair, classes=driveseg.CLASSES) for pair in pairs])


def tutorial_prints(pairs):
    """The tutorial's published rules in plain NumPy, one frame or a clip."""
    accuracies, intersections, unions = [], [], []
    for truth, prediction in pairs:
        answer = prediction.copy()
        answer[(answer == 14) | (answer == 15)] = 13
        answer[(answer == 3) | (answer == 4)] = 2
        answer[answer == 12] = 11
        valid = truth != VOID
        accuracies.append((answer[valid] == truth[valid]).sum() / valid.sum())
        listed = valid & np.isin(truth, SCORED) & np.isin(answer, SCORED)  # others are in no confusion matrix
        intersections.append([(listed & (truth == c) & (answer == c)).sum() for c in SCORED])
        unions.append([(listed & ((truth == c) | (answer == c))).sum() for c in SCORED])
    digits = 5 if len(accuracies) == 1 else 4
    ratios = np.round(np.sum(intersections, 0) / np.sum(unions, 0), digits)
    return np.mean(accuracies), ratios, np.mean(ratios)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_the_tutorials_protocol_prints_what_the_tutorial_prints(count):
    pairs = list(frames(count, seed=count))
    found, (accuracy, ratios, mean) = driveseg.score_like_tutorial(counted(pairs)), tutorial_prints(pairs)
    assert found.pixel_accuracy == accuracy
    np.testing.assert_array_equal(found.iou, ratios)
    assert found.miou == mean


@pytest.mark.parametrize("count", [1, 9])
def test_the_strict_protocol_counts_every_labelled_pixel(count):
    pairs = list(frames(count, seed=count))
    found = driveseg.score_strictly(counted(pairs))
    place = np.full(256, 99)
    place[SCORED] = range(10)
    place[[14, 15, 3, 4, 12]] = place[[13, 13, 2, 2, 11]]
    truth, answer = (place[np.stack(masks)] for masks in zip(*pairs, strict=True))
    valid = np.stack([pair[0] for pair in pairs]) != VOID
    ratios = [
        (valid & (truth == c) & (answer == c)).sum() / (valid & ((truth == c) | (answer == c))).sum() for c in range(10)
    ]
    np.testing.assert_allclose(found.iou, ratios, rtol=1e-15)
    assert found.miou == pytest.approx(np.mean(ratios), abs=1e-15)
    assert found.pixel_accuracy == (valid & (truth == answer)).sum() / valid.sum()


def test_sky_and_bicycle_inflate_the_tutorials_iou_alone():
    counts = counted(frames(3))
    strict, tutorial = driveseg.score_strictly(counts), driveseg.score_like_tutorial(counts)
    assert (tutorial.iou > strict.iou).all()
    inside = counted(frames(3, predicted=[*SCORED, 3, 12, 14]))
    assert inside[..., [10, 16, 17, 18, 19]].sum() == 0
    np.testing.assert_allclose(
        driveseg.score_like_tutorial(inside).iou, driveseg.score_strictly(inside).iou, atol=0.5e-4
    )


def test_a_class_that_is_absent_makes_the_tutorials_mean_undefined_but_not_the_strict_one():
    truth = np.where(np.arange(37) < 20, 0, 11)[np.newaxis].repeat(24, axis=0).astype(np.uint8)
    truth[0] = VOID
    counts = counted([(truth, np.where(truth == 11, 12, 0).astype(np.uint8))])
    assert math.isnan(driveseg.score_like_tutorial(counts).miou)
    strict = driveseg.score_strictly(counts)
    assert (strict.miou, strict.pixel_accuracy) == (1.0, 1.0)
    assert np.isnan(strict.iou).sum() == 8
