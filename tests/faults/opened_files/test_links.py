"""Links of the user's folder: refused where they lead out of it, unless that is asked for."""

import os
import shutil
from pathlib import Path

import pytest
from opened_project import SAMPLES, Project

from segline import reading
from segline.errors import LinkError

pytestmark = pytest.mark.timeout(60)  # what waits for a FIFO fails, and does not keep the others waiting


# Links


def _outside(project: Project) -> Path:
    """A folder outside of the data, with an image that could be one of them."""
    other = project.data.parent / "other"
    other.mkdir()
    shutil.copy(project.data / "images/0.png", other / "0.png")
    return other


def _replace(path: Path, target: Path | str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _chain(project: Project) -> None:
    _replace(project.data / "images/second", _outside(project) / "0.png")
    _replace(project.data / "images/first", "second")
    _replace(project.data / "images/0.png", "first")


def _through_a_folder(project: Project) -> None:
    (project.data / "deep").symlink_to(_outside(project))
    _replace(project.data / "images/0.png", "../deep/0.png")


def _hidden(project: Project) -> None:
    """A list names a hidden link, which no walk comes past."""
    (project.data / ".hidden").mkdir()
    (project.data / ".hidden/0.png").symlink_to("/etc/passwd")
    rows = [f"images/{number}.png,masks/{number}.png" for number in range(1, SAMPLES)]
    (project.data / "pairs.csv").write_text("\n".join(["image,mask", ".hidden/0.png,masks/0.png", *rows, ""]))


def _hidden_folder(project: Project) -> None:
    (project.data / ".hidden").symlink_to(_outside(project))
    rows = [f"images/{number}.png,masks/{number}.png" for number in range(1, SAMPLES)]
    (project.data / "pairs.csv").write_text("\n".join(["image,mask", ".hidden/0.png,masks/0.png", *rows, ""]))


LEAVING = {
    # All of them were followed, and what they lead to was copied into data/raw.
    "file": lambda project: _replace(project.data / "images/0.png", "/etc/passwd"),
    "relative": lambda project: _replace(
        project.data / "images/0.png", os.path.relpath("/etc/passwd", project.data / "images")
    ),
    "chain": _chain,
    "folder": lambda project: (project.data / "images/more").symlink_to(_outside(project)),
    "folder above": lambda project: (project.data / "images/more").symlink_to("../.."),
    "sibling of the same beginning": lambda project: _replace(
        project.data / "images/0.png", shutil.copytree(project.data, f"{project.data}2") + "/images/0.png"
    ),
    "through a linked folder": _through_a_folder,
    "hidden, in a list": _hidden,
    "in a hidden linked folder, in a list": _hidden_folder,
    "class table": lambda project: _replace(project.data / "classes.yaml", project.root / "params.yaml"),
    "leading nowhere": lambda project: _replace(project.data / "images/0.png", "/nowhere/0.png"),
    "device": lambda project: _replace(project.data / "images/0.png", "/dev/zero"),
}


@pytest.mark.parametrize("make", LEAVING.values(), ids=LEAVING)
def test_a_link_that_leaves_the_folder_is_refused_by_init(project, make):
    params = (project.root / "params.yaml").read_text()
    make(project)
    said = project.init(fails=True)
    assert "a link that leads out of the folder, to /" in said
    assert f"segline init {project.data} --follow-links" in said
    assert (project.root / "params.yaml").read_text() == params


@pytest.mark.parametrize("make", [LEAVING["file"], LEAVING["folder"], _hidden], ids=["file", "folder", "hidden"])
def test_a_link_that_came_later_is_refused_by_the_stages(project, make):
    """/etc/passwd was in data/raw."""
    if make is _hidden:
        (project.data / "pairs.csv").write_text(
            "image,mask\n" + "".join(f"images/{number}.png,masks/{number}.png\n" for number in range(SAMPLES))
        )
    project.init()
    make(project)
    for stage in ("look", "download")[make is _hidden :]:
        assert "a link that leads out of the folder" in project.run("data", stage, project.data.name, fails=True)
    assert not project.raw.exists()


def test_a_link_that_came_between_two_stages_is_refused(project):
    project.init()
    project.stages("look", "download")
    shutil.copy(project.data / "images/0.png", project.root.parent / "same.png")  # whose digest would be right
    _replace(project.data / "images/0.png", project.root.parent / "same.png")
    said = project.run("data", "extract", project.data.name, fails=True)
    assert "images/0.png: a link that leads out of the folder" in said
    assert not project.raw.exists()


def test_a_file_that_is_exchanged_for_a_link_is_not_read(tmp_path):
    """It is looked at once it is open, so that nothing can be exchanged between looking and opening."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").write_text("secret")
    (tmp_path / "in/link").symlink_to("../out")
    with pytest.raises(LinkError):
        reading.open_file(tmp_path / "in/link", within=tmp_path / "in")
    (tmp_path / "in/link").unlink()
    (tmp_path / "in/link").write_text("ours")
    with reading.open_file(tmp_path / "in/link", within=tmp_path / "in") as handle:
        assert handle.read() == b"ours"


def test_links_that_stay_in_the_folder_are_followed(project):
    """So they were, and so is a link to the folder itself; a circle ends."""
    _replace(project.data / "images/0.png", "../images/1.png")
    (project.data / "images/round").symlink_to("..")
    shutil.move(project.data, project.data.parent / "elsewhere")
    project.data.symlink_to("elsewhere")
    project.init("--name", "mine")  # the folder's own name is `elsewhere`
    project.stages()
    assert (project.raw / "images/0.png").read_bytes() == (project.data / "images/1.png").read_bytes()
    assert not (project.raw / "images/0.png").is_symlink()
    assert "follow_links" not in project.options()


def test_a_link_to_itself_is_told(project):
    """`init` had a traceback of an `OSError`."""
    (project.data / "images/0.png").unlink()
    (project.data / "images/0.png").symlink_to("0.png")
    project.init()
    said = project.run("data", "download", project.data.name, fails=True)
    assert "images/0.png: cannot be read: Too many levels of symbolic links" in said


def _as_dvc_does(project: Project) -> Path:
    """Move all files into a cache and leave links to them."""
    cache = project.data.parent / "cache"
    cache.mkdir()
    for number, path in enumerate(sorted(project.data.rglob("*.png"))):
        shutil.move(path, cache / f"{number:032x}")
        path.symlink_to(cache / f"{number:032x}")
    return cache


def test_a_folder_of_links_is_taken_with_follow_links_which_is_remembered(project):
    """There was no such option: all links were followed."""
    cache = _as_dvc_does(project)
    project.init(fails=True)
    said = project.init("--follow-links")
    assert project.options()["follow_links"] is True
    text = (project.root / "params.yaml").read_text()
    assert "# what `dvc repro` downloads, checks and prepares" in text  # comments stay
    project.init()
    project.init("--force")
    assert (project.root / "params.yaml").read_text() == text, said
    project.stages()
    assert (project.raw / "images/0.png").read_bytes() == (cache / f"{0:032x}").read_bytes()
    assert not (project.raw / "images/0.png").is_symlink()
    seen = (project.root / "own/mine.txt").read_text()
    project.stages("look")
    assert (project.root / "own/mine.txt").read_text() == seen
    shutil.copy(cache / f"{1:032x}", cache / f"{0:032x}")  # the target changes, and the link does not
    project.stages("look")
    assert (project.root / "own/mine.txt").read_text() != seen
    project.init("--no-follow-links", fails=True)
    assert project.options()["follow_links"] is True  # nothing is written where init fails


def test_follow_links_is_added_to_an_entry_that_a_person_wrote(project):
    project.init()
    definition = project.root / "own/mine.yaml"
    definition.write_text(definition.read_text().replace("encoding: ids", "encoding: ids  # mine"))
    shutil.move(project.data / "images/0.png", project.data.parent / "0.png")
    (project.data / "images/0.png").symlink_to(project.data.parent / "0.png")
    before = project.options()
    assert "follow_links true" in project.init("--follow-links")
    assert project.options() == before | {"follow_links": True}
    shutil.move(project.data.parent / "0.png", project.data / "images/0.png")
    assert "follow_links false" in project.init("--no-follow-links")
    assert not project.options()["follow_links"]


def test_follow_links_follows_no_device(project):
    (project.data / "images/0.png").unlink()
    (project.data / "images/0.png").symlink_to("/dev/zero")
    assert "images/0.png: a character device" in project.init("--follow-links", fails=True)
