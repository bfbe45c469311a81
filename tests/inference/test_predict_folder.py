"""What `segline predict` says about the files of a folder: one line for each kind, and the exit code."""

import os

import numpy as np
import pytest
from PIL import Image as Pillow

from segline.cli import main
from segline.data.images.decode import decode_mask, write_png
from segline.errors import DataError
from segline.inference import bundle as bundles
from segline.inference.sources import find_images


@pytest.fixture(scope="module")
def model(bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    bundles.save(bundle, folder)
    return folder


@pytest.fixture
def folder(stripes, tmp_path):
    (tmp_path / "in").mkdir()
    write_png(tmp_path / "in" / "a.png", stripes(20, 30)[0])
    return tmp_path / "in"


@pytest.fixture
def predict(model, folder, tmp_path, capsys, monkeypatch):
    """Run the command outside any project; return its exit code, and the lines of stderr without progress."""
    monkeypatch.chdir(tmp_path)

    def run(source=folder, output=tmp_path / "out"):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(["predict", str(source), "--model", str(model), "--output", str(output)])
        lines = capsys.readouterr().err.splitlines()
        return stopped.value.code, [line for line in lines if not line.startswith("predict:")]

    return run


def test_nothing_is_said_about_a_folder_of_images(predict):
    assert predict() == (0, [])


def test_files_that_are_no_images_are_counted_and_fail_nothing(predict, folder):
    """Before, they were passed over without a word."""
    for name in ("notes.txt", "README", ".DS_Store", "._a.png"):  # the last is made by macOS beside a.png
        (folder / name).write_text("text")
    code, lines = predict()
    assert code == 0
    assert lines == [
        f"{folder}: 4 files (.DS_Store, ._a.png, README, notes.txt) skipped, by the name no image; remedy: convert "
        "what is an image to PNG or JPEG"
    ]


def test_sub_folders_are_searched_and_their_results_lie_in_sub_folders(predict, folder, stripes, tmp_path):
    """Before, they were passed over without a word, and one named like an image could not be read."""
    for name in ("b", "c.png", ".hidden"):
        (folder / name).mkdir()
        write_png(folder / name / "a.png", stripes(20, 30)[0])
    assert predict() == (0, [])
    found = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*_labels.png"))
    assert found == ["a_labels.png", "b/a_labels.png", "c.png/a_labels.png"]


def test_the_output_folder_is_not_searched(predict, folder):
    assert predict(output=folder / "out") == (0, [])
    code, (line,) = predict(output=folder / "out")
    assert code == 0
    assert line.startswith(f"{folder}: 1 of 1 images are not answered again")


def test_a_photo_is_turned_as_people_see_it_and_its_label_map_too(predict, folder, stripes, tmp_path):
    """Before, nothing was said and the label map lay on its side."""
    exif = Pillow.Exif()
    exif[0x0112] = 6
    Pillow.fromarray(stripes(40, 60)[0]).save(folder / "b.png", exif=exif)
    code, lines = predict()
    assert code == 0
    (line,) = lines
    assert line.startswith(f"{folder}: 1 image (b.png) turned as the EXIF orientation says")
    labels = decode_mask((tmp_path / "out" / "b_labels.png").read_bytes(), place=tmp_path)
    assert labels.shape == (60, 40)
    assert labels[0, 0] == 7
    assert labels[-1, 0] == 12  # the stripes lie one below the other


@pytest.mark.parametrize(("form", "name"), [("TIFF", "b.tif"), ("GIF", "b.gif"), ("WEBP", "b.webp")])
def test_further_pages_are_told(predict, folder, form, name):
    """Before, only the first was predicted, without a word."""
    pages = [Pillow.fromarray(np.full((20, 30, 3), 10 + 100 * number, np.uint8)) for number in range(3)]
    pages[0].save(folder / name, form, save_all=True, append_images=pages[1:])
    code, lines = predict()
    assert code == 0
    assert lines == [
        f"{folder}: 1 file ({name}): only the first page or frame is predicted; remedy: save each page as an image of "
        "its own"
    ]


def test_unreadable_files_have_a_line_each_and_the_command_fails(predict, folder, tmp_path):
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:70])
    (folder / "c.jpg").write_text("hello")
    (folder / "d.jpg").touch()
    os.mkfifo(folder / "e.png")
    code, lines = predict()
    assert code == 1
    assert [line.partition(":")[0].rpartition("/")[2] for line in lines[:4]] == ["b.png", "c.jpg", "d.jpg", "e.png"]
    assert all("; remedy: replace it by" in line for line in lines[:4])
    assert "dvc" not in "".join(lines)
    assert "4 of 5 images cannot be read" in lines[4]
    assert (tmp_path / "out" / "a_labels.png").is_file()


def test_a_folder_of_other_files_or_of_nothing_says_so(tmp_path):
    for name in ("empty", "texts/b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "texts" / "b" / "a.dat").touch()
    with pytest.raises(DataError, match=r"but 1 other file \(a\.dat\)"):
        find_images(tmp_path / "texts")
    with pytest.raises(DataError, match="no image in this folder and its sub-folders, expected"):
        find_images(tmp_path / "empty")


def test_many_names_are_cut_short(predict, folder):
    for number in range(9):
        (folder / f"{number}.txt").touch()
    _, (line,) = predict()
    assert "9 files (0.txt, 1.txt, 2.txt, 3.txt, 4.txt, and 4 more)" in line
