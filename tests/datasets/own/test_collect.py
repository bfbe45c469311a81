"""Pairs, lists and splits of a user's folder: by name, and with errors that name line and remedy."""

import os
import unicodedata

import pytest

from segline.config import Options
from segline.datasets.base import Pair, held_out
from segline.datasets.own.collect import collect
from segline.datasets.own.files import Pattern, pair, plain, walk
from segline.errors import DataError, SeglineError

OPTIONS = Options(images="images", masks="masks")


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")


def paired(options, root):
    return {item.id: (item.image, item.mask) for item in collect(options, root).pairs}


@pytest.mark.parametrize(
    ("pattern", "path", "name"),
    [
        ("images/*/*.jpg", "images/cam1/7.JPG", "cam1/7"),
        ("masks/*/*_mask.png", "masks/cam1/7_mask.png", "cam1/7"),
        ("*/img/*.{jpg,png}", "s1/img/0.5.png", "s1/0.5"),
        ("{train,val}/im/*.jpg", "val/im/1.jpg", "val/1"),
        ("**/img/*/x*.png", "a/b/img/c/x1.png", "a/b/c/1"),
        ("images", "images/a/v1.2/b.c.jpg", "a/v1.2/b.c"),
        ("images/*_*.png", "images/a_b.png", "a_b"),
        ("images", "images/notes.txt", None),
        ("images/*.jpg", "images/deep/1.jpg", None),
    ],
)
def test_a_name_is_what_the_wildcards_stand_for(pattern, path, name):
    assert Pattern(pattern).name(path) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [("7_mask", "7"), ("7-label", "7"), ("a_gtFine_labelIds", "a"), ("a_leftImg8bit", "a"), ("0001TP_L", "0001TP"),
     ("ball", "ball"), ("mask", "mask"), ("d/mask", "d/mask"), ("x_gt", "x")],
)  # fmt: skip
def test_customary_endings_are_taken_off(name, expected):
    assert plain(name) == expected


def test_pairs_are_made_by_name_and_not_by_order(tmp_path):
    touch(
        tmp_path, "images/b.JPG", "images/a.jpeg", "images/c d é.jpg", "masks/a_mask.PNG", "masks/b.png", "masks/z.png"
    )
    touch(tmp_path, "masks/" + unicodedata.normalize("NFD", "c d é") + "_label.png")
    found = paired(OPTIONS, tmp_path)
    assert found["a"] == ("images/a.jpeg", "masks/a_mask.PNG")
    assert found["b"] == ("images/b.JPG", "masks/b.png")
    assert found["c d é"][1] == "masks/" + unicodedata.normalize("NFD", "c d é") + "_label.png"
    assert found["z"] == (None, "masks/z.png")


def test_what_is_hidden_is_not_looked_at(tmp_path):
    touch(tmp_path, "images/a.jpg", "masks/a.png", "images/.DS_Store", "images/._a.jpg", "masks/Thumbs.db")
    touch(tmp_path, "__MACOSX/images/a.jpg", ".git/images/b.jpg", "_segline/masks/a.png", "images/notes.txt")
    assert list(walk(tmp_path)) == ["images/a.jpg", "images/notes.txt", "masks/a.png"]
    assert paired(OPTIONS, tmp_path) == {"a": ("images/a.jpg", "masks/a.png")}


def test_links_are_followed_and_circles_end(tmp_path):
    touch(tmp_path, "elsewhere/pictures/a.jpg", "mine/masks/a.png")
    (tmp_path / "mine/images").symlink_to(tmp_path / "elsewhere/pictures")
    (tmp_path / "mine/masks/round").symlink_to(tmp_path / "mine")
    options = OPTIONS.model_copy(update={"follow_links": True})
    assert paired(options, tmp_path / "mine")["a"] == ("images/a.jpg", "masks/a.png")


def test_names_that_no_list_can_hold_are_refused(tmp_path):
    touch(tmp_path, "images/a\nb.jpg")
    with pytest.raises(DataError, match="rename it"):
        list(walk(tmp_path))
    (tmp_path / "images/a\nb.jpg").unlink()
    (tmp_path / os.fsdecode(b"images/\xff.jpg")).write_bytes(b"")
    with pytest.raises(DataError, match="not UTF-8"):
        list(walk(tmp_path))


def test_several_masks_for_an_image_are_both_shown(tmp_path):
    touch(tmp_path, "images/a.jpg", "masks/a.png", "masks/a_mask.png")
    with pytest.raises(DataError) as caught:
        collect(OPTIONS, tmp_path)
    assert "masks/a.png" in str(caught.value)
    assert "masks/a_mask.png" in str(caught.value)


def test_two_images_of_one_name_are_both_shown():
    with pytest.raises(DataError, match=r"x/a\.png.*x/a\.jpg"):
        pair([("a", "x/a.jpg"), ("a", "x/a.png")], [])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "the folder holds no files"),
        (["photos/a.jpg", "photos/b.jpg"], "2 .jpg in photos"),
        (["images/a.jpg"], "no mask"),
    ],
)
def test_what_is_there_instead_is_told(tmp_path, files, said):
    touch(tmp_path, *files)
    with pytest.raises(DataError, match=said):
        collect(OPTIONS, tmp_path)


def write(root, text, encoding="utf-8"):
    touch(root, "images/a.jpg", "images/b c.jpg", "masks/a.png", "masks/b.png")
    (root / "t.csv").write_bytes(text.encode(encoding))
    return Options(pairs="t.csv")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("image,mask\nimages/a.jpg,masks/a.png\nimages/b c.jpg,masks/b.png\n", "utf-8"),
        ("image,mask\r\nimages/a.jpg,masks/a.png\r\n\r\nimages/b c.jpg,masks/b.png\r\n", "utf-8-sig"),
        ("Mask;IMAGE\nmasks\\a.png;.\\images\\a.jpg\nmasks/b.png;images/b c.jpg", "utf-8"),
        ('image\tmask\n"images/a.jpg"\tmasks/a.png\nimages/b c.jpg\tmasks/b.png\n', "utf-8"),
    ],
)
def test_a_csv_as_spreadsheets_save_it(tmp_path, text, encoding):
    found = paired(write(tmp_path, text, encoding), tmp_path)
    assert found == {"images/a": ("images/a.jpg", "masks/a.png"), "images/b c": ("images/b c.jpg", "masks/b.png")}


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("img,mask\n", "t.csv:1", "rename 'img' to 'image'"),
        ("image\n", "t.csv:1", "expected image, mask"),
        ("", "t.csv:1", "columns none"),
        ("image,mask,weight\n", "t.csv:1", "weight"),
        ("image,mask\n/data/a.jpg,masks/a.png\n", "t.csv:2 image", "'/data/a.jpg'"),
        ("image,mask\nimages/a.jpg,../a.png\n", "t.csv:2 mask", "inside it"),
        ("image,mask\nC:\\a.jpg,masks/a.png\n", "t.csv:2 image", "write only the part"),
        ("image,mask\n,masks/a.png\n", "t.csv:2", "no image"),
        ("image,mask\na,b,c\n", "t.csv:2", "3 cells"),
        ("image,mask,split\nimages/a.jpg,masks/a.png,trian\n", "t.csv:2 split", "'trian'"),
        (
            "image,mask\nimages/a.jpg,masks/a.png\nimages/a.jpg,masks/b.png\n",
            "t.csv:3",
            "masks/b.png here and masks/a.png",
        ),
    ],
)
def test_a_wrong_csv_names_the_line(tmp_path, text, place, said):
    options = write(tmp_path, text)
    with pytest.raises(DataError) as caught:
        collect(options, tmp_path)
    assert place in str(caught.value)
    assert said in str(caught.value)


def test_a_csv_that_names_missing_files_leaves_findings(tmp_path):
    options = write(tmp_path, "image,mask\nimages/a.jpg,masks/a.png\nimages/gone.jpg,masks/b.png\nimages/b c.jpg,\n")
    assert paired(options, tmp_path) == {
        "images/a": ("images/a.jpg", "masks/a.png"),
        "images/b c": ("images/b c.jpg", None),
        "images/gone": (None, "masks/b.png"),
    }
    assert collect(options, tmp_path).notes == (
        "t.csv:3 names images/gone.jpg, which is not there",
        "1 image without mask: images/b c.jpg",
    )


def splits(root, **lists):
    names = [f"n{number}" for number in range(10)]
    touch(root, *(f"images/{name}.jpg" for name in names), *(f"masks/{name}.png" for name in names))
    for split, lines in lists.items():
        (root / f"{split}.txt").write_text(lines)
    options = OPTIONS.model_copy(update={"splits": {split: f"{split}.txt" for split in lists}})
    return collect(options, root)


def test_list_files_name_ids_files_or_paths(tmp_path):
    found = splits(
        tmp_path,
        train="n0\nn1.jpg\r\nimages/n2.jpg\n# none\n\n/elsewhere/images/n3.jpg /elsewhere/masks/n3.png\n",
        validation="n4\n",
        test="n5\n./images/n6.jpg\n",
    )
    assert {item.id: item.split for item in found.pairs} == {
        **dict.fromkeys(("n0", "n1", "n2", "n3"), "train"), "n4": "validation", "n5": "test", "n6": "test",
    }  # fmt: skip
    assert found.notes == ("3 samples are in no list and left out: n7, n8, n9",)


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ({"train": "n0\nm1\n", "test": "n2"}, "train.txt:2: 'm1', which names no sample"),
        ({"train": "n0\n", "test": "n0"}, "test.txt:1: 'n0', which"),
    ],
)
def test_lists_that_contradict_are_told(tmp_path, lists, said):
    with pytest.raises(DataError) as caught:
        splits(tmp_path, **lists)
    assert said in str(caught.value)


def test_a_list_that_is_missing_is_told(tmp_path):
    touch(tmp_path, "images/a.jpg", "masks/a.png")
    with pytest.raises(DataError, match=r"nowhere\.txt"):
        collect(OPTIONS.model_copy(update={"splits": {"train": "nowhere.txt"}}), tmp_path)


def folders(root, *names):
    for name in names:
        touch(root, *(f"images/{name}/{number}.jpg" for number in range(10)))
        touch(root, *(f"masks/{name}/{number}.png" for number in range(10)))
    counts = {}
    for item in collect(OPTIONS, root).pairs:
        counts[item.split] = counts.get(item.split, 0) + 1
    return counts


def test_folders_name_splits_and_what_is_missing_is_carved(tmp_path):
    assert folders(tmp_path / "all", "Train", "val", "test2017") == {"train": 10, "validation": 10, "test": 10}
    assert folders(tmp_path / "no test", "train", "val") == {"train": 8, "validation": 10, "test": 2}
    assert folders(tmp_path / "no validation", "train", "test") == {None: 10, "test": 10}
    assert folders(tmp_path / "one", "train") == {None: 8, "test": 2}


def test_what_is_held_out_is_fixed_and_keeps_groups_together():
    pairs = [Pair(id=f"{number}", image=None, mask=None, split=None, group=f"g{number % 7}") for number in range(70)]
    chosen = held_out(pairs, share=0.3)
    assert len(chosen) == 30  # groups of 10, until they hold the share
    assert len({item.group for item in pairs if item.id in chosen}) == 3
    assert held_out(reversed(pairs), share=0.3) == chosen
    assert held_out(pairs[:1], share=0.3) == set()


def test_options_that_lead_out_are_refused():
    for wrong in ("../images", "/data", "C:\\images"):
        with pytest.raises(ValueError, match="a path inside the folder"):
            Options(images=wrong)
    assert Options(images="a\\b").images == "a/b"


def test_patterns_are_needed(tmp_path):
    with pytest.raises(SeglineError, match="two patterns"):
        collect(Options(images="images"), tmp_path)
