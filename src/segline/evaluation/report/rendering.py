"""Render the pages of scores, and format their numbers."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from segline.core.labels import LabelMap
from segline.core.palette import safe_colours
from segline.errors import printable
from segline.evaluation.figures import signed
from segline.pages.environment import environment
from segline.storage import size_text

_PACKAGES = ("segline.evaluation.report", "segline.pages")


def render(template: str, *, title: str, **content: Any) -> str:
    """Fill in one of the templates in `segline/evaluation/report/templates`; text is escaped.

    Args:
        template: file name.
        title: the page's heading.
        content: values that the template uses.
    """
    return _environment().get_template(template).render(title=title, **content)


def swatches(labels: LabelMap) -> list[dict[str, str]]:
    """Return the official and the colour-blind-safe colour of each class, in CSS notation."""
    return [
        {"name": item.name, "official": _write_css(item.colour), "safe": _write_css(safe)}
        for item, safe in zip(labels.classes, safe_colours(len(labels)), strict=True)
    ]


@cache
def _environment() -> jinja2.Environment:
    made = environment(_PACKAGES)
    made.filters |= {"figure": figure, "signed": signed, "compact": compact, "size": _write_size}
    return made


def figure(value: float | None, name: str, digits: int = 3, *, sign: bool = False) -> Markup:
    """Write a number as HTML that keeps its exact value beside the rounded one: ``<data value=...>``.

    Args:
        value: None is shown as a dash.
        name: its path in the summary, parts joined by dots.
        sign: write the sign, as for a difference: `summary.signed`.
    """
    if value is None:
        return Markup('<span title="undefined: the divisor is 0">\u2013</span>')
    written = signed(value, digits) if sign else f"{value:.{digits}f}"
    return Markup('<data value="{}" data-name="{}">{}</data>').format(repr(value), printable(name), written)


def compact(count: float) -> str:
    """Write a large count for a person to read: 4.87 M, 12.3 G."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}\u00a0{unit}"
    return f"{count:.0f}"


def _write_size(count: float) -> str:
    return size_text(count).replace(" ", "\u00a0")


def _write_css(colour: Sequence[int]) -> str:
    return f"rgb({', '.join(map(str, colour))})"
