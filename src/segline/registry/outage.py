"""What happens while MLflow's server does not answer: how long a request is repeated, and what the person is told.

MLflow itself repeats a request for four minutes without a word. It then does so again for each of the requests that
end the runs. Here it takes about two minutes, the person is told of it, and a lost server is asked nothing more.
"""

import logging
import os
import re
import time
from typing import Any, Final

import httpx
import requests

from segline.console import complain
from segline.errors import TrackingError

LOST: Final = (requests.ConnectionError, requests.Timeout)
"""Errors of requests for artifacts, if the server is lost; MLflow converts those of its other requests."""

_SETTINGS: Final = {
    # It is sent again after 0, 4, 8, 16, 32 and 64 s: long enough for a server that is started again on a busy machine.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "6",
    # Of one attempt, for a server that accepts a request but never answers. MLflow's own limit is two minutes.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
}
_HEALTH_CHECK_SECONDS = 5.0
_QUIET_SECONDS = 3.0
"""Several threads meet the loss at the same moment; one note is enough."""
_RETRYING_LOGGER = "urllib3.connectionpool"
_RETRYING = "Retrying ("  # how its message starts
_FAILED_REQUEST = "API request to "  # how MLflow's message starts once it gives up
_CAUSE = re.compile(r"\(Caused by \w+\((.*)\)\)$")
_FULL = re.compile(r"disk is full|No space left on device", re.IGNORECASE)
_STATEMENT = ("[", "(Background on this error", "(raised as a result")  # SQLAlchemy's further lines
_CONTINUES = "then run the same command: it continues where it stopped"


class _RetryNotes(logging.Filter):
    """Tell the person that a request is repeated, in place of the log record, which names Python objects."""

    uri = ""
    _last = -_QUIET_SECONDS

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop the record of a repetition, after telling the person; keep all others."""
        if not record.getMessage().startswith(_RETRYING):
            return True
        now = time.monotonic()
        if now - self._last >= _QUIET_SECONDS:
            self._last = now
            complain(f"note: {self.uri}: the MLflow server does not answer; trying again, for about two minutes in all")
        return False


_NOTES = _RetryNotes()


class _OneLine(logging.Filter):
    """Shorten a record that quotes an error of the database to one line, without the statement and its values."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep what the lines of the error say, in one line."""
        lines = record.getMessage().splitlines()
        if len(lines) > 1:
            said = (line for line in lines if not line.startswith(_STATEMENT))
            record.msg, record.args = " ".join(said), ()
        return True


_ONE_LINE = _OneLine()


def shorten_logs() -> None:
    """Let MLflow log no traceback and no SQL when its database fails, for example on a full disk."""
    # It logs the whole error and then raises it: `explain` tells the person what it means.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    logging.getLogger("mlflow.system_metrics.system_metrics_monitor").addFilter(_ONE_LINE)


def expect(uri: str) -> None:
    """Limit how long requests to the server at `uri` are repeated, and tell the person of each repetition.

    Limits that the environment sets are kept.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    _NOTES.uri = uri
    logging.getLogger(_RETRYING_LOGGER).addFilter(_NOTES)  # adding it again changes nothing


def is_lost(uri: str) -> bool:
    """Return whether `uri` is a server that does not answer now; a database is never lost."""
    if not is_server(uri):
        return False
    try:
        ask_health(uri)
    except httpx.HTTPError:
        return True
    return False


def is_server(uri: str) -> bool:
    """Return whether `uri` is the address of a server, not of a database."""
    return uri.startswith(("http://", "https://"))


def ask_health(uri: str) -> None:
    """Ask the server at `uri` whether it works.

    Raises:
        httpx.HTTPError: it does not answer within seconds, or answers that it does not.
    """
    httpx.get(f"{uri.rstrip('/')}/health", timeout=_HEALTH_CHECK_SECONDS, **_read_login()).raise_for_status()


def _read_login() -> dict[str, Any]:
    """Read the login for the tracking server from the variables that MLflow itself reads."""
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
    user, password, token = (os.environ.get(name) for name in names)
    if user and password:
        return {"auth": (user, password)}
    return {"headers": {"Authorization": f"Bearer {token}"}} if token else {}


def explain(place: str, error: Exception) -> TrackingError:
    """Make the error to raise for one of MLflow, of its database or of its artifact store at `place`."""
    lines = [line for line in str(error).strip().splitlines() if not line.startswith(_STATEMENT)]
    text = next(iter(lines), type(error).__name__)
    if _FULL.search(text):
        return TrackingError(
            place,
            found=f"the disk is full ({text})",
            expected="free space where MLflow keeps its database and its artifacts",
            remedy=f"free some space, {_CONTINUES}",
        )
    if isinstance(error, LOST) or text.startswith(_FAILED_REQUEST):
        cause = _CAUSE.search(text)
        return TrackingError(
            place,
            found=f"the MLflow server no longer answers ({cause[1] if cause else text})",
            expected="a server that answers",
            remedy=f"start the server again, {_CONTINUES}",
        )
    return TrackingError(
        place,
        found=text,
        expected="a working MLflow store",
        remedy=f"check the store (disk full? server down? database of another MLflow release?), {_CONTINUES}",
    )
