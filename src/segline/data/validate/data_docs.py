"""Rebuild Great Expectations' Data Docs as pages that load nothing from other sites.

Great Expectations' own pages load styles, scripts and images from public sites. This module drops every script, style
and outside reference, adds Segline's style sheet, and puts Segline's findings at the top of the result page.

Great Expectations escapes only a part of its input, and substitutes ``$names`` in it. So `disguise` replaces characters
with a meaning in HTML or in templates by private-use characters, which never occur in printable text. `filter_page`
converts them back and escapes them.
"""

from collections.abc import Sequence
from html import escape
from html.parser import HTMLParser

from segline.data.validate import page_layout
from segline.project import Files

_VOID_TAGS = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_DROPPED_TAGS = {"script", "style", "title", "footer", "noscript", "iframe", "object", "head", "nav"}
_DROPPED_CLASSES = {"collapse", "modal", "sticky", "mb-4"}  # collapsed blocks, pop-ups and the side bar need scripts
_KEPT_ATTRIBUTES = {"class", "id", "href", "colspan", "rowspan", "hidden", "lang", "aria-hidden"}

_PRIVATE_USE = 0xE000  # first code point of Unicode's private use area
_DISGUISE = {ord(sign): _PRIVATE_USE + ord(sign) for sign in "<>&\"'$\\`{}|*"}
_UNDISGUISE = {put: escape(chr(sign)) for sign, put in _DISGUISE.items()}


def disguise(text: str) -> str:
    """Replace all characters of printable `text` that Great Expectations would interpret."""
    return text.translate(_DISGUISE)


def filter_page(source: str, *, title: str, findings: Sequence[str] | None, passed: bool = False) -> str:
    """Rebuild a page of the Data Docs without scripts and outside references.

    Args:
        source: the page as Great Expectations rendered it.
        title: heading of the new page.
        findings: lines shown first; None for a page without a verdict.
        passed: whether the pipeline continues.
    """
    filtered = _Filter()
    filtered.feed(source)
    filtered.close()
    name = Files.EXPECTATIONS_PAGE if findings is None else Files.RESULT_PAGE
    return page_layout.render(
        "docs.html", name=name, title=title, findings=findings, passed=passed, filtered="".join(filtered.kept)
    )


class _Filter(HTMLParser):
    """Copy the body of a page, without elements that need scripts or other sites."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.kept: list[str] = []
        self._skipped = ""  # tag that is being dropped with its content; empty if none
        self._depth = 0  # nesting depth of that tag

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipped:
            self._depth += tag == self._skipped
        elif tag in {"html", "body", "img", "link", "meta", "input", "button"} or tag.startswith("!"):
            return
        elif self._is_dropped(tag, dict(attrs)):
            self._skipped, self._depth = tag, 1
        else:
            self.kept.append(f"<{tag}{self._attributes(attrs)}>")

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            self._depth -= tag == self._skipped
            if not self._depth:
                self._skipped = ""
        elif tag not in _VOID_TAGS and tag not in {"html", "body", "button"}:
            self.kept.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self._keep(data)

    def handle_entityref(self, name: str) -> None:
        self._keep(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._keep(f"&#{name};")

    def _keep(self, text: str) -> None:
        if not self._skipped:
            self.kept.append(text.translate(_UNDISGUISE))

    @staticmethod
    def _is_dropped(tag: str, attributes: dict[str, str | None]) -> bool:
        classes = set((attributes.get("class") or "").split())
        folds = attributes.get("data-toggle") in {"collapse", "modal"}
        return tag in _DROPPED_TAGS or bool(classes & _DROPPED_CLASSES) or folds

    @staticmethod
    def _attributes(attrs: list[tuple[str, str | None]]) -> str:
        kept = []
        for name, value in attrs:
            if name == "href":
                value = _redirect(value or "")
            if name in _KEPT_ATTRIBUTES and (name != "href" or value):
                kept.append(f' {name}="{escape(value or "")}"')
        return "".join(kept)


def _redirect(address: str) -> str:
    """Return the target of a link if it is one of our two pages; otherwise an empty string."""
    if address.startswith("#"):
        return address
    if "://" in address or address.startswith("//"):
        return ""
    if "expectations/" in address:
        return Files.EXPECTATIONS_PAGE
    return Files.RESULT_PAGE if address.endswith(Files.RESULT_PAGE) else ""
