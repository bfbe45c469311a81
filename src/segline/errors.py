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

from functools import partial
from typing import Self

from segline.masking import masked

MAX_QUOTED_CHARACTERS = 200


def printable(text: str, *, but: str = "") -> str:
    """`text` with everything escaped that shows nothing, or that a terminal would act upon.

    Args:
        but: characters that stay what they are, such as a line's end.
    """
    return "".join(each if each.isprintable() or each in but else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # what Python makes of a byte in a file's name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def shortened(text: str) -> str:
    """`text`, or its beginning where it is longer than a person would read in an error."""
    return text if len(text) <= MAX_QUOTED_CHARACTERS else f"{text[:MAX_QUOTED_CHARACTERS]}… ({len(text)} characters)"


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
        expected = f", expected {self.expected}" if self.expected else ""
        return f"{self.place}: {self.found}{expected}\n  remedy: {self.remedy}"

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
