"""What a newcomer's usual mistakes are called, and whether the remedy works when it is followed."""

import cv2
import numpy as np
import pytest
from drawing import as_binary, as_colours, draw_folders, draw_ids, samples, save

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

TABLE = "classes:\n  - {id: 0, name: background}\n  - {id: 1, name: road}\n  - {id: 2, name: car}\n"


@pytest.fixture
def judged(project, tmp_path):
    """Writes class table and options, runs the stages, and gives what the failing validation says."""

    def judge(table=TABLE, fails=True, **options):
        (tmp_path / "mine/classes.yaml").write_text(table)
        project.options(path=str(tmp_path / "mine"), **({"images": "images", "masks": "masks"} | options))
        return project.stages("download", "extract", "validate", fails=fails)

    return judge


def test_binary_masks_where_0_and_1_were_declared(judged, tmp_path):
    draw_ids(tmp_path / "mine", change=as_binary)
    said = judged("classes:\n  - {id: 0, name: background}\n  - {id: 1, name: road}\n")
    assert "masks hold only 0 and 255: they are black-and-white pictures" in said
    assert f"in {tmp_path}/mine/classes.yaml give the white class the id 255" in said
    assert "ids_legal also fails; masks_are_binary explains its findings" in said
    judged("classes:\n  - {id: 0, name: background}\n  - {id: 255, name: foreground}\n", fails=False)


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize("coloured", [False, True])
def test_folders_that_are_exchanged_are_called_so(judged, tmp_path, kind, coloured):
    change = as_colours if coloured else (lambda mask: mask)
    draw_ids(tmp_path / "mine", image=f"images/{{}}.{kind}", change=change)
    table = TABLE.replace("background}", "background, colour: [0, 0, 0]}").replace("road}", "road, colour: '#804080'}")
    table = table.replace("car}", "car, colour: [0, 0, 142]}")
    encoding = "rgb" if coloured else "ids"
    said = judged(table, images="masks/*.png", masks=f"images/*.{kind}", encoding=encoding)
    assert "images and masks are swapped" in said
    assert "swap `images` and `masks` in own/mine.yaml" in said
    assert "1 blocking" in said or "2 blocking" in said
    judged(table, fails=False, images=f"images/*.{kind}", masks="masks/*.png", encoding=encoding)


def test_coloured_masks_where_ids_were_declared(judged, project, tmp_path):
    draw_ids(tmp_path / "mine", change=as_colours)
    said = judged()
    assert "masks are coloured pictures (RGB), not ids" in said
    assert f"segline init {tmp_path}/mine --force" in said
    project.run("init", str(tmp_path / "mine"), "--force")
    project.stages("download", "extract", "validate")


def test_coloured_masks_that_were_resized_with_interpolation(judged, tmp_path):
    def smear(mask):
        colours = as_colours(mask)
        small = cv2.resize(colours, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_LINEAR)
        return cv2.resize(small, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)

    draw_ids(tmp_path / "mine", change=smear)
    table = TABLE.replace("background}", "background, colour: [0, 0, 0]}").replace("road}", "road, colour: '#804080'}")
    said = judged(table.replace("car}", "car, colour: [0, 0, 142]}"), encoding="rgb")
    assert "masks hold colours between those of the class table" in said
    assert "nearest neighbour" in said
    assert "mask_readable also fails; masks_are_interpolated explains its findings" in said


def test_masks_shifted_by_one(judged, tmp_path):
    draw_ids(tmp_path / "mine")
    masks = [mask for _, _, mask in samples()]
    for number, mask in enumerate(masks):
        save(tmp_path / f"mine/masks/s{(number + 1) % len(masks):02}.png", mask)
    said = judged()
    assert "masks are shifted by one sample" in said
    assert "give each mask the name of its image" in said


def test_sides_that_are_swapped(judged, tmp_path):
    draw_ids(tmp_path / "mine", change=lambda mask: np.ascontiguousarray(mask.T))
    assert "masks have the height and width of their images swapped" in judged()


def test_what_is_alone_is_a_finding_and_not_silence(judged, tmp_path):
    draw_ids(tmp_path / "mine")
    (tmp_path / "mine/masks/s03.png").unlink()
    (tmp_path / "mine/images/s04.jpg").unlink()
    said = judged()
    assert "note: 1 image without mask: images/s03.jpg" in said
    assert "images/s03.jpg: has no mask" in said
    assert "masks/s04.png: has no image" in said
    assert f"correct or remove it in {tmp_path}/mine, then run `dvc repro`" in said


def test_an_id_that_the_table_lacks(judged, tmp_path):
    draw_ids(tmp_path / "mine")
    said = judged(TABLE.replace("  - {id: 2, name: car}\n", ""))
    assert "mask holds id 2" in said
    assert f"add the id to {tmp_path}/mine/classes.yaml" in said


def test_copies_are_the_users_own_bytes(judged, project, tmp_path):
    draw_folders(tmp_path / "mine")
    judged(images="*/images/*.png", masks="*/labels/*.png")  # coloured, though ids are declared
    for path in (tmp_path / "mine").rglob("*.png"):
        assert (project.raw / path.relative_to(tmp_path / "mine")).read_bytes() == path.read_bytes()
