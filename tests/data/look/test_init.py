"""`segline init`: what it writes, what it keeps, and what it says where it cannot guess."""

import ast
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml
from drawing import COLOURS, as_colours, as_palette, draw_coco, draw_ids, draw_labelme, samples, save
from listed_datasets import listed


def table(folder):
    return yaml.safe_load((folder / "classes.yaml").read_text())


def test_params_keep_their_comments_and_order_and_a_second_run_changes_nothing(project, tmp_path):
    before = (project.root / "params.yaml").read_text()
    draw_ids(tmp_path / "mine")
    project.run("init", str(tmp_path / "mine"))
    first = (project.root / "params.yaml").read_text()
    assert before.splitlines()[0] in first
    for comment in (part.partition("#")[2] for part in before.splitlines() if "#" in part):
        assert comment in first
    assert list(yaml.safe_load(first)) == list(yaml.safe_load(before))
    params = project.params()
    assert params["datasets"] == listed("kitti", "oxford_pets", "cityscapes", "mine")
    assert (params["own"], params["dataset"], params["promotion"]["floor"]["mine"]) == (["mine"], "mine", 0.1)
    assert params["options"]["mine"] == {}
    entry = project.entry()
    definition = (project.root / "own/mine.yaml").read_text()
    assert re.fullmatch("[0-9a-f]{16}", entry.pop("id"))
    assert entry == {
        "path": str(tmp_path / "mine"), "images": "images/*.jpg", "masks": "masks/*.png",
    }  # fmt: skip
    written = (tmp_path / "mine/classes.yaml").read_text()
    said = project.run("init", str(tmp_path / "mine"))
    assert "kept" in said
    assert (project.root / "params.yaml").read_text() == first
    assert (project.root / "own/mine.yaml").read_text() == definition
    assert (tmp_path / "mine/classes.yaml").read_text() == written


def test_nothing_heavy_is_imported(project, tmp_path):
    draw_ids(tmp_path / "mine")
    script = (
        "import sys\n"
        "from segline.cli import main\n"
        "for command in (['init', sys.argv[1]], *(['data', n, 'mine'] for n in ('look', 'download', 'extract'))):\n"
        "    try:\n        main(command)\n    except SystemExit as end:\n        assert not end.code\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "mine")], capture_output=True, text=True, check=True
    )
    imported = set(ast.literal_eval(answer.stdout.splitlines()[-1]))
    assert "cv2" in imported
    assert not imported & {"tensorflow", "keras", "mlflow", "prefect", "great_expectations", "pandas", "dvc"}


def test_doctor_says_where_own_data_are_and_where_they_are_not(project, tmp_path):
    draw_ids(tmp_path / "mine")
    project.run("init", str(tmp_path / "mine"))
    assert f"mine          ok: {tmp_path / 'mine'}" in project.run("doctor", fails=True)  # no git here
    (tmp_path / "mine").rename(tmp_path / "away")
    assert "no such folder" in project.run("doctor", fails=True)


def test_a_folder_in_the_project_is_named_from_there(project):
    draw_ids(project.root / "mine")
    project.run("init", str(project.root / "mine"))
    assert project.entry()["path"] == "mine"
    assert "contains the project itself" in project.run("init", str(project.root), fails=True)


def test_what_a_person_wrote_is_kept_unless_forced(project, tmp_path):
    draw_ids(tmp_path / "mine")
    project.run("init", str(tmp_path / "mine"))
    edited = (tmp_path / "mine/classes.yaml").read_text().replace("class_1", "road")
    (tmp_path / "mine/classes.yaml").write_text(edited)
    project.run("init", str(tmp_path / "mine"))
    assert (tmp_path / "mine/classes.yaml").read_text() == edited
    project.run("init", str(tmp_path / "mine"), "--force")
    assert "class_1" in (tmp_path / "mine/classes.yaml").read_text()


def test_a_second_folder_is_not_taken_for_the_first(project, tmp_path):
    draw_ids(tmp_path / "mine")
    draw_ids(tmp_path / "other")
    project.run("init", str(tmp_path / "mine"))
    first = project.entry()
    said = project.run("init", str(tmp_path / "other"), "--name", "mine", fails=True)
    assert "own/mine.yaml path" in said
    assert "use --name to give these data another name" in said
    assert not (tmp_path / "other/classes.yaml").exists()
    assert project.entry() == first
    project.run("init", str(tmp_path / "other"), "--name", "mine", "--force")
    assert project.entry()["path"] == str(tmp_path / "other")
    assert project.entry()["id"] != first["id"]


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (lambda root: root.mkdir(), "no pictures; the folder holds no files"),
        (lambda root: None, "no such folder"),
        (lambda root: draw_ids(root, mask="images/{}.jpg"), "only images: no picture"),
        (lambda root: draw_ids(root, mask="masks/{}.jpg", change=as_colours), "is a JPEG, like all masks here"),
        (
            lambda root: draw_ids(root, mask="masks/of {}.png"),
            "one image is images/s00.jpg, and one mask is masks/of s00.png",
        ),
    ],
)
def test_where_a_guess_is_impossible_it_says_what_was_seen_and_what_is_understood(project, tmp_path, plant, said):
    plant(tmp_path / "mine")
    told = project.run("init", str(tmp_path / "mine"), fails=True)
    assert said in told
    assert "remedy:" in told
    if "no such" not in said:
        assert "images/1.jpg  masks/1.png" in told
    assert project.params()["datasets"] == listed("kitti", "oxford_pets", "cityscapes")
    assert not (project.root / "own").exists()


def test_folders_whose_names_are_exchanged_are_told_by_their_pixels(project, tmp_path):
    draw_ids(tmp_path / "mine", image="masks/{}.jpg", mask="images/{}.png")
    said = " ".join(project.run("init", str(tmp_path / "mine")).split())
    assert "which contradict the names" in said
    assert project.entry()["images"] == "masks/*.jpg"


def test_of_several_kinds_of_masks_the_ids_are_taken(project, tmp_path):
    root = draw_ids(tmp_path / "mine", image="leftImg8bit/a/{}_leftImg8bit.png", mask="gtFine/a/{}_gtFine_labelIds.png")
    for name, _, mask in samples():
        save(root / f"gtFine/a/{name}_gtFine_color.png", as_colours(mask))
    said = " ".join(project.run("init", str(root)).split())
    assert project.entry()["masks"] == "gtFine/a/*_gtFine_labelIds.png"
    assert "_gtFine_color" in said


def test_255_is_taken_for_void_and_a_palette_gives_colours(project, tmp_path):
    def with_border(mask):
        mask = mask.copy()
        mask[:2] = 255
        return as_palette(mask)

    draw_ids(tmp_path / "mine", change=with_border)
    said = project.run("init", str(tmp_path / "mine"))
    assert "is treated as void" in said
    assert table(tmp_path / "mine")["void"] == [{"id": 255, "name": "void", "colour": [0, 0, 0]}]
    assert table(tmp_path / "mine")["classes"][1]["colour"] == list(COLOURS[1])
    assert project.entry()["encoding"] == "palette"


@pytest.mark.parametrize(
    ("file", "text", "change"),
    [
        ("classes.txt", "ground\nroad\nno\n", None),
        ("class_dict.csv", "name,r,g,b\nground,0,0,0\nroad,128,64,128\nno,0,0,142\n", as_colours),
        ("label_colors.txt", "0 0 0 ground\n128 64 128 road\n0 0 142 no\n", as_colours),
    ],
)
def test_names_come_from_where_tools_keep_them(project, tmp_path, file, text, change):
    draw_ids(tmp_path / "mine", change=change or (lambda mask: mask))
    (tmp_path / "mine" / file).write_text(text)
    project.run("init", str(tmp_path / "mine"))
    assert [row["name"] for row in table(tmp_path / "mine")["classes"]] == ["ground", "road", "no"]


def test_masks_of_many_colours_are_doubted(project, tmp_path):
    generator = np.random.default_rng(1)

    def speckled(mask):
        picture = as_colours(mask)
        picture[5, :] = generator.integers(0, 256, (picture.shape[1], 3))
        return picture

    draw_ids(tmp_path / "mine", change=speckled)
    said = project.run("init", str(tmp_path / "mine"))
    assert "rare colours" in said
    assert len(table(tmp_path / "mine")["classes"]) == 3


@pytest.mark.parametrize(("draw", "change", "said"), [
    (draw_coco, lambda content: content["categories"].append({"id": 3, "name": "caar"}), "class 'caar'"),
    (draw_coco, lambda content: content["annotations"][1]["segmentation"].update(counts=[3, 4]), "counts of 7 pixels"),
    (draw_labelme, lambda content: content["shapes"][0].update(label="raod"), "expected 'road'?"),
    (draw_labelme, lambda content: content["shapes"][0].update(shape_type="spline"), "'spline'"),
    (draw_labelme, lambda content: content.pop("shapes"), "no keys `shapes`"),
])  # fmt: skip
def test_polygons_that_are_wrong_are_named(project, tmp_path, draw, change, said):
    draw(tmp_path / "mine")
    project.run("init", str(tmp_path / "mine"))
    path = sorted((tmp_path / "mine").rglob("*.json"))[0]
    content = json.loads(path.read_text())
    change(content)
    if said == "class 'caar'":
        content["annotations"][0]["category_id"] = 3
    path.write_text(json.dumps(content))
    told = project.stages("download", fails=True)
    assert said in told
    assert path.name in told
    if said not in ("class 'caar'", "expected 'road'?", "no keys `shapes`"):  # it is not the class table's fault
        assert said in project.run("init", str(tmp_path / "mine"), "--force", fails=True)


def test_polygons_that_leave_the_image_and_lines_are_told_where_they_are_allowed(project, tmp_path):
    draw_labelme(tmp_path / "mine")
    project.run("init", str(tmp_path / "mine"))
    path = tmp_path / "mine/s00.json"
    content = json.loads(path.read_text())
    content["shapes"] += [
        {"label": "car", "points": [[50, 30], [90, 30], [90, 39]], "shape_type": "polygon"},
        {"label": "car", "points": [[1, 1], [9, 9]], "shape_type": "line"},
    ]
    path.write_text(json.dumps(content))
    project.answer(beyond_image="clip", without_area="leave_out")
    said = project.stages("download", "extract")
    assert "s00.json: 1 outlines extend beyond the image and are clipped" in said
    assert "s00.json: a line of 'car' has no area" in said


def test_a_file_that_changed_after_it_was_listed_stops_the_copy(project, tmp_path):
    draw_ids(tmp_path / "mine")
    project.run("init", str(tmp_path / "mine"))
    project.stages("download", "extract")
    before = {path: path.read_bytes() for path in project.raw.rglob("*") if path.is_file()}
    save(tmp_path / "mine/masks/s00.png", np.zeros((9, 9), np.uint8))
    told = project.stages("extract", fails=True)
    assert "masks/s00.png: sha256" in told
    assert before == {path: path.read_bytes() for path in project.raw.rglob("*") if path.is_file()}
    project.stages("download", "extract")


def test_a_link_that_leads_nowhere_is_named(project, tmp_path):
    draw_ids(tmp_path / "mine")
    project.run("init", str(tmp_path / "mine"))
    (tmp_path / "mine/masks/s00.png").unlink()
    (tmp_path / "mine/masks/s00.png").symlink_to("gone.png")
    assert "a link that leads nowhere" in project.stages("download", fails=True)


def test_look_changes_with_the_data_and_keeps_what_is_out_of_reach(project, tmp_path):
    draw_ids(tmp_path / "mine")
    project.run("init", str(tmp_path / "mine"))
    seen = project.root / "own/mine.txt"
    states = []
    for change in (lambda: None, lambda: None, lambda: (tmp_path / "mine/images/s00.jpg").unlink()):
        change()
        project.stages("look")
        states.append(seen.read_text())
    assert states[0] == states[1] != states[2]
    (tmp_path / "mine").rename(tmp_path / "away")
    assert "no such folder" in project.stages("look")
    assert seen.read_text() == states[2]


def test_the_class_table_is_read_from_the_copy_later_on(project, tmp_path):
    draw_ids(tmp_path / "mine")
    project.run("init", str(tmp_path / "mine"))
    assert "not here yet" in project.stages("validate", fails=True)
    project.stages("download", "extract")
    (tmp_path / "mine").rename(tmp_path / "away")
    from segline import config, datasets

    params = config.load(project.root / "params.yaml")
    dataset = datasets.load("mine", params.options["mine"], raw=project.raw)
    assert (dataset.model, dataset.protocol, len(dataset.pairs(project.raw))) == ("mine", "own/1", 30)
