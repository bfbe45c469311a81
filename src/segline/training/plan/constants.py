"""The numbers of the planning rules: everything that experience may change."""

from collections.abc import Mapping
from typing import Any

MEMORY = 4.0  # GiB; the default budget
PIXELS = 4e8  # in all crops of the final fit; the default amount of training
NETWORKS = ("unet",)  # candidates, the most promising first: crops are chosen to fit that one
PRETRAINED = ("deeplab_v3_plus",)  # candidates with first weights: networks that begin with an encoder
ENCODERS = (
    (0, ("mobilenet_v2",)),
    (400e6, ("mobilenet_v2", "xception")),
)  # (least training pixels, choices)
WIDTHS = (
    (0, (12,)),
    (20e6, (12, 16, 24)),
    (400e6, (24, 32, 48)),
)  # (least training pixels, choices); crops are chosen to fit the first
EDGE = (4, 7)  # sides of a crop's deepest features, pixels: nnU-Net halves until they are below 8
CONTEXT = 2.0  # sides of the smallest crop over those of an object
SIDE = 1024  # of a crop at most, pixels
BATCH = (2, 8, 8)  # crops: least, wanted before a crop is made smaller, most
BATCH_SHARE = 0.05  # largest part of the training pixels in one batch
EPOCHS = (30, 60)  # least and most of the final fit; between them an epoch is one pass over the images
IMBALANCE = 4.0  # pixels of the median class over the rarest, from which crops are centred on rare classes
RARE = 1 / 3  # share of the crops that are then centred on a rare class
FEW, MANY = 100, 10_000  # images: up to FEW the strongest augmentation, from MANY on the weakest
STRENGTH = (0.85, 0.2)  # middle of the range of the augmentation strength at FEW and at MANY
SPREAD = 0.15  # half the width of that range
LEARNING_RATE = (3e-3, 6e-3)  # for the wanted batch; the best whole fits had 4.6e-3 (Pets) and 5e-3 (KITTI)
PRETRAINED_RATE = (5e-4, 4e-3)  # lower, so that a pretrained encoder keeps what it has learned
TRIALS = 2
SEARCH_SHARE = 0.1  # crops of all trials together over those of the final fit
FIXED: Mapping[str, tuple[Any, str]] = {
    "optimizer": ("adamw", "converges at any width without tuning"),
    "weight_decay": (0.01, "AdamW's default"),
    "schedule": ("cosine", "half of all steps are below half the peak, where averaged weights settle"),
    "warm_up": (0.05, "the first steps with random weights are unstable"),
    "clip": (12.0, "nnU-Net's value: limits the effect of a single bad batch"),
    "ema": (0.99, "averaged weights score better at no cost"),
    "dropout": (0.2, "small networks on few images"),
    "mirrors": (
        "validation",
        "averaging over mirror images takes twice the time: used if it scores better on validation",
    ),
    "loss.class_weights": ("equal", "soft Dice covers rare classes; balanced weights lost 0.02 of KITTI's mean IoU"),
}
"""Values that do not depend on the data, under ``training``, each with its reason."""
