"""How busy others keep the machine, from clocks that are known and from this machine's."""

import subprocess
import sys
import time

import keras
import psutil
import pytest

from segline.evaluation.cost import machine

SPIN = "import time\nwhile time.process_time() < 0.5: sum(range(100_000))"


def named(cores, threads=None):
    return machine.Machine(processor="", cores=cores, threads=threads, devices=(), system="", versions={})


def reading(wall, busy, own, average=0.5):
    return machine.Reading(wall=wall, busy=busy, own=own, average=average)


def test_the_machine_has_a_name_and_versions():
    here = machine.describe(threads=3)
    assert here.processor
    assert here.cores >= 1
    assert here.threads == 3
    assert here.versions["keras"] == keras.__version__
    assert here.devices


def test_others_keep_busy_what_is_busy_less_this_process():
    found = machine.compute_load(reading(10, 1000, 70), reading(12, 1008, 75, average=4.0), machine=named(4), cores=8)
    assert found == machine.Load(average=0.5, cores=8, used=4, others=1.5)
    ticks = machine.compute_load(reading(10, 1000, 70), reading(12, 1001, 71.01), machine=named(4), cores=8)
    assert ticks.others == 0


@pytest.mark.parametrize(
    ("cores", "used", "others", "disturbed"),
    [(8, 4, 4.0, False), (8, 4, 4.3, False), (8, 4, 4.5, True), (2, 2, 0.1, False), (2, 2, 0.3, True)],
)
def test_times_are_in_doubt_once_others_need_the_cores_used(cores, used, others, disturbed):
    assert machine.Load(average=9.0, cores=cores, used=used, others=others).disturbed == disturbed


@pytest.mark.parametrize(("cores", "threads", "used"), [(4, None, 4), (4, 1, 1), (4, 16, 4), (16, None, 8)])
def test_calls_use_the_cores_that_they_may(cores, threads, used):
    assert machine.compute_load(reading(0, 0, 0), reading(1, 0, 0), machine=named(cores, threads), cores=8).used == used


def test_busy_is_at_least_the_work_of_users_and_never_the_idle_time():
    before, found, after = psutil.cpu_times(), machine.read_times(), psutil.cpu_times()
    assert before.user <= found.busy <= sum(after) - before.idle


def test_own_work_is_own_and_a_childs_is_others():
    first, begun = machine.read_times(), time.process_time()
    while time.process_time() - begun < 0.3:
        pass
    middle = machine.read_times()
    subprocess.run([sys.executable, "-c", SPIN], check=True)
    last = machine.read_times()
    assert middle.own - first.own >= 0.25
    assert middle.busy - first.busy >= 0.2  # by a clock that ticks a hundred times a second
    assert last.own - middle.own < 0.25
    assert last.busy - middle.busy >= 0.4
    assert first.wall < middle.wall < last.wall
    assert first.average is None or first.average >= 0
    found = machine.compute_load(middle, last, machine=named(1))
    assert found.others > 0
    assert found.cores >= 1
