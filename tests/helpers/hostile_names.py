"""Names that act upon pages, terminals and logs where they are not escaped, and a page that tells what they did."""

from html.parser import HTMLParser

from segline.errors import (
    LONGEST_NAME,
)

NAMES = {
    "an address": "0<a href=x>y",  # a live link in the middle of the result page
    "a script": "a<script>b",  # what followed it was gone, to the page's end
    "a closed cell": "c<!--d",
    "a handler": "r<img src=x onerror=alert(1)>",
    "an attribute": 'l"quote\' onmouseover="x',
    "a formula": "d$x$ $column ${y} $$",
    "a template": "j%s{}{{ 7*7 }}",
    "markdown": "k|`pipe`](javascript:x)*_b_",
    "an entity": "m&amp;R&D",
    "rich markup": "i[red]rich[bold]",
    "a terminal's colour": "e\x1b[31mred",  # reached the page, and the terminal in red
    "a terminal's colour in one byte": "p\x9b31m",
    "a line's end": "q\nerror: fake",  # a line of its own in the error
    "another line's end": "s\u2028sep",
    "writing turned round": "f\u202egnp.exe",  # shown as `fexe.png`
    "an isolated direction": "g\u2066iso\u2069",
    "no width": "h\u200bzero",
    "a tag": "w\U000e0041",
    "backslashes": "t\\x1b[31mred",
    "letters without end": "n" + "x" * 240,
    "accents without end": "z" + "\u0301" * 110,
    "other alphabets": "o Stra\u00dfe \u9053\u8def \U0001f600 \u0637\u0631\u064a\u0642",
}
SIGHTED = [name for name in NAMES.values() if name.isprintable() and len(name) <= LONGEST_NAME]


class Page(HTMLParser):
    """Text, links and elements of a page."""

    def __init__(self, html):
        super().__init__()
        self.html, self.links, self.tags, self.handlers, self.text = html, set(), set(), [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links |= {value for key, value in attrs if tag == "a" and key == "href"}
        self.handlers += [key for key, _ in attrs if key.startswith("on")]

    def handle_data(self, data):
        self.text += data


def odd_signs(text):
    """Signs that text for a person must not hold."""
    return {sign for sign in text if not sign.isprintable() and sign not in "\n\u00a0"}
