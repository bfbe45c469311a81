import numpy as np
import pytest

from segline.data.images.decode import write_png
from segline.errors import DataError
from segline.evaluation.folders import label_folders


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("lindau_000000_000019_gtFine_labelIds", "lindau_000000_000019"),
        ("lindau_000000_000019_gtFine_labelTrainIds", "lindau_000000_000019"),
        ("lindau_000000_000019_leftImg8bit", "lindau_000000_000019"),
        ("lindau_000000_000019_leftImg8bit_labels", "lindau_000000_000019"),
        ("000060_10", "000060_10"),
        ("000060_10_labels", "000060_10"),
        ("um_road_000020", "um_000020"),
        ("um_000020_labels", "um_000020"),
        ("Abyssinian_34", "Abyssinian_34"),
        ("0001TP_006690.png", "0001TP_006690"),
        ("photo.jpg_pred", "photo"),
        ("mask", "mask"),
        ("_mask", "_mask"),
    ],
)
def test_a_file_name_comes_down_to_its_images(stem, name):
    assert label_folders.image_name(stem) == name


def drawn(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(folder / name, np.zeros((2, 3), dtype=np.uint8))
    return folder


def paired(truth, prediction):
    there = label_folders.look(truth, role="--truth")
    return label_folders.pair(there, label_folders.look(prediction, role="--prediction", nested=there.nested))


def test_cityscapes_folders_pair_city_by_city_and_pass_over_what_is_no_label_map(tmp_path):
    for city in ("lindau", "munster"):
        ends = ("labelIds", "labelTrainIds", "color", "instanceIds")
        drawn(tmp_path / "gtFine/val", *(f"{city}/{city}_000000_000019_gtFine_{end}.png" for end in ends))
        (tmp_path / f"gtFine/val/{city}/{city}_000000_000019_gtFine_polygons.json").touch()
        drawn(tmp_path / "results", f"{city}_000000_000019_leftImg8bit.png")
    found = paired(tmp_path / "gtFine", tmp_path / "results")
    assert [pair.truth.name for pair in found.pairs] == [
        "lindau_000000_000019_gtFine_labelIds.png",
        "munster_000000_000019_gtFine_labelIds.png",
    ]
    assert [pair.id for pair in found.pairs] == ["lindau_000000_000019", "munster_000000_000019"]
    assert (found.missing, found.extra) == ((), ())
    assert label_folders.look(tmp_path / "gtFine", role="--truth").ids == "raw"


def test_overlays_beside_label_maps_are_passed_over_and_alone_are_not(tmp_path):
    drawn(tmp_path / "both", "a_labels.png", "a_overlay.png", "b_labels.png", "b_overlay.png", "b.jpg", "b.npy")
    assert {path.name for path in label_folders.look(tmp_path / "both", role="").files.values()} == {
        "a_labels.png",
        "b_labels.png",
    }
    drawn(tmp_path / "alone", "a_overlay.png")
    assert [path.name for path in label_folders.look(tmp_path / "alone", role="").files.values()] == ["a_overlay.png"]


def test_the_lane_masks_of_kitti_road_are_not_its_road_masks(tmp_path):
    drawn(tmp_path, "um_lane_000000.png", "um_road_000000.png", "uu_road_000000.png")
    assert [path.name for path in label_folders.look(tmp_path, role="").files.values()] == [
        "um_road_000000.png",
        "uu_road_000000.png",
    ]


def test_missing_and_extra_files_are_told_apart(tmp_path):
    found = paired(drawn(tmp_path / "t", "a.png", "b.png", "c.png"), drawn(tmp_path / "p", "b.png", "d.png"))
    assert [pair.id for pair in found.pairs] == ["b"]
    assert found.missing == ("a", "c")
    assert [path.name for path in found.extra] == ["d.png"]


def test_equal_names_in_several_folders_pair_by_folder(tmp_path):
    names = ("one/1.png", "two/1.png", "two/2.png")
    found = paired(drawn(tmp_path / "t", *names), drawn(tmp_path / "p", *names))
    assert [pair.id for pair in found.pairs] == ["one/1", "two/1", "two/2"]
    assert all(
        pair.truth.relative_to(tmp_path / "t") == pair.prediction.relative_to(tmp_path / "p") for pair in found.pairs
    )


def test_two_predictions_of_one_image_are_never_chosen_from(tmp_path):
    there = label_folders.look(drawn(tmp_path / "t", "a.png", "b.png"), role="--truth")
    answered = label_folders.look(
        drawn(tmp_path / "p", "run1/a.png", "run2/a.png", "run1/b.png"), role="--prediction", nested=there.nested
    )
    assert {name: len(paths) for name, paths in answered.clashes.items()} == {"a": 2}
    found = label_folders.pair(there, answered)
    assert [pair.id for pair in found.pairs] == ["b"]
    assert (found.missing, found.extra) == ((), ())


def test_links_are_followed_and_a_circle_of_them_ends(tmp_path):
    drawn(tmp_path / "elsewhere", "run/a.png", "b.png")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "run").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "p")
    found = label_folders.look(tmp_path / "p", role="--prediction")
    assert (sorted(found.files), found.clashes) == (["a", "b"], {})


def test_a_folder_that_is_none_or_holds_nothing_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"--truth .*no such folder"):
        label_folders.look(tmp_path / "nowhere", role="--truth")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="a file, expected a folder"):
        label_folders.look(tmp_path / "file", role="--truth")
    (tmp_path / "empty" / ".git").mkdir(parents=True)
    (tmp_path / "empty" / ".git" / "a.png").touch()
    (tmp_path / "empty" / "._a.png").touch()
    with pytest.raises(DataError, match="an empty folder"):
        label_folders.look(tmp_path / "empty", role="--prediction")
    (tmp_path / "empty" / "notes.txt").touch()
    with pytest.raises(DataError, match=r"no label map \(1 files of other types\)"):
        label_folders.look(tmp_path / "empty", role="--prediction")


@pytest.mark.parametrize(
    ("names", "dataset"),
    [
        (["lindau_000000_000019", "sub/aachen_000001_000019"], "cityscapes"),
        (["000000_10", "000199_10"], "kitti"),
        (["um_000000", "uu_000097"], "kitti_road"),
        (["0001TP_006690", "Seq05VD_f00000"], "camvid"),
        (["Abyssinian_34", "yorkshire_terrier_191"], "oxford_pets"),
        (["image_001", "image_002"], None),
        (["000000_10", "Abyssinian_34"], None),
        ([], None),
    ],
)
def test_public_datasets_are_known_by_their_images_names(names, dataset):
    assert label_folders.dataset_named(names) == dataset
