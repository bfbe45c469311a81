"""How a flow tells of a problem: once, in the words of the error, without Prefect's traceback."""

import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from segline import cli
from segline.errors import SeglineError

_LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


class _Told(logging.Filter):
    """Drops the record that only repeats a reported problem with a traceback; the run's state says it again."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, SeglineError)


_TOLD = _Told()


def without_tracebacks() -> None:
    """Keep the tracebacks of reported problems out of the runs' logs; those of defects stay."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_TOLD)  # adding it again changes nothing


def run(parser: ArgumentParser, action: Callable[[Namespace], object]) -> None:
    """``python -m flows.<name>``: parse, run, exit 1 on a reported problem."""
    parser.add_argument("--debug", action="store_true", help="show the traceback of a reported problem")
    options = parser.parse_args()
    cli.run_reporting(lambda: action(options), debug=options.debug)
