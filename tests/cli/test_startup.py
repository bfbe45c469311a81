"""TensorFlow's notes do not reach the terminal; anything else that it says does."""

import os
import subprocess
import sys

import pytest

NOTES = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795684703.515537   12375 port.cc:153] oneDNN custom operations are on.",
    "I0000 00:00:1795684703.516017   12375 cudart_stub.cc:31] Could not find cuda drivers on your machine.",
]
SAID = ["E0000 00:00:1795684703.516017   12375 thing.cc:1] broken", "a warning of Python's"]


@pytest.fixture
def stderr_of(tmp_path):
    """What a process says that imports a `tensorflow` which says NOTES and SAID as the real one does."""
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(
        f"import os, sys\nos.write(2, {NOTES[0]!r}.encode() + b'\\n')\n"
        f"print(*{[*NOTES[1:], *SAID]!r}, sep='\\n', file=sys.stderr)\n"
        "if 'FAIL' in os.environ: raise ImportError('no such library')\n"
    )

    def said(code, **environment):
        kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
        paths = os.pathsep.join([str(tmp_path), *sys.path])
        answer = subprocess.run(
            [sys.executable, "-c", code], env=kept | {"PYTHONPATH": paths} | environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return answer.stderr.splitlines()

    return said


QUIET = "from segline import startup; startup.quieten(); startup.quieten(); "


def test_notes_are_dropped_and_all_else_is_said(stderr_of):
    assert stderr_of("import tensorflow") == [*NOTES, *SAID]
    end = "import tensorflow, os, sys; assert os.environ['TF_CPP_MIN_LOG_LEVEL'] == '3'; print('on', file=sys.stderr)"
    assert stderr_of(QUIET + end) == [*SAID, "on"]


def test_a_failing_import_says_what_it_said(stderr_of):
    said = stderr_of(QUIET + "import tensorflow", FAIL="1")
    assert said[: len(SAID)] == SAID
    assert said[-1] == "ImportError: no such library"


def test_who_asks_for_the_notes_gets_them(stderr_of):
    assert stderr_of(QUIET + "import tensorflow", TF_CPP_MIN_LOG_LEVEL="0") == [*NOTES, *SAID]
    assert stderr_of(QUIET + "import tensorflow", TF_CPP_MIN_LOG_LEVEL="1") == SAID


def test_looking_for_tensorflow_imports_nothing_and_spoils_nothing(stderr_of):
    look = (
        "import importlib.util as util, sys; assert util.find_spec('tensorflow') and 'tensorflow' not in sys.modules; "
    )
    assert stderr_of(QUIET + look + "import tensorflow") == SAID


def test_every_command_starts_quietly(stderr_of):
    """`run_reporting` is what commands and flows begin with."""
    code = "from segline import console; console.run_reporting(lambda: __import__('tensorflow'), debug=False)"
    assert stderr_of(code) == SAID
