"""Per-sample work on several processes: the one place that makes the executor."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from segline.data.progress import Report, silent, tracking
from segline.errors import SeglineError

Item = TypeVar("Item")
Result = TypeVar("Result")

_FEW = 128  # up to here, starting processes (1 to 2 s) takes longer than they save
_LARGEST_CHUNK = 16


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
    with tracking(unit="samples", report=report) as track:
        advance = track(description, len(items))
        for result in _results(function, items, workers, description):
            advance(1)
            yield result


def _results(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, description: str
) -> Iterator[Result]:
    if workers == 1 or len(items) <= _FEW:
        yield from map(function, items)
        return
    size = max(1, min(_LARGEST_CHUNK, len(items) // (workers * 4)))
    chunks = (items[start : start + size] for start in range(0, len(items), size))
    executor = _executor(workers)
    waiting: deque[Future[list[Result]]] = deque()
    try:
        for chunk in chunks:
            waiting.append(executor.submit(_apply, function, chunk))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise SeglineError(
            description,
            found="a worker process ended abruptly",
            expected=f"{workers} workers to live until the end",
            remedy="most often memory ran out: set SEGLINE_WORKERS to a smaller number and run the same command",
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _apply(function: Callable[[Item], Result], chunk: Sequence[Item]) -> list[Result]:
    return [function(item) for item in chunk]


def _executor(workers: int) -> Executor:
    # Never plain fork: the parent may hold threads (TensorFlow, aiohttp) whose locks would be copied shut.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_interrupts_to_the_parent)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
