"""The pages show what is wrong, and need nothing but themselves."""

import base64
import dataclasses
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from segline.core.labels import Image
from segline.data.images import thumbnails
from segline.data.images.decode import read_image, read_mask, write_png
from segline.data.images.split import assign
from segline.data.images.thumbnails import Album, draw
from segline.data.validate import (
    findings_page,
    fingerprint,
    fingerprint_page,
    mask_checks,
    page_layout,
    sample_statistics,
)
from segline.data.validate.build_manifest import build_manifest
from segline.data.validate.manifest_rules import Finding, Severity, compare_rows, rules_of
from segline.data.validate.verdict import Check
from segline.datasets.base import Dataset
from segline.errors import ValidationError

LOUD = {(225, 0, 0), (255, 235, 0)}

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")


class Page(HTMLParser):
    """A page's pictures and words by section, and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: dict[str, list[tuple[str, Image]]] = {}
        self.words: dict[str, str] = {}
        self.fetched: list[str] = []
        self._section = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "section" and "id" in given:
            self._section = given["id"]
        if tag == "img":
            data = base64.b64decode(given["src"].partition("base64,")[2])
            picture = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            self.pictures.setdefault(self._section, []).append((given["alt"], picture))
        for name, value in given.items():
            links = {link for link, _ in page_layout._LINKS}
            inside = value.startswith(("data:", "#")) or (tag == "a" and value in links)
            if name.startswith("on") or (name in {"src", "srcset", "href", "action", "data"} and not inside):
                self.fetched.append(f"{tag} {name}={value}")
        if tag in {"script", "iframe", "object", "embed", "form"}:
            self.fetched.append(tag)

    def handle_data(self, data: str) -> None:
        self.words[self._section] = self.words.get(self._section, "") + data


def _rows(dataset: Dataset, raw: Path) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, list[str]]]:
    """Fingerprint, flat rows and look-alikes."""
    pairs = dataset.pairs(raw)
    splits = assign(pairs, validation_share=0.2)
    with sample_statistics.open_store() as store:
        table = build_manifest(dataset, pairs, raw=raw, splits=splits, workers=1, measured=store)
        rows = table.to_pylist()
        alike = mask_checks.find_near_duplicates(rows)
        figures = fingerprint.fingerprint(table, store, dataset=dataset, alike=alike)
    return figures, compare_rows(rows, alike=alike), alike


def _gallery(dataset: Dataset, raw: Path, checks: list[Check], *, passed: bool = False) -> str:
    _, rows, alike = _rows(dataset, raw)
    album = Album(raw, label_map=dataset.label_map, colours=dataset.colours)
    return findings_page.render_gallery(
        checks, rows, dataset=dataset, album=album, alike=alike, title="Tiny", passed=passed
    )


def _portrait(dataset: Dataset, raw: Path, *, passed: bool = True) -> str:
    figures, rows, _ = _rows(dataset, raw)
    album = Album(raw, label_map=dataset.label_map, colours=dataset.colours)
    return fingerprint_page.render_fingerprint(figures, rows, dataset=dataset, album=album, passed=passed)


def _check(dataset: Dataset, raw: Path, rule: str, *names: str) -> Check:
    by_id = {row["id"]: row for row in _rows(dataset, raw)[1]}
    (chosen,) = (entry for entry in rules_of(dataset) if entry.name == rule)
    findings = [chosen.describe(by_id[name]) for name in names]
    return _failed(rule, chosen.severity, findings, duplicates=chosen.duplicates)


def _failed(name: str, severity: Severity, findings: list[Finding], **more: object) -> Check:
    return Check(name=name, expectation="", severity=severity, success=False, findings=tuple(findings), **more)


def _is_loud(picture: Image) -> np.ndarray:
    """Pixels near one of the loud colours; WebP blurs them a little."""
    near = [np.abs(picture.astype(int) - colour).max(axis=-1) < 90 for colour in LOUD]
    return near[0] | near[1]


def test_each_planted_fault_is_shown(tiny: Dataset, raw: Path, tmp_path: Path) -> None:
    from segline.data.validate import expectations  # imports Great Expectations, which takes seconds

    (raw / "images/train_0.png").write_bytes((raw / "images/train_0.png").read_bytes()[:60])
    mask = np.full((6, 9), 3, np.uint8)
    mask[2, 3] = 77
    write_png(raw / "masks/train_1.png", mask)
    write_png(raw / "images/train_1.png", np.full((6, 9, 3), 120, np.uint8))
    write_png(raw / "masks/validation_0.png", np.full((9, 6), 5, np.uint8))
    shutil.copy(raw / "images/test_0.png", raw / "images/validation_1.png")
    (raw / "masks/test_1.png").unlink()
    docs = tmp_path / "docs"
    with pytest.raises(ValidationError, match=re.escape(str(docs / "gallery.html"))):
        expectations.validate(
            tiny,
            raw=raw,
            folder=tmp_path / "out",
            docs=docs,
            validation_share=0.2,
            quarantine_share=0.0,
            workers=1,
        )
    page = Page((docs / "gallery.html").read_text())
    assert "Failed" in page.words[""]
    assert "images/train_0.png: a damaged PNG: cut short after 60 bytes" in page.words["image_readable"]
    assert "cannot be shown" in page.words["image_readable"]
    assert [alt for alt, _ in page.pictures["image_readable"]] == ["train_0 (train): mask, 6x9"]
    assert [alt for alt, _ in page.pictures["sizes_equal"]] == [
        "validation_0 (validation): image, 6x9",
        "validation_0 (validation): mask, 9x6",
    ]
    assert [alt for alt, _ in page.pictures["image_in_one_split"]] == ["validation_1 (validation)", "test_0 (test)"]
    assert "there is no mask" in page.words["mask_present"]
    ((name, shown),) = page.pictures["ids_legal"]
    assert name == "train_1 (train)"
    rows, columns = np.nonzero(_is_loud(shown))
    assert (rows.mean() / shown.shape[0], columns.mean() / shown.shape[1]) == pytest.approx(
        (2.5 / 6, 3.5 / 9), abs=0.04
    )
    assert "mask holds id 77 in 1 pixels" in page.words["ids_legal"]
    assert "Remedy: use the publisher's raw masks" in page.words["ids_legal"]
    order = list(page.words)
    assert order.index("quarantine_small") < order.index("ids_legal") < order.index("sample")
    index = (docs / "index.html").read_text()
    assert 'href="gallery.html"' in index
    assert "This page describes the usable samples only" in (docs / "fingerprint.html").read_text()


def test_a_shifted_mask_stands_beside_the_one_that_fits(tiny: Dataset, raw: Path) -> None:
    finding = Finding(sample="", file="tiny", found="shifted", expected="not", remedy="pair by name")
    check = _failed("masks_are_shifted", "stop", [finding], samples=("test_1",), step=1)
    page = Page(_gallery(tiny, raw, [check]))
    (own, mine), (other, better) = page.pictures["masks_are_shifted"]
    assert own == "test_1 with its own mask"
    assert other == "with the mask of train_0, which fits better"
    image = read_image(raw / "images/test_1.png")
    for shown, mask in ((mine, "test_1"), (better, "train_0")):
        expected = draw(image, read_mask(raw / "masks" / f"{mask}.png"), tiny.label_map)
        assert np.abs(shown.astype(int) - expected).mean() < 25  # WebP


def test_duplicates_stand_side_by_side_and_once(tiny: Dataset, raw: Path) -> None:
    picture = read_image(raw / "images/train_0.png")
    write_png(raw / "images/test_0.png", np.clip(picture.astype(int) + 2, 0, 255).astype(np.uint8))
    page = Page(_gallery(tiny, raw, [_check(tiny, raw, "image_looks_like_another", "test_0", "train_0")], passed=True))
    assert [alt for alt, _ in page.pictures["image_looks_like_another"]] == ["test_0 (test)", "train_0 (train)"]


def test_thousands_of_findings_make_a_small_page(tiny: Dataset, raw: Path) -> None:
    for number in range(2, 40):
        for kind in ("images", "masks"):
            shutil.copy(raw / kind / "train_0.png", raw / kind / f"train_{number}.png")
    one = _check(tiny, raw, "sizes_equal", *(f"train_{number}" for number in range(40)))
    many = [dataclasses.replace(one, name=f"rule_{number}", findings=one.findings * 100) for number in range(30)]
    text = _gallery(tiny, raw, many)
    page = Page(text)
    assert len(page.pictures["rule_0"]) == findings_page.MAX_PICTURED
    assert "and 28 more, not shown; validation.json beside this page lists them all" in page.words["rule_0"]
    assert "4000" in page.words["rule_0"]
    assert sum(len(found) for found in page.pictures.values()) < 120
    assert "rule_29" in page.words
    assert len(text) < 1 << 20


def test_good_data_show_a_fixed_choice_of_every_split(tiny: Dataset, raw: Path) -> None:
    text = _gallery(tiny, raw, [], passed=True)
    page = Page(text)
    assert "nothing is wrong" in page.words[""]
    names = {alt for alt, _ in page.pictures["sample"]}
    assert names == {f"{split}_{number} ({split})" for split in ("train", "validation", "test") for number in (0, 1)}
    assert text == _gallery(tiny, raw, [], passed=True)


def test_masks_of_foreign_ids_are_shown_as_greys(tiny: Dataset, raw: Path) -> None:
    mask = np.full((6, 9), 250, np.uint8)
    mask[:3] = 120
    write_png(raw / "masks/test_0.png", mask)
    page = Page(_gallery(tiny, raw, [_check(tiny, raw, "ids_legal", "test_0")]))
    (_, _), (name, shown) = page.pictures["ids_legal"]
    assert name == "test_0 (test): mask, ids 120, 250 as grey levels"
    assert shown[: shown.shape[0] // 2 - 4].mean() < 40
    assert shown[shown.shape[0] // 2 + 4 :].mean() > 215


def test_a_drawn_mask_has_its_colours_void_its_stripes_and_illegal_ids_their_alarm(tiny: Dataset) -> None:
    image = np.full((40, 60, 3), 100, np.uint8)
    mask = np.full((40, 60), 3, np.uint8)
    mask[:, 20:40] = 0
    mask[20, 50] = 77
    shown = draw(image, mask, tiny.label_map)
    assert shown.shape == (160, 240, 3)
    assert shown[100, 40].tolist() == [114, 82, 114]  # half road, half image
    assert len(np.unique(shown[:, 100:140].reshape(-1, 3), axis=0)) == 2
    loud = np.all(np.isin(shown, [0, 225, 235, 255]), axis=-1)
    assert 20 < loud.sum() < 400
    assert loud[80:84, 200:204].all()
    assert not loud[:70].any()
    wide = draw(np.zeros((100, 3000, 3), np.uint8), None, tiny.label_map)
    assert wide.shape == (13, thumbnails.WIDTH, 3)


@pytest.mark.parametrize("make", [lambda dataset, raw: _gallery(dataset, raw, [], passed=True), _portrait])
def test_pages_need_nothing_but_themselves_and_are_equal_for_equal_data(
    tiny: Dataset, raw: Path, tmp_path: Path, draw_raw: Callable[[Path], Path], make: Callable[[Dataset, Path], str]
) -> None:
    text = make(tiny, raw)
    assert Page(text).fetched == []
    assert not re.search(r"https?:|url\(|@import|<script", text)
    assert "width=device-width" in text
    assert str(tmp_path) not in text
    assert make(tiny, draw_raw(tmp_path / "again")) == text


def test_the_portrait_shows_every_part(tiny: Dataset, raw: Path) -> None:
    shutil.copy(raw / "images/train_0.png", raw / "images/test_0.png")
    page = Page(_portrait(tiny, raw))
    for part in ("examples", "classes", "scale", "location", "symmetry", "shift", "colours", "sizes", "together"):
        assert page.words[part].strip()
    assert len(page.pictures["examples"]) == 6
    assert len(page.pictures["location"]) == 4
    assert [alt for alt, _ in page.pictures["near_duplicates"]] == ["test_0 (test)", "train_0 (train)"]
    assert "across splits" in page.words["near_duplicates"]


def test_an_unreadable_dataset_has_a_portrait_that_says_so(tiny: Dataset, raw: Path) -> None:
    for path in (raw / "masks").iterdir():
        path.write_bytes(b"nothing")
    assert "No sample could be read" in _portrait(tiny, raw, passed=False)


def test_names_are_escaped(tiny: Dataset, raw: Path) -> None:
    finding = Finding(sample="", file="<script>alert(1)</script>", found="<b>", expected="&", remedy="none")
    text = _gallery(tiny, raw, [_failed("x", "stop", [finding])])
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
