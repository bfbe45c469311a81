"""Run per-sample work on several processes, and work on files on several threads.

Per-sample work runs on a pool of processes on this machine. `using` replaces the pool, for example by the executor
of a Dask cluster (``client.get_executor()``) if the raw and prepared folders are on a shared disk::

    with parallel.using(client.get_executor()):
        validate(...)
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import cv2
import numpy as np

from segline.errors import SeglineError
from segline.parallel import forking
from segline.progress import Report, showing, silent

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_CHUNK = 16
_KEPT_BYTES = 16 << 20

_Context: Any = type(multiprocessing.get_context(forking.METHOD))
_Process: Any = _Context.Process

_replacement: ContextVar[Executor | None] = ContextVar("executor", default=None)
_starting = threading.Lock()


@contextmanager
def using(executor: Executor) -> Iterator[None]:
    """Run all per-sample work inside the ``with`` block on `executor`, which is not closed."""
    token = _replacement.set(executor)
    try:
        yield
    finally:
        _replacement.reset(token)


@contextmanager
def processes(workers: int) -> Iterator[Executor]:
    """Start a pool of processes; they end when the context ends, also after an exception.

    The processes ignore Ctrl-C, which only the parent handles. They also end if the parent is killed. Functions that
    they call must be importable, so they cannot be defined in the program's main module.
    """
    pool = ProcessPoolExecutor(workers, mp_context=_make_context(), initializer=_prepare_worker)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def stream_samples(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    description: str,
    report: Report = silent,
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`; hold only a few chunks of results in memory.

    `function`, items and results must be picklable unless `workers` is 1. An exception of `function` is raised
    here in the position of its item, and work that has not started is cancelled.

    Raises:
        SeglineError: a worker process was killed.
    """
    with showing(report) as progress:
        advance = progress.start(description, len(items))
        for result in _compute(function, items, workers, description):
            advance(1)
            yield result


def _compute(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, description: str
) -> Iterator[Result]:
    replacement = _replacement.get()
    if replacement is None and (workers == 1 or len(items) <= forking.FEW):
        yield from map(function, items)
        return
    size = max(1, min(_MAX_CHUNK, len(items) // (workers * 4)))
    chunks = (items[start : start + size] for start in range(0, len(items), size))
    waiting: deque[Future[list[Result]]] = deque()
    pool = nullcontext(replacement) if replacement else processes(workers)
    with pool as executor, reporting_loss(description, workers=workers):
        try:
            for chunk in chunks:
                waiting.append(executor.submit(_apply, function, chunk))
                if len(waiting) > 2 * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def stream_files(
    function: Callable[[Item], Result], items: Sequence[Item], *, description: str, report: Report = silent
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`, computed on up to eight threads (for disk-bound work)."""
    with showing(report) as progress, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as executor:
        advance = progress.start(description, len(items))
        for result in executor.map(function, items):
            yield result
            advance(1)


def _apply(function: Callable[[Item], Result], chunk: Sequence[Item]) -> list[Result]:
    return [function(item) for item in chunk]


@contextmanager
def reporting_loss(description: str, *, workers: int) -> Iterator[None]:
    """Convert the loss of a worker process to a `SeglineError` about `description`."""
    try:
        yield
    except BrokenExecutor as error:
        raise SeglineError(
            description,
            found="a worker process ended abruptly",
            expected=f"{workers} workers that run until the end",
            remedy="memory has probably run out: set SEGLINE_WORKERS to a smaller number and run the same command",
        ) from error


def _make_context() -> BaseContext:
    context: BaseContext = _Context()  # a new context, so that processes of other code do not change
    vars(context)["Process"] = _Worker
    return context


class _Worker(_Process):
    """Process that does not import the parent's main module (8 s and 250 MB with Prefect and MLflow)."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802
        # `multiprocessing` finds the main module by these two names, and imports none if they are None.
        main = vars(sys.modules["__main__"])
        with _starting:
            kept: dict[str, Any] = {name: main[name] for name in ("__spec__", "__file__") if name in main}
            main.update(dict.fromkeys(kept))
            try:
                return _Process._Popen(process_obj)
            finally:
                main.update(kept)


def _prepare_worker() -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)  # the processes are the parallelism
    # By default, glibc returns the memory of a sample to the system, and gets it back page by page for the next one.
    # This takes a fifth of the time of counting a Cityscapes pair. After a block of this size has been freed once,
    # glibc keeps twice as much memory.
    np.empty(_KEPT_BYTES, np.uint8)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
