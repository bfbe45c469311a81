"""End flow runs whose process is gone, and free the slots that they hold.

Prefect does not notice that a process was killed: its run stays RUNNING, and a deployment with a concurrency limit
waits for it. Here each flow holds a lock file for as long as its process lives. The operating system releases the lock,
however the process ends. A run in an active state whose lock is free is abandoned.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psutil
from filelock import FileLock, Timeout
from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.states import Cancelled, Crashed

from segline.project import Project

SECONDS_BETWEEN_LOOKS: Final = 2.0
"""A run is ended if two looks, at least this far apart, find it abandoned in the same state."""

_ACTIVE = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]  # the states in which a run holds a slot
_START = timedelta(seconds=60)  # until a started run must hold its lock
_FORGET = timedelta(days=1)  # age at which a lock file that nobody holds is deleted
_REASON = "its process is gone"
_FLOWS = ["data", "training"]  # names of the flows that hold locks
_HELD: dict[str, FileLock] = {}
"""Locks of this process. It never releases one: a flow ends before its last state is reported."""


def hold_lock(project: Project) -> None:
    """Hold the lock of the flow run that is executed here until this process ends."""
    run = str(runtime.flow_run.id)
    if run in _HELD:
        return
    path = project.flow_lock(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    lock.acquire()
    _HELD[run] = lock


class AbandonedRuns:
    """Find the project's abandoned runs on one Prefect server, and end those that are found twice.

    Args:
        own: the server belongs to this project alone. Then runs that were killed before they held a lock are ended too,
            and taken slots are counted. On any other server, a run without a lock file here is somebody else's.
            Flows that the user wrote hold no locks: their runs are ended only if a worker had started the process.
    """

    def __init__(self, project: Project, *, own: bool) -> None:
        self._project = project
        self._own = own
        self._runs: set[UUID | None] = set()
        self._slots: set[tuple[str, int, int]] = set()

    def end_after_two_looks(self, client: SyncPrefectClient) -> Iterator[str]:
        """Look, and look again if anything was found; yield as `end` does."""
        yield from self.end(client)
        if self._runs or self._slots:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            yield from self.end(client)

    def end(self, client: SyncPrefectClient) -> Iterator[str]:
        """Look once, and end what the look before found too; yield a line for each run that is ended and slot freed."""
        ours = self._read_own_flows(client)
        found = [run for run in self._read_active(client) if self._is_abandoned(run, ours)]
        again = [run for run in found if run.state_id in self._runs]
        for run in again:
            if _end_run(client, run):
                yield f"flow run {run.name}, started {_format_time(run)}, is ended as crashed: {_REASON}"
        self._runs = {run.state_id for run in found if run not in again}
        if self._own:
            yield from self._correct_slots(client)
        self._delete_old_locks()

    def _read_active(self, client: SyncPrefectClient) -> list[FlowRun]:
        return list(client.read_flow_runs(flow_run_filter=FlowRunFilter(state=_flow_states())))

    def _read_own_flows(self, client: SyncPrefectClient) -> set[UUID]:
        """Return the flows whose runs hold locks, on a server of this project."""
        wanted = FlowFilter(name=FlowFilterName(any_=_FLOWS))
        return {found.id for found in client.read_flows(flow_filter=wanted)} if self._own else set()

    def _is_abandoned(self, run: FlowRun, ours: set[UUID]) -> bool:
        lock = self._project.flow_lock(str(run.id))
        if lock.is_file():
            return not _is_held(lock)
        is_known = run.flow_id in ours or run.infrastructure_pid is not None
        return self._own and is_known and _is_older(run.state, _START) and not _is_starting(run)

    def _correct_slots(self, client: SyncPrefectClient) -> Iterator[str]:
        """Set the slots that are taken of each deployment to the number of its active runs."""
        wrong = set()
        for deployment in client.read_deployments():
            limit = deployment.global_concurrency_limit
            if limit is None:
                continue
            holders = client.read_flow_runs(
                flow_run_filter=FlowRunFilter(
                    state=_flow_states(), deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id])
                )
            )
            seen = (limit.name, limit.active_slots, len(holders))
            if limit.active_slots == len(holders):
                continue
            if seen in self._slots:
                change = GlobalConcurrencyLimitUpdate(active_slots=len(holders))
                client.update_global_concurrency_limit(limit.name, change)
                yield f"slots of a deployment: {limit.active_slots} were taken by {len(holders)} runs, now corrected"
            else:
                wrong.add(seen)
        self._slots = wrong

    def _delete_old_locks(self) -> None:
        for path in self._project.flow_locks.glob("*.lock"):
            age = datetime.now(UTC) - datetime.fromtimestamp(path.stat().st_mtime, UTC)
            if age > _FORGET and not _is_held(path):
                path.unlink(missing_ok=True)


def _flow_states() -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=_ACTIVE))


def _is_held(path: Any) -> bool:
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def _is_older(state: State[Any] | None, age: timedelta) -> bool:
    return state is not None and datetime.now(UTC) - state.timestamp > age


def _is_starting(run: FlowRun) -> bool:
    """Return whether the process that a worker started for `run` exists; it imports the flow before it holds a lock."""
    if not (run.infrastructure_pid or "").isdecimal():
        return False
    try:
        process = psutil.Process(int(str(run.infrastructure_pid)))
        return process.environ().get("PREFECT__FLOW_RUN_ID") == str(run.id)
    except psutil.Error:
        return False


def _end_run(client: SyncPrefectClient, run: FlowRun) -> bool:
    """End `run` and its tasks; return False if the server refuses, because it ended by itself meanwhile."""
    # From CANCELLING, Prefect accepts CANCELLED alone. Never forced: a run that ended meanwhile keeps its state.
    cancelling = run.state_type == StateType.CANCELLING
    state: State[Any] = Cancelled(message=_REASON) if cancelling else Crashed(message=_REASON)
    if client.set_flow_run_state(run.id, state).status != SetStateStatus.ACCEPT:
        return False
    tasks = client.read_task_runs(
        flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])),
        task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=_ACTIVE))),
    )
    for task in tasks:
        client.set_task_run_state(task.id, Crashed(message=_REASON))
    return True


def _format_time(run: FlowRun) -> str:
    started = run.start_time or run.created
    return f"{started.astimezone():%Y-%m-%d %H:%M}" if started else "at an unknown time"
