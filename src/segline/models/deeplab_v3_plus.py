"""DeepLabV3+: an encoder, atrous spatial pyramid pooling (ASPP), and a decoder with low-level features.

Chen et al. 2018 (arXiv:1802.02611). With the encoder ``xception_65``, 21 classes and width 16 it has
41,258,213 parameters; pyramid and decoder then have the paper's 256 filters. It is `segline.models.composed` with
the decoder ``deeplab`` and separable convolutions, under the name that it is known by.
"""

import keras

from segline.config import ModelConfig
from segline.models import composed

OPTIONS = frozenset({"encoder", "output_stride", "weights", "freeze", "encoder_rate"})


def build(config: ModelConfig) -> keras.Model:
    """Build the network of `config`: ``16 * width`` filters in pyramid and decoder, dropout between them."""
    return composed.build(config.model_copy(update={"decoder": "deeplab", "separable": True}))


def stride(config: ModelConfig) -> int:
    """Return the output stride. If the image's sides are multiples of it, logits have the image's size."""
    return int(config.output_stride)
