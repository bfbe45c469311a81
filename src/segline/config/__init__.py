"""Read ``params.yaml`` into frozen, strict models: everything that changes a result, and nothing else.

A mistake fails at once. The error names the file, the line, the key, the value found and the value expected. For
an unknown key or name it suggests the nearest known one.
"""

from segline.config.data_sections import Options, Prepare, Validation
from segline.config.definitions import defining_file, own_file, read_own
from segline.config.fields import MULTIPLE, Encoding, Flip, Strict
from segline.config.known_names import (
    AUTO,
    CLASSIFICATION,
    CLASSIFIER,
    IMAGENET,
    dataset_names,
    decoder_names,
    encoder_names,
    network_names,
    published_weights,
    refuse_unknown,
)
from segline.config.network import ModelConfig
from segline.config.params import EvaluationRules, Params, Promotion, completed, largest_crop, load, merged
from segline.config.source import Source
from segline.config.training_sections import (
    DEFAULT_MEMORY,
    Augmentation,
    Classification,
    FineTuning,
    Loss,
    Search,
    Training,
)

__all__ = [
    "AUTO",
    "CLASSIFICATION",
    "CLASSIFIER",
    "DEFAULT_MEMORY",
    "IMAGENET",
    "MULTIPLE",
    "Augmentation",
    "Classification",
    "Encoding",
    "EvaluationRules",
    "FineTuning",
    "Flip",
    "Loss",
    "ModelConfig",
    "Options",
    "Params",
    "Prepare",
    "Promotion",
    "Search",
    "Source",
    "Strict",
    "Training",
    "Validation",
    "completed",
    "dataset_names",
    "decoder_names",
    "defining_file",
    "encoder_names",
    "largest_crop",
    "load",
    "merged",
    "network_names",
    "own_file",
    "published_weights",
    "read_own",
    "refuse_unknown",
]
