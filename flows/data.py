"""DVC's own graph as Prefect tasks: one task a stage, cached stages shown as cached.

No stage is listed here: `dvc.yaml` is the only place that defines them.

    python -m flows.data
    prefect deployment run 'data/local'
"""

import os
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from graphlib import TopologicalSorter
from pathlib import Path
from types import FrameType
from typing import Any

from dvc.repo import Repo
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows import reporting
from segline import config
from segline.errors import DataError
from segline.project import Project

_CACHED = ("didn't change, skipping", "is cached - skipping run")  # what `dvc repro` says of such stages
_RUNNING: set[subprocess.Popen[str]] = set()


def stages(root: Path) -> dict[str, set[str]]:
    """DVC's graph: stage name -> the stages that must run before it, in an order that can be run."""
    graph = Repo(str(root)).index.graph
    before = {stage.addressing: {needed.addressing for needed in graph.successors(stage)} for stage in graph}
    return {name: before[name] for name in TopologicalSorter(before).static_order()}


# One at a time: DVC locks its workspace, and eight at once made one of them fail.
@flow(name="data", log_prints=True, task_runner=ThreadPoolTaskRunner(max_workers=1))  # type: ignore[arg-type]
@reporting.without_secrets
def data(force: bool = False) -> dict[str, str]:
    """Run every stage of `dvc.yaml` that is not up to date.

    Args:
        force: run them all, up to date or not.

    Returns:
        Stage -> ``cached`` or ``ran``.
    """
    reporting.without_tracebacks()
    project = Project.load()
    config.load(project.params)
    _end_stages_with_us()
    futures: dict[str, PrefectFuture[Any]] = {}
    for name, needed in stages(project.root).items():
        stage: Any = reproduce.with_options(name=name)
        earlier = [futures[other] for other in needed]
        futures[name] = stage.submit(name, root=project.root, force=force, wait_for=earlier)
    outcome = {name: _outcome(future) for name, future in futures.items()}
    create_markdown_artifact(reporting.markdown(outcome.items(), head=("stage", "")), key="data-stages")
    for name, future in futures.items():
        future.result()  # raises what the stage raised
        print(f"{name}: {outcome[name]}")
    return outcome


def _outcome(future: PrefectFuture[Any]) -> str:
    future.wait()
    name = str(future.state.name)
    return {"Completed": "ran", "Cached": "cached"}.get(name, name.lower())


@task(cache_policy=NO_CACHE)
@reporting.without_secrets
def reproduce(stage: str, *, root: Path, force: bool) -> State[str]:
    """Run one stage, or find that it is up to date."""
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", *(["--force"] if force else []), stage]
    said: list[str] = []
    with _group(command, root) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.rstrip())
            print(said[-1])
    if process.returncode != 0:
        raise DataError(
            f"stage {stage}",
            found="\n".join(said[-25:]) or f"dvc ended with {process.returncode}",
            remedy="mend what it says above, then run the flow again: finished stages stay",
        )
    if any(sign in line for line in said for sign in _CACHED):
        return Completed(name="Cached", message=f"{stage} is up to date", data="cached")
    return Completed(message=f"{stage} ran", data="ran")


@contextmanager
def _group(command: list[str], root: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `command` in a process group of its own, which `_end_stages_with_us` can end as a whole."""
    process = subprocess.Popen(
        command,
        cwd=root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _RUNNING.add(process)
    try:
        yield process
        process.wait()
    finally:
        _end(process)
        _RUNNING.discard(process)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)  # stages survive it: nothing half-written is taken for whole


def _end_stages_with_us() -> None:
    """On a signal that ends us, end the stage's whole process group first.

    Cancelling a flow run, Ctrl-C and `make up`'s end reach this process only; the task that waits
    for the stage sits in a thread that no signal reaches, and DVC, its shell and the stage would go on.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        earlier = signal.getsignal(number)

        def handle(signum: int, frame: FrameType | None, earlier: Any = earlier) -> None:
            for process in list(_RUNNING):
                _end(process)
            if callable(earlier):
                earlier(signum, frame)
            else:
                raise KeyboardInterrupt

        signal.signal(number, handle)


def environment() -> Mapping[str, str]:
    """The environment with this interpreter's commands first: `dvc.yaml` calls ``segline``."""
    return os.environ | {"PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])}


def main() -> None:
    """``python -m flows.data``: run the flow here."""
    from argparse import ArgumentParser

    parser = ArgumentParser(prog="python -m flows.data", description=data.description)
    parser.add_argument("--force", action="store_true", help="run every stage, up to date or not")
    reporting.run(parser, lambda options: data(force=options.force))


if __name__ == "__main__":
    main()
