"""Choose the start method of worker processes, and start the fork server. Imports no large package."""

import multiprocessing
import signal
from multiprocessing import forkserver

FEW = 128
"""Up to this number of samples, starting processes (1 to 2 s) takes longer than the time that they save."""

# Never use plain fork: threads of the parent (TensorFlow, aiohttp) may hold locks, which would stay locked in a child.
METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
"""Start method of worker processes."""


def begin(*modules: str) -> None:
    """Start the fork server, which imports `modules` while this process continues.

    Workers then need no time to import them; `segline score` is half a second faster. Call this in the main thread
    before the first worker is started; later it has no effect.
    """
    if METHOD != "forkserver":
        return
    multiprocessing.set_forkserver_preload(list(modules))
    # Only the parent handles Ctrl-C, also while the fork server imports modules. A child inherits ignored signals.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, handler)
