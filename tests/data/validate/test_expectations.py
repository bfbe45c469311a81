import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from places import REAL

from segline.data.images import manifest
from segline.data.images.decode import read_mask, write_png
from segline.data.validate import data_docs
from segline.datasets.base import Dataset, Pair
from segline.errors import DataError, ValidationError
from segline.project import Files

Validate = Callable[..., None]

# Great Expectations' own imports do what Python 3.11 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def validate(tiny: Dataset, raw: Path, out: Path) -> Validate:
    from segline.data.validate import expectations  # imports Great Expectations, which takes seconds

    def run(dataset: Dataset = tiny, **options: object) -> None:
        arguments = {"raw": raw, "folder": out / "manifest", "docs": out / "docs", "validation_share": 0.2}
        arguments |= {"quarantine_share": 0.0} | options
        expectations.validate(dataset, **arguments, workers=1)

    return run


def _verdict(out: Path) -> dict[str, object]:
    return json.loads((out / "docs" / "validation.json").read_text())


def _failed(out: Path) -> dict[str, list[dict[str, str]]]:
    """Checks that name samples or stop, with what they found; the count of what is left out is tested apart."""
    return {
        entry["name"]: entry["examples"]
        for entry in _verdict(out)["expectations"]
        if not entry["success"] and entry["severity"] != "warn" and entry["name"] != "quarantine_small"
    }


def test_good_data_passes(validate: Validate, out: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    validate(report=lines.append)
    assert sorted(path.name for path in (out / "manifest").iterdir()) == [
        "fingerprint.json",
        "manifest.parquet",
        "validation.json",
    ]
    assert sorted(path.name for path in (out / "docs").iterdir()) == [
        "expectations.html",
        "fingerprint.html",
        "gallery.html",
        "index.html",
        "validation.json",
    ]
    assert manifest.read(out / "manifest" / Files.MANIFEST).num_rows == 6
    verdict = _verdict(out)
    assert verdict["success"] is True
    assert verdict["splits"] == {"train": 2, "validation": 2, "test": 2}
    assert all(entry["success"] and entry["unexpected"] == 0 for entry in verdict["expectations"])
    assert "6 samples" in lines[-1]


def test_the_outputs_of_equal_data_are_equal(
    validate: Validate, tmp_path: Path, draw_raw: Callable[[Path], Path], out: Path
) -> None:
    validate()
    validate(raw=draw_raw(tmp_path / "elsewhere" / "raw"), folder=out / "again", docs=out / "docs_again")
    for name in ("manifest.parquet", "validation.json", "fingerprint.json"):
        assert (out / "manifest" / name).read_bytes() == (out / "again" / name).read_bytes()
    for path in (out / "docs").iterdir():
        assert path.read_bytes() == (out / "docs_again" / path.name).read_bytes()
    assert str(tmp_path) not in (out / "manifest" / "validation.json").read_text()


def test_nothing_is_written_to_the_current_folder_or_printed(
    validate: Validate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    validate()
    assert list(Path.cwd().iterdir()) == []
    assert capfd.readouterr() == ("", "")


BREAKAGES: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    "image_present": (
        lambda raw: (raw / "images/test_0.png").unlink(),
        "masks/test_0.png",
        "has no image",
        "an image and a mask",
    ),
    "mask_present": (
        lambda raw: (raw / "masks/test_0.png").unlink(),
        "images/test_0.png",
        "has no mask",
        "an image and a mask",
    ),
    "image_readable": (
        lambda raw: _cut(raw / "images/test_0.png"),
        "images/test_0.png",
        "cut short after 50 bytes",
        "a complete image",
    ),
    "mask_readable": (
        lambda raw: write_png(raw / "masks/test_0.png", np.zeros((6, 9, 3), np.uint8)),
        "masks/test_0.png",
        "a coloured picture (PNG RGB); it has 1 colours",
        "one 8-bit channel",
    ),
    "sizes_equal": (
        lambda raw: write_png(raw / "masks/test_0.png", np.full((9, 6), 3, np.uint8)),
        "masks/test_0.png",
        "mask is 9x6, its image images/test_0.png is 6x9",
        "equal height and width",
    ),
    "ids_legal": (
        lambda raw: _paint(raw / "masks/test_0.png", 77),
        "masks/test_0.png",
        "mask holds id 77 in 1 pixels",
        "the raw ids of tiny: 0, 3, 5, 9..10, 200",
    ),
    "image_in_one_split": (
        lambda raw: shutil.copy(raw / "images/train_0.png", raw / "images/test_0.png"),
        "images/train_0.png",
        "the same bytes are in the splits test, train",
        "each image in one split",
    ),
    "splits_filled": (
        lambda raw: [path.unlink() for path in raw.glob("*/validation_*.png")],
        "tiny",
        "no sample in split validation",
        "at least one in each of train, validation, test",
    ),
}


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def _status(out: Path) -> str:
    """What Great Expectations' part of the result page says first."""
    text = re.sub(r"<[^>]*>", " ", (out / "docs" / "index.html").read_text())
    return " ".join(text[text.index("Expectation Suite:") : text.index("Table-Level")].split())


@pytest.mark.parametrize("left_out", [0, 1])
def test_data_that_pass_show_as_passed_whatever_is_noted_or_left_out(
    validate: Validate, raw: Path, out: Path, left_out: int
) -> None:
    Pillow.open(raw / "images/test_1.png").convert("RGBA").save(raw / "images/test_1.png")
    for number in range(left_out):
        _cut(raw / f"images/test_{number}.png")
    validate(quarantine_share=left_out / 6)
    assert "PNG RGBA read as RGB" in (out / "docs" / "index.html").read_text()
    assert _status(out) == (
        "Expectation Suite: tiny Data asset: manifest of tiny Status: Succeeded Statistics Evaluated Expectations 15 "
        "Successful Expectations 15 Unsuccessful Expectations 0 Success Percent 100%"
    )
    checks = {entry["name"]: entry for entry in _verdict(out)["expectations"]}
    assert (checks["image_usual"]["success"], checks["image_usual"]["unexpected"]) == (False, 1)
    assert checks["image_readable"]["unexpected"] == left_out


def test_more_left_out_than_is_allowed_shows_as_failed(validate: Validate, raw: Path, out: Path) -> None:
    _cut(raw / "images/test_0.png")
    with pytest.raises(ValidationError):
        validate(quarantine_share=0.16)
    assert "Status: Failed" in _status(out)


def _paint(path: Path, value: int) -> None:
    mask = read_mask(path).copy()
    mask[2, 3] = value
    write_png(path, mask)


@pytest.mark.parametrize("rule", BREAKAGES)
def test_each_breakage_is_found_and_told(validate: Validate, raw: Path, out: Path, rule: str) -> None:
    break_it, file, found, expected = BREAKAGES[rule]
    break_it(raw)
    with pytest.raises(ValidationError) as caught:
        validate()
    finding = _failed(out)[rule][0]
    assert list(_failed(out)) == [rule]
    assert finding["file"] == file
    assert found in finding["found"]
    assert expected in finding["expected"]
    for text in (file, found, expected, finding["remedy"], str(out / "docs" / "index.html")):
        assert text in str(caught.value)
    assert not (out / "manifest").exists()
    page = (out / "docs" / "index.html").read_text()
    assert "Failed" in page
    assert file in page


def _with_pairs(dataset: Dataset, change: Callable[[Pair], Pair]) -> Dataset:
    return dataclasses.replace(dataset, pairs=lambda raw: [change(pair) for pair in dataset.pairs(raw)])


def test_a_group_in_two_splits_is_found(validate: Validate, tiny: Dataset, out: Path) -> None:
    with pytest.raises(ValidationError, match="its group 'drive' is in the splits test, train, validation"):
        validate(_with_pairs(tiny, lambda pair: dataclasses.replace(pair, group="drive")))
    assert list(_failed(out)) == ["group_in_one_split"]


def test_an_unknown_split_is_found(validate: Validate, tiny: Dataset, out: Path) -> None:
    def change(pair: Pair) -> Pair:
        return dataclasses.replace(pair, split="hold-out") if pair.id == "test_0" else pair  # type: ignore[arg-type]

    with pytest.raises(ValidationError, match="test_0: is in split 'hold-out', expected one of train"):
        validate(_with_pairs(tiny, change))


def test_a_sample_listed_twice_is_found(validate: Validate, tiny: Dataset, out: Path) -> None:
    twice = dataclasses.replace(tiny, pairs=lambda raw: tiny.pairs(raw) + tiny.pairs(raw)[:1])
    with pytest.raises(ValidationError, match="test_0: is listed more than once"):
        validate(twice)
    assert list(_failed(out)) == ["id_unique"]


def test_no_samples_at_all_is_a_failure(validate: Validate, tiny: Dataset) -> None:
    with pytest.raises(ValidationError, match="no sample in split test"):
        validate(dataclasses.replace(tiny, pairs=lambda raw: []))


def test_many_findings_are_counted_and_not_all_listed(validate: Validate, raw: Path, out: Path) -> None:
    for number in range(40):
        shutil.copy(raw / "images/train_0.png", raw / "images" / f"train_{number + 2}.png")
    with pytest.raises(ValidationError) as caught:
        validate()
    assert "1 blocking, 40 left out, 16 notes" in str(caught.value)
    assert "in 46 samples of tiny" in str(caught.value)
    assert "40 of 46 samples cannot be used, expected at most 0 %" in str(caught.value)
    assert str(caught.value).count("has no mask") == 20
    assert "and 20 more of mask_present (40 in all)" in str(caught.value)
    assert len(_failed(out)["mask_present"]) == 40


def test_an_older_manifest_does_not_outlive_a_failure(validate: Validate, raw: Path, out: Path) -> None:
    validate()
    _cut(raw / "images/test_0.png")
    with pytest.raises(ValidationError):
        validate()
    assert not (out / "manifest").exists()


def test_a_missing_list_is_told(validate: Validate, raw: Path) -> None:
    from segline.datasets.oxford_pets import DATASET

    with pytest.raises(DataError, match=r"annotations/trainval\.txt: cannot be read: No such file"):
        validate(DATASET)


def test_a_malformed_list_is_told(validate: Validate, raw: Path) -> None:
    from segline.datasets.oxford_pets import DATASET

    (raw / "annotations").mkdir()
    (raw / "annotations" / "trainval.txt").write_text("only-a-name\n")
    with pytest.raises(DataError, match="list line that oxford_pets does not have"):
        validate(DATASET)


class _References(HTMLParser):
    """What a page would fetch or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "img", "iframe", "object", "embed"}:
            self.found.append(tag)
        for name, value in attrs:
            if name == "href" and tag == "a":
                self.links.append(value or "")
            elif name.startswith("on") or (name in {"src", "srcset", "href"} and value != "data:,"):
                self.found.append(f"{tag} {name}={value}")


def test_the_data_docs_need_nothing_but_themselves(validate: Validate, raw: Path, out: Path) -> None:
    _cut(raw / "images/test_0.png")
    with pytest.raises(ValidationError):
        validate()
    for name in ("index.html", "expectations.html"):
        text = (out / "docs" / name).read_text()
        references = _References(text)
        assert references.found == []
        assert set(references.links) == {"index.html", "gallery.html", "fingerprint.html", "expectations.html"}
        assert not re.search(r"https?://|url\(|@import", text)
        assert "Every image file is a complete image." in text
        assert "width=device-width" in text


def test_text_from_file_names_is_escaped() -> None:
    page = data_docs.filter_page(
        "<html><body><p>&lt;b&gt;</p></body></html>", title="<i>", findings=["<script>x</script>"]
    )
    assert "&lt;script&gt;" in page
    assert "&lt;i&gt;" in page
    assert "<p>&lt;b&gt;</p>" in page


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no development mirror at {REAL}")
def test_the_real_pets_with_their_oddities_pass(validate: Validate, tmp_path: Path, out: Path) -> None:
    from segline.data.extract.archives import extract
    from segline.datasets.oxford_pets import DATASET

    extract(DATASET, archives=REAL / "oxford_pets", folder=tmp_path / "pets")
    validate(DATASET, raw=tmp_path / "pets")
    assert _verdict(out)["notes"] == ["images/Abyssinian_5.jpg: PNG RGBA read as RGB, alpha dropped"]
