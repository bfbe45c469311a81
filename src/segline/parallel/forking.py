"""Start method of worker processes, and the server process that forks them; imports nothing heavy."""

import multiprocessing
import signal
from multiprocessing import forkserver

FEW = 128
"""For at most this many samples, starting processes (1 to 2 s) takes longer than they save."""

# Never plain fork: the parent may have threads (TensorFlow, aiohttp), and locks that they hold would stay locked.
METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
"""Start method of worker processes."""


def begin(*modules: str) -> None:
    """Start the fork server now, and have it import `modules` while this process goes on.

    Workers then need not import them: `segline score` is half a second faster. Call it in the main thread,
    before the first worker is started; later it has no effect.
    """
    if METHOD != "forkserver":
        return
    multiprocessing.set_forkserver_preload(list(modules))
    # The parent alone acts on Ctrl-C, also while the fork server imports: a child inherits that a signal is ignored.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, handler)
