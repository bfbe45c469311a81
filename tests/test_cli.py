import subprocess
import sys
from importlib.metadata import version

import pytest

HEAVY = {"tensorflow", "keras", "mlflow", "prefect", "great_expectations", "numpy", "pandas", "albumentations", "cv2"}


def run(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-c", "from segline.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["data", "--help"], ["predict", "--help"], ["score", "--help"], ["models", "-h"]],
)
def test_help_imports_nothing_heavy(arguments):
    script = (
        "import sys\n"
        "from segline.cli import app\n"
        "try:\n    app(args=sys.argv[1:])\n"
        "except SystemExit as end:\n    assert end.code == 0\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    answer = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert "Usage" in answer.stdout
    imported = set(eval(answer.stdout.splitlines()[-1]))
    assert not imported & HEAVY


def test_exit_codes_tell_problems_from_wrong_usage(tmp_path):
    assert run("--help").returncode == 0
    assert run("no-such-command").returncode == 2
    assert run("predict").returncode == 2
    problem = run("doctor", cwd=tmp_path)
    assert problem.returncode == 1
    assert "params.yaml" in problem.stderr
    assert "remedy:" in problem.stderr
    assert "Traceback" not in problem.stderr


def test_the_version_is_shown_without_anything_heavy():
    script = (
        "import sys\nfrom segline.cli import app\n"
        "try:\n    app(args=['--version'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    shown, imported = answer.stdout.splitlines()
    assert shown == f"segline {version('segline')}"
    assert not set(eval(imported)) & HEAVY


def test_debug_shows_the_traceback(tmp_path):
    assert "Traceback" in run("--debug", "doctor", cwd=tmp_path).stderr
