"""What the rules of a plan are made of: everything that experience may change is here."""

from collections.abc import Mapping
from typing import Any

MEMORY = 4.0  # GiB, where no budget is stated
PIXELS = 4e8  # in all crops of the final fit, where no amount is stated
NETWORKS = ("unet",)  # candidates, the most promising first: crops are made to fit that one
PRETRAINED = ("deeplab_v3_plus",)  # those where first weights are stated: they begin with an encoder
ENCODERS = (
    (0, ("mobilenet_v2",)),
    (400e6, ("mobilenet_v2", "xception")),
)  # from so many training pixels on
WIDTHS = (
    (0, (12,)),
    (20e6, (12, 16, 24)),
    (400e6, (24, 32, 48)),
)  # from so many training pixels on; crops fit the first
EDGE = (4, 7)  # pixels that the deepest features of a crop have a side: nnU-Net halves until they are below 8
CONTEXT = 2.0  # sides of the smallest crop over those of an object
SIDE = 1024  # of a crop, at most
BATCH = (2, 8, 8)  # crops: at least, wanted before a crop is made smaller, at most
BATCH_SHARE = 0.05  # of the training pixels, that a batch has at most
EPOCHS = (30, 60)  # of the final fit; between them an epoch is one pass
IMBALANCE = 4.0  # median class over rarest, from which rare classes are sought out
RARE = 1 / 3  # of the crops, which are then centred on one of them
FEW, MANY = 100, 10_000  # images: the strongest augmentation up to here, the weakest from there on
STRENGTH = (0.85, 0.2)  # middle of the range at FEW and at MANY
SPREAD = 0.15  # the range on either side of it
LEARNING_RATE = (3e-3, 6e-3)  # for the wanted batch; the best whole fits seen had 4.6e-3 (Pets) and 5e-3 (KITTI)
PRETRAINED_RATE = (5e-4, 4e-3)  # that does not forget what the encoder knows
TRIALS = 2
SEARCH_SHARE = 0.1  # crops that all trials see, over those of the final fit
FIXED: Mapping[str, tuple[Any, str]] = {
    "optimizer": ("adamw", "converges at any width without being tuned"),
    "weight_decay": (0.01, "AdamW's default"),
    "schedule": ("cosine", "half of all steps below half the peak, where averages settle"),
    "warm_up": (0.05, "first steps with drawn weights are wild"),
    "clip": (12.0, "nnU-Net's: against a single bad batch"),
    "ema": (0.99, "averaged weights score better for nothing"),
    "dropout": (0.2, "small networks on few images"),
    "mirrors": ("validation", "averages over mirror images score better for twice the time, where validation agrees"),
    "loss.class_weights": ("equal", "soft Dice sees to rare classes; balanced ones lost 0.02 of KITTI's mean IoU"),
}

OPTIMIZERS = {"adamw": ("AdamW", 1.0), "adam": ("Adam", 1.0), "rmsprop": ("RMSprop", 0.3), "sgd": ("SGD", 10.0)}
"""Names, and learning rates over those of AdamW, by reasoning: only AdamW's are measured.

Adam's steps are AdamW's. RMSprop averages no gradients: where Adam's momentum of 0.9 evens steps out, its
steps are up to 4 times as long, sqrt((1 + 0.9) / (1 - 0.9)). nnU-Net's 0.01 for SGD with a momentum of 0.99
moves as far as 0.1 does with ours of 0.9.
"""
