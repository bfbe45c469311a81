"""Any encoder under any decoder.

The encoder is a model inside the network, named ``encoder``: its weights are loaded, saved and frozen there. It turns
the image into features of several strides. The decoder turns these into logits.
"""

import keras

from segline.config import ModelConfig
from segline.errors import ConfigError
from segline.models import blocks, decoders, encoders

OPTIONS = frozenset({"encoder", "decoder", "output_stride", "weights", "freeze", "encoder_rate", "separable", "heads"})


def build(config: ModelConfig) -> keras.Model:
    """Build the network of `config`; the decoder's file says what width and dropout mean."""
    _check_heads(config)
    image, scaled = blocks.image_input()
    encoder = encoders.build_pyramid(config.encoder or encoders.DEFAULT, output_stride=config.output_stride)
    encoder.trainable = not config.freeze
    logits = decoders.decode(dict(zip(_list_strides(config), encoder(scaled), strict=True)), config)
    return keras.Model(image, logits if len(logits) > 1 else logits[0], name=config.network)


def stride(config: ModelConfig) -> int:
    """Return the output stride. If the image's sides are multiples of it, logits have the image's size."""
    _check_heads(config)
    return int(config.output_stride)


def _list_strides(config: ModelConfig) -> tuple[int, ...]:
    return encoders.list_strides(config.encoder or encoders.DEFAULT, config.output_stride)


def _check_heads(config: ModelConfig) -> None:
    """Refuse more heads than the decoder has levels."""
    decoder = config.decoder or decoders.DEFAULT
    most = decoders.count_heads(decoder, _list_strides(config))
    if config.heads > most:
        raise ConfigError(
            "search.heads",
            found=f"{config.heads}, with the decoder {decoder} and output stride {config.output_stride}",
            expected=f"at most {most}: {decoder} has no more levels to supervise",
            remedy="lower search.heads, or choose another decoder",
        )
