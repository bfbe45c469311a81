"""The logged pyfunc: what ``mlflow models serve`` and ``mlflow.pyfunc.load_model`` run.

MLflow copies this file beside the model and runs it on loading ("models from code"), so nothing is
pickled. No other module imports it.
"""

from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class SegmentationModel(PythonModel):
    """Images uint8 (N, H, W, 3) -> masks of train ids uint8 (N, H, W), through the code of ``segline predict``."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle that was logged with the model."""
        from segline.inference.bundle import load  # imports Keras, which is not needed to log a model

        (folder,) = context.artifacts.values()
        self._bundle = load(Path(folder))

    # No type hint for `model_input`: MLflow would read it as a schema of lists, and the signature is more precise.
    def predict(self, context, model_input, params=None) -> Any:  # type: ignore[no-untyped-def]  # noqa: ANN001, ARG002
        """Predict a batch of images of one size."""
        from segline.inference.predict import predict

        images = model_input["images"] if isinstance(model_input, dict) else model_input
        return np.stack([predict(self._bundle, image) for image in np.asarray(images, dtype=np.uint8)])


set_model(SegmentationModel())
