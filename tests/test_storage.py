import json
import os
import stat
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
    with (
        pytest.raises(StorageError, match="move the file or folder"),
        atomic_file(tmp_path / "file" / "x"),
    ):
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
    with pytest.raises(StorageError, match=r"expected .* GiB for a test, and"):
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
    said = "/proc/nowhere: cannot be written: no file can be created there"
    with pytest.raises(StorageError, match=said), write(Path("/proc/nowhere/file")):
        pass


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc here")
@pytest.mark.parametrize("write", [atomic_file, atomic_folder])
def test_a_folder_that_takes_no_file_is_named(write):
    with (
        pytest.raises(StorageError, match=r"/proc/file\.json: cannot be written: no file can be created there"),
        write(Path("/proc/file.json")),
    ):
        pass


def test_a_link_stays_and_the_file_it_points_to_is_replaced(tmp_path):
    (tmp_path / "deep").mkdir()
    target, link, dangling = tmp_path / "deep" / "target", tmp_path / "link", tmp_path / "dangling"
    target.write_text("old")
    link.symlink_to("deep/target")
    dangling.symlink_to("deep/new")
    for path in (link, dangling):
        write_text(path, "new")
        assert path.is_symlink()
        assert path.read_text() == "new"
    assert target.read_text() == "new"
    assert sorted(entry.name for entry in (tmp_path / "deep").iterdir()) == ["new", "target"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["dangling", "deep", "link"]


def test_a_link_to_a_file_that_nobody_may_write_is_replaced_and_the_file_kept(tmp_path):
    """DVC's cache is linked into the project so, where the disk knows no cheaper copies."""
    cached, link = tmp_path / "cached", tmp_path / "link"
    cached.write_text("cached")
    cached.chmod(0o444)
    link.symlink_to(cached)
    write_text(link, "new")
    assert not link.is_symlink()
    assert (link.read_text(), cached.read_text()) == ("new", "cached")


def test_links_in_a_circle_are_named(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StorageError, match="move the file or folder"):
        write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").is_symlink()


def test_a_folder_in_the_place_of_a_file_is_named_before_anything_is_written(tmp_path):
    began = False
    with pytest.raises(StorageError, match="Is a directory") as error, atomic_file(tmp_path):
        began = True
    assert not began
    assert error.value.place == str(tmp_path)


def test_a_pipe_gets_the_whole_content_and_stays_a_pipe(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    text = "long " * 100_000  # more than a pipe holds
    for path in (pipe, link):
        with (tmp_path / "read").open("w") as out, subprocess.Popen(["cat", str(pipe)], stdout=out) as reader:
            write_text(path, text)
            assert reader.wait(timeout=60) == 0
        assert (tmp_path / "read").read_text() == text
        assert pipe.is_fifo()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link", "pipe", "read"]


def test_a_failure_sends_nothing_to_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(RuntimeError), atomic_file(pipe) as partial:
            partial.write_text("half")
            raise RuntimeError
        assert os.read(reader, 10) == b""
    finally:
        os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize(("minor", "fault"), [(3, None), (7, "the disk is full")])
def test_a_device_stays_a_device(tmp_path, minor, fault):
    """Nodes of the test's own, of the kinds of /dev/null (1, 3) and /dev/full (1, 7)."""
    node = tmp_path / "node"
    try:
        os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        node.open("wb").close()
    except OSError as error:
        pytest.skip(f"no device node can be made and opened here: {error}")
    if fault:
        with pytest.raises(StorageError, match=fault):
            write_text(node, "text")
    else:
        write_text(node, "text")
    assert node.is_char_device()
    assert [entry.name for entry in tmp_path.iterdir()] == ["node"]


STREAM = """
import sys
from pathlib import Path
from segline.storage import write_json
print("before")
write_json(Path(sys.argv[1]), {"value": 1})
print("after")
"""


@pytest.fixture
def stdout_link(tmp_path):
    """What /dev/stdout is, in a folder of the test's own."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc here")
    link = tmp_path / "stdout"
    link.symlink_to("/proc/self/fd/1")
    return link


def test_standard_output_takes_what_is_written_in_its_turn(tmp_path, stdout_link):
    command, whole = [sys.executable, "-c", STREAM, str(stdout_link)], 'before\n{\n  "value": 1\n}\nafter\n'
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout == whole
    for mode in ("w", "a"):
        with (tmp_path / "out").open(mode) as out:
            subprocess.run(command, stdout=out, check=True)
    assert (tmp_path / "out").read_text() == whole * 2
    assert stdout_link.is_symlink()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "stdout"]


@pytest.mark.parametrize("name", ["x.json", "out[1].json", "*", "a?"])
def test_what_others_left_under_like_names_is_left_alone(tmp_path, name):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    kept = [".x.json.foo.partial", f".{name}.part.{dead.pid}.partial", f".other.{dead.pid}.partial"]
    removed = [f".{name}.{dead.pid}.partial", f".{name}.old.{dead.pid}.partial"]
    for other in kept + removed:
        (tmp_path / other).touch()
    write_text(tmp_path / name, "new")
    assert {entry.name for entry in tmp_path.iterdir()} == {name, *kept}
