"""Files of publishers that have no digest but the one first seen."""

import hashlib
import random
import zipfile
from pathlib import Path

import pytest
from faulty_server import Project, always, draw_archive, published

from segline.errors import ChecksumError, ConfigError, SourceError


def test_a_publisher_that_changes_a_pinned_file_is_told_with_both_digests(project: Project, tmp_path: Path) -> None:
    dataset = published(project)
    lines = project.bring(dataset, "official")
    pins = (project.root / "pins.yaml").read_text()
    first = hashlib.sha256(project.new).hexdigest()
    assert first in pins
    assert any("commit pins.yaml" in line for line in lines)
    project.server.content = draw_archive(tmp_path / "newer.zip", seed=77)
    (project.folder / "tiny.zip").unlink()  # as on a second machine, to which pins.yaml came by git
    before = project.state()
    with pytest.raises(ChecksumError) as caught:
        project.bring(dataset, "official")
    assert caught.value.found == "sha256:" + hashlib.sha256(project.server.content).hexdigest()
    assert first in caught.value.expected
    assert "delete the line of this address in pins.yaml" in caught.value.remedy
    assert project.state() == before
    assert project.parts() == []
    assert (project.root / "pins.yaml").read_text() == pins
    (project.root / "pins.yaml").unlink()
    project.bring(dataset, "official")
    assert (project.folder / "tiny.zip").read_bytes() == project.server.content


def test_a_repository_packed_anew_keeps_its_pin_until_its_content_changes(project: Project, tmp_path: Path) -> None:
    dataset = published(project, volatile=True)

    def pack(top: str, names: list[int], *, year: int, seed: int = 1) -> bytes:
        with zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for number in names:
                info = zipfile.ZipInfo(f"{top}/images/{number}.png", (year, 1, 1, 0, 0, 0))
                archive.writestr(info, random.Random(seed + number).randbytes(999))
        return (tmp_path / "packed.zip").read_bytes()

    project.server.content = pack("tiny-master", [0, 1, 2], year=2020)
    project.bring(dataset, "official")
    pins = (project.root / "pins.yaml").read_text()
    assert "content:" in pins
    (project.folder / "tiny.zip").unlink()
    project.server.content = pack("tiny-main", [2, 0, 1], year=2024)
    project.bring(dataset, "official")
    assert (project.folder / "tiny.zip").read_bytes() == project.server.content
    assert (project.root / "pins.yaml").read_text() == pins
    (project.folder / "tiny.zip").write_bytes(b"damaged")
    project.bring(dataset, "official")
    assert (project.folder / "tiny.zip").read_bytes() == project.server.content
    (project.folder / "tiny.zip").unlink()
    project.server.content = pack("tiny-main", [2, 0, 1], year=2024, seed=5)
    with pytest.raises(ChecksumError, match="content:"):
        project.bring(dataset, "official")


def test_a_page_in_place_of_a_first_seen_archive_is_not_pinned(project: Project) -> None:
    project.server.fault = always(lambda server, request: request.answer(b"<!DOCTYPE html>Log in", {"ETag": '"1"'}))
    before = project.state()
    with pytest.raises(SourceError, match=r"starts with b'<!DOCTYPE html>.*\n  remedy: open the address in a browser"):
        project.bring(published(project), "official")
    assert not (project.root / "pins.yaml").exists()
    assert project.state() == before
    assert project.parts() == []


@pytest.mark.parametrize("content", ["- a\n", "a: [1\n", "http://x: 12\n", "http://x: sha256:12\n"])
def test_pins_that_cannot_be_read_are_told(project: Project, content: str) -> None:
    (project.root / "pins.yaml").write_text(content)
    with pytest.raises(ConfigError, match=r"pins\.yaml.*\n  remedy: restore it"):
        project.bring(published(project), "official")
