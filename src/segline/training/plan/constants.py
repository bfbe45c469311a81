"""The constants of the planning rules. New experience may change them."""

from collections.abc import Mapping
from typing import Any

PIXELS = 4e8  # pixels of all crops of the final fit together; the default amount of training
NETWORKS = ("unet",)  # candidates, the most promising first; crops are chosen so that the first one fits into memory
PRETRAINED = ("composed",)  # candidates if initial weights are given: an encoder under a decoder
ENCODERS = (
    (0, ("mobilenet_v2",)),
    (400e6, ("mobilenet_v2", "xception")),
)  # (least training pixels, choices)
AUTO_ENCODERS = (
    (
        0,
        (
            *("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "mobilenet_v2"),
            *("efficientnetv2_b0", "convnext_tiny", "xception"),
        ),
    ),
    (
        400e6,
        (
            *("convnext_tiny", "efficientnetv2_b0", "efficientnet_lite2", "efficientnet_lite1"),
            *("efficientnet_lite0", "xception", "mobilenet_v2"),
        ),
    ),
)  # (least training pixels, order of preference for `search.weights: auto`); small ones learn from few images
DECODERS = ("unet", "fpn")  # the first decodes to full resolution, the second sums features of all sizes
OFFERED_ENCODERS = 2  # with published weights; as many compositions as these times the decoders
DEAREST = 4.0  # multiply-adds of a composition, divided by those of the cheapest; dearer ones are left out
COMPOSED_WIDTHS = (16,)  # with it, U-Net's decoder has the filters of the usual one: 256 to 16
STRIDES = (32, 16, 8)  # of a composition's encoder; the largest that leaves the deepest features an edge of EDGE
WIDTHS = (
    (0, (12,)),
    (20e6, (12, 16, 24)),
    (400e6, (24, 32, 48)),
)  # (least training pixels, choices); crops are chosen so that the first choice fits into memory
EDGE = (4, 7)  # range of the sides of a crop's deepest features, pixels; nnU-Net halves until they are below 8
CONTEXT = 2.0  # sides of the smallest crop, divided by those of an object
SIDE = 1024  # largest side of a crop, pixels
BATCH = (2, 8, 8)  # crops in a batch: minimum, target (crops are made smaller to reach it), maximum
BATCH_SHARE = 0.05  # largest share of the training pixels in one batch
EPOCHS = (30, 60)  # minimum and maximum of the final fit; in this range an epoch is one pass over the images
IMBALANCE = 4.0  # median class's pixels divided by the rarest class's; from this ratio on, rare classes are centred
RARE = 1 / 3  # share of the crops that are then centred on a rare class
FEW, MANY = 100, 10_000  # images: augmentation is strongest up to FEW images, and weakest from MANY images on
STRENGTH = (0.85, 0.2)  # middle of the range of the augmentation strength at FEW and at MANY
SPREAD = 0.15  # half the width of that range
LEARNING_RATE = (3e-3, 6e-3)  # range for the target batch; the best full fits had 4.6e-3 (Pets) and 5e-3 (KITTI)
PRETRAINED_RATE = (5e-4, 4e-3)  # lower, so that a pretrained encoder keeps what it has learned
ENCODER_RATES = (0.1, 0.3)  # choices of the encoder's share of that rate; a measured fit on Pets did best with 0.15
FROZEN_EPOCHS = 2  # epochs in which a pretrained encoder waits for the rest of the network
NORM_IMAGES = 8  # batch norms of a pretrained encoder are frozen if fewer images pass them together
TRIALS = 2
SEARCH_SHARE = 0.1  # crops of all trials together, divided by those of the final fit
COMPOSED_TRIALS = 4  # at most, one for each composition
COMPOSED_SHARE = 0.2  # as SEARCH_SHARE, if the trials also choose the network
HALVING = 2  # of such a search: trials of a rung, divided by those of the next
FIXED: Mapping[str, tuple[Any, str]] = {
    "optimizer": ("adamw", "converges at any width without tuning"),
    "weight_decay": (0.01, "AdamW's default"),
    "schedule": ("cosine", "half of all steps have less than half the peak rate, so averaged weights converge"),
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
