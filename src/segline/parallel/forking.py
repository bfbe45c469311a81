"""The process that worker processes are forked off, and the workers' numbers; imports nothing heavy."""

import multiprocessing
import signal
from multiprocessing import forkserver

FEW = 128
"""Up to so many samples, starting processes (1 to 2 s) takes longer than they save."""

# Never plain fork: the parent may hold threads (TensorFlow, aiohttp) whose locks would be copied shut.
METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
"""How processes are started."""


def begin(*modules: str) -> None:
    """Start the process that workers are forked off now, with `modules` imported, while this one goes on.

    A worker then need not import them again: of `segline score` that is half a second. To be called in the main
    thread, before the first worker is started; later it changes nothing.
    """
    if METHOD != "forkserver":
        return
    multiprocessing.set_forkserver_preload(list(modules))
    # Ctrl-C is the parent's to act on, while that process imports too: what is ignored stays so in a child.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, handler)
