"""A classification head on any encoder: what is in the image, not where.

Trained on the labels that a segmentation dataset has of whole images (a pet's breed), its encoder
is a first one for segmentation. With ``mini_xception`` and one output it has 721,857 parameters.
"""

import keras
from keras import layers

from segline.models import blocks, encoders


def build(encoder: str, *, outputs: int, dropout: float = 0.5) -> keras.Model:
    """Image (N, H, W, 3) 0..255, H and W multiples of 32 -> logits float32 (N, outputs)."""
    image, scaled = blocks.image_input()
    _, deep = encoders.build(encoder, output_stride=32)(scaled)
    pooled = blocks.dropout(layers.GlobalAveragePooling2D(name="pool")(deep), dropout, name="dropout")
    logits = layers.Dense(outputs, dtype="float32", name="logits")(pooled)
    return keras.Model(image, logits, name=f"{encoder}_classifier")
