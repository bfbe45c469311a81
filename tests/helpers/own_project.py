"""A project of the user's own data, whose commands run in this process."""

import shutil

import yaml
from places import PARAMS

from segline.cli import main
from segline.data.prepare.prepared import Prepared


def make_project(root, monkeypatch, capsys):
    """A new project in `root`, which is the one that commands work in."""
    root.mkdir()
    shutil.copy(PARAMS, root)
    monkeypatch.setenv("SEGLINE_ROOT", str(root))
    monkeypatch.setenv("SEGLINE_WORKERS", "1")
    return Project(root, capsys)


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
        self._write(content)

    def answer(self, **options):
        """Do what a remedy says: write keys under options.folder in params.yaml, beside those that are there."""
        content = self.params()
        content["options"]["folder"] = {**(content["options"].get("folder") or {}), **options}
        self._write(content)

    def params(self):
        return yaml.safe_load((self.root / "params.yaml").read_text())

    def forget(self):
        """Take back what `segline init` and answers wrote into params.yaml."""
        shutil.copy(PARAMS, self.root)

    def prepared(self):
        return Prepared(self.root / "data/prepared/folder")

    def labels(self):
        """Sample -> the labels that scores compare with, of the prepared splits that are scored."""
        splits = [self.prepared().split(name) for name in ("validation", "test")]
        return {name: split.label(place) for split in splits for place, name in enumerate(split.ids)}

    def _write(self, content):
        (self.root / "params.yaml").write_text(yaml.safe_dump(content))
