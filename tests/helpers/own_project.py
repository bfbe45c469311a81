"""A project of the user's own data, whose commands run in this process."""

import shutil

import yaml
from listed_datasets import listed
from places import PARAMS

from segline.cli import main
from segline.config import own_file
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

    @property
    def name(self):
        """The name of the own data that are trained on; that of a folder `mine` before there are any."""
        content = self.params()
        return content["dataset"] if content["dataset"] in content["own"] else "mine"

    @property
    def raw(self):
        return self.root / "data/raw" / self.name

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
        return "".join(self.run("data", name, self.name, fails=fails and name == names[-1]) for name in names)

    def options(self, **options):
        """Set up own data without `segline init`."""
        content = yaml.safe_load(PARAMS.read_text())
        content |= {"datasets": listed("mine"), "own": ["mine"], "dataset": "mine", "options": {"mine": {}}}
        content["promotion"] = {"floor": {"mine": 0.1}}
        self._write(content)
        self._define("mine", options)

    def answer(self, name=None, **options):
        """Do what a remedy says: write keys into own/NAME.yaml, beside those that are there."""
        self._define(name or self.name, {**self.entry(name), **options})

    def entry(self, name=None):
        """The content of own/NAME.yaml."""
        path = self.root / own_file(name or self.name)
        return yaml.safe_load(path.read_text()) if path.exists() else {}

    def params(self):
        return yaml.safe_load((self.root / "params.yaml").read_text())

    def forget(self):
        """Take back what `segline init` and answers wrote into the project."""
        shutil.copy(PARAMS, self.root)
        shutil.rmtree(self.root / "own", ignore_errors=True)

    def prepared(self):
        return Prepared(self.root / "data/prepared" / self.name)

    def labels(self):
        """Sample -> the labels that scores compare with, of the prepared splits that are scored."""
        splits = [self.prepared().split(name) for name in ("validation", "test")]
        return {name: split.label(place) for split in splits for place, name in enumerate(split.ids)}

    def _define(self, name, options):
        path = self.root / own_file(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(options))

    def _write(self, content):
        (self.root / "params.yaml").write_text(yaml.safe_dump(content))
