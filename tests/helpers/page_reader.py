"""A page as a test reads it."""

import re
from html.parser import HTMLParser

_ADDRESSES = {"src", "href", "srcset", "action", "data", "poster", "xlink:href"}


class Page(HTMLParser):
    """Ids, figures, addresses, labels and text of one HTML document."""

    def __init__(self, html):
        super().__init__()
        self.html, self.ids, self.figures, self.addresses = html, [], {}, []
        self.elements, self.text, self._figure = [], [], None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.elements.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        self.addresses += [value for key, value in attrs if key in _ADDRESSES and (tag, key) != ("data", "value")]
        if tag == "data":
            self._figure = found

    def handle_data(self, data):
        self.text.append(data)
        if self._figure is not None:
            self.figures.setdefault(self._figure["data-name"], []).append((float(self._figure["value"]), data))
            self._figure = None

    def all(self, tag):
        """Attributes of every element of a kind."""
        return [found for kind, found in self.elements if kind == tag]

    def check(self):
        """What holds for every page: it asks for nothing, ids are unique, labels and pictures have their words."""
        outside = [address for address in self.addresses if not address.startswith(("data:", "#"))]
        assert outside == []
        assert not re.search(r"https?://|@import|url\((?!data:)", self.html)
        assert any(found.get("http-equiv") == "Content-Security-Policy" for found in self.all("meta"))
        assert len(self.ids) == len(set(self.ids))
        assert all(found.get("alt") for found in self.all("img"))
        labels = {found["for"] for found in self.all("label") if "for" in found}
        for found in self.all("input"):
            assert found["type"] == "radio" or found.get("aria-label") or found["id"] in labels
        assert labels <= set(self.ids)


def value_of(summary, name):
    """The value at a dotted path; a part that is a number is a place in a list."""
    for part in name.split("."):
        summary = summary[int(part)] if isinstance(summary, list | tuple) else summary[part]
    return summary
