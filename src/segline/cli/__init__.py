"""The command line: each command parses, calls one function of `segline.pipeline` or of the library, and prints.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

import sys

# The order of these imports is the order of the commands in `--help`.
# isort: off
from segline.cli import beginning, planning, training, predicting, evaluating, scoring, data, models, weights  # noqa: F401

# isort: on
from segline.cli.application import app
from segline.console import run_reporting

__all__ = ["app", "main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit 0 on success, 1 on a reported problem, 2 on wrong usage."""
    run_reporting(lambda: app(args=arguments), debug="--debug" in (sys.argv if arguments is None else arguments))
