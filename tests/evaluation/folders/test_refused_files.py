"""What cannot be scored is refused, with what is wrong and what to do."""

import os
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from scored_folders import LABELS, read, refused, rewritten, score

from segline import datasets
from segline.data.images.decode import write_png
from segline.errors import DataError


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
        "predictions without a label: 1 (stranger.png)",
        "image_1.png: a damaged PNG: cut short",
        "predictions with another size than their label: 1 (image_2.png: 13 x 17, expected 17 x 13)",
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
    assert "not a NumPy array" in refused(root)
    (root / "prediction" / "image_0.npy").write_bytes(b"PK")
    assert "not a NumPy array" in refused(root)


def test_grey_probabilities_are_recognised_as_such(root):
    generator = np.random.default_rng(1)
    rewritten(root / "prediction", lambda ids: generator.integers(0, 256, ids.shape, dtype=np.uint8))
    assert "files are probably probabilities" in refused(root)


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
    assert "image_0.png: too many pixels" in refused(root)


@pytest.mark.parametrize("folder", ["truth", "prediction"])
def test_names_that_are_no_text_are_refused(root, folder):
    path = root / folder / "image_0.png"
    try:
        path.rename(os.fsdecode(bytes(path.parent) + b"/\xff\xfe_10.png"))
    except OSError as error:
        pytest.skip(f"this disk takes no such name: {error}")
    with pytest.raises(DataError, match=rf"--{folder} .*: file names that are not UTF-8: 1 ") as error:
        score(root)
    assert r"(\xff\xfe_10.png)" in error.value.found
    str(error.value).encode()


def test_names_that_would_move_the_cursor_or_end_the_line_are_shown_escaped(root):
    write_png(root / "prediction" / "a\x1b[2Jb\nc\u202e.png", np.zeros((2, 3), dtype=np.uint8))
    assert r"predictions without a label: 1 (a\x1b[2Jb\nc\u202e.png)" in refused(root)


def test_a_photograph_is_known_by_its_colours(root):
    pixels = np.random.default_rng(3).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    write_png(root / "prediction" / "image_0.png", pixels)
    assert "more than 4096 colours, like a photograph" in refused(root)


def test_predictions_of_other_names_are_told_what_they_should_be_called(root):
    for path in list((root / "prediction").iterdir()):
        path.rename(path.with_name(f"result-{path.name}"))
    assert "7 (the predictions are not named like the images: image_0.png): 7" in refused(root)


def test_a_jpeg_is_no_label_map(root):
    path = root / "prediction" / "image_0.png"
    cv2.imwrite(str(path.with_suffix(".jpg")), read(path))
    path.unlink()
    assert "image_0.jpg: a JPEG" in refused(root)


def test_labels_of_another_dataset_are_known_by_their_names_and_ids(root):
    pets = datasets.load("oxford_pets")
    found = refused(root, pets)
    assert "labels with ids that the dataset does not have" in found
    for name in ("truth", "prediction"):
        rewritten(root / name, lambda ids: np.where(ids > 100, np.uint8(33), ids))
    assert "(they are legal raw ids of cityscapes or kitti): 7" in refused(root, pets)
    for name in ("truth", "prediction"):
        for path in list((root / name).iterdir()):
            path.rename(path.with_name(f"00000{path.stem[-1]}_10.png"))
    assert "images with file names of kitti, although --dataset is cityscapes: 7" in refused(
        root, datasets.load("cityscapes")
    )
    assert score(root, datasets.load("kitti")).evaluation.protocol == "kitti-semantics/1"


def test_predictions_of_another_dataset_are_named(root):
    for path in list((root / "prediction").iterdir()):
        path.rename(path.with_name(f"00000{path.stem[-1]}_10.png"))
    assert "(the predictions are named like those of kitti)" in refused(root)


def test_truth_without_a_label_cannot_be_scored_on(root):
    rewritten(root / "truth", np.zeros_like)
    assert "labels without a labelled pixel" in refused(root)
