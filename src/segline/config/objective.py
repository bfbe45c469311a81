"""The names of losses, optimizers and schedules, read from the tables in ``segline/training/objective``.

The tables are read as text, because importing their modules would load Keras.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

from segline.config.known_names import known_one

_FOLDER = Path(__file__).parents[1] / "training" / "objective"


@cache
def _read_table(file: str, name: str) -> dict[str, dict[str, Any]]:
    """Read the dictionary `name` of `file`.

    Returns:
        Key -> those keyword arguments of its value that are literals.
    """
    tree = ast.parse((_FOLDER / file).read_text(encoding="utf-8"))
    (table,) = (
        node.value
        for node in tree.body
        if (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name)
        or (isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name)
    )
    assert isinstance(table, ast.Dict), f"{name} in {file} must be written as a dictionary"
    return {
        ast.literal_eval(key): {
            keyword.arg: ast.literal_eval(keyword.value)
            for keyword in (row.keywords if isinstance(row, ast.Call) else ())
            if keyword.arg and isinstance(keyword.value, ast.Constant | ast.Dict)
        }
        for key, row in zip(table.keys, table.values, strict=True)
        if key is not None
    }


def loss_terms() -> dict[str, dict[str, Any]]:
    """Return the terms of the loss: name -> the literal arguments of its `Term` (``weight``, ``options``)."""
    return _read_table("losses.py", "TERMS")


OptimizerName = Annotated[
    str, AfterValidator(lambda name: known_one(name, list(_read_table("optimizers.py", "OPTIMIZERS"))))
]
DecayName = Annotated[str, AfterValidator(lambda name: known_one(name, list(_read_table("schedule.py", "DECAYS"))))]
