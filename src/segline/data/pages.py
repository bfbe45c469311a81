"""The pages of `reports/data/<dataset>`: one head, one row of links, one style; nothing from elsewhere."""

from functools import cache
from importlib.resources import files
from typing import Any

import jinja2

INDEX = "index.html"
GALLERY = "gallery.html"
FINGERPRINT = "fingerprint.html"
SUITE = "expectations.html"

_LINKS = ((INDEX, "Result"), (GALLERY, "Gallery"), (FINGERPRINT, "Fingerprint"), (SUITE, "Expectations"))


def render(template: str, *, name: str, title: str, **content: Any) -> str:
    """Fill in one of `segline/data/templates`; text is escaped.

    Args:
        template: file name.
        name: the page's own file name, one of the constants here.
        title: its heading.
        content: what the template asks for.
    """
    return _environment().get_template(template).render(name=name, title=title, links=_LINKS, **content)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "length": len}
    return environment


def _source(name: str) -> str:
    return files("segline.data").joinpath("templates", name).read_text("utf-8")


def percent(share: float | None) -> str:
    """A share for a person to read: 34 %, 0.7 %, 0.002 %."""
    if share is None:
        return "none"
    if share >= 0.9995:
        return "100\u00a0%"
    return f"{100 * share:.{3 if share >= 0.01 else 2}g}\u00a0%"
