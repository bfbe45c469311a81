import os
from pathlib import Path

import pytest

from segline.data import parallel
from segline.data.parallel import map_samples, stream_samples
from segline.errors import DataError, SeglineError


@pytest.fixture(autouse=True)
def _processes_even_for_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_FEW", 4)


def _fail_at_thirty(number: int) -> int:
    if number == 30:
        raise DataError("item 30", found="a fault", remedy="none")
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_order_is_kept(workers: int) -> None:
    names = [f"name {number}" for number in range(70)]
    assert map_samples(len, names, workers=workers, description="lengths") == [len(name) for name in names]


def test_results_do_come_from_other_processes() -> None:
    parents = map_samples(_parent_of, list(range(40)), workers=2, description="parents")
    assert os.getppid() not in parents


def _parent_of(_: int) -> int:
    return os.getppid()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_arrives_as_it_was_raised(workers: int) -> None:
    with pytest.raises(DataError, match="item 30: a fault"):
        map_samples(_fail_at_thirty, list(range(60)), workers=workers, description="faults")


def test_a_killed_worker_is_told() -> None:
    with pytest.raises(SeglineError, match="a worker process ended abruptly"):
        map_samples(os._exit, list(range(40)), workers=2, description="kill")


def test_a_stream_that_is_left_early_stops(tmp_path: Path) -> None:
    made = [tmp_path / str(number) for number in range(400)]
    stream = stream_samples(Path.mkdir, made, workers=2, description="folders")
    next(stream)
    stream.close()
    assert sum(path.exists() for path in made) < 200
