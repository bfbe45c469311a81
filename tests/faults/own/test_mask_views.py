"""Mask files of photos that an EXIF orientation turns: turned with their image, or asked about.

Before, masks painted on the upright photo were prepared upside down, with a note that said nothing about masks.
"""

import numpy as np
import pytest
from drawing import as_colours, as_palette, draw_ids, samples, save
from exif_photos import as_shown, stored
from own_layouts import draw_layers
from PIL import Image as Pillow

from segline.data.images.decode import read_mask
from segline.datasets.own import classes, definition

COUNT = 6


def turn_photos(root, orientation):
    """Store the photos as a camera does; the masks stay upright."""
    for path in root.rglob("*.jpg"):
        photo = stored(orientation)(np.array(Pillow.open(path)))
        photo.save(path, quality=95, exif=photo.getexif())


def extracted(project):
    table = classes.read(project.raw / definition.TABLE, encoding="ids", remedy="")
    encoding = project.entry().get("encoding", "ids")
    colours = table.colours() if encoding == "rgb" else None
    pairs = definition.read_samples(project.raw / definition.SAMPLES)
    names = {table.ids()[row.name]: row.name for row in table.classes}
    return {pair.id: (read_mask(project.raw / pair.mask, colours=colours), names) for pair in pairs if pair.mask}


def truth():
    return {str(name): mask for name, _, mask in samples(COUNT)}


def same_areas(one, other):
    """Whether two label maps divide the picture alike, whatever their ids are."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return one.shape == other.shape and pairs.shape[1] == len(np.unique(one)) == len(np.unique(other))


FORMS = {"ids": lambda mask: mask, "palette": as_palette, "colours": as_colours}


@pytest.mark.parametrize(
    "form", ["ids", *(pytest.param(name, marks=pytest.mark.slow) for name in ("palette", "colours"))]
)
@pytest.mark.parametrize("orientation", [3, *(pytest.param(turn, marks=pytest.mark.slow) for turn in (2, 4))])
def test_where_both_views_have_one_size_one_is_asked_and_the_answer_is_followed(project, mine, orientation, form):
    draw_ids(mine, change=FORMS[form], count=COUNT)
    turn_photos(mine, orientation)
    said = project.run("init", str(mine), fails=True)
    assert f"not upright: it has EXIF orientation {orientation}" in said
    assert "`drawn_on: upright`" in said
    assert "`drawn_on: stored`" in said
    project.answer(drawn_on="upright")
    project.run("init", str(mine))
    project.stages("download", "extract", "validate")
    found = extracted(project)
    for name, mask in truth().items():
        assert same_areas(as_shown(found[name][0], orientation), mask)
    project.answer(drawn_on="stored")
    project.stages("download", "extract")
    found = extracted(project)
    for name, mask in truth().items():
        assert same_areas(found[name][0], mask)


@pytest.mark.parametrize("orientation", [6, *(pytest.param(turn, marks=pytest.mark.slow) for turn in (5, 7, 8))])
def test_where_the_size_tells_the_mask_is_turned_without_a_question(project, mine, orientation):
    """The remedy was to transpose the masks, although EXIF says what was turned."""
    draw_ids(mine, count=COUNT)
    turn_photos(mine, orientation)
    project.run("init", str(mine))
    said = project.stages("download", "extract", "validate")
    assert f"{COUNT} masks of upright photos are turned to the stored pixels" in said
    found = extracted(project)
    for name, mask in truth().items():
        assert same_areas(as_shown(found[name][0], orientation), mask)


def test_masks_of_the_stored_pixels_stay_as_they_are(project, mine):
    draw_ids(mine, count=COUNT)
    turn_photos(mine, 6)
    for path in mine.rglob("masks/*.png"):
        save(path, np.array(stored(6)(np.array(Pillow.open(path)))))
    project.run("init", str(mine))
    assert "are turned" not in project.stages("download", "extract", "validate")


def test_download_asks_too_where_the_entry_was_written_by_hand(project, mine):
    draw_ids(mine, count=COUNT)
    project.run("init", str(mine))
    turn_photos(mine, 3)
    assert "`drawn_on: upright`" in project.stages("download", fails=True)


@pytest.mark.slow
@pytest.mark.parametrize("orientation", [3, 6])
def test_one_mask_for_each_class_is_turned_too(project, mine, orientation):
    draw_layers(mine)
    turn_photos(mine, orientation)
    project.run("init", str(mine))
    if orientation == 3:
        assert "`drawn_on: upright`" in project.stages("download", "extract", fails=True)
        project.answer(drawn_on="upright")
    project.stages("download", "extract", "validate")
    found = extracted(project)
    for name, (mask, _) in found.items():
        looks = {str(key): value for key, _, value in samples(len(found))}
        assert same_areas(as_shown(mask, orientation), looks[name])
