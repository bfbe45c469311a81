"""The logged pyfunc: what ``mlflow models serve`` and ``mlflow.pyfunc.load_model`` run."""

from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel, PythonModelContext
from mlflow.types import Schema, TensorSpec

BUNDLE = "bundle"

SIGNATURE = ModelSignature(
    # An inferred signature would freeze height and width.
    inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3), "images")]),
    outputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1), "masks")]),
)


class SegmentationModel(PythonModel):  # type: ignore[misc]
    """Images uint8 (N, H, W, 3) -> masks of train ids uint8 (N, H, W), through the same code as ``segline predict``."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle that was logged with the model."""
        from segline.inference.bundle import load  # Keras, which logging a model does not need

        self._bundle = load(Path(context.artifacts[BUNDLE]))

    def predict(self, context: PythonModelContext, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """Predict a batch of images of one size."""
        from segline.inference.predict import predict

        images = model_input["images"] if isinstance(model_input, dict) else model_input
        return np.stack([predict(self._bundle, image) for image in np.asarray(images, dtype=np.uint8)])
