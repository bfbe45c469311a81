"""Run DVC's graph as Prefect tasks, one for each stage; a stage that is up to date is shown as cached.

The stages are read from `dvc.yaml`; none is listed here.

    python -m flows.data
    prefect deployment run 'data/local' -p dataset=kitti
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
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from flows import abandoned, reporting
from segline import config
from segline.errors import DataError
from segline.project import Project

_LAST_STAGE = "prepare"  # of each dataset: all its others come before
_CACHED_MESSAGES = ("didn't change, skipping", "is cached - skipping run")  # in the output of `dvc repro`
_RUNNING_PROCESSES: set[subprocess.Popen[str]] = set()


def stages(root: Path, *, dataset: str | None = None) -> dict[str, set[str]]:
    """Read DVC's graph: stage name -> the stages that must run before it, in an order that can be run.

    Args:
        dataset: read only the stages that prepare this dataset; default: all.
    """
    graph = Repo(str(root)).index.graph
    before = {stage.addressing: {needed.addressing for needed in graph.successors(stage)} for stage in graph}
    kept = set(before) if dataset is None else _collect_needed(f"{_LAST_STAGE}@{dataset}", before)
    return {name: before[name] for name in TopologicalSorter(before).static_order() if name in kept}


def _collect_needed(stage: str, before: Mapping[str, set[str]]) -> set[str]:
    """Return `stage`, and all stages that must run before it."""
    return {stage}.union(*(_collect_needed(needed, before) for needed in before[stage]))


# One stage at a time, because DVC locks its workspace: with eight at once, one of them failed.
@flow(name="data", log_prints=True, task_runner=ThreadPoolTaskRunner(max_workers=1))  # type: ignore[arg-type]
@reporting.without_secrets
def data(dataset: str | None = None, force: bool = False) -> dict[str, str]:
    """Run every stage of dvc.yaml that is not up to date.

    Args:
        dataset: one of the ``datasets`` of params.yaml: run only the stages that prepare it; default: all.
        force: run all these stages, even those that are up to date.

    Returns:
        Stage -> ``cached`` or ``ran``.
    """
    reporting.without_tracebacks()
    project = Project.load()
    abandoned.hold_lock(project)
    config.load(project.params, dataset=dataset)
    _end_stages_on_signals()
    futures: dict[str, PrefectFuture[Any]] = {}
    for name, needed in stages(project.root, dataset=dataset).items():
        stage: Any = reproduce.with_options(name=name)
        earlier = [futures[other] for other in needed]
        futures[name] = stage.submit(name, root=project.root, force=force, wait_for=earlier)
    outcome = {name: _wait_for_outcome(future) for name, future in futures.items()}
    reporting.publish(outcome.items(), key="data-stages", head=("stage", "outcome"))
    for name, future in futures.items():
        future.result()  # raises what the stage raised
        print(f"{name}: {outcome[name]}")
    return outcome


def _wait_for_outcome(future: PrefectFuture[Any]) -> str:
    future.wait()
    name = str(future.state.name)
    return {"Completed": "ran", "Cached": "cached"}.get(name, name.lower())


@task(cache_policy=NO_CACHE)
@reporting.without_secrets
def reproduce(stage: str, *, root: Path, force: bool) -> State[str]:
    """Run one stage of dvc.yaml, unless it is up to date."""
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", *(["--force"] if force else []), stage]
    lines: list[str] = []
    with _run_in_group(command, root) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            print(lines[-1])
    if process.returncode != 0:
        raise DataError(
            f"stage {stage}",
            found="\n".join(lines[-25:]) or f"dvc exited with code {process.returncode}",
            remedy="correct what the output above reports, then run the flow again: it keeps finished stages",
        )
    if any(sign in line for line in lines for sign in _CACHED_MESSAGES):
        return Completed(name="Cached", message=f"{stage} is up to date", data="cached")
    return Completed(message=f"{stage} ran successfully", data="ran")


@contextmanager
def _run_in_group(command: list[str], root: Path) -> Iterator[subprocess.Popen[str]]:
    """Run `command` in its own process group, which `_end_stages_on_signals` can end as a whole."""
    process = subprocess.Popen(
        command,
        cwd=root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _RUNNING_PROCESSES.add(process)
    try:
        yield process
        process.wait()
    finally:
        _end(process)
        _RUNNING_PROCESSES.discard(process)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)  # safe for stages: a half-written file is never taken for a whole one


def _end_stages_on_signals() -> None:
    """End the stage's whole process group first, when a signal ends this process.

    Cancelling a flow run, Ctrl-C and the end of `make up` reach this process only. The task that waits for the stage
    is in a thread that no signal reaches, so DVC, its shell and the stage would continue.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        earlier = signal.getsignal(number)

        def handle(signum: int, frame: FrameType | None, earlier: Any = earlier) -> None:
            for process in list(_RUNNING_PROCESSES):
                _end(process)
            if callable(earlier):
                earlier(signum, frame)
            else:
                raise KeyboardInterrupt

        signal.signal(number, handle)


def environment() -> Mapping[str, str]:
    """Return the environment with this interpreter's commands first in PATH, because `dvc.yaml` calls ``segline``."""
    return os.environ | {"PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])}


def main() -> None:
    """Run the flow in this process (``python -m flows.data``)."""
    from argparse import ArgumentParser

    parser = ArgumentParser(prog="python -m flows.data", description=data.description)
    parser.add_argument("--dataset", help="run only the stages that prepare this dataset; default: all")
    parser.add_argument("--force", action="store_true", help="run all stages, even those that are up to date")
    reporting.run(parser, lambda options: data(dataset=options.dataset, force=options.force))


if __name__ == "__main__":
    main()
