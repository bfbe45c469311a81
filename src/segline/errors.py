"""Every error that Segline reports to a person.

SeglineError
 ├── ConfigError        params.yaml or the environment contains an invalid value
 ├── DataError          the data differ from the dataset's definition
 │    ├── SourceError      a mirror or publisher cannot be reached or lacks a file
 │    ├── ChecksumError    a file's digest differs from the one published or pinned
 │    ├── ArchiveError     an archive is corrupt, hostile or lacks its folders
 │    ├── LinkError        a link leads out of the folder of the user's data
 │    └── ValidationError  the validated manifest has findings of severity stop
 ├── ComparisonError    two scores cannot be compared
 ├── StorageError       the disk is full, or writing is not permitted
 ├── TrainingError      a search or a fit cannot continue
 └── TrackingError      MLflow cannot be reached, or lacks the requested model

Each error states the place, what was found, what was expected and the remedy. Secrets are masked, because errors are
printed, logged and stored.
"""

import re
from functools import partial
from typing import Self

from segline.masking import masked

_CUT = "…"

LONGEST_NAME = 120
"""Maximum characters of a name (of a file, a class or a person) on a page, in a picture or in a table."""

LONGEST_VALUE = 200
"""Maximum characters of a value that an error quotes."""

LONGEST_LINE = 2000
"""Maximum characters of one line of a message: enough for the longest path of most systems, and a sentence."""

MOST_LINES = 200
"""Maximum lines of one message."""


_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Invisible characters that Python treats as printable: Default_Ignorable_Code_Point, and blank Braille."""

_VARIATION_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Characters that choose the shape of the character before them, as in many emoji, and are invisible themselves."""


def printable(text: str, *, but: str = "") -> str:
    """Escape characters that are invisible, change the direction of writing, or control a terminal.

    Args:
        but: characters that are not escaped, such as line ends.
    """
    if text.isascii() and text.isprintable():  # pages hold embedded images of millions of characters
        return text
    return "".join(each if is_visible(each) or each in but else _escape(each) for each in text)


def variants_dropped(text: str) -> str:
    """Drop variation selectors, which are invisible."""
    return _VARIATION_SELECTORS.sub("", text)


def is_visible(character: str) -> bool:
    """Return whether a character is visible, or a plain space."""
    return character.isprintable() and character not in _BLANK


def shown(text: str, *, limit: int = LONGEST_NAME, but: str = "") -> str:
    """Make a name `printable`, and shorten it in the middle, so that a file's extension stays."""
    fit = printable(_cut_middle(text, limit), but=but)  # also cut first: an escape is up to ten times as long
    return _cut_middle(fit, limit)


def message(text: str) -> str:
    """Make a message printable; keep its lines, but limit their number and length."""
    lines = text.split("\n")
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES // 2], _CUT, *lines[-MOST_LINES // 2 :]]
    return "\n".join(shown(line, limit=LONGEST_LINE, but="\t") for line in lines)


def _cut_middle(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    end = (limit - len(_CUT)) // 2
    return text[: limit - len(_CUT) - end] + _CUT + text[len(text) - end :]


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # Python decodes bytes of file names that are not UTF-8 to these code points
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def shortened(text: str) -> str:
    """Make a value that an error quotes printable and short."""
    return shown(text, limit=LONGEST_VALUE)


def name_fault(name: str) -> str:
    """Describe what a class name should be instead; return "" if the name is valid."""
    if not variants_dropped(name).strip():
        return "a name with visible characters"
    if len(name) > LONGEST_NAME:
        return f"at most {LONGEST_NAME} characters, not {len(name)}"
    odd = next((character for character in name if not is_visible(character)), None)
    if odd is None:
        return ""
    return f"a name without the character {printable(odd)}, which is invisible or changes how the rest is shown"


class SeglineError(Exception):
    """A problem that the user can solve.

    Args:
        place: file, key or address of the problem.
        found: what was found there.
        expected: what should be there; empty if ``found`` is enough.
        remedy: what to do next.
    """

    def __init__(self, place: object, *, found: str, expected: str = "", remedy: str) -> None:
        self.place, self.found, self.expected, self.remedy = map(masked, (place, found, expected, remedy))
        super().__init__(self.place, self.found, self.expected, self.remedy)

    def __str__(self) -> str:
        place = shown(self.place, limit=LONGEST_LINE)  # without line ends, which could fake a message
        expected = f", expected {message(self.expected)}" if self.expected else ""
        return f"{place}: {message(self.found)}{expected}\n  remedy: {message(self.remedy)}"

    @property
    def line(self) -> str:
        """Return the message as one line, for lists of problems and for answers of a server."""
        return " ".join(str(self).replace("\n  remedy: ", "; remedy: ").split())

    def __reduce__(self) -> tuple[partial[Self], tuple[str]]:
        # Needed to send errors from worker processes: by default, Python rebuilds exceptions from positional arguments.
        rebuild = partial(type(self), found=self.found, expected=self.expected, remedy=self.remedy)
        return rebuild, (self.place,)


class ConfigError(SeglineError):
    """``params.yaml`` or the environment contains an invalid value."""


class DataError(SeglineError):
    """The data differ from the dataset's definition."""


class SourceError(DataError):
    """A mirror or publisher cannot be reached, or lacks a file."""


class ChecksumError(DataError):
    """A file's digest differs from the one that was published or pinned."""


class ArchiveError(DataError):
    """An archive is corrupt, hostile, or lacks the folders its dataset needs."""


class LinkError(DataError):
    """A link leads out of the folder of the user's data."""


class ValidationError(DataError):
    """The validated manifest has findings that stop the pipeline."""


class ComparisonError(SeglineError):
    """Two scores cannot be compared, because they were measured on different things."""


class StorageError(SeglineError):
    """The disk is full, or writing is not permitted."""


class TrainingError(SeglineError):
    """A search or a fit cannot continue."""


class TrackingError(SeglineError):
    """MLflow cannot be reached, or lacks the requested model."""
