"""Load strict, escaping HTML templates, and format their values."""

from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from typing import Any

import jinja2

from segline.errors import printable, shown


def environment(packages: Sequence[str]) -> jinja2.Environment:
    """Load templates from the `templates` folders of `packages`, in this order; text is escaped, unknown names fail."""
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.FunctionLoader(partial(_read_template, package)) for package in packages]),
        autoescape=True,
        finalize=_make_visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"percent": percent, "length": len, "shown": shown}
    return made


def _make_visible(value: Any) -> Any:
    """Make text printable before it is written into a page. Finished HTML has the type `Markup` and is not changed."""
    return printable(value, but="\n\u00a0") if type(value) is str else value


def _read_template(package: str, name: str) -> str | None:
    file = files(package).joinpath("templates", name)
    return file.read_text("utf-8") if file.is_file() else None


def percent(share: float | None) -> str:
    """Write a share, 0..1, for a person to read: 34 %, 0.7 %, 0.002 %; "none" for None."""
    if share is None:
        return "none"
    if share >= 0.9995:
        return "100\u00a0%"
    return f"{100 * share:.{3 if share >= 0.01 else 2}g}\u00a0%"
