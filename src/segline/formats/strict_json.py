"""Read JSON strictly: refuse NaN, duplicate keys and too deep nesting."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from segline.errors import DataError, shortened
from segline.reading import JSON_BYTES, read_bytes


def loads(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: `text` is not JSON, is not UTF-8, has a duplicate key, contains NaN, infinity or an integer of
            thousands of digits, or is nested deeper than Python's recursion limit allows.
    """
    try:
        return json.loads(
            text, object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant, parse_float=_parse_finite
        )
    except RecursionError as error:
        raise ValueError("lists or objects nested too deep") from error


def read(path: Path, *, remedy: str) -> Any:
    """Return the content of a JSON file that Segline wrote.

    Raises:
        DataError: the file cannot be read, or is not JSON.
    """
    try:
        return loads(read_bytes(path, limit=JSON_BYTES))
    except (OSError, ValueError) as error:
        raise DataError(
            path,
            found=f"cannot be read ({shortened(str(error))})",
            expected="the JSON file that Segline wrote",
            remedy=remedy,
        ) from error


def _refuse_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"the key {name[:80]!r} twice in one object")
        content[name] = value
    return content


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:80]}, which is larger than the largest float64")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is not allowed in JSON")
