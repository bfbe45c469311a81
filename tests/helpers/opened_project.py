"""A folder of images and masks, and a project that takes it as its own data."""

from pathlib import Path

import numpy as np
import yaml

from segline.cli import main
from segline.config import own_file
from segline.data.images.decode import write_png

HEIGHT, WIDTH, SAMPLES = 24, 36, 6


def draw_data(folder: Path) -> Path:
    generator = np.random.default_rng(3)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(SAMPLES):
        write_png(folder / f"images/{number}.png", generator.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
        write_png(folder / f"masks/{number}.png", generator.integers(0, 3, (HEIGHT, WIDTH), np.uint8))
    return folder


class Project:
    """A project whose commands run in this process, and a folder of images and masks."""

    def __init__(self, root, data, capsys):
        self.root, self.data, self.raw, self._capsys = root, data, root / "data/raw" / data.name, capsys

    def run(self, *command, fails=False):
        """What a command says, on both streams."""
        self._capsys.readouterr()
        code = 0
        try:
            main(list(command))
        except SystemExit as end:
            code = end.code or 0
        said = "".join(self._capsys.readouterr())
        assert code == (1 if fails else 0), said
        return said

    def init(self, *options, fails=False):
        return self.run("init", str(self.data), *options, fails=fails)

    def stages(self, *names):
        for name in names or ("look", "download", "extract"):
            self.run("data", name, self.data.name)

    def options(self):
        return yaml.safe_load((self.root / own_file(self.data.name)).read_text())
