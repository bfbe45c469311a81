import pytest

from segline.datasets.own import classes
from segline.errors import ConfigError

GOOD = """classes:
  - {id: 3, name: road, colour: "#804080", merged: [7]}
  - {id: 5, name: car, colour: [0, 0, 142]}
void: [255, {id: 0, colour: [0, 0, 0]}]
"""


def read(tmp_path, text, encoding="ids"):
    path = tmp_path / "classes.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return classes.read(path, encoding=encoding, remedy="segline init writes it")


def test_a_class_table(tmp_path):
    table = read(tmp_path, GOOD, "rgb")
    label_map = table.label_map()
    assert label_map.names == ("road", "car")
    assert [item.ids for item in label_map.classes] == [(3, 7), (5,)]
    assert label_map.void == (255, 0)
    assert label_map.classes[0].colour == (128, 64, 128)
    assert table.colours().ids == {(128, 64, 128): 3, (0, 0, 142): 5, (0, 0, 0): 0}


def test_the_order_of_rows_changes_neither_train_ids_nor_colours(tmp_path):
    """Before, sorting the rows gave other train ids, so that the champion could no longer be scored."""
    rows = ["  - {id: 0, name: soil}\n", "  - {id: 7, name: crop}\n", "  - {id: 3, name: tree}\n"]
    first, second = (read(tmp_path, "classes:\n" + "".join(lines)).label_map() for lines in (rows, rows[::-1]))
    assert first == second
    assert first.names == ("soil", "tree", "crop")


def test_windows_line_ends_and_a_mark_are_read(tmp_path):
    assert len(read(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()).classes) == 2


def test_classes_without_colours_get_colours_of_their_own(tmp_path):
    text = "classes:\n" + "".join(f"  - {{id: {place}, name: c{place}}}\n" for place in range(30))
    label_map = read(tmp_path, text).label_map()
    assert len({item.colour for item in label_map.classes}) == 30


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ("id: 5", "id: 3", "classes.yaml:3 classes.1.id", "which"),
        ("merged: [7]", "merged: [5]", "classes.yaml:2 classes.0.merged.0", "each id once"),
        ("[255,", "[3,", "classes.yaml:4 void.0", "each id once"),
        ("name: car", "name: road", "classes.yaml:3 classes.1.name", "rename it"),
        ("id: 5", "id: 256", "classes.yaml:3 classes.1.id", "256"),
        ("id: 5", "id: five", "classes.yaml:3 classes.1.id", "'five'"),
        ("name: car", "nmae: car", "classes.yaml:3 classes.1.nmae", "'name'?"),
        ("void:", "viod:", "classes.yaml:4 viod", "'void'?"),
        ("[0, 0, 142]", "[0, 0, 300]", "classes.yaml:3 classes.1.colour", "300"),
        ("[0, 0, 142]", "[128, 64, 128]", "classes.yaml:3 classes.1.colour", "a colour of its own"),
        (", colour: [0, 0, 142]", "", "classes.yaml:3 classes.1", "without a colour"),
        ("classes:", "classes: []\nother:", "classes.yaml", "other"),
        ("- {id: 3", "- {id: 3,\n - ", "classes.yaml", "YAML"),
    ],
)
def test_a_mistake_names_line_key_and_remedy(tmp_path, old, new, place, said):
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, GOOD.replace(old, new, 1), "rgb")
    assert place in str(caught.value)
    assert said in str(caught.value)
    assert "remedy:" in str(caught.value)


def test_too_many_classes_and_no_table(tmp_path):
    text = "classes:\n" + "".join(f"  - {{id: {place}, name: c{place}}}\n" for place in range(255))
    with pytest.raises(ConfigError, match="at most 254"):
        read(tmp_path, text)
    with pytest.raises(ConfigError, match="segline init writes it"):
        classes.read(tmp_path / "none.yaml", encoding="ids", remedy="segline init writes it")


def test_polygons_need_an_id_for_what_they_leave(tmp_path):
    with pytest.raises(ConfigError, match="no id 0"):
        read(tmp_path, GOOD.replace("{id: 0,", "{id: 1,"), "coco")
