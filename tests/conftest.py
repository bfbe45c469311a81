"""What all tests share."""

import os

# Before anything imports Keras: Prefect shuts down the log handlers that are there when it is
# imported, and absl's closes the stream it writes to, which under pytest is the captured stderr.
import prefect.main  # noqa: F401

# What `make` exports, or a developer has set, must not decide what a test sees.
for name in ("SEGLINE_ROOT", "SEGLINE_WORKERS", "MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
    os.environ.pop(name, None)
