"""What TensorFlow says while it starts, kept off the terminal.

Its libraries write notes about the machine straight to file descriptor 2 while they are loaded, and heed
TF_CPP_MIN_LOG_LEVEL only afterwards. Here the variable holds from the start: 3 unless it is set, and from
1 on no notes.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

_NOTE = re.compile(rb"I\d{4} |WARNING: All log messages before absl::InitializeLog\(\)")


def quieten() -> None:
    """Let TensorFlow start without notes, whichever module imports it, now or later; again changes nothing."""
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        return
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Quiet(fullname, spec.loader.path)
        return spec


class _Quiet(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        with _without_notes():
            super().exec_module(module)


@contextmanager
def _without_notes() -> Iterator[None]:
    """What is written to file descriptor 2 meanwhile comes out at the end, without the notes.

    A file, not a pipe: nothing reads while libraries are loaded.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            kept.seek(0)
            for line in kept:
                if not _NOTE.match(line):
                    os.write(2, line)
