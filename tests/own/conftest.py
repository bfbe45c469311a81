import shutil
import sys
from pathlib import Path

import pytest
import yaml

from segline.cli import main

sys.path.insert(0, str(Path(__file__).parent))  # `drawing`, which all of them use

PARAMS = Path(__file__).parents[2] / "params.yaml"


class Project:
    """A project whose commands run in this process."""

    def __init__(self, root, capsys):
        self.root, self._capsys = root, capsys
        self.raw = root / "data/raw/folder"

    def run(self, *command, fails=False):
        """What a command says, on both streams."""
        self._capsys.readouterr()
        try:
            main(list(command))
        except SystemExit as end:
            code = end.code or 0
        said = "".join(self._capsys.readouterr())
        assert code == (1 if fails else 0), said
        return said

    def stages(self, *names, fails=False):
        """Run data stages; only the last of them may fail."""
        return "".join(self.run("data", name, "folder", fails=fails and name == names[-1]) for name in names)

    def options(self, **options):
        """Write the entry in params.yaml without `segline init`."""
        content = yaml.safe_load(PARAMS.read_text())
        content |= {"datasets": ["folder"], "own": ["folder"], "dataset": "folder", "options": {"folder": options}}
        content["promotion"] = {"floor": {"folder": 0.1}}
        (self.root / "params.yaml").write_text(yaml.safe_dump(content))

    def params(self):
        return yaml.safe_load((self.root / "params.yaml").read_text())


@pytest.fixture
def project(tmp_path, monkeypatch, capsys):
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(PARAMS, root)
    monkeypatch.setenv("SEGLINE_ROOT", str(root))
    monkeypatch.setenv("SEGLINE_WORKERS", "1")
    return Project(root, capsys)
