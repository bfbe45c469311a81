"""``dvc.lock`` is read while DVC writes it: stages of one dataset run while another is trained on."""

import os
import threading
import time

import pytest
from dvc.lock import Lock

from segline.data.recorded import lock
from segline.errors import ConfigError, DataError

TEXT = "schema: '2.0'\nstages:\n" + "".join(f"  prepare@d{number}:\n    cmd: x\n" for number in range(50))


@pytest.fixture
def place(tmp_path):
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text(TEXT)
    return tmp_path / "dvc.lock"


def write_in_parts(place, begun):
    """Write the file as DVC does: under its lock, emptied first, then in parts."""
    with Lock(str(place.parent / ".dvc" / "tmp" / "lock")), place.open("w") as stream:
        begun.set()
        for start in range(0, len(TEXT), 300):
            time.sleep(0.02)
            stream.write(TEXT[start : start + 300])
            stream.flush()


def test_a_file_that_dvc_is_writing_is_read_once_it_is_whole(place):
    """Before, a part was read: stages were missing, or the file was called damaged, with a remedy that loses it."""
    begun = threading.Event()
    writer = threading.Thread(target=write_in_parts, args=[place, begun])
    writer.start()
    begun.wait()
    found = [len(lock.read_stages(place)) for _ in range(3)]
    writer.join()
    assert found == [50, 50, 50]


def test_a_file_that_was_written_before_is_read_at_once_while_dvc_works(place):
    os.utime(place, (time.time() - 60,) * 2)
    with Lock(str(place.parent / ".dvc" / "tmp" / "lock")):
        began = time.monotonic()
        assert len(lock.read_stages(place)) == 50
    assert time.monotonic() - began < 1


def test_reading_leaves_dvc_its_lock(place):
    taken = Lock(str(place.parent / ".dvc" / "tmp" / "lock"))
    with taken:
        assert lock._is_dvc_working(place.parent)
    assert not lock._is_dvc_working(place.parent)
    with taken:
        pass


@pytest.mark.parametrize(
    ("left", "error"),
    [("stages:\n  prepare@kitti:\n    cmd: [", ConfigError), ("schema: '2.0'\nsta", ConfigError), ("sta", DataError)],
)
def test_a_file_that_a_killed_command_left_in_part_is_named(place, left, error):
    place.write_text(left)
    with pytest.raises(error, match=r"dvc\.lock(.*\n)*.*git checkout"):
        lock.read_stages(place)
