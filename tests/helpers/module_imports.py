"""The modules that a module of ours imports, also inside functions."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"


@cache
def file_of(module: str) -> Path | None:
    path = SOURCE / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports_of(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(name that it gets, module of ours) of each import under `node`, but for those that only types need."""
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        return
    if isinstance(node, ast.ImportFrom) and node.module:
        assert node.level == 0, "a relative import, which is not followed here"
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield alias.asname or alias.name, inner if file_of(inner) else node.module
    elif isinstance(node, ast.Import):
        yield from ((alias.asname or alias.name, alias.name) for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from imports_of(child)
