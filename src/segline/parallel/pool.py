"""Per-sample work on several processes: the one place that makes the executor.

It is a pool of processes on this machine, unless `using` has put another in its place: a Dask
cluster's (``client.get_executor()``), where the raw and prepared folders are on a shared disk::

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
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
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

_LARGEST_CHUNK = 16
_KEPT = 16 << 20  # bytes

_Context: Any = type(multiprocessing.get_context(forking.METHOD))
_Process: Any = _Context.Process

_given: ContextVar[Executor | None] = ContextVar("executor", default=None)
_starting = threading.Lock()


@contextmanager
def using(executor: Executor) -> Iterator[None]:
    """Have `executor` do the per-sample work of everything that is called meanwhile; it stays open."""
    token = _given.set(executor)
    try:
        yield
    finally:
        _given.reset(token)


@contextmanager
def processes(workers: int) -> Iterator[Executor]:
    """A pool of processes, gone when the block is left, however it is left.

    They ignore Ctrl-C, which is the parent's to act on, and end with the parent even where that is
    killed. What they are to call must be importable: not of the program's main module.
    """
    pool = ProcessPoolExecutor(workers, mp_context=_context(), initializer=_begin)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def map_samples(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    description: str,
    report: Report = silent,
) -> list[Result]:
    """``[function(item) for item in items]`` on `workers` processes; see `stream_samples`."""
    return list(stream_samples(function, items, workers=workers, description=description, report=report))


def stream_samples(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    description: str,
    report: Report = silent,
) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of `items`, with only a few chunks in memory at a time.

    `function`, items and results must be picklable unless `workers` is 1. What `function` raises
    is raised here, at its item's place, and the work not yet begun is dropped.

    Raises:
        SeglineError: a worker process was killed.
    """
    with showing(report) as progress:
        advance = progress.start(description, len(items))
        for result in _results(function, items, workers, description):
            advance(1)
            yield result


def _results(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, description: str
) -> Iterator[Result]:
    given = _given.get()
    if given is None and (workers == 1 or len(items) <= forking.FEW):
        yield from map(function, items)
        return
    size = max(1, min(_LARGEST_CHUNK, len(items) // (workers * 4)))
    chunks = (items[start : start + size] for start in range(0, len(items), size))
    waiting: deque[Future[list[Result]]] = deque()
    with nullcontext(given) if given else processes(workers) as executor, reporting_loss(description, workers=workers):
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


def _apply(function: Callable[[Item], Result], chunk: Sequence[Item]) -> list[Result]:
    return [function(item) for item in chunk]


@contextmanager
def reporting_loss(description: str, *, workers: int) -> Iterator[None]:
    """Turn the loss of a worker process into a `SeglineError` at `description`."""
    try:
        yield
    except BrokenExecutor as error:
        raise SeglineError(
            description,
            found="a worker process ended abruptly",
            expected=f"{workers} workers to live until the end",
            remedy="most often memory ran out: set SEGLINE_WORKERS to a smaller number and run the same command",
        ) from error


def _context() -> BaseContext:
    context: BaseContext = _Context()  # of our own: nobody else's processes are changed
    vars(context)["Process"] = _Worker
    return context


class _Worker(_Process):
    """A process that does not import the parent's main module: with Prefect and MLflow that is 8 s and 250 MB."""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802
        main = vars(sys.modules["__main__"])
        with _starting:
            kept: dict[str, Any] = {name: main[name] for name in ("__spec__", "__file__") if name in main}
            main.update(dict.fromkeys(kept))
            try:
                return _Process._Popen(process_obj)
            finally:
                main.update(kept)


def _begin() -> None:
    """What a worker process does first."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)  # the processes are the parallelism
    # glibc gives what a sample took back to the system, and fetches it page by page for the next: a fifth of
    # the time that counting a Cityscapes pair takes. Once a block of this size was freed, twice as much is kept.
    np.empty(_KEPT, np.uint8)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
