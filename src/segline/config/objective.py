"""The names of losses, optimizers and schedules, read from the tables in ``segline/training/objective``.

The tables are read as text, because importing their modules would load Keras. So the keys must be written as strings,
and what is read of a row as literals; anything else is refused, because it would otherwise be left out in silence.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from segline.config.known_names import known_one
from segline.errors import ConfigError

_FOLDER = Path(__file__).parents[1] / "training" / "objective"


@cache
def loss_terms() -> dict[str, dict[str, Any]]:
    """Return the terms of the loss: name -> the values of its row but for the function (``weight``, ``options``)."""
    rows = read_rows(_FOLDER / "losses.py", "TERMS")
    return {
        name: read_keywords(_FOLDER / "losses.py", name, row, ignored=frozenset({"function"}))
        for name, row in rows.items()
    }


@cache
def _list_names(file: str, table: str) -> list[str]:
    return list(read_rows(_FOLDER / file, table))


def read_rows(path: Path, table: str) -> dict[str, ast.expr]:
    """Find the rows of `table`, a dictionary in the file `path`: key -> the expression of its value.

    Raises:
        ConfigError: there is no such dictionary, or a key is not written as a string.
    """
    found = [value for node in ast.parse(path.read_text(encoding="utf-8")).body if (value := _assigned(node, table))]
    if len(found) != 1 or not isinstance(found[0], ast.Dict):
        raise ConfigError(
            path,
            found=f"{len(found)} definitions of {table}" if len(found) != 1 else f"{table} is no dictionary display",
            expected=f"one, written as {table} = {{...}}",
            remedy="write the table so: Segline reads its text, without importing it",
        )
    rows: dict[str, ast.expr] = {}
    for key, value in zip(found[0].keys, found[0].values, strict=True):
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            what = ast.unparse(value if key is None else key)
            raise _unreadable(path, value, f"{table}: the key {what if key else '**' + what}", expected="a string")
        rows[key.value] = value
    return rows


def read_keywords(path: Path, name: str, row: ast.expr, *, ignored: frozenset[str]) -> dict[str, Any]:
    """Read the keyword arguments of the call `row`, but for the `ignored` ones.

    Args:
        path: the file of the table, for the error.
        name: the key of the row, for the error.

    Raises:
        ConfigError: the row is no call of keyword arguments alone, or an argument is no literal.
    """
    if not isinstance(row, ast.Call) or row.args:
        raise _unreadable(path, row, f"row {name!r}: {ast.unparse(row)}", expected="a call with keyword arguments only")
    values: dict[str, Any] = {}
    for keyword in row.keywords:
        if keyword.arg in ignored:
            continue
        try:
            if keyword.arg is None:
                raise ValueError
            values[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError) as error:
            raise _unreadable(
                path,
                keyword.value,
                f"row {name!r}: {ast.unparse(keyword)}",
                expected="a literal: a number, a string, or a tuple, list or dictionary of them",
            ) from error
    return values


def _assigned(node: ast.stmt, name: str) -> ast.expr | None:
    """Return the value that the statement `node` gives to `name`; None if it is another statement."""
    if isinstance(node, ast.Assign) and name in map(ast.unparse, node.targets):
        return node.value
    if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:
        return node.value
    return None


def _unreadable(path: Path, node: ast.expr, found: str, *, expected: str) -> ConfigError:
    return ConfigError(
        f"{path}:{node.lineno}",
        found=found,
        expected=expected,
        remedy="write the value itself there: Segline reads the table's text, without importing it",
    )


OptimizerName = Annotated[str, AfterValidator(lambda name: known_one(name, _list_names("optimizers.py", "OPTIMIZERS")))]
DecayName = Annotated[str, AfterValidator(lambda name: known_one(name, _list_names("schedule.py", "DECAYS")))]
