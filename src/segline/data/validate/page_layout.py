"""The pages of `reports/data/<dataset>`: one head, one row of links, one style; nothing from elsewhere."""

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
    """Fill in one of `segline/data/validate/templates`; text is escaped, and what shows nothing or turns it too.

    Args:
        template: file name.
        name: the page's own file name, one of `Files`'s.
        title: its heading.
        content: what the template asks for.
    """
    return _environment().get_template(template).render(name=name, title=title, links=_LINKS, **content)


@cache
def _environment() -> jinja2.Environment:
    return environment(("segline.data.validate", "segline.pages"))
