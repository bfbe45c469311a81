"""Reduce TensorFlow's log output at start-up."""

import os


def quieten() -> None:
    """Set TF_CPP_MIN_LOG_LEVEL=3 (only errors), unless it is already set. Call this before TensorFlow is imported.

    A few messages remain, because libraries print them while they are loaded, before they read the variable.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
