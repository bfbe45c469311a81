"""Report a flow's problem once, in the words of the error, without Prefect's traceback.

Messages can contain names of any files and classes. They are made printable in a log, and plain text in an artifact.
"""

import contextlib
import functools
import ipaddress
import logging
import os
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator
from typing import ParamSpec, TypeVar

import httpx
import psutil
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError

from flows import login, temporary
from flows.abandoned import AbandonedRuns
from segline.console import complain, run_reporting, say
from segline.errors import LONGEST_LINE, ConfigError, SeglineError, message, shown
from segline.masking import mask_process, masked
from segline.project import Project

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_TIMEOUT_SECONDS = 5.0
_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
_EVENT_LOGGERS = ("prefect.events.clients", "prefect._internal.concurrency")
_UNSENT_EVENT = ("Unable to connect to ", "Service 'EventsWorker' failed")  # how these records start
_MARKUP = re.compile(r"[\\`*~<>&|\[\]!#$@]|(?<![^\W_])_|_(?![^\W_])|(?<=:)/|(?<=www)\.", re.IGNORECASE)
"""Characters that start markup, HTML, a formula or a link in Markdown; an underscore only at the edge of a word."""


class _WithoutTracebacks(logging.Filter):
    """Drop log records of reported problems with their traceback: the run's state already contains the message.

    The text of all other records, among them what a flow prints, is made printable.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, SeglineError):
            return False
        record.msg, record.args = message(record.getMessage()), ()
        return True


_WITHOUT_TRACEBACKS = _WithoutTracebacks()


class _LossNote(logging.Filter):
    """Tell once that Prefect's server is lost, in place of two records for each event that cannot be sent."""

    told = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop the records about events; keep all others."""
        if not record.getMessage().startswith(_UNSENT_EVENT):
            return True
        if not self.told:
            self.told = True
            server = os.environ.get("PREFECT_API_URL", "Prefect's temporary server")
            complain(
                f"note: {server}: the Prefect server does not answer; the flow goes on and tries again at each step"
            )
        return False


_LOSS_NOTE = _LossNote()


def without_secrets(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Mask secrets in what a flow or a task raises, because Prefect stores an exception's text in the run's state."""

    @functools.wraps(function)
    def guarded(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        try:
            return function(*arguments, **options)
        except SeglineError:
            raise  # already masked
        except Exception as error:
            if (said := masked(error)) == str(error):
                raise
            raise RuntimeError(f"{type(error).__name__}: {said}").with_traceback(error.__traceback__) from None

    return guarded


def without_tracebacks() -> None:
    """Keep secrets and the tracebacks of reported problems out of the runs' logs; tracebacks of bugs are kept."""
    mask_process()
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_WITHOUT_TRACEBACKS)  # adding it again changes nothing


def publish(rows: Iterable[tuple[str, str]], *, key: str, head: tuple[str, str] = ("", "")) -> None:
    """Publish rows as the artifact `key` of the flow run that is executed here."""
    with explaining_loss():
        create_markdown_artifact(markdown(rows, head=head), key=key)


def markdown(rows: Iterable[tuple[str, str]], *, head: tuple[str, str] = ("", "")) -> str:
    """Write rows as a Markdown table for an artifact; markup and HTML in their text are escaped."""
    lines = [f"| {_escape(name)} | {_escape(value)} |" for name, value in rows]
    return "\n".join([f"| {head[0]} | {head[1]} |", "|---|---|", *lines])


def _escape(text: str) -> str:
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", shown(text, limit=LONGEST_LINE))


def run(parser: ArgumentParser, action: Callable[[Namespace], object]) -> None:
    """Run ``python -m flows.<name>``: parse the arguments, run `action`, and exit 1 on a reported problem."""
    parser.add_argument("--debug", action="store_true", help="show the traceback of a reported problem")
    options = parser.parse_args()

    def check_and_run() -> None:
        if os.environ.get("PREFECT_API_URL"):
            _check_server()
        else:
            if not login.is_agreed():
                login.use(Project.load().root)
            _end_orphans()
            temporary.start()
        _end_abandoned()
        with explaining_loss():
            action(options)
            _end_abandoned()  # again: a run that was killed just before this one, without a lock yet, was too young

    for name in _EVENT_LOGGERS:
        logging.getLogger(name).addFilter(_LOSS_NOTE)
    with temporary.ending_within_seconds():
        run_reporting(check_and_run, debug=options.debug)


@contextlib.contextmanager
def explaining_loss() -> Iterator[None]:
    """Explain the error of a Prefect server that is lost while a flow runs; Prefect repeats requests for a minute.

    Raises:
        SeglineError: the server no longer answers.
    """
    try:
        yield
    except httpx.TransportError as error:
        raise SeglineError(
            os.environ.get("PREFECT_API_URL", "Prefect's temporary server"),
            found=f"the Prefect server no longer answers ({error})",
            expected="a server that answers until the flow has ended",
            remedy="start the server again (`make up` starts one), or unset PREFECT_API_URL: the flow then starts a "
            "temporary one; then run the same command: it continues where it stopped",
        ) from error


def _end_abandoned() -> None:
    """End earlier runs of this project whose process was killed, and say so."""
    project = Project.load()
    runs = AbandonedRuns(project, own=login.is_own(project.root))
    with get_client(sync_client=True) as client:
        for line in runs.end_after_two_looks(client):
            say(line)


def _end_orphans() -> None:
    """End temporary Prefect servers of this project whose flow was killed. Otherwise they would never end."""
    home = os.environ.get("PREFECT_HOME")
    for process in psutil.process_iter() if home else ():
        with contextlib.suppress(psutil.Error):  # the process ended meanwhile, or belongs to another user
            abandoned = process.ppid() == 1 and "prefect.server.api.server:create_app" in process.cmdline()
            if abandoned and process.environ().get("PREFECT_HOME") == home:
                process.kill()


def _is_loopback(address: str) -> bool:
    host = httpx.URL(address).host
    with contextlib.suppress(ValueError):  # it is a host name
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _check_server() -> None:
    """Refuse a Prefect server that does not answer or rejects the login; Prefect itself would retry for a minute."""
    address = os.environ["PREFECT_API_URL"].rstrip("/")
    if not _is_loopback(address) and login.is_own(Project.load().root):
        raise ConfigError(
            "PREFECT_API_URL",
            found=f"{address}, a server on another machine, together with the login of this folder's own servers",
            expected="a login or a profile for that server",
            remedy="set PREFECT_API_AUTH_STRING to its user:password, or PREFECT_PROFILE to a profile for it",
        )
    try:
        httpx.get(f"{address}/health", timeout=_TIMEOUT_SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        raise ConfigError(
            "PREFECT_API_URL",
            found=f"no Prefect server answers at {address} ({error})",
            expected="HTTP 200 from its /health",
            remedy="start it (`make up` starts one), or unset PREFECT_API_URL: the flow then starts a temporary one",
        ) from error
    with get_client(sync_client=True) as client:
        try:
            client.api_version()
        except PrefectHTTPStatusError as error:
            raise ConfigError(
                "PREFECT_API_URL",
                found=f"the Prefect server at {address} answers HTTP {error.response.status_code} to the login",
                expected="the login that the server was started with",
                remedy="set PREFECT_API_AUTH_STRING to its user:password, or PREFECT_PROFILE to a profile with it",
            ) from error
