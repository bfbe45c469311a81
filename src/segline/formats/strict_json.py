"""JSON as its standard has it: no NaN, no key twice, no nesting without end."""

import json
from collections.abc import Iterable
from typing import Any, NoReturn


def loads(text: str | bytes) -> Any:
    """Read `text`, of which any fault is one kind of error.

    Raises:
        ValueError: it is no JSON, is not UTF-8, gives a key twice, holds a number without end or of thousands of
            digits, or is nested deeper than Python can follow.
    """
    try:
        return json.loads(text, object_pairs_hook=_each_once, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("lists or objects nested too deep") from error


def _each_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} twice in one object")
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {digits[:80]}, which is too large")
    return number
