"""Segline: MLOps for semantic segmentation, from download and validation to training, evaluation and prediction.

In Python, ``segline.load(model).predict(image)`` returns the dataset's own ids, uint8 (H, W).
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segline.pipeline.load import Model

__all__ = ["load"]


def load(model: "str | Path") -> "Model":
    """Load a model: a registered one such as ``models:/segline-kitti@champion`` or ``segline-kitti/3``, or a folder.

    No project folder is needed where ``MLFLOW_TRACKING_URI`` is set.

    Raises:
        SeglineError: there is no such model, or it is damaged.
    """
    from segline.pipeline import load as loading  # imported here, because commands need not wait for it

    return loading.load(model)
