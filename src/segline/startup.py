"""Quieten TensorFlow's start-up."""

import os


def quieten() -> None:
    """Have TensorFlow log only errors (TF_CPP_MIN_LOG_LEVEL=3), unless the variable is set; call it before the import.

    A few notes remain: its libraries write them while they are loaded, before they read the variable.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
