"""Names that files, classes and people bear: none acts upon a page, a terminal or a log, and none is endless.

What happened before stands beside each case.
"""

import dataclasses
import io
import json
import shutil
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from drawn_split import Split, bundle
from hostile_names import NAMES, SIGHTED, Page, odd_signs
from rich.markup import escape
from rich.table import Table

from segline.console import complain, console, run_reporting, say
from segline.core.labels import LabelClass, label_map
from segline.data.images.decode import write_png
from segline.data.look.setup import set_up
from segline.data.validate import data_docs
from segline.datasets.base import SPLITS, Archive, Dataset, Pair, match
from segline.datasets.own import annotations, classes
from segline.datasets.own.class_names import find_names
from segline.errors import (
    LONGEST_LINE,
    LONGEST_NAME,
    MOST_LINES,
    ConfigError,
    DataError,
    SeglineError,
    StorageError,
    printable,
    shown,
)
from segline.evaluation import compare
from segline.evaluation.bundles import evaluate as evaluation_library
from segline.evaluation.comparison_summary import summarise_comparison
from segline.evaluation.report import comparison_page, evaluation_page, image_slider, tables
from segline.evaluation.report import evaluation_pictures as report
from segline.evaluation.summary import summarise
from segline.inference.overlay import with_legend
from segline.registry import run_summary
from segline.storage import atomic_file

# Great Expectations' own imports do what Python 3.11 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
QUIET += ("--disable-background-networking", "--disable-component-update")
LINKS = {"index.html", "gallery.html", "fingerprint.html", "expectations.html"}
HEIGHT, WIDTH = 6, 9


def _pairs(raw):
    names = [
        [(path.stem, path.relative_to(raw).as_posix()) for path in (raw / kind).iterdir()]
        for kind in ("images", "masks")
    ]
    return [
        Pair(id=name, image=image, mask=mask, split=SPLITS[place % 3])
        for place, (name, image, mask) in enumerate(match(*names))
    ]


@pytest.fixture(scope="module")
def docs(tmp_path_factory):
    """The pages of data whose files are called so; each mask holds an id that is in no class table."""
    from segline.data.validate import expectations  # imports Great Expectations, which takes seconds

    raw, out = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("out")
    generator = np.random.default_rng(3)
    for kind, channels in (("images", (3,)), ("masks", ())):
        (raw / kind).mkdir()
        for name in NAMES.values():
            pixels = generator.choice(np.array([3, 5, 77], dtype=np.uint8), (HEIGHT, WIDTH, *channels))
            write_png(raw / kind / f"{name}.png", pixels)
    dataset = Dataset(
        name="tiny",
        title="Tiny \u202e<b>title</b>",
        terms="made by the tests",
        archives=(Archive(name="tiny.zip", url=None, folders=("images", "masks")),),
        label_map=label_map([(3, "road<script>", (128, 64, 128)), (5, "R&D", (0, 0, 142))]),
        protocol="tiny/1",
        pairs=_pairs,
    )
    with pytest.raises(DataError) as told:
        expectations.validate(
            dataset,
            raw=raw,
            folder=out / "manifest",
            docs=out / "docs",
            validation_share=0.2,
            quarantine_share=0.5,
            workers=1,
        )
    return out / "docs", str(told.value)


def test_a_name_is_text_on_every_page_of_the_data_and_hides_nothing(docs):
    folder, _ = docs
    pages = {name: Page((folder / name).read_text("utf-8")) for name in LINKS}
    for name, page in pages.items():
        assert page.links <= LINKS, name
        assert not page.tags & {"script", "iframe", "object", "b" if name == "index.html" else "object"}
        assert page.handlers == []
        assert odd_signs(page.html) == set(), name
    result = pages["index.html"].text
    judged = result[result.index("Table-Level Expectations") :]
    listed = sorted(NAMES, key=NAMES.__getitem__)[:20]  # the page lists no more of one check
    for kind, name in NAMES.items():
        assert (shown(f"masks/{name}.png", limit=LONGEST_LINE) in result) == (kind in listed), kind
    assert "22 unexpected values found. 100% of 22 total rows." in judged
    assert "0<a href=x>y, a<script>b, c<!--d, d$x$ $column ${y} $$, e\\x1b[31mred" in judged
    assert "Image files are plain 8-bit RGB" in judged  # the last one; it was gone
    assert "R&D" in pages["gallery.html"].text
    assert "&amp;amp;D" not in pages["gallery.html"].html


def test_the_data_keep_their_names_and_the_error_shows_them_printable(docs):
    folder, told = docs
    verdict = json.loads((folder / "validation.json").read_text("utf-8"))
    assert set(verdict["quarantined"]) == set(NAMES.values())
    assert odd_signs(told) == set()
    assert not any(line.startswith("error: fake") for line in told.splitlines())


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here to look at the pages with")
def test_a_browser_makes_no_element_of_a_name(docs, tmp_path):
    command = [CHROMIUM, *QUIET, f"--user-data-dir={tmp_path}", "--dump-dom", (docs[0] / "index.html").as_uri()]
    drawn = Page(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)
    assert drawn.links <= LINKS
    assert not drawn.tags & {"script", "img"}
    assert drawn.handlers == []
    assert "0<a href=x>y, a<script>b" in drawn.text


def test_what_great_expectations_gets_holds_no_sign_it_acts_upon_and_comes_back():
    text = printable("".join(map(chr, range(0x20, 0x7F))) + "\ue03c")
    given = data_docs.disguise(text)
    assert not set(given) & set("<>&\"'$`{}|")
    page = data_docs.filter_page(f"<html><body><p>{given}</p></body></html>", title="", findings=None)
    assert f"{text}\n" in Page(page).text + "\n"


def test_names_that_are_cut_alike_stay_apart():
    """Before, they were handed over whole; cut, two samples would have been one."""
    from segline.data.validate.expectations import _make_unique

    middle = [f"{'a' * 200}{number}{'b' * 200}" for number in range(3)]
    ids = _make_unique([*middle, f"{shown(middle[0])} (2)", "plain"])
    assert len(set(ids)) == len(middle) + 2
    assert ids[-1] == "plain"


def _table(folder, *names):
    """A class table, as YAML whatever the names are."""
    path = folder / "classes.yaml"
    rows = [{"id": place, "name": name} for place, name in enumerate(names)]
    path.write_text(yaml.safe_dump({"classes": rows}, default_flow_style=None, width=10**6), "utf-8")
    return path


HOSTILE_CLASSES = [
    pytest.param("x" * 10_000, "at most 120 characters, not 10000", id="10,000 characters: a picture 60,119 wide"),
    pytest.param("a\x1b[31m", "without the character \\x1b", id="a colour: the terminal turned red"),
    pytest.param("a\u202eb", "without the character \\u202e", id="writing turned round, also on pages"),
    pytest.param("a\nb", "without the character \\n", id="a line's end: a broken table"),
    pytest.param("a\u200b", "without the character \\u200b", id="no width: two classes of one name"),
    pytest.param("a\U000e0041", "without the character \\U000e0041", id="a tag that nobody sees"),
    pytest.param("\u3000 ", "a name with visible characters", id="blanks: a row without a name"),
    pytest.param("\u3164", "without the character \\u3164", id="a blank that Python calls printable"),
    pytest.param("a\u2800", "without the character \\u2800", id="blank Braille"),
    pytest.param("\ufe0f", "a name with visible characters", id="a shape of no sign"),
]

YAML_SAYS = {"a\x1b[31m": "the character U+001B"}  # which no YAML of ours may hold


@pytest.mark.parametrize(("name", "said"), HOSTILE_CLASSES)
def test_a_class_that_cannot_be_shown_is_refused_wherever_it_comes_from(tmp_path, name, said):
    """All of them were taken."""
    table = _table(tmp_path, "ground", name)
    with pytest.raises(ConfigError) as told:
        classes.read(table, encoding="ids", remedy="")
    assert f"{table}:3" in str(told.value)
    assert YAML_SAYS.get(name, said) in str(told.value)
    coco = tmp_path / "coco.json"
    coco.write_text(json.dumps({"images": [], "annotations": [], "categories": [{"id": 1, "name": name}]}))
    with pytest.raises(DataError) as of_coco:
        annotations.explore_coco(coco)
    labelme = tmp_path / "labelme.json"
    shape = {"label": name, "points": [[0, 0], [9, 0], [9, 9]], "shape_type": "polygon"}
    labelme.write_text(json.dumps({"imagePath": "a.png", "imageHeight": 9, "imageWidth": 9, "shapes": [shape]}))
    with pytest.raises(DataError) as of_labelme:
        annotations.read_labelme(labelme, ids=None, size=lambda: (9, 9))
    with pytest.raises(ValueError, match="class ") as of_bundle:  # what a bundle's description is read with
        LabelClass(name=name, raw=0, colour=(0, 0, 0))
    for error in (of_coco, of_labelme, of_bundle):
        assert said in str(error.value)
    for error in (told, of_coco, of_labelme, of_bundle):
        assert odd_signs(str(error.value)) == set()
        assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("Stra\u00dfe a\u0308", id="an accent coded otherwise: one row hid the other"),
        pytest.param(" Stra\u00dfe \u00e4 ", id="blanks around it"),
        pytest.param("Stra\u00dfe\ufe0f \u00e4", id="a shape that nobody sees"),
    ],
)
def test_two_classes_that_nobody_can_tell_apart_contradict(tmp_path, other):
    table = _table(tmp_path, "Stra\u00dfe \u00e4", other)
    with pytest.raises(ConfigError, match="each name once"):
        classes.read(table, encoding="ids", remedy="")
    with pytest.raises(ValueError, match="names must differ"):
        label_map([(0, "Stra\u00dfe \u00e4", (0, 0, 0)), (1, other, (1, 1, 1))])


@pytest.mark.parametrize(
    "name",
    [
        "Stra\u00dfe",
        "\u9053\u8def",
        "\u0637\u0631\u064a\u0642",
        "\U0001f600",
        "\u2764\ufe0f",
        "R&D",
        "a, b",
        "<x>",
        "x" * 120,
    ],
)
def test_a_class_may_be_called_in_any_language(tmp_path, name):
    assert classes.read(_table(tmp_path, name), encoding="ids", remedy="").label_map().names == (name,)


def test_init_proposes_names_that_can_be_shown(tmp_path):
    """Before, what stood in classes.txt went into the class table as it was, and on the terminal."""
    (tmp_path / "classes.txt").write_text("road\x1b[31m\nsky\u202egnp\n" + "x" * 10_000, "utf-8")
    found = find_names(tmp_path, ["classes.txt"])
    assert found.names == ("road\\x1b[31m", "sky\\u202egnp", shown("x" * 10_000))


def test_init_refuses_a_folder_that_params_yaml_cannot_show(tmp_path):
    """Before, it named a temporary file and told to correct a value in it."""
    folder, params = tmp_path / "a\udcff", tmp_path / "params.yaml"
    folder.mkdir()
    shutil.copy(Path(__file__).parents[2] / "params.yaml", params)
    with pytest.raises(ConfigError, match="rename the folder") as told:
        set_up(folder, params=params, force=False)
    assert "a\\xff" in str(told.value)


def test_a_message_is_bounded_and_its_place_is_one_line():
    """Before: 1,100,014 characters, and a line `error: fake` of a file's own."""
    long = SeglineError("p" * 100_000, found="f" * 1_000_000, remedy="r")
    assert len(str(long)) < 3 * LONGEST_LINE
    many = SeglineError("p", found="\n".join(["line"] * 100_000), remedy="r")
    assert len(str(many).splitlines()) < MOST_LINES + 10
    faked = SeglineError("a\nerror: fake\x1b[31m\u202e", found="x\ty\nz", remedy="r")
    assert str(faked) == "a\\nerror: fake\\x1b[31m\\u202e: x\ty\nz\n  remedy: r"


@pytest.mark.parametrize("limit", [1, 2, 5, 6, LONGEST_NAME])
@pytest.mark.parametrize("name", [*NAMES.values(), "", "a", "\x1b" * 1000, "ab" * 3])
def test_what_is_shown_is_printable_short_and_keeps_its_end(name, limit):
    short = shown(name, limit=limit)
    assert short.isprintable()
    assert len(short) <= limit
    if name.isprintable():
        assert short == name if len(name) <= limit else limit < 5 or (short[:2], short[-2:]) == (name[:2], name[-2:])
    assert printable(short) == short


@pytest.mark.parametrize(
    "code", [0x202E, 0x2066, 0x200B, 0x200F, 0xFEFF, 0xAD, 0xE0041, 0x2028, 0x2029, 0x85, 0x9B, 0xDCFF]
)
def test_signs_that_nobody_sees_become_escapes(code):
    assert printable(chr(code)).startswith("\\")


def test_a_terminal_gets_escapes(capsys):
    """Before, only what was complained of was escaped: reports, tables and tracebacks turned the terminal red."""
    hostile = "a\x1b[31m\u202e\x9bb[red]"
    for speak in (say, complain):
        speak(hostile)
    table = Table("name")
    table.add_row(escape(hostile))
    stream = io.StringIO()
    with redirect_stdout(stream):
        console().print(table)
    with pytest.raises(SystemExit), redirect_stderr(stream):
        run_reporting(lambda: (_ for _ in ()).throw(DataError(hostile, found=hostile, remedy="r")), debug=True)
    said = "".join(capsys.readouterr()) + stream.getvalue()
    assert odd_signs(said) == set()
    assert said.count("a\\x1b[31m\\u202e\\x9bb[red]") >= 5
    assert len({len(line) for line in stream.getvalue().splitlines()[:5]}) == 1  # the table's frame still fits


ALL_SIGHTED = label_map([(place, name, (9, place, 9)) for place, name in enumerate((*SIGHTED[:3], "a$\\frac$b"))])
IDS = ["0<a href=x>y", "f\u202egnp", "e\x1b[31mred", "n" + "x" * 245, "$x$", "d/e/f", "&amp;", 'l"x\' onload="y', "z"]


class Named(Split):
    """A split whose samples are called so."""

    label_map = ALL_SIGHTED.digest

    def __init__(self):
        super().__init__()
        self.ids = IDS


@pytest.fixture(scope="module")
def scored():
    network, split = dataclasses.replace(bundle(), labels=ALL_SIGHTED), Named()
    return network, split, evaluation_library.evaluate(network, split, progress=lambda *_: None)


def test_a_name_is_text_on_the_pages_of_scores(scored):
    """Before, they were escaped as HTML, but turned the writing round, and had no end."""
    network, split, evaluation = scored
    found = summarise(evaluation, resamples=20, confidence=0.9, baseline=0.1)
    model = "m\u202e<script>" + "x" * 10_000
    pictures = image_slider.make_exhibits(network, split, evaluation)
    page = evaluation_page.page(evaluation, found, labels=network.labels, model=model, pictures=pictures)
    both = summarise_comparison(compare.compare([(model, evaluation), ("b", evaluation)], resamples=20, confidence=0.9))
    assert all(shown(name) in Page(page).text for name in (*IDS, model))
    for html in (page, comparison_page.page(both)):
        read = Page(html)
        assert odd_signs(html) == set()
        assert read.links == set()
        assert read.handlers == []
        assert "x" * 1000 not in html
        assert all(name in read.text for name in ALL_SIGHTED.names)
        assert shown(model) in read.text
    stream = io.StringIO()
    with redirect_stdout(stream):
        for table in (*tables.evaluated(found), *tables.compared(both)):
            console().print(table)
    assert odd_signs(stream.getvalue()) == set()
    assert "x" * 200 not in stream.getvalue().replace("\n", "")
    assert run_summary.metrics(found)


def test_pictures_of_scores_take_any_name(scored, tmp_path):
    """Before: a formula ended the evaluation (ParseSyntaxException), a name of 246 bytes too (StorageError)."""
    network, split, evaluation = scored
    report.confusion_picture(evaluation, tmp_path / "confusion.png")
    assert max(cv2.imread(str(tmp_path / "confusion.png")).shape) < 2000
    written = report.extreme_pictures(network, split, evaluation, tmp_path / "examples", count=len(IDS))
    assert len(written) == len(IDS)
    for path in written:
        assert path.name.isprintable()
        assert cv2.imread(str(path)).shape[1] < 4 * 700 + 700


def test_a_name_that_is_too_long_for_the_disk_is_to_be_shortened(tmp_path):
    """Before, one was told to move what is in the way."""
    with pytest.raises(StorageError, match="shorten the name"), atomic_file(tmp_path / ("a" * 250 + ".png")):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_legend_is_no_wider_than_some_hundred_pixels():
    """Before, 10,000 characters made a picture of 60,119 pixels, of 80,095 in the issue."""
    names = [(place, f"{place:03}" + "W" * (LONGEST_NAME - 3), (place, 0, 0)) for place in range(254)]
    picture = with_legend(np.zeros((60, 80, 3), np.uint8), range(254), label_map(names))
    assert picture.shape[1] < 80 + 700
    assert picture.shape[0] < 254 * 20
