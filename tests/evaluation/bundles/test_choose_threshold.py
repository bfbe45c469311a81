"""The threshold is chosen on what `predict` would have answered."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from predicted import miou

from segline.core.labels import VOID, label_map
from segline.errors import TrainingError
from segline.evaluation.bundles import choose_threshold
from segline.inference.bundle import Bundle

LABELS = label_map([(0, "ground", (0, 0, 0)), (1, "thing", (250, 0, 0))])


class Split:
    """Images whose things are bright, and darker than the network takes for a thing."""

    name, dataset = "validation", "drawn"

    def __init__(self, count=3):
        self._rng = [np.random.default_rng(number) for number in range(count)]
        self._samples = [self._draw(rng, number) for number, rng in enumerate(self._rng)]

    @staticmethod
    def _draw(rng, number):
        mask = np.zeros((20 + number, 31), np.uint8)
        mask[5:15, 8:20] = 1
        grey = np.clip(rng.normal(60 + 60 * mask, 22), 0, 255).astype(np.uint8)
        mask[:3] = VOID
        return np.repeat(grey[..., None], 3, axis=2), mask

    def __len__(self):
        return len(self._samples)

    def image(self, index):
        return self._samples[index][0]

    def mask(self, index):
        return self._samples[index][1]


@pytest.fixture(scope="module")
def bundle():
    image = keras.Input((None, None, 3))
    head = keras.layers.Conv2D(2, 1)
    network = keras.Model(image, head(image))
    head.set_weights([np.array([[[[0.0, 0.01]] * 3]]).reshape(1, 1, 3, 2), np.array([3.8, 0.0])])
    return Bundle(network=network, dataset="drawn", family="unet", labels=LABELS, short_side=None, stride=4)


def test_it_is_better_than_one_half_and_what_prediction_gives(bundle):
    split, told = Split(), []
    chosen = choose_threshold.choose(bundle, split, progress=lambda *done: told.append(done))
    assert told == [(1,)] * 3
    assert chosen.value < 0.4
    assert miou(bundle, split) == chosen.miou_at_half < chosen.miou - 0.1
    assert miou(replace(bundle, threshold=chosen.value), split) == chosen.miou
    for other in (chosen.value - 1 / 256, chosen.value + 1 / 256):
        assert miou(replace(bundle, threshold=other), split) <= chosen.miou


def test_a_split_without_labels_is_refused(bundle):
    with pytest.raises(TrainingError, match=r"no labelled pixel[\s\S]*training\.threshold"):
        choose_threshold.choose(bundle, Split(0), progress=lambda *_: None)
