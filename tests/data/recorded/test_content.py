"""Files that are not those of dvc.lock are refused.

Before, only small files were compared, and `evaluate` compared none.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree

from segline.data.recorded import content
from segline.errors import DataError
from segline.project import Project

NAMES = {"meta.json": b"{}", "test.labels": bytes(range(200)), "train.images": b"abc" * 1000}


def write_lock(project):
    """Write the digest that DVC's own code computes."""
    tree = Tree()
    folder = project.prepared("kitti")
    for path in folder.iterdir():
        tree.add((path.name,), None, HashInfo("md5", content._sum_file(path)))
    tree.digest()
    outs = [{"path": "data/prepared/kitti", "md5": tree.hash_info.value}]
    project.dvc_lock.write_text(yaml.safe_dump({"stages": {"prepare@kitti": {"outs": outs}}}))


@pytest.fixture
def project(tmp_path):
    """Prepared data as DVC leaves them: written some time ago, and recorded."""
    found = Project(root=tmp_path, tracking_uri="sqlite://", workers=1)
    found.prepared("kitti").mkdir(parents=True)
    for name, data in NAMES.items():
        (found.prepared("kitti") / name).write_bytes(data)
    write_lock(found)
    return found


@pytest.fixture
def read(monkeypatch):
    """Names of the files that a check read."""
    names = []
    monkeypatch.setattr(content, "_SETTLED_SECONDS", 0.0)
    original = content._sum_file
    monkeypatch.setattr(content, "_sum_file", lambda path: names.append(path.name) or original(path))
    return names


def zero(path):
    with path.open("r+b") as handle:
        handle.seek(50)
        handle.write(bytes(100))


def test_files_are_read_once_and_then_known_by_size_and_times(project, read):
    assert content.check_prepared(project, "kitti")
    assert sorted(read) == sorted(NAMES)
    read.clear()
    assert content.check_prepared(project, "kitti")
    assert read == []


def test_zeroed_labels_are_named(project, read):
    """Before: scores changed without a word."""
    content.check_prepared(project, "kitti")
    zero(project.prepared("kitti") / "test.labels")
    with pytest.raises(DataError, match=r"test\.labels: not the file") as caught:
        content.check_prepared(project, "kitti")
    assert caught.value.remedy == "touch data/prepared/kitti/* && dvc repro prepare@kitti"


def test_a_copy_in_the_cache_that_was_changed_through_a_link_is_deleted_first(project, read):
    """DVC would restore the damaged copy: it trusts a read-only file of its cache."""
    path = project.prepared("kitti") / "test.labels"
    content.check_prepared(project, "kitti")
    md5 = json.loads(project.content_record("prepare", "kitti").read_text())["files"]["test.labels"][3]
    copy = project.root / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}"
    copy.parent.mkdir(parents=True)
    copy.hardlink_to(path)
    zero(path)
    with pytest.raises(DataError) as caught:
        content.check_prepared(project, "kitti")
    assert caught.value.remedy.startswith(f"rm -f {copy.relative_to(project.root)} && touch data/prepared/kitti/* && ")


def test_times_that_were_set_back_hide_nothing(project, read):
    path = project.prepared("kitti") / "test.labels"
    content.check_prepared(project, "kitti")
    before = path.stat()
    zero(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DataError, match=r"test\.labels"):
        content.check_prepared(project, "kitti")


def test_a_change_just_after_the_check_is_seen(project):
    """A second write within one tick of the clock leaves the same times: so young files are read again."""
    path = project.prepared("kitti") / "test.labels"
    for name in NAMES:
        os.utime(project.prepared("kitti") / name)
    content.check_prepared(project, "kitti")
    record = json.loads(project.content_record("prepare", "kitti").read_text())
    assert record["files"]["test.labels"][:3] == [0, 0, 0]
    zero(path)
    with pytest.raises(DataError, match=r"test\.labels"):
        content.check_prepared(project, "kitti")


@pytest.mark.parametrize("known", [True, False], ids=["after a good check", "at the first check"])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda folder: (folder / "train.images").unlink(), "train.images: not the file.*it is missing"),
        (lambda folder: (folder / "more.bin").write_bytes(b"x"), "more.bin: a file that dvc.lock does not record"),
        (lambda folder: (folder / "meta.json").write_text("{ }"), "meta.json: not the file"),
        (lambda folder: [zero(folder / name) for name in NAMES], r"meta.json: .*\(and 2 more files\)"),
    ],
    ids=["deleted", "added", "a small file", "all"],
)
def test_whatever_differs_is_named(project, read, change, expected, known):
    if known:
        content.check_prepared(project, "kitti")
    else:
        expected = "data/prepared/kitti: content with the digest"  # nothing here says what each file was
    change(project.prepared("kitti"))
    with pytest.raises(DataError, match=expected):
        content.check_prepared(project, "kitti")


def test_another_dvc_lock_is_noticed_though_no_file_changed(project, read):
    content.check_prepared(project, "kitti")
    digest = "0" * 32 + ".dir"
    outs = [{"path": "data/prepared/kitti", "md5": digest}]
    project.dvc_lock.write_text(yaml.safe_dump({"stages": {"prepare@kitti": {"outs": outs}}}))
    with pytest.raises(DataError, match=digest):
        content.check_prepared(project, "kitti")


def test_data_without_a_record_in_dvc_lock_are_not_checked(project):
    assert not content.check_prepared(project, "cityscapes")
    project.dvc_lock.unlink()
    assert not content.check_prepared(project, "kitti")


@pytest.mark.parametrize("text", ["", "{", '{"digest": 1}', '{"digest": "x", "files": {"test.labels": [1]}}', "[]"])
def test_a_damaged_record_is_made_anew(project, read, text):
    content.check_prepared(project, "kitti")
    project.content_record("prepare", "kitti").write_text(text)
    read.clear()
    assert content.check_prepared(project, "kitti")
    assert sorted(read) == sorted(NAMES)
    read.clear()
    assert content.check_prepared(project, "kitti")
    assert read == []


def test_copies_and_moved_projects_are_read_again_and_not_refused(project, read, tmp_path_factory):
    content.check_prepared(project, "kitti")
    elsewhere = tmp_path_factory.mktemp("copy") / "project"
    shutil.copytree(project.root, elsewhere)
    copied = Project(root=elsewhere, tracking_uri="sqlite://", workers=1)
    assert content.check_prepared(copied, "kitti")
    moved = elsewhere.rename(elsewhere.with_name("moved"))
    assert content.check_prepared(Project(root=moved, tracking_uri="sqlite://", workers=1), "kitti")


def test_the_manifest_is_checked_too(project, read):
    project.manifest("kitti").mkdir(parents=True)
    (project.manifest("kitti") / "fingerprint.json").write_text("{}")
    outs = [{"path": "reports/data/kitti", "md5": "1.dir"}, {"path": "data/manifest/kitti", "md5": "0.dir"}]
    project.dvc_lock.write_text(yaml.safe_dump({"stages": {"validate@kitti": {"outs": outs}}}))
    with pytest.raises(DataError, match=r"data/manifest/kitti.*expected 0\.dir.*\n.*dvc repro validate@kitti"):
        content.check_manifest(project, "kitti")


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """A stage that DVC itself ran."""
    root = tmp_path_factory.mktemp("dvc")
    stage = {
        "cmd": "mkdir -p data/prepared/kitti && echo one > data/prepared/kitti/a && echo two > data/prepared/kitti/b",
        "outs": ["data/prepared/kitti"],
    }
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"prepare": stage | {"matrix": {"x": ["kitti"]}}}}))
    run(root, "init", "--no-scm")
    run(root, "repro")
    return root


def run(root, *arguments):
    command = [sys.executable, "-m", "dvc", *arguments]
    subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("link", ["copy", "hardlink", "symlink"])
def test_dvc_checkout_and_links_are_no_false_alarm(reproduced, read, link):
    (reproduced / ".dvc" / "config").write_text(f"[core]\n    no_scm = True\n[cache]\n    type = {link}\n")
    project = Project(root=reproduced, tracking_uri="sqlite://", workers=1)
    assert content.check_prepared(project, "kitti")
    shutil.rmtree(project.prepared("kitti"))
    run(reproduced, "checkout")
    placed = project.prepared("kitti") / "a"
    assert (placed.is_symlink(), placed.stat().st_nlink > 1) == (link == "symlink", link == "hardlink")
    assert content.check_prepared(project, "kitti")
    read.clear()
    assert content.check_prepared(project, "kitti")
    assert read == []
    placed.chmod(0o644)
    placed.write_text("three\n")
    with pytest.raises(DataError, match="kitti/a"):
        content.check_prepared(project, "kitti")
    placed.write_text("one\n")
    assert content.check_prepared(project, "kitti")
