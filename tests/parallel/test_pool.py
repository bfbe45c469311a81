import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from segline.errors import DataError, SeglineError
from segline.parallel import forking
from segline.parallel.pool import stream_samples


@pytest.fixture(autouse=True)
def _processes_even_for_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "FEW", 4)


def _fail_at_thirty(number: int) -> int:
    if number == 30:
        raise DataError("item 30", found="a fault", remedy="none")
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_order_is_kept(workers: int) -> None:
    names = [f"name {number}" for number in range(70)]
    assert list(stream_samples(len, names, workers=workers, description="lengths")) == [len(name) for name in names]


def _faults(_: int) -> int:
    """Pages that the system has to bring for ten samples of 6 MiB, of which it brought the first one's already."""
    for number in range(11):
        if number == 1:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        taken = [np.ones(2 << 20, np.uint8) for _ in range(3)]
        del taken
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="how glibc gives memory back")
def test_a_process_keeps_the_memory_of_one_sample_for_the_next() -> None:
    pages = max(stream_samples(_faults, list(range(6)), workers=2, description="faults"))
    assert pages < 6 * 2**20 / 4096  # one sample's, not ten samples'


def test_results_do_come_from_other_processes() -> None:
    parents = list(stream_samples(_parent_of, list(range(40)), workers=2, description="parents"))
    assert os.getppid() not in parents


def _parent_of(_: int) -> int:
    return os.getppid()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_arrives_as_it_was_raised(workers: int) -> None:
    with pytest.raises(DataError, match="item 30: a fault"):
        list(stream_samples(_fail_at_thirty, list(range(60)), workers=workers, description="faults"))


def test_a_killed_worker_is_told() -> None:
    with pytest.raises(SeglineError, match="a worker process ended abruptly"):
        list(stream_samples(os._exit, list(range(40)), workers=2, description="kill"))


def test_a_stream_that_is_left_early_stops(tmp_path: Path) -> None:
    made = [tmp_path / str(number) for number in range(400)]
    stream = stream_samples(Path.mkdir, made, workers=2, description="folders")
    next(stream)
    stream.close()
    assert sum(path.exists() for path in made) < 200


def test_workers_do_not_import_the_main_module(tmp_path: Path) -> None:
    script = tmp_path / "main.py"
    script.write_text(
        "import os\n"
        "assert __name__ == '__main__', 'imported by a worker'\n"
        "from segline.parallel.pool import processes\n"
        "with processes(2) as pool:\n"
        "    print(*pool.map(abs, [-3, -4]), __spec__, os.path.basename(__file__))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "3 4 None main.py\n"
