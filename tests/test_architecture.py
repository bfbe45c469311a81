"""docs/architecture.md is true: what it names exists, what exists it names, and its layers are those that are held."""

import re
import tomllib

from places import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text("utf-8")
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
SOURCE = ROOT / "src/segline"
MAP = next(block for block in re.findall(r"```\n(.*?)```", PAGE, flags=re.DOTALL) if "src/segline/" in block)
LINE = next(block for block in re.findall(r"```\n(.*?)```", PAGE, flags=re.DOTALL) if "->" in block).strip()
LATER = {"monitoring", "explain"}
"""Rooms of the layer line that are still to come."""


def _mapped() -> set[str]:
    """What the tree below src/segline lists: rooms end with a slash."""
    found, above = set(), []
    for line in MAP[MAP.index("src/segline/") :].splitlines()[1:]:
        indent, name = re.match(r"( +)(\S+)", line).groups()
        above = [*above[: len(indent) // 2 - 1], name]
        found.add("".join(above))
    return found


def test_every_room_is_on_the_map_and_every_place_of_the_map_exists():
    rooms = {f"{path.parent.relative_to(SOURCE)}/" for path in SOURCE.rglob("__init__.py") if path.parent != SOURCE}
    files = {path.name for path in SOURCE.glob("*.py")} - {"__init__.py"}
    assert _mapped() == rooms | files
    outside = re.findall(r"^(\w+)/ ", MAP, flags=re.MULTILINE)
    assert [name for name in outside if not (ROOT / name).is_dir()] == []


def test_every_file_and_folder_that_the_page_names_exists():
    named = set(
        re.findall(r"`((?:[\w.]+/)+[\w.]*|\w+\.(?:py|yaml|toml))`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
    )
    named -= {"penn_fudan.py"}  # the example of a dataset to add
    assert len(named) > 40
    assert sorted(name for name in named if not ((SOURCE / name).exists() or (ROOT / name).exists())) == []


def test_the_layer_line_is_the_contract_and_that_of_pyproject():
    assert LINE in PYPROJECT.replace("\n# ", " ")
    contracts = tomllib.loads(PYPROJECT)["tool"]["importlinter"]["contracts"]
    (held,) = (contract for contract in contracts if contract["name"] == "Layers of the library point downward")
    line = [set(re.findall(r"\w+", part)) for part in LINE.split("->")]
    assert line[0] == {"flows", "cli"}
    line[0].remove("flows")  # it is no part of the library: a contract of its own holds it above
    layers = [set(re.findall(r"\w+", layer)) for layer in held["layers"]]
    beside = set().union(*layers) - set().union(*line)
    prose = PAGE[PAGE.index("Beside that line") : PAGE.index("`import-linter` holds")]
    assert beside == set(re.findall(r"`(\w+)`", prose))
    assert [layer - beside for layer in layers if layer - beside] == line


def test_what_is_still_to_come_is_not_there_yet():
    assert {name for name in LATER if (SOURCE / name).exists()} == set()
    assert all(f"`{name}`" in PAGE for name in LATER)
