"""Name the file of own data in errors of code that does not know which of them it reads."""

from collections.abc import Iterator
from contextlib import contextmanager

from segline.config import own_file
from segline.errors import SeglineError

UNNAMED = own_file("NAME")
"""How that code writes the file."""


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put the file of the own data `name` into errors that are raised in the block.

    Raises:
        SeglineError: what the block raises, of the same class.
    """
    try:
        yield
    except SeglineError as error:
        parts = (named(str(part), name) for part in (error.place, error.found, error.expected, error.remedy))
        place, found, expected, remedy = parts
        raise type(error)(place, found=found, expected=expected, remedy=remedy) from error


def named(text: str, name: str) -> str:
    """Put the file of the own data `name` into `text`."""
    return text.replace(UNNAMED, own_file(name))
