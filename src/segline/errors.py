"""Every error that Segline reports to a person.

SeglineError
 ├── ConfigError        params.yaml or the environment says something impossible
 ├── DataError          the data is not what the dataset's definition promises
 │    ├── SourceError      a mirror or publisher cannot be reached or lacks a file
 │    ├── ChecksumError    a file's digest differs from the one published or pinned
 │    ├── ArchiveError     an archive is corrupt, hostile or lacks its folders
 │    ├── LinkError        a link leads out of the folder of the user's data
 │    └── ValidationError  the judged manifest has findings of severity stop
 ├── ComparisonError    two scores are not of the same thing
 ├── StorageError       no room, or no right, to write
 ├── TrainingError      a search or a fit cannot go on
 └── TrackingError      MLflow cannot be reached, or lacks the model that was asked for

Each one names the place, what was found, what was expected and the remedy. No secret is in any of them:
they are printed, logged and stored.
"""

import re
from functools import partial
from typing import Self

from segline.masking import masked

_CUT = "…"

LONGEST_NAME = 120
"""Characters of a file's, class's or person's name that a page, a picture or a table has room for."""

LONGEST_VALUE = 200
"""Characters of a value that an error quotes."""

LONGEST_LINE = 2000
"""Characters of one line of a message: a path of the greatest length that most systems take, and words about it."""

MOST_LINES = 200
"""Lines of one message."""


_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""What Python calls printable, and shows nothing: of Unicode's Default_Ignorable_Code_Point, and blank Braille."""

_VARIANTS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""What chooses a sign's shape, as in many emoji, and shows nothing itself."""


def printable(text: str, *, but: str = "") -> str:
    """Escape in `text` what shows nothing, turns the direction of writing, or that a terminal would act upon.

    Args:
        but: characters that stay what they are, such as a line's end.
    """
    if text.isascii() and text.isprintable():  # a page holds pictures of millions of characters
        return text
    return "".join(each if is_visible(each) or each in but else _escaped(each) for each in text)


def variants_dropped(text: str) -> str:
    """Drop what chooses the shape of the sign before it, which a person does not see as a sign."""
    return _VARIANTS.sub("", text)


def is_visible(character: str) -> bool:
    """Tell whether a character shows something, or is a plain blank."""
    return character.isprintable() and character not in _BLANK


def shown(text: str, *, limit: int = LONGEST_NAME, but: str = "") -> str:
    """Make a name fit to be shown: `printable`, and cut in the middle, so that a file's ending stays."""
    fit = printable(_shortened(text, limit), but=but)  # shortened before too: an escape is up to ten times as long
    return _shortened(fit, limit)


def message(text: str) -> str:
    """Make words for a person fit to be shown: their lines stay, each of them and their number is bounded."""
    lines = text.split("\n")
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES // 2], _CUT, *lines[-MOST_LINES // 2 :]]
    return "\n".join(shown(line, limit=LONGEST_LINE, but="\t") for line in lines)


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    end = (limit - len(_CUT)) // 2
    return text[: limit - len(_CUT) - end] + _CUT + text[len(text) - end :]


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # what Python makes of a byte in a file's name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def shortened(text: str) -> str:
    """Make a value that an error quotes fit to be shown."""
    return shown(text, limit=LONGEST_VALUE)


def name_fault(name: str) -> str:
    """What the name of a class should be instead, in words; empty where it can be shown as it is."""
    if not variants_dropped(name).strip():
        return "a name that shows something"
    if len(name) > LONGEST_NAME:
        return f"at most {LONGEST_NAME} characters, not {len(name)}"
    odd = next((sign for sign in name if not is_visible(sign)), None)
    if odd is None:
        return ""
    return f"a name without {printable(odd)}, which shows nothing or changes how the rest is shown"


class SeglineError(Exception):
    """A problem a person can act on.

    Args:
        place: file, key or address where it was noticed.
        found: what was there.
        expected: what should have been there; empty where ``found`` says it all.
        remedy: what to do next.
    """

    def __init__(self, place: object, *, found: str, expected: str = "", remedy: str) -> None:
        self.place, self.found, self.expected, self.remedy = map(masked, (place, found, expected, remedy))
        super().__init__(self.place, self.found, self.expected, self.remedy)

    def __str__(self) -> str:
        place = shown(self.place, limit=LONGEST_LINE)  # without line ends, which could fake a message
        expected = f", expected {message(self.expected)}" if self.expected else ""
        return f"{place}: {message(self.found)}{expected}\n  remedy: {message(self.remedy)}"

    def __reduce__(self) -> tuple[partial[Self], tuple[str]]:
        # Exceptions are rebuilt from their positional arguments; these are keywords. Workers send them.
        rebuild = partial(type(self), found=self.found, expected=self.expected, remedy=self.remedy)
        return rebuild, (self.place,)


class ConfigError(SeglineError):
    """``params.yaml`` or the environment says something impossible."""


class DataError(SeglineError):
    """The data is not what the dataset's definition promises."""


class SourceError(DataError):
    """A mirror or publisher cannot be reached, or lacks a file."""


class ChecksumError(DataError):
    """A file's digest differs from the one that was published or pinned."""


class ArchiveError(DataError):
    """An archive is corrupt, hostile, or lacks the folders its dataset needs."""


class LinkError(DataError):
    """A link leads out of the folder of the user's data."""


class ValidationError(DataError):
    """The judged manifest has findings that stop the pipeline."""


class ComparisonError(SeglineError):
    """Two scores are not of the same thing, so that their difference would mean nothing."""


class StorageError(SeglineError):
    """There is no room, or no right, to write."""


class TrainingError(SeglineError):
    """A search or a fit cannot go on."""


class TrackingError(SeglineError):
    """MLflow cannot be reached, or lacks the model that was asked for."""
