"""The rows of `learning.py`: each adds one thing to the row before."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

NETWORK: Mapping[str, Any] = {
    "network": "composed",
    "encoder": "efficientnet_lite0",
    "decoder": "unet",
    "width": 8,
    "separable": True,
    "output_stride": 32,
    "dropout": 0.2,
}
RECIPE: Mapping[str, Any] = {
    "weight_decay": 0.01,
    "warm_up": 0.05,
    "schedule": "cosine",
    "clip": 12.0,
    "ema": 0.99,
    "threads": 1,  # the threads of a busy machine wait for each other, which takes processor time too
}
EPOCHS = 10  # of every row, however long it is trained: the best one is chosen on validation
LONG = 3  # the last row has this many times the processor time of the others
FROZEN_EPOCHS = 1  # of the tuned rows


@dataclass(frozen=True, kw_only=True)
class Row:
    """One training.

    Args:
        name: what it adds to the row before.
        pretrained: whether the encoder begins with ImageNet's weights.
        short_side: of the prepared images, pixels.
        crop: height and width, pixels.
        batch: crops in a step.
        rate: the peak learning rate.
        encoder_rate: that of the encoder, divided by `rate`.
        strength: of the augmentation.
        rare: share of the crops that are centred on a rare class.
        frozen_epochs: epochs at the start that train only the decoder.
        norms: what is done with the encoder's batch norms after them, `config.FineTuning.norms`.
        loss: weights of the loss's terms.
        times: processor time, divided by that of the first row.
    """

    name: str
    pretrained: bool
    short_side: int
    crop: tuple[int, int]
    batch: int = 8
    rate: float = 2e-3
    encoder_rate: float = 1.0
    strength: float = 0.7
    rare: float = 0.0
    frozen_epochs: int = 0
    norms: str = "trained"
    loss: Mapping[str, float] = field(default_factory=lambda: {"cross_entropy": 1.0, "dice": 1.0})
    times: int = 1


def list_rows(first: Row, scale: Mapping[str, Any], tuned: Mapping[str, Any]) -> tuple[Row, ...]:
    """List the rows: drawn weights, pre-trained, at a larger scale, with the rules of fine-tuning, trained longer."""
    pretrained = replace(first, name="+ pre-trained", pretrained=True)
    scaled = replace(pretrained, name="+ scale", **scale)
    last = replace(scaled, name="+ fine-tuning rules", frozen_epochs=FROZEN_EPOCHS, **tuned)
    return first, pretrained, scaled, last, replace(last, name="the same, longer", times=LONG)


PETS = Row(name="drawn weights", pretrained=False, short_side=128, crop=(128, 128))
KITTI = Row(
    name="drawn weights",
    pretrained=False,
    short_side=192,
    crop=(160, 320),
    batch=4,
    rate=1.5e-3,
    rare=1 / 3,
    strength=0.5,
)
ROAD = replace(KITTI, rare=0.0)

TASKS: Mapping[tuple[str, str | None], tuple[Row, ...]] = {
    ("oxford_pets", None): list_rows(PETS, {"short_side": 256, "crop": (224, 224)}, {"encoder_rate": 0.15}),
    ("kitti", None): list_rows(
        KITTI, {"short_side": 256, "crop": (224, 448)}, {"encoder_rate": 0.3, "norms": "frozen"}
    ),
    ("kitti", "road"): list_rows(
        ROAD, {"short_side": 256, "crop": (224, 448)}, {"encoder_rate": 0.3, "norms": "frozen"}
    ),
}
"""(dataset, task) -> its rows."""

GOALS: Mapping[tuple[str, str | None], str] = {
    ("oxford_pets", None): "mIoU 0.80, foreground (border void) 0.93",
    ("kitti", None): "mIoU of 19 classes 0.30",
    ("kitti", "road"): "IoU of the road 0.88",
}
"""(dataset, task) -> what the last row should reach on the test split."""
