"""TensorFlow logs errors alone, unless the user asks for more."""

import os
import subprocess
import sys

import pytest

QUIET = "import os; from segline import startup; startup.quieten(); "
COMMAND = "import os; from segline.console import run_reporting as run; run(lambda: None, debug=False); "


@pytest.mark.parametrize("code", [QUIET, COMMAND], ids=["a worker", "every command"])
@pytest.mark.parametrize(("stated", "level"), [(None, "3"), ("0", "0"), ("1", "1")])
def test_the_log_level_is_set_before_tensorflow_is_imported(code, stated, level):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    environment |= {} if stated is None else {"TF_CPP_MIN_LOG_LEVEL": stated}
    code += "import sys; print(os.environ['TF_CPP_MIN_LOG_LEVEL'], 'tensorflow' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [level, "False"]
