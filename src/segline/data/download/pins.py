"""Digests of publishers' files that have no published one: what was first seen is held to.

They stand in ``pins.yaml`` at the project's root, one line an address, and are committed, so that
everybody who works on the project trains on the same bytes or is told. A pin is ``sha256:`` of the
file, or ``content:`` of what is packed in it, for archives that their server packs anew.
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

_HEAD = "# What was first seen at addresses without a published digest. Commit this file.\n"
_PIN = re.compile(r"(sha256|content):[0-9a-f]{64}")


def read(path: Path) -> dict[str, str]:
    """Address -> pin; empty where there is no file.

    Raises:
        ConfigError: it is not what `add` wrote.
    """
    try:
        text = read_text(path, error=ConfigError)
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"no text ({error})") from error
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
    """Compare what is at an address with its pin.

    Raises:
        ChecksumError: it is not what was first seen.
    """
    if pin != pinned:
        raise ChecksumError(
            address,
            found=pin,
            expected=f"{pinned}, pinned in {Files.PINS} when it was first seen",
            remedy=f"ask the publisher what changed; to accept it, delete this address's line in {Files.PINS} "
            "and run the download again",
        )


def add(path: Path, seen: Mapping[str, str], *, report: Report) -> None:
    """Pin addresses that have no pin yet; nobody else's are touched.

    Raises:
        ConfigError: the pins cannot be read.
        StorageError: no room or no right to write.
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
