"""From `segline init` to the prepared data, with no edit but to the class table: labels are the truth, pixel by pixel.

Before: `init` or `validate` stopped for each of these layouts; `test_layouts` and `test_annotations` say how.
"""

import numpy as np
import pytest
import yaml
from drawing import LOOKS, NAMES
from exif_photos import as_shown
from own_layouts import (
    COUNT,
    EXIF,
    by_looks,
    draw_coco_splits,
    draw_cvat,
    draw_labelme_exif,
    draw_siblings,
    draw_voc,
    draw_yolo,
)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")]

STAGES = ("download", "extract", "validate", "prepare")
SPLITS = {"train": 6, "validation": 2, "test": 2}  # of the layouts that name splits
MIN_FIT = 0.99  # of the pixels show the colour of their label; JPEG blurs a few

LAYOUTS = {
    "VOC": (draw_voc, None),
    "CamVid's siblings": (draw_siblings, SPLITS),
    "COCO, a file for each split": (draw_coco_splits, SPLITS),
    "LabelMe, with EXIF": (draw_labelme_exif, None),
    "CVAT": (draw_cvat, None),
    "YOLO polygons": (draw_yolo, SPLITS),
}


def edit_table(folder):
    """Rename the classes in the table as a person does, and put the rows in another order.

    Returns:
        The names by train id: train ids follow the ids, not the rows.
    """
    path = folder / "classes.yaml"
    content = yaml.safe_load(path.read_text())
    named = {"class_1": "road", "class_2": "car"}
    rows = [row | {"name": named.get(row["name"], row["name"])} for row in content["classes"]]
    path.write_text(yaml.safe_dump(content | {"classes": rows[::-1]}))
    return [row["name"] for row in sorted(rows, key=lambda row: row["id"])]


def shown_upright(layout, name, pixels):
    """Pixels as a viewer shows them, if the layout stores photos turned."""
    if layout != "LabelMe, with EXIF":
        return pixels
    return as_shown(np.ascontiguousarray(pixels), EXIF[int(name.removeprefix("s")) % len(EXIF)])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_from_init_to_prepared(project, mine, layout):
    draw, expected = LAYOUTS[layout]
    draw(mine)
    project.run("init", str(mine))
    classes = edit_table(mine)
    project.stages(*STAGES)
    splits = {name: project.prepared().split(name) for name in SPLITS}
    held = {name: len(split) for name, split in splits.items()}
    assert held == (expected or held)
    assert sum(held.values()) == COUNT
    compared = 0
    for name, split in splits.items():
        for place, sample in enumerate(split.ids):
            picture = shown_upright(layout, sample, split.image(place))
            mask = split.mask(place) if name == "train" else split.label(place)
            mask = shown_upright(layout, sample, mask)
            trained = np.array([classes.index(label) for label in NAMES], np.uint8)
            assert np.array_equal(mask, trained[by_looks(picture)]), sample
            nearest = np.abs(picture[..., None, :].astype(int) - LOOKS).sum(axis=-1).argmin(axis=-1)
            assert (trained[nearest] == mask).mean() > MIN_FIT, sample
            compared += 1
    assert compared == COUNT
