"""Run ``dvc repro`` for the dataset that is trained on: ``python -m infra.prepare [--dataset kitti]``.

``dvc repro`` alone prepares every dataset of ``params.yaml``, and asks for the login of each publisher that has one.
`make run` needs one dataset. The others are prepared when they are asked for.
"""

import os
from argparse import ArgumentParser

from segline import config
from segline.console import run_reporting, say
from segline.data.recorded import lock
from segline.project import Project


def main() -> None:
    """Find the dataset, then replace this process by DVC."""
    parser = ArgumentParser(prog="python -m infra.prepare", description="Prepare the dataset that is trained on.")
    parser.add_argument("--dataset", help="dataset to prepare; default: `dataset` of params.yaml")
    options = parser.parse_args()
    run_reporting(lambda: _reproduce(options.dataset), debug=False)


def _reproduce(dataset: str | None) -> None:
    project = Project.load()
    lock.read_stages(project.dvc_lock)  # DVC, killed while it writes, leaves a part of it, and then names no remedy
    command = ["dvc", "repro", f"prepare@{config.load(project.params, dataset=dataset).dataset}"]
    say(" ".join(command))
    os.chdir(project.root)
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
