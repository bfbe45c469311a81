"""A project of the user's own data, whose commands run in this process."""

import yaml
from places import PARAMS

from segline.cli import main


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
