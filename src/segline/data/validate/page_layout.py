"""Render the pages of `reports/data/<dataset>` with a common head, links and style; they load no other files."""

from functools import cache
from typing import Any

import jinja2

from segline.pages.environment import environment
from segline.project import Files

_LINKS = (
    (Files.RESULT_PAGE, "Result"),
    (Files.GALLERY_PAGE, "Gallery"),
    (Files.FINGERPRINT_PAGE, "Fingerprint"),
    (Files.EXPECTATIONS_PAGE, "Expectations"),
)


def render(template: str, *, name: str, title: str, **content: Any) -> str:
    """Fill in one of `segline/data/validate/templates`; text is escaped, and invisible characters are made visible.

    Args:
        template: file name.
        name: the file name of this page, one of `Files`.
        title: heading of the page.
        content: the variables of the template.
    """
    return _environment().get_template(template).render(name=name, title=title, links=_LINKS, **content)


@cache
def _environment() -> jinja2.Environment:
    return environment(("segline.data.validate", "segline.pages"))
