"""A drawn split, a network whose answers are known, and what an evaluation of them says."""

import keras
import numpy as np

from segline.core.labels import VOID, label_map
from segline.inference.bundle import Bundle

LABELS = label_map(
    [(1, "foreground", (200, 0, 0)), (2, "background", (0, 200, 0)), (3, "border", (0, 0, 200)), (4, "rest", (9, 9, 9))]
)


class Split:
    """Samples with the interface of `PreparedSplit`; from image to image more of the last rows are wrong."""

    name, digest, label_map, short_side = "test", "0123456789abcdef", LABELS.digest, 30
    dataset, protocol, extra_scores = "drawn", "drawn/1", ()

    def __init__(self, count=9, groups=None):
        generator = np.random.default_rng(1)
        self.ids = [f"sample <{number}>" for number in range(count)]  # a page must escape it
        self.groups = list(groups or [""] * count)
        self._labels, self._images = [], []
        for number in range(count):
            label = generator.integers(0, 3, (6 + number % 3, 9)).astype(np.uint8).repeat(10, 0).repeat(10, 1)
            image = np.repeat((label * 100 + 30)[..., None], 3, axis=2)[::2, ::2].copy()
            label[:5] = VOID
            image[-2 - 2 * number :] = 255
            self._labels.append(label)
            self._images.append(image)

    def __len__(self):
        return len(self.ids)

    def image(self, index):
        return self._images[index]

    def label(self, index):
        return self._labels[index]

    def mask(self, index):
        return self._labels[index][::2, ::2]


def bundle(bias=0.0):
    """The class is a pixel's brightness, in thirds; `bias` moves their edges, and the last class is never answered."""
    image = keras.Input((None, None, 3))
    grey = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(1 / (3 * 255)))
    head = keras.layers.Conv2D(4, 1)
    model = keras.Model(image, head(grey(image)))
    head.set_weights([np.array([[[[0.0, 3.0, 6.0, 0.0]]]]), np.array([bias, -1.0, -3.0, -9.0])])
    return Bundle(network=model, dataset="drawn", family="unet", labels=LABELS, short_side=30, stride=8)
