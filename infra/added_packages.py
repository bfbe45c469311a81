"""Keep the packages of a lock that another lock does not have.

``python -m infra.added_packages requirements.txt < full.txt > requirements-gpu.txt``: the second lock holds only what a
GPU needs beside the first. So every package is pinned in one place.
"""

import sys
from collections.abc import Iterator
from pathlib import Path


def added(full: str, known: str) -> str:
    """Return the entries of the lock `full` whose package is not in the lock `known`."""
    names = {_name(entry) for entry in _entries(known)}
    return "".join(entry for entry in _entries(full) if _name(entry) not in names)


def _entries(lock: str) -> Iterator[str]:
    """Split a lock into its entries: a line with the package, then indented lines with digests and origins."""
    lines: list[str] = []
    for line in lock.splitlines(keepends=True):
        if lines and not line.startswith((" ", "#")):
            yield "".join(lines)
            lines = []
        lines.append(line)
    if lines:
        yield "".join(lines)


def _name(entry: str) -> str:
    return entry.partition("==")[0].partition("[")[0].strip()


if __name__ == "__main__":
    sys.stdout.write(added(sys.stdin.read(), Path(sys.argv[1]).read_text("utf-8")))
