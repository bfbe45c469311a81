"""Many images: equal to one by one, continued after a kill, and never mixed with other results."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from segline.data.images.decode import decode_mask, read_image, write_png
from segline.errors import DataError, StorageError
from segline.inference import bundle as bundles
from segline.inference.done import FOLDER, Line, open_record
from segline.inference.folder import Wanted, predict_files
from segline.inference.outputs import Style
from segline.inference.predict import predict
from segline.inference.sources import find_images

WANTED = Wanted(kinds=("ids",), model="m")


class Counting:
    """A network that counts the images it answers."""

    def __init__(self, network):
        self.network, self.images = network, 0

    def predict_on_batch(self, batch):
        self.images += len(batch)
        return self.network.predict_on_batch(batch)


@pytest.fixture
def counted(bundle):
    return replace(bundle, network=Counting(bundle.network))


@pytest.fixture
def folder(stripes, tmp_path):
    """Eleven images of three sizes."""
    generator = np.random.default_rng(1)
    (tmp_path / "in" / "night").mkdir(parents=True)
    for number in range(11):
        image = stripes(40 + 20 * (number % 3 == 2), 60 + 30 * (number > 5))[0]
        noise = generator.integers(0, 25, image.shape, dtype=np.uint8)
        write_png(tmp_path / "in" / ("night" if number % 2 else "") / f"{number:02}.png", image + noise)
    return tmp_path / "in"


def run(bundle, folder, output, wanted=WANTED):
    return list(predict_files(bundle, folder, output=output, report=print, wanted=wanted))


def read_files(output):
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("*_*.png")}


def list_files(output):
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("*") if path.is_file()}


def test_batches_give_the_ids_of_one_by_one(bundle, folder, tmp_path):
    assert len(run(bundle, folder, tmp_path / "out")) == 11
    for item in find_images(folder).images:
        path = tmp_path / "out" / f"{item.stem}_labels.png"
        expected = bundle.labels.decode(predict(bundle, read_image(item.path)))
        np.testing.assert_array_equal(decode_mask(path.read_bytes(), place=path), expected)


def test_what_is_done_is_not_done_again(counted, folder, tmp_path):
    started = predict_files(counted, folder, output=tmp_path / "out", report=print, wanted=WANTED)
    next(started)
    started.close()
    assert 0 < len(read_files(tmp_path / "out")) < 11
    run(counted, folder, tmp_path / "out")
    whole = read_files(tmp_path / "out")
    assert len(whole) == 11
    before = counted.network.images
    assert len(run(counted, folder, tmp_path / "out")) == 11
    assert counted.network.images == before
    write_png(folder / "00.png", np.zeros((40, 60, 3), np.uint8))  # its content changed
    (tmp_path / "out" / "02_labels.png").unlink()  # its result is gone
    run(counted, folder, tmp_path / "out")
    assert counted.network.images == before + 2
    after = read_files(tmp_path / "out")
    assert {name for name in whole if whole[name] != after[name]} == {"00_labels.png"}


def test_a_line_that_a_kill_cut_short_is_ignored(tmp_path):
    line, made = Line(digest="d", height=1, width=2, pixels=(2, 0)), {"model": "m"}
    with open_record(tmp_path, made) as done:
        assert done.is_new
        done.begin(made)
        done.add("a.png", line)
    with (tmp_path / FOLDER / "done.jsonl").open("a") as handle:
        handle.write('{"name": "b.png", "dig')
    with open_record(tmp_path, made) as again:
        assert again.find("a.png", "d") == line
        assert again.find("a.png", "other") is None
        assert [name for name, _ in again.list_lines(["b.png", "a.png"])] == ["a.png"]
        again.add("c.png", line)
    with open_record(tmp_path, made) as last:
        assert last.find("c.png", "d") == line


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (replace(WANTED, model="other"), "different: model"),
        (replace(WANTED, kinds=("overlay",)), "different: write"),
        (replace(WANTED, style=Style(opacity=0.2)), "different: opacity"),
    ],
)
def test_results_of_another_model_or_of_other_options_are_not_mixed(bundle, folder, tmp_path, wanted, said):
    run(bundle, folder, tmp_path / "out")
    before = read_files(tmp_path / "out")
    with pytest.raises(DataError, match=said):
        run(bundle, folder, tmp_path / "out", wanted)
    assert read_files(tmp_path / "out") == before


def test_files_of_someone_else_are_not_replaced(bundle, folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "04_labels.png").write_bytes(b"mine")
    with pytest.raises(StorageError, match=r"04_labels\.png"):
        run(bundle, folder, tmp_path / "out")
    assert (tmp_path / "out" / "04_labels.png").read_bytes() == b"mine"
    assert not (tmp_path / "out" / "00_labels.png").exists()


def test_two_at_once_do_not_write_to_one_folder(bundle, folder, tmp_path):
    started = predict_files(bundle, folder, output=tmp_path / "out", report=print, wanted=WANTED)
    next(started)
    with pytest.raises(StorageError, match="another prediction writes"):
        run(bundle, folder, tmp_path / "out")
    started.close()
    assert len(run(bundle, folder, tmp_path / "out")) == 11


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("in/*.png", {"00.png", "02.png", "04.png", "06.png", "08.png", "10.png"}),
        ("in/**/0[13]*.png", {"night/01.png", "night/03.png"}),
    ],
)
def test_a_pattern_names_images(folder, monkeypatch, pattern, names):
    monkeypatch.chdir(folder.parent)
    assert {item.name for item in find_images(pattern).images} == names


def test_a_list_names_images_and_a_wrong_line_has_its_number(folder, tmp_path):
    (tmp_path / "some.txt").write_text(f"in/night/01.png\n\n{folder / '02.png'}\n")
    assert [item.name for item in find_images(tmp_path / "some.txt").images] == ["in/night/01.png", "02.png"]
    (tmp_path / "some.txt").write_text("in/night/01.png\nin/99.png\n")
    with pytest.raises(DataError, match=r"some\.txt: line 2: 'in/99\.png'"):
        find_images(tmp_path / "some.txt")


def test_a_pattern_without_match_and_an_empty_list_are_named(tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="no file matches"):
        find_images(str(tmp_path / "*.png"))
    with pytest.raises(DataError, match="an empty list"):
        find_images(tmp_path / "empty.txt")


PREDICT = """
import sys
from pathlib import Path
from segline.cli import main
try:
    main(["predict", *sys.argv[1:]])
finally:
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""
"""Runs the command, and prints the peak of its memory in KiB."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_folder_killed_at_any_moment_ends_as_undisturbed_in_flat_memory(bundle, stripes, tmp_path):
    generator = np.random.default_rng(3)
    for number in range(2000):
        image = stripes(48, 64)[0] + generator.integers(0, 25, (48, 64, 3), dtype=np.uint8)
        path = tmp_path / "in" / f"{number // 100:02}" / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, image)
    bundles.save(bundle, tmp_path / "model")

    def start(output, source="in"):
        options = ["--model", tmp_path / "model", "--write", "ids,areas", "--output", tmp_path / output]
        command = [sys.executable, "-c", PREDICT, tmp_path / source, *options]
        return subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def finish(process):
        said, _ = process.communicate()
        assert process.returncode == 0
        return int(said.splitlines()[-1])

    few = finish(start("few", "in/00"))
    begun = time.monotonic()
    many = finish(start("whole"))
    took = time.monotonic() - begun
    assert many < 1.05 * few  # of 2000 images and of 100
    for share in (0.3, 0.5, 0.6, 0.7, 0.8):
        process = start("cut")
        time.sleep(took * share)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    finish(start("cut"))
    whole, cut = (list_files(tmp_path / name) for name in ("whole", "cut"))
    for files in (whole, cut):
        assert files.pop(f"{FOLDER}/done.jsonl").count(b'"name"') == 2000
    assert cut == whole
