"""Each in a process of its own: what workers are forked off is one for a whole process."""

import os
import signal
import subprocess
import sys
import time

import pytest

from segline.parallel import forking

pytestmark = pytest.mark.skipif(forking.METHOD != "forkserver", reason="nothing is forked here")

WORKER = """
from segline.parallel import forking
{begin}
from segline.parallel.pool import processes
with processes(1) as pool:
    print(pool.submit(eval, "'segline.evaluation.folders.count_pairs' in __import__('sys').modules").result())
"""

INTERRUPTED = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit("interrupted"))
from segline.parallel import forking
forking.begin("segline.evaluation.folders.count_pairs")
print("begun", flush=True)
for _ in range(600):  # a signal that comes just before one long sleep would be handled only after it
    time.sleep(0.1)
"""


@pytest.mark.parametrize(
    ("begin", "expected"), [('forking.begin("segline.evaluation.folders.count_pairs")', "True"), ("", "False")]
)
def test_workers_have_imported_what_was_begun_with(begin, expected):
    script = WORKER.format(begin=begin)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected]
    assert done.stderr == ""


@pytest.mark.parametrize("wait", [0, 0.1, 0.3])
def test_ctrl_c_while_modules_are_imported_is_the_parents_alone(wait):
    """A terminal sends it to all processes of the group."""
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "begun\n"
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (1, "interrupted\n")
