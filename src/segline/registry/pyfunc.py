"""The logged pyfunc: what ``mlflow models serve`` and ``mlflow.pyfunc.load_model`` run.

MLflow copies this file beside the model and runs it on loading ("models from code"), so nothing is
pickled. No other module imports it.
"""

import base64
import logging
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext

# `segline.registry` is not imported: MLflow runs this file by itself.
FORMATS = ("ids", "png")
_logger = logging.getLogger("segline")


class RequestError(MlflowException):
    """A request that is refused, with a message of one line."""

    def __init__(self, line: str) -> None:
        super().__init__(line, error_code=INVALID_PARAMETER_VALUE)

    def serialize_as_json(self) -> str:
        """Write the answer of the server: MLflow puts the whole input before the message, which is undone here."""
        self.message = self.args[0]
        return str(super().serialize_as_json())


class SegmentationModel(PythonModel):
    """Images -> masks of the data set's own ids, through the code of ``segline predict``."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle that was logged with the model."""
        from segline.inference.bundle import load  # imports Keras, which is not needed to log a model

        (folder,) = context.artifacts.values()
        self._bundle = load(Path(folder))
        # The server calls `predict` in many threads; Keras does not state that a model may be called from several.
        self._alone = threading.Lock()

    # MLflow warns about an input without a type hint, and reads most hints as a schema, to which it casts the input. It
    # reads none from that of a table, and hands on lists, dicts and arrays too.
    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> Any:
        """Predict one image or a batch.

        Args:
            context: not used.
            model_input: see `segline.inference.request`; or a table or a dict with one column of that.
            params: ``format`` is ``ids`` for uint8 (H, W), or ``png`` for base64 text of a PNG of the ids.

        Returns:
            For one image its mask; for an array of images (N, H, W); else a list of masks.

        Raises:
            RequestError: the images have another shape, range or type, or cannot be read.
        """
        from segline.errors import SeglineError
        from segline.inference.predict import predict
        from segline.inference.request import read_request

        form = (params or {}).get("format", FORMATS[0])
        if form not in FORMATS:
            raise RequestError(f"params: format {str(form)[:20]!r}, expected one of {', '.join(FORMATS)}")
        try:
            request = read_request(_take_column(model_input), levels=self._bundle.levels)
            for warning in request.warnings:
                _logger.warning("%s", warning)
            with self._alone:
                masks = [predict(self._bundle, image) for image in request.images]
        except SeglineError as error:
            raise RequestError(error.line) from error
        answers: list[Any] = [self._bundle.labels.decode(mask) for mask in masks]
        if form == "png":
            answers = [_encode_png(ids) for ids in answers]
        elif request.stacked:
            return np.stack(answers)
        return answers[0] if request.single else answers


def _take_column(given: Any) -> Any:
    """Take the images out of a table, a column or a dict.

    Raises:
        RequestError: there is not exactly one column.
    """
    if isinstance(given, pd.Series):
        return given.tolist()
    if not isinstance(given, dict | pd.DataFrame):
        return given
    names = list(given)
    if len(names) != 1:
        listed = ", ".join(str(name)[:40] for name in names[:5]) or "none"
        raise RequestError(f"{len(names)} columns ({listed}), expected one column of images")
    column = given[names[0]]
    return column.tolist() if isinstance(column, pd.Series) else column


def _encode_png(ids: Any) -> str:
    """Write ids as a PNG, in base64, because JSON holds no bytes."""
    _, data = cv2.imencode(".png", ids)
    return base64.b64encode(data.tobytes()).decode("ascii")


set_model(SegmentationModel())
