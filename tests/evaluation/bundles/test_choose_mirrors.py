"""Mirror images are averaged where validation says so, and only there."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from predicted import miou

from segline.core.labels import label_map
from segline.evaluation.bundles import choose_mirrors
from segline.inference.bundle import Bundle

LABELS = label_map([(0, "ground", (0, 0, 0)), (1, "thing", (250, 0, 0))])
SHIFT = 3


class Split:
    """Bright things, which the network sees too far to the left; their masks lie where `shift` says."""

    name, digest, label_map, short_side = "validation", "0", LABELS.digest, None
    dataset, protocol, extra_scores = "drawn", "drawn/1", ()
    ids, groups = ("a", "b"), ("", "")

    def __init__(self, shift):
        self._shift = shift

    def __len__(self):
        return 2

    def image(self, index):
        image = np.zeros((24, 40, 3), np.uint8)
        image[6:18, 10 + index : 24 + index] = 255
        return image

    def mask(self, index):
        return np.roll(self.image(index)[..., 0] // 255, self._shift, axis=1)


@pytest.fixture(scope="module")
def bundle():
    image = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(2, (1, 2 * SHIFT + 1), padding="same", use_bias=True)
    network = keras.Model(image, conv(image))
    kernel = np.zeros((1, 2 * SHIFT + 1, 3, 2))
    kernel[0, -1, :, 1] = 1 / 255
    conv.set_weights([kernel, np.array([0.0, -1.0])])
    return Bundle(network=network, dataset="drawn", family="unet", labels=LABELS, short_side=None, stride=4)


@pytest.mark.parametrize(("shift", "better"), [(0, True), (-SHIFT, False)])
def test_they_are_kept_where_they_score_better_on_validation(bundle, shift, better):
    split, told = Split(shift), []
    chosen = choose_mirrors.choose(bundle, split, flips=("left_right",), progress=lambda *done: told.append(done))
    assert told == [(1,)] * 4
    assert chosen.miou_without == miou(bundle, split)
    assert chosen.miou == miou(replace(bundle, mirrors=("left_right",)), split)
    assert (chosen.miou > chosen.miou_without) is better
    assert chosen.flips == (("left_right",) if better else ())
