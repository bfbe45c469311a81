"""Great Expectations' Data Docs -> two of the pages, which need nothing but themselves.

The pages as built load styles, scripts and pictures from public sites, and list the results by
script alone. Here every script, style and outside reference is dropped, one small style sheet is
put in, and the result page becomes ``index.html``, led by the findings in plain words.

It escapes some of what it is given and not the rest, and fills in ``$names`` that it finds there. So the
signs that mean something to HTML or to a template are `disguised` on their way in, as characters that no
printable text holds, and become themselves again, escaped, on their way through `page`.
"""

from collections.abc import Sequence
from html import escape
from html.parser import HTMLParser
from pathlib import Path

from segline.data.validate import page_layout
from segline.errors import StorageError
from segline.project import Files

_VOID_TAGS = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_DROPPED_TAGS = {"script", "style", "title", "footer", "noscript", "iframe", "object", "head", "nav"}
_DROPPED_CLASSES = {"collapse", "modal", "sticky", "mb-4"}  # folded blocks, pop-ups and the side bar need scripts
_KEPT_ATTRIBUTES = {"class", "id", "href", "colspan", "rowspan", "hidden", "lang", "aria-hidden"}

_SIGNS = "<>&\"'$\\`{}|*"
_DISGUISE = {ord(sign): 0xE000 + ord(sign) for sign in _SIGNS}  # Unicode's area for private use
_UNDISGUISE = {put: escape(chr(sign)) for sign, put in _DISGUISE.items()}


def disguised(text: str) -> str:
    """Take from printable `text` all that Great Expectations could act upon; `page` gives it back."""
    return text.translate(_DISGUISE)


def write_pages(site: Path, folder: Path, *, title: str, findings: Sequence[str], passed: bool) -> None:
    """Turn the site that Great Expectations built at `site` into the two pages in `folder`."""
    result, suite = _only_page(site / "validations"), _only_page(site / "expectations")
    (folder / Files.RESULT_PAGE).write_text(
        page(result.read_text("utf-8"), title=title, findings=findings, passed=passed), "utf-8"
    )
    (folder / Files.EXPECTATIONS_PAGE).write_text(page(suite.read_text("utf-8"), title=title, findings=None), "utf-8")


def _only_page(folder: Path) -> Path:
    pages = list(folder.rglob("*.html"))
    if len(pages) != 1 or not pages[0].stat().st_size:
        raise StorageError(
            folder,
            found=f"Great Expectations wrote {len(pages)} pages",
            expected="a whole one",
            remedy="see that the disk is not full there (TMPDIR moves this folder), then run the same command",
        )
    return pages[0]


def page(source: str, *, title: str, findings: Sequence[str] | None, passed: bool = False) -> str:
    """One Data Docs page without scripts and outside references.

    Args:
        source: the page as Great Expectations built it.
        title: the new one's heading.
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
    """Copies a page's body, less what needs scripts or other sites."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.kept: list[str] = []
        self._skipped = ""  # tag that is being left out, with all inside it
        self._depth = 0

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
                value = _inside(value or "")
            if name in _KEPT_ATTRIBUTES and (name != "href" or value):
                kept.append(f' {name}="{escape(value or "")}"')
        return "".join(kept)


def _inside(address: str) -> str:
    """Where a link leads among the two pages; empty where it leads elsewhere."""
    if address.startswith("#"):
        return address
    if "://" in address or address.startswith("//"):
        return ""
    if "expectations/" in address:
        return Files.EXPECTATIONS_PAGE
    return Files.RESULT_PAGE if address.endswith(Files.RESULT_PAGE) else ""
