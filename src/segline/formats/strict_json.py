"""JSON as its standard has it: no NaN, no key twice, no nesting without end."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from segline.errors import DataError, shortened
from segline.reading import JSON_BYTES, read_bytes


def loads(text: str | bytes) -> Any:
    """Read `text`, of which any fault is one kind of error.

    Raises:
        ValueError: it is no JSON, is not UTF-8, gives a key twice, holds NaN, infinity or a whole number of thousands
            of digits, or is nested deeper than Python can follow.
    """
    try:
        return json.loads(text, object_pairs_hook=_each_once, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("lists or objects nested too deep") from error


def read(path: Path, *, remedy: str) -> Any:
    """The content of a file that Segline wrote.

    Raises:
        DataError: it cannot be read, or is no JSON.
    """
    try:
        return loads(read_bytes(path, limit=JSON_BYTES))
    except (OSError, ValueError) as error:
        raise DataError(
            path,
            found=f"cannot be read ({shortened(str(error))})",
            expected="the JSON that Segline wrote",
            remedy=remedy,
        ) from error


def _each_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} twice in one object")
    return content


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:80]}, which is more than a number can be")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no JSON")
