"""What all tests share."""

# Before anything imports Keras: Prefect shuts down the log handlers that are there when it is
# imported, and absl's closes the stream it writes to, which under pytest is the captured stderr.
import prefect.main  # noqa: F401
