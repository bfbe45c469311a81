"""A network whose right answer is known, and an image for it."""

import keras
import numpy as np

from segline.core.labels import label_map
from segline.inference.bundle import Bundle

LABELS = label_map([(7, "dark", (200, 0, 0)), (9, "middle", (0, 200, 0)), (12, "bright", (0, 0, 200))], void=[0])


def brightness_bundle():
    """The class is a pixel's brightness, in thirds."""
    image = keras.Input((None, None, 3))
    grey = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(1 / (3 * 255)))
    head = keras.layers.Conv2D(3, 1)
    network = keras.Model(image, head(grey(image)))
    # Logits of a line each: the highest at x is 0 below 1/3, 1 up to 2/3, 2 above.
    head.set_weights([np.array([[[[0.0, 3.0, 6.0]]]]), np.array([0.0, -1.0, -3.0])])
    return Bundle(network=network, dataset="drawn", family="unet", labels=LABELS, short_side=40, stride=16)


def thirds(height, width):
    """An image of three grey stripes, and its mask."""
    mask = np.repeat(np.arange(width) * 3 // width, height).reshape(width, height).T.astype(np.uint8)
    return np.repeat((mask * 100 + 30)[..., None], 3, axis=2).astype(np.uint8), mask
