"""Masks whose palettes or depths contradict each other: each stops, or colours decide.

The id or the docstring of a test says what happened before.
"""

import json

import numpy as np
import pytest
import yaml
from drawing import COLOURS, NAMES, as_binary, draw_ids, samples, save
from PIL import Image as Pillow

from segline.data.images.decode import read_image, read_mask

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

COUNT = 12
STAGES = ("download", "extract", "validate", "prepare")
TABLE = "classes:\n" + "".join(
    f"  - {{id: {place}, name: {name}, colour: {list(COLOURS[place])}}}\n" for place, name in enumerate(NAMES)
)
CVAT = "".join(f"{name}:{','.join(map(str, COLOURS[place]))}::\n" for place, name in enumerate(NAMES))


def with_palette(mask, order, *, drop=False):
    """A mask of mode P; `order` is the class at each index. `drop`: leave out the entries that do not occur."""
    if drop:
        order = [place for place in order if (mask == place).any()]
    lookup = np.zeros(256, np.uint8)
    lookup[order] = range(len(order))
    picture = Pillow.fromarray(lookup[mask])
    picture.putpalette([value for place in order for value in COLOURS[place]])
    return picture


def draw_palettes(root, orders, *, drop=False, suffix="png", images=True):
    """Masks whose palettes follow `orders` in turn; `drop`: some masks have no road, and lose its entry."""
    for number, (name, picture, mask) in enumerate(samples(COUNT)):
        if images:
            save(root / f"images/{name}.jpg", picture, quality=95)
        if drop and number % 2:
            mask = np.where(mask == 1, 0, mask)
        save(root / f"masks/{name}.{suffix}", with_palette(mask, orders[number % len(orders)], drop=drop))
    return root


def judge(project, mine, table=TABLE, fails=True, **options):
    (mine / "classes.yaml").write_text(table)
    project.options(path=str(mine), **{"images": "images", "masks": "masks", **options})
    return project.stages("download", "extract", "validate", fails=fails)


KINDS = {
    "reordered": {"orders": ([0, 1, 2], [0, 2, 1])},
    "entries dropped": {"orders": ([0, 1, 2],), "drop": True},
    "GIF": {"orders": ([0, 1, 2], [0, 2, 1]), "suffix": "gif"},
    "reordered in every file": {"orders": ([2, 0, 1], [1, 2, 0])},
    "TIFF": {"orders": ([0, 1, 2], [1, 0, 2]), "suffix": "tif"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_init_stops_where_palettes_contradict_each_other(project, mine, kind):
    """Before: read by index, with success."""
    draw_palettes(mine, **KINDS[kind])
    said = project.run("init", str(mine), fails=True)
    assert "masks contradict each other: masks/s00." in said
    assert "has the colour (" in said
    assert "at index" in said
    assert "`encoding: rgb` if the colours are" in said
    assert not (mine / "classes.yaml").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["reordered", "entries dropped", "GIF"])
def test_the_answer_that_colours_are_right_gives_the_masks(project, mine, kind):
    draw_palettes(mine, **KINDS[kind])
    project.answer(encoding="rgb")
    project.run("init", str(mine))
    project.stages(*STAGES)
    classes = yaml.safe_load((mine / "classes.yaml").read_text())["classes"]
    train = {tuple(row["colour"]): place for place, row in enumerate(classes)}
    suffix = KINDS[kind].get("suffix", "png")
    drawn = {name: read_image(mine / f"masks/{name}.{suffix}") for name, _, _ in samples(COUNT)}
    for name, label in project.labels().items():
        for colour, place in train.items():
            assert np.array_equal(label == place, (drawn[name] == colour).all(axis=-1))


@pytest.mark.slow
def test_the_answer_that_numbers_are_right_gives_the_indices(project, mine):
    draw_palettes(mine, ([0, 1, 2], [0, 2, 1]))
    project.answer(encoding="indices")
    project.run("init", str(mine))
    assert project.entry()["encoding"] == "indices"
    project.stages(*STAGES)
    for name, label in project.labels().items():
        assert np.array_equal(label, read_mask(mine / f"masks/{name}.png"))


@pytest.mark.slow
def test_colours_that_a_file_names_decide(project, mine):
    """Before: the first palette decided for all files."""
    draw_palettes(mine, ([0, 1, 2], [0, 2, 1]))
    (mine / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + CVAT)
    said = " ".join(project.run("init", str(mine)).split())
    assert "palettes differ from mask to mask, so their colours are used" in said
    project.stages(*STAGES)
    drawn = {name: mask for name, _, mask in samples(COUNT)}
    for name, label in project.labels().items():
        assert np.array_equal(label, drawn[name])


def test_colours_do_not_decide_where_some_masks_have_none(project, mine):
    draw_palettes(mine, ([0, 1, 2], [0, 2, 1]))
    save(mine / "masks/s02.png", np.array(Pillow.fromarray(np.uint8([[0, 1]])).resize((60, 40))))
    (mine / "labelmap.txt").write_text(CVAT)
    assert "masks contradict each other" in project.run("init", str(mine), fails=True)


@pytest.mark.parametrize("encoding", [pytest.param("ids", marks=pytest.mark.slow), "palette"])
def test_validate_goes_by_colour_where_the_class_table_has_all(project, mine, encoding):
    """Before: read by index."""
    draw_palettes(mine, ([0, 1, 2], [0, 2, 1]))
    said = judge(project, mine, encoding=encoding, fails=False)
    assert "palettes of the masks differ, so their colours decide" in said
    project.stages("prepare")
    drawn = {name: mask for name, _, mask in samples(COUNT)}
    for name, label in project.labels().items():
        assert np.array_equal(label, drawn[name])


@pytest.mark.slow
def test_validate_stops_where_a_colour_is_unknown(project, mine):
    """Before: read by index."""
    draw_palettes(mine, ([0, 1, 2], [0, 2, 1]))
    said = judge(project, mine, TABLE.replace(", colour: [0, 0, 142]", ""))
    assert "palettes contradict each other: masks/s00.png has the colour (128, 64, 128) at index 1" in said
    assert "masks/s01.png the colour (0, 0, 142)" in said
    assert "`encoding: indices` if the stored numbers are" in said
    judge(project, mine, TABLE.replace(", colour: [0, 0, 142]", ""), fails=False, encoding="indices")


@pytest.mark.slow
def test_validate_stops_where_the_class_table_contradicts_every_palette(project, mine):
    """Before: roads were called cars."""
    draw_palettes(mine, ([0, 2, 1],))
    said = judge(project, mine)
    assert "palettes contradict the colours of the class table: masks/s00.png has the colour (0, 0, 142) at" in said
    assert "index 1, which is the colour of id 2" in said


def test_a_file_of_names_that_contradicts_the_palette_stops(project, mine):
    """Before: its lines were taken as names of the ids 0, 1, 2."""
    draw_palettes(mine, ([0, 1, 2],))
    (mine / "labelmap.txt").write_text(CVAT.replace("128,64,128", "1,2,3"))
    said = project.run("init", str(mine), fails=True)
    assert "labelmap.txt: no class with the colour (128, 64, 128), which palettes have at index 1" in said
    project.answer(encoding="indices")
    project.run("init", str(mine))


def same_palette(mask, entries):
    picture = Pillow.fromarray(mask)
    picture.putpalette([value for colour in entries for value in colour])
    return picture


UNUSED = [(9, 9, 9), (7, 7, 7)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        lambda number, mask: same_palette(mask, [*COLOURS.values(), UNUSED[number % 2]]),
        lambda number, mask: same_palette(mask, [*COLOURS.values(), *[(0, 0, 0)] * (number % 3)]),
        lambda number, mask: mask if number % 2 else same_palette(mask, COLOURS.values()),
        lambda number, mask: same_palette(mask, [(i, i, i) for i in range(256)]) if number % 2 else mask,
    ],
    ids=["unused entries differ", "padded with black", "some without palette", "grey ramps"],
)
def test_palettes_that_say_the_same_are_no_contradiction(project, mine, change):
    for number, (name, picture, mask) in enumerate(samples(COUNT)):
        save(mine / f"images/{name}.jpg", picture, quality=95)
        save(mine / f"masks/{name}.png", change(number, mask))
    project.run("init", str(mine))
    said = project.stages(*STAGES)
    assert "palettes of the masks differ" not in said
    drawn = {name: mask for name, _, mask in samples(COUNT)}
    for name, label in project.labels().items():
        assert np.array_equal(label, drawn[name])


def as_bits(mask, bits):
    """A PNG of `bits` per pixel whose white is the foreground."""
    if bits == 1:
        return Pillow.fromarray(mask > 0)
    return same_palette((mask > 0).astype(np.uint8), [(0, 0, 0), (255, 255, 255)])


@pytest.mark.slow
@pytest.mark.parametrize("bits", [1, 2], ids=["1 bit", "a palette of black and white"])
def test_masks_of_several_depths_stop(project, mine, bits):
    """Before: white was class 1 in one half and void in the other."""
    for number, (name, picture, mask) in enumerate(samples(COUNT)):
        save(mine / f"images/{name}.jpg", picture, quality=95)
        save(mine / f"masks/{name}.png", as_bits(mask, bits) if number % 2 else as_binary(mask))
    said = project.run("init", str(mine), fails=True)
    assert "white is index 1 in masks/s01.png, but 255 in masks/s00.png" in said
    table = "classes:\n  - {id: 0, name: background}\n  - {id: 1, name: road}\nvoid: [255]\n"
    assert "white is index 1 in masks/s01.png, but 255 in masks/s00.png" in judge(project, mine, table)
    (mine / "classes.yaml").unlink()
    project.forget()
    project.answer(encoding="rgb")
    project.run("init", str(mine))
    project.stages(*STAGES)
    drawn = {name: mask > 0 for name, _, mask in samples(COUNT)}
    for name, label in project.labels().items():
        assert np.array_equal(label, drawn[name])


@pytest.mark.slow
def test_masks_of_1_bit_alone_are_ids(project, mine):
    draw_ids(mine, change=lambda mask: Pillow.fromarray(mask > 0), count=COUNT)
    project.run("init", str(mine))
    project.stages(*STAGES)
    drawn = {name: mask > 0 for name, _, mask in samples(COUNT)}
    for name, label in project.labels().items():
        assert np.array_equal(label, drawn[name])


# --- score


@pytest.fixture
def scored(project, mine, tmp_path):
    """Own data with palettes of one order, validated; scores a folder of predictions."""
    draw_palettes(mine, ([0, 1, 2],))
    judge(project, mine, encoding="palette", fails=False)

    def score(*options, fails=False):
        answer = tmp_path / "score.json"
        said = project.run(
            "score", "--prediction", str(tmp_path / "predicted"), "--dataset", "mine", "--truth", str(mine / "masks"),
            "--json", str(answer), *options, fails=fails,
        )  # fmt: skip
        return said if fails else (json.loads(answer.read_text())["miou"], said)

    return score


def predict(root, change):
    for number, (name, _, mask) in enumerate(samples(COUNT)):
        save(root / "predicted" / f"{name}.png", change(number, mask))


@pytest.mark.parametrize(
    "orders",
    [
        ([0, 1, 2], [0, 2, 1]),
        pytest.param(([0, 2, 1],), marks=pytest.mark.slow),
        pytest.param(([2, 1, 0], [1, 2, 0]), marks=pytest.mark.slow),
    ],
    ids=["some", "all", "each"],
)
def test_score_goes_by_the_colours_of_predictions(scored, tmp_path, orders):
    """Before: 0.278 where 0.904 is right."""
    predict(tmp_path, lambda number, mask: with_palette(mask, orders[number % len(orders)]))
    miou, said = scored()
    assert miou == 1.0
    assert "palette whose colours" in said


@pytest.mark.slow
def test_score_stops_where_palettes_contradict_each_other(scored, tmp_path):
    odd = [(0, 0, 0), (1, 1, 200), (200, 1, 1)]
    predict(tmp_path, lambda number, mask: same_palette(mask, odd[:1] + (odd[1:] if number % 2 else odd[:0:-1])))
    said = " ".join(scored(fails=True).split())
    assert "predictions whose palettes contradict each other" in said
    assert "s00.png has the colour (200, 1, 1) at index 1, and s01.png the colour (1, 1, 200)" in said
    assert scored("--ids", "raw")[0] == 1.0


@pytest.mark.slow
def test_score_reads_labels_by_the_colours_of_their_palettes(scored, mine, tmp_path):
    """Before: labels were read by index, too."""
    predict(tmp_path, lambda number, mask: mask)
    assert scored()[0] == 1.0
    draw_palettes(mine, ([0, 1, 2], [0, 2, 1]), images=False)
    assert scored()[0] == 1.0


@pytest.mark.slow
def test_score_takes_a_palette_of_other_colours_for_what_it_is(scored, tmp_path):
    predict(tmp_path, lambda _, mask: same_palette(mask, [(1, 1, 1), (50, 0, 0), (0, 50, 0)]))
    assert scored()[0] == 1.0
