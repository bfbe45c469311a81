"""Raw ids or train ids: told by what the files hold, asked where that may be either."""

from dataclasses import replace

import numpy as np
import pytest
from scored_folders import LABELS, TINY, read, refused, rewritten, score

from segline import config, datasets
from segline.core.labels import label_map
from segline.data.images.decode import write_png
from segline.evaluation.lock import lock_of


def test_raw_and_train_ids_of_the_same_predictions_score_the_same(root):
    raw = score(root)
    rewritten(root / "prediction", LABELS.encode)
    train = score(root)
    assert train.ids == "train"
    np.testing.assert_array_equal(train.evaluation.per_image, raw.evaluation.per_image)
    assert score(root, ids="train").evaluation.digest == raw.evaluation.digest
    for path in (root / "prediction").iterdir():
        np.save(path.with_suffix(".npy"), read(path).astype(np.int64))
        path.unlink()
    assert score(root).evaluation.digest == raw.evaluation.digest


def test_truth_in_train_ids_is_the_same_truth(root):
    raw = score(root)
    rewritten(root / "truth", LABELS.encode)
    assert "--truth-ids" in refused(root)
    stated = score(root, truth_ids="train")
    assert stated.evaluation.digest == raw.evaluation.digest
    assert lock_of(stated.evaluation) == lock_of(raw.evaluation)
    for path in list((root / "truth").iterdir()):
        path.rename(path.with_name(f"{path.stem}_gtFine_labelTrainIds.png"))
    assert lock_of(score(root).evaluation) == lock_of(raw.evaluation)


def test_ids_that_may_be_either_have_to_be_said(root):
    rewritten(root / "prediction", lambda ids: np.where(ids == 3, np.uint8(3), np.uint8(0)))
    found = refused(root)
    assert "choose one with --ids raw or --ids train" in found
    assert "as raw ids" in found
    assert "as train ids 0.0% of the labelled pixels" in found
    raw, train = score(root, ids="raw"), score(root, ids="train")
    assert raw.evaluation.digest != train.evaluation.digest
    for path in list((root / "prediction").iterdir()):
        path.rename(path.with_name(f"{path.stem}_labelTrainIds.png"))
    named = score(root)
    assert (named.ids, named.why) == ("train", "according to the file names")


def test_ids_that_mean_the_same_either_way_need_not_be_said(root):
    same = replace(TINY, label_map=label_map([(0, "a", (0, 0, 0)), (1, "b", (1, 1, 1)), (2, "c", (2, 2, 2))], void=[7]))
    for name in ("truth", "prediction"):
        rewritten(root / name, lambda ids: ids % 3)
    assert "the same" in score(root, same).why


def test_a_folder_of_both_kinds_of_ids_is_refused(root):
    path = root / "prediction" / "image_4.png"
    write_png(path, LABELS.encode(read(path)))
    found = refused(root)
    assert "kinds of ids, but a folder must contain only one kind: 2" in found
    assert "image_4.png: id 1 in" in found


def test_stated_ids_that_are_the_other_kind_are_refused_with_the_remedy(root):
    assert "no train ids of the dataset (they are legal as the other kind of ids: --ids): 7" in refused(
        root, ids="train"
    )
    rewritten(root / "prediction", LABELS.encode)
    assert "no raw ids of the dataset (they are legal as the other kind of ids: --ids): 7" in refused(root, ids="raw")


def test_ids_that_break_either_reading_are_named_for_each(root):
    """Id 2 is a train id alone, id 5 and 9 are raw ids alone."""
    path = root / "prediction" / "image_0.png"
    odd = np.full(read(path).shape, 3, dtype=np.uint8)
    odd[0, :4], odd[1, :2], odd[2, 0] = 2, 5, 9
    write_png(path, odd)
    said = "image_0.png: as raw ids id 2 in 4 pixels, as train ids id 5 in 2 pixels, id 9 in 1 pixels"
    assert said in refused(root)


@pytest.mark.parametrize("ids", [None, "raw"])
def test_raw_ids_with_255_for_void_are_told_what_void_is_there(root, ids):
    rewritten(root / "prediction", lambda held: np.where(held == 0, np.uint8(255), held))
    found = refused(root, ids=ids)
    assert "(all are raw ids except 255, which is void only as a train id: write 0 instead, a raw id" in found
    assert "id 255 in" in found
    path = root / "prediction" / "image_0.png"
    odd = read(path)
    odd[0, 0] = 77
    write_png(path, odd)  # there 255 is not all that is wrong
    assert "no raw ids of the dataset: 1 (image_0.png" in refused(root, ids="raw")


def road_masks(root, foreground):
    """Right answers to a road task, the road as `foreground`."""
    road = datasets.load("kitti", config.Options(task="road"))
    raw = [road.label_map.classes[place].raw for place in (0, 1)]
    for number in range(3):
        answer = (np.indices((20, 30)).sum(axis=0) > 20 + number).astype(np.uint8)
        for name, values in (("truth", raw), ("prediction", (0, foreground))):
            (root / name).mkdir(exist_ok=True)
            write_png(root / name / f"{number:06d}_10.png", np.array(values, np.uint8)[answer])
    return road


def test_a_mask_of_0_and_255_is_no_void_but_a_question(tmp_path):
    road = road_masks(tmp_path, 255)
    found = refused(tmp_path, road)
    assert "255 is void among train ids" in found
    assert "give --ids train; if 255 is the second class, write 1 in its place" in found
    asked = score(tmp_path, road, ids="train")
    assert asked.evaluation.counts[1].tolist() == [0, 0, asked.evaluation.counts[1].sum()]
    assert any("predicted void or of no class" in line for line in asked.warnings)
    road_masks(tmp_path, 1)
    found = score(tmp_path, road)
    assert (found.evaluation.miou, found.ids) == (1, "train")
    assert "as raw ids 100.0% of the labelled pixels are of no class" in found.why
