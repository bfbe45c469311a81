"""Great Expectations' Data Docs -> pages that load nothing from elsewhere.

The pages as Great Expectations renders them load styles, scripts and pictures from public sites. Here every script,
style and outside reference is dropped, our own style sheet is put in, and our own findings lead the result page.

Great Expectations escapes some of its input and not the rest, and fills in ``$names`` that it finds there. So
`disguise` replaces the characters that mean something to HTML or to a template by characters for private use, which
no printable text holds. `filter_page` turns them back, escaped.
"""

from collections.abc import Sequence
from html import escape
from html.parser import HTMLParser

from segline.data.validate import page_layout
from segline.project import Files

_VOID_TAGS = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_DROPPED_TAGS = {"script", "style", "title", "footer", "noscript", "iframe", "object", "head", "nav"}
_DROPPED_CLASSES = {"collapse", "modal", "sticky", "mb-4"}  # folded blocks, pop-ups and the side bar need scripts
_KEPT_ATTRIBUTES = {"class", "id", "href", "colspan", "rowspan", "hidden", "lang", "aria-hidden"}

_PRIVATE_USE = 0xE000  # where Unicode's area for private use begins
_DISGUISE = {ord(sign): _PRIVATE_USE + ord(sign) for sign in "<>&\"'$\\`{}|*"}
_UNDISGUISE = {put: escape(chr(sign)) for sign, put in _DISGUISE.items()}


def disguise(text: str) -> str:
    """Replace in printable `text` all characters that Great Expectations could act upon."""
    return text.translate(_DISGUISE)


def filter_page(source: str, *, title: str, findings: Sequence[str] | None, passed: bool = False) -> str:
    """Rebuild a page of the Data Docs without scripts and outside references.

    Args:
        source: the page as Great Expectations rendered it.
        title: heading of the new page.
        findings: lines shown first; None for a page that judges nothing.
        passed: whether the pipeline goes on.
    """
    filtered = _Filter()
    filtered.feed(source)
    filtered.close()
    name = Files.EXPECTATIONS_PAGE if findings is None else Files.RESULT_PAGE
    return page_layout.render(
        "docs.html", name=name, title=title, findings=findings, passed=passed, filtered="".join(filtered.kept)
    )


class _Filter(HTMLParser):
    """Copies the body of a page, without what needs scripts or other sites."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.kept: list[str] = []
        self._skipped = ""  # tag that is being left out, with all inside it
        self._depth = 0  # of tags of that name

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
    """Return where a link leads among our two pages; empty where it leads elsewhere."""
    if address.startswith("#"):
        return address
    if "://" in address or address.startswith("//"):
        return ""
    if "expectations/" in address:
        return Files.EXPECTATIONS_PAGE
    return Files.RESULT_PAGE if address.endswith(Files.RESULT_PAGE) else ""
