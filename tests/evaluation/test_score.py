import importlib
import json
import os
import shutil
import struct
import sys
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest
from PIL import Image as Pillow

from segline import config, datasets
from segline.core.coding import Colours
from segline.core.labels import label_map
from segline.core.metrics.boundary import boundary_outcomes
from segline.core.metrics.confusion import confusion, iou, mean_iou
from segline.core.metrics.joint_histogram import histogram_and_ends
from segline.data.images import manifest, split
from segline.data.images.decode import write_png
from segline.data.prepare.prepare import prepare
from segline.data.prepare.prepared import Prepared
from segline.data.validate.build_manifest import build_manifest
from segline.datasets.base import Dataset, Pair
from segline.errors import ConfigError, DataError
from segline.evaluation import results
from segline.evaluation.folders import count_pairs, published_splits
from segline.evaluation.folders import score as scoring
from segline.evaluation.lock import lock_of
from segline.parallel import forking
from segline.progress import silent

SCHEMA = Path(__file__).parents[2] / "docs/score.schema.json"
# Raw and train ids share 0 (void, and the first class) and 3 (the first class, and the last).
LABELS = label_map(
    [(3, "road", (128, 64, 128)), (5, "car", (0, 0, 142)), (9, "sky", (70, 130, 180)), (10, "tree", (9, 99, 9))],
    void=[0, 200],
)
RAW = np.array([3, 5, 9, 10, 0, 200], dtype=np.uint8)


def _pairs(raw):
    return [
        Pair(
            id=path.stem,
            image=f"images/{path.name}",
            mask=f"masks/{path.name}",
            split=path.stem.split("_")[0],
            group="walk" if path.stem in {"test_1", "test_3"} else "",
        )
        for path in sorted((raw / "images").iterdir())
    ]


TINY = Dataset(name="tiny", title="Tiny", terms="", archives=(), label_map=LABELS, protocol="tiny/1", pairs=_pairs)


def score(root, dataset=TINY, **options):
    given = {"truth": root / "truth", "prediction": root / "prediction", "ids": None, "truth_ids": None, "only": None}
    rest = {"published": published_splits.Published(), "workers": 1, "report": silent}
    return scoring.score_folders(dataset, **{**given, **rest, **options})


def refused(root, dataset=TINY, **options):
    with pytest.raises(DataError) as error:
        score(root, dataset, **options)
    return error.value.found


@pytest.fixture
def root(tmp_path):
    """Seven pairs of different sizes, in raw ids, none of which says which ids it holds by its name."""
    generator = np.random.default_rng(5)
    for number in range(7):
        shape = (11 + number, 17)
        truth, prediction = generator.choice(RAW, shape), generator.choice(RAW, shape, p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.1])
        kept = generator.random(shape) < 0.5
        for name, ids in (("truth", truth), ("prediction", np.where(kept, truth, prediction))):
            (tmp_path / name).mkdir(exist_ok=True)
            write_png(tmp_path / name / f"image_{number}.png", ids)
    return tmp_path


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def rewritten(folder, change):
    for path in folder.iterdir():
        write_png(path, change(read(path)))


def test_counts_are_those_of_each_image_with_void_predictions_as_misses(root):
    found = score(root)
    evaluation = found.evaluation
    assert evaluation.ids == tuple(f"image_{number}" for number in range(7))
    for number, name in enumerate(evaluation.ids):
        truth, prediction = (LABELS.encode(read(root / role / f"{name}.png")) for role in ("truth", "prediction"))
        np.testing.assert_array_equal(evaluation.per_image[number], confusion(truth, prediction, classes=4))
    assert evaluation.counts[:, -1].sum() > 0
    pixels = sum(read(path).size for path in (root / "truth").iterdir())
    assert evaluation.void_pixels == pixels - evaluation.counts.sum() > 0
    assert (found.ids, found.split, found.warnings) == ("raw", None, ())
    assert document(found)["outside_share"] == evaluation.counts[:, -1].sum() / evaluation.counts.sum()
    assert "image_0.png: id 5 in" in found.why


def test_processes_and_order_of_files_change_nothing(root, monkeypatch):

    monkeypatch.setattr(forking, "FEW", 0)  # so that a pool is started for seven files
    alone = score(root)
    for name in ("truth", "prediction"):  # names and folders move; sizes and contents stay
        (root / "moved" / name / "sub").mkdir(parents=True)
        for path in (root / name).iterdir():
            shutil.copy(path, root / "moved" / name / "sub" / path.name)
    pooled = score(root / "moved", workers=2)
    np.testing.assert_array_equal(pooled.evaluation.per_image, alone.evaluation.per_image)
    assert lock_of(pooled.evaluation) == lock_of(alone.evaluation)


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
    assert "say --ids raw or --ids train" in found
    assert "as raw ids" in found
    assert "as train ids 0.0% of the labelled pixels" in found
    raw, train = score(root, ids="raw"), score(root, ids="train")
    assert raw.evaluation.digest != train.evaluation.digest
    for path in list((root / "prediction").iterdir()):
        path.rename(path.with_name(f"{path.stem}_labelTrainIds.png"))
    named = score(root)
    assert (named.ids, named.why) == ("train", "the files' names say so")


def test_ids_that_mean_the_same_either_way_need_not_be_said(root):
    same = replace(TINY, label_map=label_map([(0, "a", (0, 0, 0)), (1, "b", (1, 1, 1)), (2, "c", (2, 2, 2))], void=[7]))
    for name in ("truth", "prediction"):
        rewritten(root / name, lambda ids: ids % 3)
    assert "the same" in score(root, same).why


def test_a_folder_of_both_kinds_of_ids_is_refused(root):
    path = root / "prediction" / "image_4.png"
    write_png(path, LABELS.encode(read(path)))
    found = refused(root)
    assert "kinds of ids, of which a folder should hold one: 2" in found
    assert "image_4.png: id 1 in" in found


def test_everything_that_is_wrong_is_named_at_once(root):
    folder = root / "prediction"
    (folder / "image_0.png").unlink()
    (folder / "image_1.png").write_bytes((folder / "image_1.png").read_bytes()[:-30])
    write_png(folder / "image_2.png", read(folder / "image_2.png").T.copy())
    odd = read(folder / "image_3.png")
    odd[0, :5] = 77
    write_png(folder / "image_3.png", odd)
    write_png(folder / "image_4.png", np.zeros((15, 17, 3), dtype=np.uint8))
    cv2.imwrite(str(folder / "image_5.png"), read(folder / "image_5.png").astype(np.uint16))
    write_png(folder / "stranger.png", odd)
    (root / "truth" / "image_6.png").write_bytes(b"")
    found = refused(root)
    for said in (
        "images without a prediction, of 7: 1 (image_0)",
        "predictions without a truth: 1 (stranger.png)",
        "image_1.png: a damaged PNG: cut short",
        "predictions of another size than their truth: 1 (image_2.png: 13 x 17, expected 17 x 13)",
        "no raw and no train ids of the dataset: 1 (image_3.png: id 77 in 5 pixels)",
        "image_4.png: a coloured picture",
        "image_5.png: a PNG of mode I;16, 16 bits",
        "image_6.png: an empty file",
    ):
        assert said in found
    assert "mIoU" not in found


def test_examples_are_few_however_many_files_are_wrong(root):
    for path in (root / "prediction").iterdir():
        path.unlink()
    write_png(root / "prediction" / "other.png", np.zeros((2, 3), dtype=np.uint8))
    assert ": 7 (image_0; image_1; image_2; and 4 more)" in refused(root)


@pytest.mark.parametrize("ids", [None, "raw", "train"])
def test_ids_of_no_kind_are_refused_and_not_counted_as_misses(root, ids):
    if ids == "train":
        rewritten(root / "prediction", LABELS.encode)
    path = root / "prediction" / "image_6.png"
    odd = read(path)
    odd[-1, -1] = 33
    write_png(path, odd)
    assert "id 33 in 1 pixels" in refused(root, ids=ids)


def test_stated_ids_that_are_the_other_kind_are_refused_with_the_remedy(root):
    assert "no train ids of the dataset (the other kind of ids would do: --ids): 7" in refused(root, ids="train")
    rewritten(root / "prediction", LABELS.encode)
    assert "no raw ids of the dataset (the other kind of ids would do: --ids): 7" in refused(root, ids="raw")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((11, 17, 4), 0.25, dtype=np.float32), "float32 of shape (11, 17, 4): probabilities or logits"),
        (np.full((11, 17), 0.25), "float64 of shape (11, 17): probabilities or logits"),
        (np.zeros((11, 17, 4), dtype=np.uint8), "uint8 of shape (11, 17, 4)"),
        (np.full((11, 17), -1), "ids -1..-1"),
        (np.full((11, 17), 256), "ids 256..256"),
    ],
)
def test_arrays_that_hold_no_ids_are_refused(root, array, said):
    (root / "prediction" / "image_0.png").unlink()
    np.save(root / "prediction" / "image_0.npy", array)
    assert said in refused(root)


def test_an_array_that_would_run_code_or_is_none_is_refused(root):
    (root / "prediction" / "image_0.png").unlink()
    np.save(root / "prediction" / "image_0.npy", np.array([[{}]]), allow_pickle=True)
    assert "no NumPy array" in refused(root)
    (root / "prediction" / "image_0.npy").write_bytes(b"PK")
    assert "no NumPy array" in refused(root)


def test_grey_probabilities_are_recognised_as_such(root):
    generator = np.random.default_rng(1)
    rewritten(root / "prediction", lambda ids: generator.integers(0, 256, ids.shape, dtype=np.uint8))
    assert "they look like probabilities" in refused(root)


def test_a_pipe_is_not_waited_for(root):
    path = root / "prediction" / "image_0.png"
    path.unlink()
    os.mkfifo(path)
    assert "image_0.png: a FIFO" in refused(root)


@pytest.mark.parametrize("folder", ["truth", "prediction"])
def test_what_is_no_file_is_not_read(root, folder):
    path = root / folder / "image_0.png"
    path.unlink()
    path.symlink_to("/dev/zero")  # it would never end
    assert "image_0.png: a character device" in refused(root)


def test_a_link_to_a_file_is_read(root):
    before = score(root).evaluation.digest
    path = root / "prediction" / "image_0.png"
    path.rename(root / "elsewhere")
    path.symlink_to(root / "elsewhere")
    assert score(root).evaluation.digest == before


@pytest.mark.parametrize("form", ["L", "P", "1"])
def test_a_huge_picture_in_a_small_file_is_refused_without_decoding_it(root, form):
    picture = Pillow.new(form, (12000, 14000))
    if form == "P":
        picture.putpalette(bytes(768))
    picture.save(root / "prediction" / "image_0.png")
    del picture
    tracemalloc.start()
    try:
        assert "image_0.png: 12000 x 14000, expected 17 x 11" in refused(root)
        assert tracemalloc.get_traced_memory()[1] < 12000 * 14000 / 4
    finally:
        tracemalloc.stop()


def test_a_header_that_is_damaged_is_not_taken_at_its_word(root):
    path = root / "prediction" / "image_0.png"
    data = bytearray(path.read_bytes())
    data[18] ^= 1  # the width
    path.write_bytes(data)
    assert "image_0.png: a damaged PNG: checksum of chunk b'IHDR'" in refused(root)


def test_more_pixels_than_any_image_has_are_not_called_no_image(root):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    end = b"IEND"
    framed = (struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in (chunk, end))
    (root / "prediction" / "image_0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(framed))
    assert "image_0.png: too many pixels to be decoded" in refused(root)


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
    assert "(all are raw ids but 255, which is void among train ids alone: write 0, which is a raw id without" in found
    assert "id 255 in" in found
    path = root / "prediction" / "image_0.png"
    odd = read(path)
    odd[0, 0] = 77
    write_png(path, odd)  # there 255 is not all that is wrong
    assert "no raw ids of the dataset: 1 (image_0.png" in refused(root, ids="raw")


@pytest.mark.parametrize("folder", ["truth", "prediction"])
def test_names_that_are_no_text_are_refused(root, folder):
    path = root / folder / "image_0.png"
    try:
        path.rename(os.fsdecode(bytes(path.parent) + b"/\xff\xfe_10.png"))
    except OSError as error:
        pytest.skip(f"this disk takes no such name: {error}")
    with pytest.raises(DataError, match=rf"--{folder} .*: names of files that are no UTF-8: 1 ") as error:
        score(root)
    assert r"(\xff\xfe_10.png)" in error.value.found
    str(error.value).encode()


def test_names_that_would_move_the_cursor_or_end_the_line_are_shown_escaped(root):
    write_png(root / "prediction" / "a\x1b[2Jb\nc\u202e.png", np.zeros((2, 3), dtype=np.uint8))
    assert r"predictions without a truth: 1 (a\x1b[2Jb\nc\u202e.png)" in refused(root)


def test_a_photograph_is_known_by_its_colours(root):
    pixels = np.random.default_rng(3).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    write_png(root / "prediction" / "image_0.png", pixels)
    assert "more than 4096 colours, as photographs do" in refused(root)


def test_predictions_of_other_names_are_told_what_they_should_be_called(root):
    for path in list((root / "prediction").iterdir()):
        path.rename(path.with_name(f"result-{path.name}"))
    assert "7 (the predictions are not named as the images are: image_0.png): 7" in refused(root)


def test_a_jpeg_is_no_label_map(root):
    path = root / "prediction" / "image_0.png"
    cv2.imwrite(str(path.with_suffix(".jpg")), read(path))
    path.unlink()
    assert "image_0.jpg: a JPEG" in refused(root)


def test_labels_of_another_dataset_are_known_by_their_names_and_ids(root):
    pets = datasets.load("oxford_pets")
    found = refused(root, pets)
    assert "truths with ids that the dataset does not have" in found
    for name in ("truth", "prediction"):
        rewritten(root / name, lambda ids: np.where(ids > 100, np.uint8(33), ids))
    assert "(they would be raw ids of cityscapes or kitti): 7" in refused(root, pets)
    for name in ("truth", "prediction"):
        for path in list((root / name).iterdir()):
            path.rename(path.with_name(f"00000{path.stem[-1]}_10.png"))
    assert "images named as those of kitti, though the dataset is cityscapes: 7" in refused(
        root, datasets.load("cityscapes")
    )
    assert score(root, datasets.load("kitti")).evaluation.protocol == "kitti-semantics/1"


def test_predictions_of_another_dataset_are_named(root):
    for path in list((root / "prediction").iterdir()):
        path.rename(path.with_name(f"00000{path.stem[-1]}_10.png"))
    assert "(the predictions are named as those of kitti)" in refused(root)


def test_truth_without_a_label_cannot_be_scored_on(root):
    rewritten(root / "truth", np.zeros_like)
    assert "labels without a labelled pixel" in refused(root)


def test_the_truth_against_itself_is_perfect_and_warned_of(root):
    found = score(root, prediction=root / "truth")
    assert found.evaluation.miou == 1.0
    assert "against itself" in found.warnings[0]
    shutil.rmtree(root / "prediction")
    shutil.copytree(root / "truth", root / "prediction")
    assert "a copy of the truth?" in score(root).warnings[0]


def test_equal_truth_has_an_equal_digest_and_other_truth_another(root):
    first = score(root).evaluation
    rewritten(root / "prediction", lambda ids: np.full_like(ids, 5))
    other = score(root).evaluation
    assert lock_of(other) == lock_of(first)
    assert other.digest != first.digest
    path = root / "truth" / "image_3.png"
    label = read(path)
    _, data = cv2.imencode(".png", label, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    path.write_bytes(data.tobytes())
    assert score(root).evaluation.split_digest == first.split_digest  # other bytes, the same pixels
    label[0, 0] = 9 if label[0, 0] != 9 else 5
    write_png(path, label)
    assert score(root).evaluation.split_digest != first.split_digest
    for name in ("truth", "prediction"):
        (root / name / "image_6.png").rename(root / name / "image_9.png")
    renamed = score(root).evaluation.split_digest
    for name in ("truth", "prediction"):
        (root / name / "image_9.png").unlink()
    assert len({first.split_digest, renamed, score(root).evaluation.split_digest}) == 3


def test_coloured_masks_take_coloured_predictions_of_their_own_colours_alone(root):
    colours = {(255, 0, 255): 3, (255, 0, 0): 5}
    coloured = replace(TINY, colours=Colours(ids=colours, otherwise=0))
    picture = np.zeros((9, 17, 3), dtype=np.uint8)
    picture[:4, :, :] = (255, 0, 255)
    picture[4:8, :, :] = (255, 0, 0)  # and a black, void row
    answer = np.full((9, 17), 3, dtype=np.uint8)
    for folder in ("truth", "prediction"):
        shutil.rmtree(root / folder)
        (root / folder).mkdir()
    write_png(root / "truth" / "a.png", picture)
    write_png(root / "prediction" / "a.png", answer)
    by_ids = score(root, coloured, ids="raw").evaluation
    assert by_ids.counts[0, 0] == by_ids.counts[1, 0] == 4 * 17
    assert by_ids.void_pixels == 17
    painted = np.full_like(picture, (255, 0, 255))
    write_png(root / "prediction" / "a.png", painted)
    assert score(root, coloured, ids="raw").evaluation.digest == by_ids.digest
    painted[0, 0] = (1, 2, 3)
    write_png(root / "prediction" / "a.png", painted)
    assert "colours that stand for no class: (1, 2, 3) in 1 pixels" in refused(root, coloured, ids="raw")


# --- a dataset of this project ---


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A validated and prepared dataset of three splits, larger than the scale it is prepared at."""
    root = tmp_path_factory.mktemp("project")
    generator = np.random.default_rng(8)
    for name in ("images", "masks"):
        (root / "raw" / name).mkdir(parents=True)
    for part, count in (("train", 2), ("validation", 3), ("test", 4)):
        for number in range(count):
            ids = generator.choice(RAW, (9, 13)).repeat(8, 0).repeat(8, 1)
            image = np.clip(LABELS.encode(ids)[..., None].astype(int) * 60 + generator.integers(0, 50, 3), 0, 255)
            write_png(root / "raw/images" / f"{part}_{number}.png", image.astype(np.uint8))
            write_png(root / "raw/masks" / f"{part}_{number}.png", ids)
    found = TINY.pairs(root / "raw")
    table = build_manifest(TINY, found, raw=root / "raw", splits=split.assign(found, validation_share=0.2), workers=1)
    (root / "manifest").mkdir()
    manifest.write(table, root / "manifest" / manifest.FILE_NAME)
    prepare(
        TINY,
        raw=root / "raw",
        manifest_folder=root / "manifest",
        folder=root / "prepared",
        short_side=40,
        workers=1,
        report=silent,
    )
    return root


def test_what_predict_writes_scores_as_evaluate_does(project, tmp_path):
    import keras

    from segline.evaluation.bundles.evaluate import evaluate
    from segline.inference.bundle import Bundle
    from segline.inference.predict import predict_files

    image = keras.Input((None, None, 3))
    head = keras.layers.Conv2D(4, 1)
    network = Bundle(
        network=keras.Model(image, head(keras.layers.Rescaling(1 / 255)(image))),
        dataset="tiny",
        family="unet",
        labels=LABELS,
        short_side=40,
        stride=8,
    )
    head.set_weights([np.array([[[[0, 1, 2, 3]] * 3]]).reshape(1, 1, 3, 4), np.array([0.0, -0.2, -0.9, -2.0])])
    images = tmp_path / "images"
    images.mkdir()
    for path in (project / "raw/images").glob("test_*.png"):
        shutil.copy(path, images)
    assert len(list(predict_files(network, images, output=tmp_path / "answers", report=silent))) == 4
    expected = evaluate(network, Prepared(project / "prepared").split("test"), progress=lambda *_: None)
    assert 0.02 < expected.miou < 0.9
    known = published_splits.read(project / "manifest", raw=project / "raw")
    found = score(tmp_path, truth=project / "raw/masks", prediction=tmp_path / "answers", only="test", published=known)
    assert found.split == "test"
    assert found.evaluation.digest == expected.digest
    assert found.evaluation.groups == ("", "walk", "", "walk")
    assert vars(found.evaluation).keys() == vars(expected).keys()
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(found.evaluation, name), value)


def test_a_published_split_is_recognised_and_has_its_digest(project, tmp_path):
    known, prepared = published_splits.read(project / "manifest", raw=project / "raw"), Prepared(project / "prepared")
    for part in ("train", "validation", "test"):
        for name in ("truth", "prediction"):
            (tmp_path / part / name).mkdir(parents=True)
            for path in (project / "raw/masks").glob(f"{part}_*.png"):
                shutil.copy(path, tmp_path / part / name)
        found = score(tmp_path / part, published=known)
        assert (found.split, found.split_why) == (part, "the files that were validated")
        assert found.evaluation.split_digest == prepared.split(part).digest
        unknown = score(tmp_path / part).evaluation
        assert (unknown.split, unknown.split_digest == found.evaluation.split_digest) == ("", False)
        assert (found.evaluation.groups is not None) == (part == "test")
        assert unknown.groups is None  # where there is no manifest, nobody said
    changed = tmp_path / "test/truth/test_0.png"
    write_png(changed, np.where(read(changed) == 5, np.uint8(9), read(changed)))
    found = score(tmp_path / "test", published=known)
    assert found.split is None
    assert found.evaluation.groups == ("", "walk", "", "walk")  # whatever the labels, the images are those
    assert found.evaluation.split_digest != prepared.split("test").digest
    asked = score(tmp_path / "test", published=known, only="test")
    assert "not those that were validated as the test split" in asked.warnings[0]


@pytest.fixture
def copied(project, tmp_path):
    """The labels of the test split as another encoder wrote them, but for one file; predictions are the same files."""
    for path in sorted((project / "raw/masks").glob("test_*.png")):
        for name in ("truth", "prediction"):
            (tmp_path / name).mkdir(exist_ok=True)
            copy = tmp_path / name / path.name
            shutil.copy(path, copy)
            if path.stem != "test_3":
                cv2.imwrite(str(copy), read(path), [cv2.IMWRITE_PNG_COMPRESSION, 9])
                assert copy.read_bytes() != path.read_bytes()
    return tmp_path


def test_a_split_that_another_encoder_wrote_is_that_split(project, copied):
    known = published_splits.read(project / "manifest", raw=project / "raw")
    found = score(copied, published=known)
    assert (found.split, found.evaluation.split) == ("test", "test")
    assert found.evaluation.split_digest == Prepared(project / "prepared").split("test").digest
    assert found.split_why == "the labels that were validated, 3 of them in other files"
    rewritten(copied / "truth", LABELS.encode)
    assert score(copied, published=known, truth_ids="train").split == "test"


def test_a_copy_with_one_other_pixel_is_not_that_split(project, copied):
    path = copied / "truth/test_1.png"
    label = read(path)
    label[-1, -1] = 9 if label[-1, -1] != 9 else 5
    write_png(path, label)
    found = score(copied, published=published_splits.read(project / "manifest", raw=project / "raw"))
    assert found.split is None
    assert found.split_why == "1 of the 4 test images have other labels than were validated: test_1"


@pytest.mark.parametrize("changed", [False, True])
def test_a_copy_that_cannot_be_compared_is_told_how_it_could_be(project, copied, changed):
    raw = copied / "raw"
    if changed:
        shutil.copytree(project / "raw", raw)
        write_png(raw / "masks/test_0.png", np.zeros((72, 104), np.uint8))
    found = score(copied, published=published_splits.read(project / "manifest", raw=raw))
    assert found.split is None
    assert f"which are not in {raw} to compare with (test_0" in found.split_why
    assert "run `dvc repro`" in found.split_why


def test_where_no_split_is_known_it_is_said_how_one_could_be(project, copied):
    assert "score in a project where `dvc repro` ran" in score(copied).split_why
    known = published_splits.read(project / "manifest", raw=project / "raw")
    for name in ("truth", "prediction"):
        (copied / name / "test_2.png").unlink()
    assert score(copied, published=known).split_why == (
        "these 3 images are no whole split (train 2, validation 3, test 4): --split picks one out of all labels"
    )


def test_predictions_of_one_split_alone_are_told_how_to_be_scored(project, tmp_path):
    known = published_splits.read(project / "manifest", raw=project / "raw")
    (tmp_path / "prediction").mkdir()
    for path in (project / "raw/masks").glob("test_*.png"):
        shutil.copy(path, tmp_path / "prediction")
    found = refused(tmp_path, truth=project / "raw/masks", published=known)
    assert "the predictions are of the test split: --split test?" in found
    assert score(tmp_path, truth=project / "raw/masks", published=known, only="test").evaluation.miou == 1.0
    (tmp_path / "prediction/test_0.png").unlink()
    assert "without a prediction, of 4: 1 (test_0)" in refused(
        tmp_path, truth=project / "raw/masks", published=known, only="test"
    )


def test_images_of_no_split_are_not_scored_with_one(project, tmp_path):
    known = published_splits.read(project / "manifest", raw=project / "raw")
    for name in ("truth", "prediction"):
        shutil.copytree(project / "raw/masks", tmp_path / name)
        shutil.copy(tmp_path / name / "test_0.png", tmp_path / name / "listed_nowhere.png")
    found = score(tmp_path, published=known, only="test")
    assert (found.split, len(found.evaluation.ids)) == ("test", 4)
    (tmp_path / "truth/listed_nowhere.png").unlink()
    assert "predictions without a truth: 1 (listed_nowhere.png)" in refused(tmp_path, published=known, only="test")


def test_a_split_nobody_knows_or_that_the_truth_lacks_is_refused(project, root):
    with pytest.raises(ConfigError, match=r"--split test.*no manifest"):
        score(root, only="test")
    with pytest.raises(DataError, match=r"no label of 4 of the 4 images of the test split \(test_0"):
        score(root, only="test", published=published_splits.read(project / "manifest", raw=project / "raw"))
    assert published_splits.read(root, raw=root).digests == {}


# --- what is written ---


def document(found, dataset=TINY):
    return scoring.document(
        found, dataset, truth=Path("truth"), prediction=Path("prediction"), resamples=200, confidence=0.9
    )


def test_what_is_written_follows_the_published_schema(root, project):
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    write_png(root / "truth/image_0.png", np.zeros((11, 17), dtype=np.uint8))  # all void: no score of its own
    content = document(score(root))
    jsonschema.validate(json.loads(json.dumps(content, allow_nan=False)), schema)
    assert content["per_image_miou"]["image_0"] is None
    assert content["miou_low"] <= content["miou"] <= content["miou_high"]
    more = {"mean_category_iou", "per_category_iou", "boundary_miou", "per_class_boundary_iou"}
    assert content.keys() == set(schema["required"])
    assert schema["properties"].keys() == content.keys() | more
    for wrong in (
        {"miou": 1.5},
        {"split_digest": ""},
        {"images": 0},
        {"schema_version": 1},
        {"news": 1},
        {"groups": 0},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(content | wrong, schema)


def test_a_score_says_over_how_many_groups_its_interval_was_drawn(project, root):
    known = published_splits.read(project / "manifest", raw=project / "raw")
    truth = project / "raw/masks"
    content = document(score(root, truth=truth, prediction=truth, only="test", published=known))
    jsonschema.validate(json.loads(json.dumps(content, allow_nan=False)), json.loads(SCHEMA.read_text()))
    assert (content["images"], content["groups"], content["interval_method"]) == (4, 3, "bootstrap over images")
    assert "4 images in 3 groups, too few to draw" in content["caveat"]
    content = document(score(root))
    assert (content["images"], content["groups"], content["interval_method"]) == (7, None, "bootstrap over images")


def test_figures_are_those_of_the_counts(root):
    found = score(root)
    content, counts = document(found), found.evaluation.counts
    assert content["miou"] == pytest.approx(float(mean_iou(counts)))
    assert list(content["per_class_iou"].values()) == pytest.approx(iou(counts).tolist())
    assert content["confusion"] == counts.tolist()
    assert content["pixel_accuracy"] == pytest.approx(np.trace(counts[:, :4]) / counts.sum())
    assert content["images"] == len(content["per_image_miou"]) == 7
    assert lock_of(content) == lock_of(found.evaluation)


def test_pets_scores_have_their_two_foreground_scores_even_where_undefined(root):
    pets = datasets.load("oxford_pets")
    for name in ("truth", "prediction"):
        rewritten(root / name, lambda ids: ids % 3 + np.uint8(1))
    content = document(score(root, pets), pets)
    assert content["extra_scores"].keys() == {"foreground_iou_border_rest", "foreground_iou_border_void"}
    assert all(0 < value < 1 for value in content["extra_scores"].values())
    for name in ("truth", "prediction"):
        rewritten(root / name, lambda ids: np.maximum(ids, np.uint8(2)))
    content = document(score(root, pets, ids="raw"), pets)
    assert content["extra_scores"] == {"foreground_iou_border_rest": None, "foreground_iou_border_void": None}
    jsonschema.validate(content, json.loads(SCHEMA.read_text()))


def reference(root, truths_of, predictions_of):
    """Boundary IoU of both folders' files, from the two maps of each image alone."""
    total = None
    for path in sorted((root / "truth").iterdir()):
        truth, prediction = truths_of(read(path)), predictions_of(read(root / "prediction" / path.name))
        found = boundary_outcomes(truth, prediction, classes=4)
        total = found if total is None else total + found
    return total.iou


@pytest.mark.parametrize("workers", [1, 2])
def test_boundaries_are_counted_beside_the_areas_where_that_is_asked_for(root, monkeypatch, workers):

    monkeypatch.setattr(forking, "FEW", 0)
    plain, found = score(root), score(root, boundary=True, workers=workers)
    assert plain.evaluation.boundary is None
    assert found.evaluation.boundary.shape == (7, 3, 4)
    assert found.evaluation.digest == plain.evaluation.digest
    content = document(found)
    jsonschema.validate(json.loads(json.dumps(content, allow_nan=False)), json.loads(SCHEMA.read_text()))
    expected = reference(root, LABELS.encode, LABELS.encode)
    assert list(content["per_class_boundary_iou"].values()) == pytest.approx(expected.tolist())
    assert content["boundary_miou"] == pytest.approx(expected.mean())
    assert content["boundary_miou"] != pytest.approx(content["miou"])


def test_boundaries_are_of_the_reading_that_was_decided_on(root):
    before = document(score(root, boundary=True))
    rewritten(root / "prediction", LABELS.encode)  # train ids; void becomes 255, which is no raw id
    as_train = score(root, boundary=True)
    assert as_train.ids == "train"
    assert document(as_train)["per_class_boundary_iou"] == before["per_class_boundary_iou"]


def test_an_image_that_refutes_a_reading_late_leaves_no_boundary_of_it_behind(root):
    """All but the last image could be train ids too."""
    for name in ("truth", "prediction"):
        for path in (root / name).iterdir():
            write_png(path, np.where(path.stem == "image_6", read(path), np.uint8(3) * (read(path) % 2)))
    found = score(root, boundary=True)
    assert found.ids == "raw"
    assert found.evaluation.boundary.shape == (7, 3, 4)
    assert document(found)["per_class_boundary_iou"]["road"] == pytest.approx(
        reference(root, LABELS.encode, LABELS.encode)[0]
    )


def test_kittis_categories_are_in_the_document_and_follow_the_schema(root):
    kitti = datasets.load("kitti")
    raw = np.array([7, 8, 26, 27, 0], np.uint8)  # road, sidewalk, car, truck, void
    for name in ("truth", "prediction"):
        rewritten(root / name, lambda ids: raw[ids % 5])
    content = document(score(root, kitti), kitti)
    jsonschema.validate(json.loads(json.dumps(content, allow_nan=False)), json.loads(SCHEMA.read_text()))
    known = {name: value for name, value in content["per_category_iou"].items() if value is not None}
    assert known.keys() == {"flat", "vehicle"}
    truth, prediction = (
        np.concatenate([read(path).ravel() for path in sorted((root / name).iterdir())])
        for name in ("truth", "prediction")
    )
    flat = [np.isin(ids[truth != 0], [7, 8]) for ids in (truth, prediction)]
    vehicle = [np.isin(ids[truth != 0], [26, 27]) for ids in (truth, prediction)]
    for name, (true, claimed) in (("flat", flat), ("vehicle", vehicle)):
        assert known[name] == pytest.approx((true & claimed).sum() / (true | claimed).sum())
    assert content["mean_category_iou"] == pytest.approx(sum(known.values()) / 2)


def test_counts_that_were_saved_are_bound_to_the_same(root, tmp_path):
    evaluation = score(root).evaluation
    results.save(evaluation, tmp_path / "counts.npz")
    again = results.load(tmp_path / "counts.npz")
    assert lock_of(again) == lock_of(evaluation)
    np.testing.assert_array_equal(again.per_image, evaluation.per_image)


# --- the referee ---


@pytest.fixture(scope="module")
def referee(tmp_path_factory):
    """cityscapesscripts' pixel-level evaluator."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITYSCAPES_DATASET", str(tmp_path_factory.mktemp("nothing")))
        name = "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling"
        sys.modules.pop(name, None)
        module = importlib.import_module(name)
        sys.modules.pop(name, None)
        patch.setattr(module.args, "quiet", True)
        patch.setattr(module.args, "JSONOutput", False)
        patch.setattr(module.args, "evalInstLevelScore", False)
        yield module


@pytest.mark.filterwarnings("ignore:`in1d` is deprecated:DeprecationWarning")
def test_cityscapes_folders_score_as_cityscapesscripts_does_void_predictions_included(referee, tmp_path, monkeypatch):
    if not hasattr(np, "in1d"):
        monkeypatch.setattr(np, "in1d", np.isin, raising=False)
    generator = np.random.default_rng(2)
    known = np.delete(np.arange(34, dtype=np.uint8), [12, 31])  # wall and train are absent from both
    for number in range(20):
        city = ("lindau", "munster")[number % 2]
        shape = (24 + number, 40)
        truth = generator.choice(known, (6, 8)).repeat(8, 0).repeat(5, 1)[: shape[0]]
        prediction = np.where(generator.random(truth.shape) < 0.7, truth, generator.choice(known, truth.shape))
        name = f"{city}_{number:06d}_000019"
        for path, ids in (
            (tmp_path / "truth" / city / f"{name}_gtFine_labelIds.png", truth),
            (tmp_path / "prediction" / f"{name}_leftImg8bit.png", prediction),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, ids)
    found = score(tmp_path, datasets.load("cityscapes")).evaluation
    truths = sorted(map(str, (tmp_path / "truth").rglob("*.png")))
    answers = sorted(map(str, (tmp_path / "prediction").glob("*.png")))
    expected = referee.evaluateImgLists(answers, truths, referee.args)
    assert found.miou == expected["averageScoreClasses"]
    for name, value in zip(found.names, iou(found.counts), strict=True):
        np.testing.assert_equal(value, expected["classScores"][name])
    assert found.counts[:, -1].sum() > 1000


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
    assert "say --ids train; if 255 is the second class, write 1 in its place" in found
    asked = score(tmp_path, road, ids="train")
    assert asked.evaluation.counts[1].tolist() == [0, 0, asked.evaluation.counts[1].sum()]
    assert any("predicted void or of no class" in line for line in asked.warnings)
    road_masks(tmp_path, 1)
    found = score(tmp_path, road)
    assert (found.evaluation.miou, found.ids) == (1, "train")
    assert "as raw ids 100.0% of the labelled pixels are of no class" in found.why


@pytest.mark.parametrize(
    ("name", "stems", "groups"),
    [
        ("cityscapes", ["ulm_000001_000019", "ulm_000002_000019", "jena_000001_000019"], ("ulm", "ulm", "jena")),
        ("cityscapes", ["one", "two"], None),
        ("kitti", ["000000_10", "000001_10", "000199_10"], ("d0", "d0", "d1")),
        ("oxford_pets", ["Bombay_1", "Bombay_2"], None),
    ],
)
def test_without_a_manifest_names_tell_the_groups_of_a_published_dataset(tmp_path, name, stems, groups):
    dataset = datasets.load(name)
    first, second = (item.raw for item in dataset.label_map.classes[:2])
    for number, stem in enumerate(stems):
        for role in ("truth", "prediction"):
            (tmp_path / role).mkdir(exist_ok=True)
            ids = np.where(np.indices((9, 9)).sum(axis=0) > 3 + number, first, second).astype(np.uint8)
            write_png(tmp_path / role / f"{stem}.png", ids)
    found = score(tmp_path, dataset, ids="raw").evaluation.groups
    if name == "kitti":  # whatever the drives are called
        assert found[0] == found[1] != found[2]
        assert "" not in found
    else:
        assert found == (groups and tuple(groups[stems.index(stem)] for stem in sorted(stems)))


def test_a_labels_content_is_the_same_from_its_own_runs_and_from_those_of_a_pair():
    generator = np.random.default_rng(2)
    truth = generator.choice(RAW, (30, 4)).repeat(60, axis=1)
    prediction = np.roll(truth, 7, axis=1)
    table = LABELS.encode(np.arange(256, dtype=np.uint8))
    _, ends = histogram_and_ends(truth, prediction)
    assert ends is not None
    assert count_pairs.content(truth, table, ends=ends) == count_pairs.content(truth, table)
    other = truth.copy()
    other[0, 0] = 9 if truth[0, 0] != 9 else 5
    _, ends = histogram_and_ends(other, prediction)
    assert count_pairs.content(other, table, ends=ends) != count_pairs.content(truth, table)
    noise = generator.choice(RAW, (30, 40))
    assert histogram_and_ends(noise, noise)[1] is None


def test_equal_labels_are_told_and_blank_ones_are_not(tmp_path):
    first, second = np.full((8, 8), 3, np.uint8), np.where(np.indices((8, 8))[0] > 2, 3, 5).astype(np.uint8)
    for role in ("truth", "prediction"):
        (tmp_path / role).mkdir()
        for number, label in enumerate((first, first, second, second, second.T)):
            write_png(tmp_path / role / f"{number}.png", label)
    assert "2 of the 5 labels are equal to another image's" in " ".join(score(tmp_path).warnings)


def test_a_manifest_of_other_splits_than_the_protocol_says_is_stale(root):
    stale = published_splits.Published(protocol="kitti-semantics/1")
    last = datasets.load("kitti", config.Options(split="last_30"))
    assert last.protocol == "kitti-semantics/1+last_30"
    with pytest.raises(ConfigError) as error:
        score(root, last, published=stale)
    assert (error.value.found, error.value.remedy) == ("a manifest of kitti-semantics/1", "run `dvc repro`")
    road = datasets.load("kitti", config.Options(split="last_30", task="road"))
    with pytest.raises(ConfigError):
        score(root, road, published=stale)
    fresh = published_splits.Published(protocol="kitti-semantics/1+last_30")
    with pytest.raises(DataError):  # of another dataset's ids, seen only after
        score(root, road, published=fresh)
