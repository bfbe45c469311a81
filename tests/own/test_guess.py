"""What `segline init` does with data that hold a mistake: it says so, and drops nothing in silence."""

import pytest
from drawing import draw_ids


def with_csv(root, *changes, header="image,mask,split,group"):
    """Pairs that their names would give too, in a CSV in which `changes` are made."""
    draw_ids(root, count=10)
    rows = [f"images/s0{n}.jpg,masks/s0{n}.png,{'test' if n > 7 else 'train'},g{n // 2}" for n in range(10)]
    text = "\n".join([header, *rows]) + "\n"
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (root / "pairs.csv").write_text(text)
    return root


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("test,g4", "tset,g4"), "pairs.csv:10 split: 'tset'"),
        (("images/s03.jpg", "images/s02.jpg"), "pairs.csv:5: images/s02.jpg, which line 4 has already"),
        (("masks/s03.png", "../../etc/hostname"), "pairs.csv:5 mask: '../../etc/hostname'"),
        (("split,group", "split,weight"), "pairs.csv:1: columns image, mask, split, weight"),
        (("image,mask", "img,mask"), "rename 'img' to 'image'"),
        (("masks/", "mask/"), "pairs.csv:2 names mask/s00.png, which is not there"),
    ],
)
def test_a_mistake_in_the_csv_stops_init_and_names_the_line(project, tmp_path, change, said):
    with_csv(tmp_path / "mine", change)
    assert said in project.run("init", str(tmp_path / "mine"), fails=True)
    assert not (tmp_path / "mine/classes.yaml").exists()


def test_other_csvs_are_said_not_to_be_used(project, tmp_path):
    root = with_csv(tmp_path / "mine")
    (root / "camera.csv").write_text("frame,exposure\n1,0.5\n")
    (root / "pairs_old.csv").write_text("image,mask\nimages/s00.jpg,masks/s01.png\n")
    (root / "class_dict.csv").write_text("name,r,g,b\nground,0,0,0\nroad,1,1,1\ncar,2,2,2\n")
    said = " ".join(project.run("init", str(root)).split())
    assert "camera.csv is not used: columns frame, exposure, expected image, mask" in said
    assert "pairs_old.csv is not used: pairs.csv is" in said
    assert "class_dict.csv is not used" not in said
    assert project.params()["options"]["folder"]["pairs"] == "pairs.csv"


def test_a_row_whose_file_is_missing_is_told_by_its_line(project, tmp_path):
    with_csv(tmp_path / "mine", ("masks/s03.png", "masks/999.png"))
    said = " ".join(project.run("init", str(tmp_path / "mine")).split())
    assert "pairs.csv:5 names masks/999.png, which is not there" in said
    assert "without mask" not in said
