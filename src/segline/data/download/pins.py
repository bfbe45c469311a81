"""Pin files whose publisher states no digest: later downloads must have the digest of the first one.

``pins.yaml`` at the project's root has one line for each address. It is committed, so everybody in the project trains
on the same bytes, or gets an error. A pin is ``sha256:`` and the digest of the file. For archives that a server packs
anew at each request, it is ``content:`` and a digest of the packed files.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import yaml
from filelock import FileLock

from segline.errors import ChecksumError, ConfigError, shortened
from segline.formats import strict_yaml
from segline.progress import Report
from segline.project import Files
from segline.reading import read_text
from segline.storage import atomic_file, reporting_storage

_HEAD = "# Digests of files as first downloaded, for addresses without a published digest. Commit this file.\n"
_PIN = re.compile(r"(sha256|content):[0-9a-f]{64}")


def read(path: Path) -> dict[str, str]:
    """Return address -> pin; empty if there is no file.

    Raises:
        ConfigError: the file is not in the format that `add` writes.
    """
    try:
        text = read_text(path, error=ConfigError)
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"not UTF-8 text ({error})") from error
    content = strict_yaml.parse(text, place=path, remedy=_remedy(path)).content
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _unreadable(path, f"a {type(content).__name__}")
    for address, pin in content.items():
        if not isinstance(pin, str) or not _PIN.fullmatch(pin):
            raise _unreadable(path, shortened(f"{pin!r} for {address}"))
    return content


def _unreadable(path: Path, found: str) -> ConfigError:
    return ConfigError(
        path,
        found=found,
        expected="lines `address: sha256:…` or `address: content:…`, 64 hex digits each",
        remedy=_remedy(path),
    )


def _remedy(path: Path) -> str:
    return f"restore it: git checkout {path.name}"


def check(address: str, pin: str, *, pinned: str) -> None:
    """Check that the pin of a downloaded file equals the pin in ``pins.yaml``.

    Raises:
        ChecksumError: the pins differ.
    """
    if pin != pinned:
        raise ChecksumError(
            address,
            found=pin,
            expected=f"{pinned}, pinned in {Files.PINS} by the first download",
            remedy=f"ask the publisher what changed. To accept the new file, delete the line of this address in "
            f"{Files.PINS} and run the download again",
        )


def add(path: Path, seen: Mapping[str, str], *, report: Report) -> None:
    """Pin addresses that have no pin yet; existing pins stay.

    Raises:
        ConfigError: the pins cannot be read.
        StorageError: the disk is full, or writing is not permitted.
    """
    if not seen.keys() - read(path).keys():
        return
    lock = path.parent / ".segline" / "pins.lock"
    with reporting_storage(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock), atomic_file(path) as partial:
            before = read(path)
            partial.write_text(_HEAD + yaml.safe_dump({**seen, **before}, width=1000), "utf-8")
    for address in sorted(seen.keys() - before.keys()):
        report(f"pinned {seen[address]} for {address}: commit {path.name}")
