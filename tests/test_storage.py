import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from segline import storage
from segline.errors import StorageError
from segline.storage import atomic_file, atomic_folder, require_room, write_json, write_text


def test_a_file_appears_whole_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    for content in ("old", "new"):
        with atomic_file(path) as partial:
            partial.write_text(content)
            assert not path.exists() or path.read_text() == "old"
        assert path.read_text() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_a_failure_leaves_the_old_content_and_nothing_else(tmp_path):
    path, folder = tmp_path / "file.txt", tmp_path / "folder"
    path.write_text("old")
    (folder / "inner").mkdir(parents=True)
    with pytest.raises(RuntimeError), atomic_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), atomic_folder(folder) as partial:
        (partial / "half").write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file.txt", "folder"]
    assert [entry.name for entry in folder.iterdir()] == ["inner"]


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    folder = tmp_path / "folder"
    for name in ("first", "second"):
        with atomic_folder(folder) as partial:
            (partial / name).touch()
    assert [entry.name for entry in folder.iterdir()] == ["second"]


def test_what_a_killed_process_left_is_removed_and_a_live_one_is_left_alone(tmp_path):
    script = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from segline.storage import atomic_folder
        with atomic_folder(Path(sys.argv[1])) as partial:
            (partial / "half").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    folder = tmp_path / "folder"
    subprocess.run([sys.executable, "-c", script, str(folder)], check=False)
    assert not folder.exists()
    assert len(list(tmp_path.iterdir())) == 1
    alive = tmp_path / ".folder.1.partial"  # process 1 is always there
    alive.mkdir()
    with atomic_folder(folder) as partial:
        (partial / "whole").touch()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [alive.name, "folder"]


def test_a_full_disk_is_named(tmp_path):
    """The kernel refuses to let the file grow, as a full disk does."""
    script = textwrap.dedent(
        """
        import resource, signal, sys
        from pathlib import Path
        from segline.errors import StorageError
        from segline.storage import atomic_file
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
        try:
            with atomic_file(Path(sys.argv[1])) as partial:
                partial.write_bytes(bytes(1 << 20))
        except StorageError as error:
            print(error)
        """
    )
    path = tmp_path / "file"
    answer = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert str(path) in answer.stdout
    assert "the disk is full" in answer.stdout
    assert "remedy" in answer.stdout
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="move what is in the way"), atomic_file(tmp_path / "file" / "x"):
        pass


def test_a_kill_while_the_old_folder_is_removed_leaves_the_new_one_whole(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").touch()
    script = textwrap.dedent(
        """
        import os, shutil, signal, sys
        from pathlib import Path
        from segline.storage import atomic_folder
        shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
        with atomic_folder(Path(sys.argv[1])) as partial:
            (partial / "new").touch()
        """
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], check=False)
    assert [entry.name for entry in folder.iterdir()] == ["new"]
    assert len(list(tmp_path.iterdir())) == 2
    with atomic_folder(folder) as partial:
        (partial / "newer").touch()
    assert [entry.name for entry in folder.iterdir()] == ["newer"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_room_is_what_the_disk_has_less_what_stays_free(tmp_path, monkeypatch):
    room = require_room(tmp_path / "not" / "made", 1000, purpose="for a test")
    assert room > 1000
    monkeypatch.setattr(storage, "SPARE", room)
    with pytest.raises(StorageError, match=r"expected .* MiB for a test, and"):
        require_room(tmp_path, 1 << 60, purpose="for a test")


def test_json_that_no_parser_could_read_is_not_written_and_the_old_file_stays(tmp_path):
    file = tmp_path / "new" / "file.json"
    write_json(file, {"name": "Stra\u00dfe", "value": None})
    assert json.loads(file.read_text(encoding="utf-8")) == {"name": "Stra\u00dfe", "value": None}
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            write_json(file, {"value": value})
    assert json.loads(file.read_text(encoding="utf-8"))["value"] is None
    assert [entry.name for entry in file.parent.iterdir()] == ["file.json"]


def test_text_is_written_as_it_is_in_utf_8(tmp_path):
    write_text(tmp_path / "page.html", "9 \u2013 no\n")
    assert (tmp_path / "page.html").read_bytes() == "9 \u2013 no\n".encode()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc here")
@pytest.mark.parametrize("write", [atomic_file, atomic_folder])
def test_a_place_where_no_folder_can_be_made_is_named(write):
    said = "/proc/nowhere: cannot be written: no folder can be made there"
    with pytest.raises(StorageError, match=said), write(Path("/proc/nowhere/file")):
        pass
