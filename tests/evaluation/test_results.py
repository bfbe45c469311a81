"""Files that should hold an evaluation's counts, and hold something else."""

import io
import json
import shutil
import zipfile

import numpy as np
import pytest

from segline.errors import ComparisonError, DataError
from segline.evaluation import compare, counts_file, results
from segline.evaluation.results import Evaluation
from segline.project import Files


@pytest.fixture
def whole(tmp_path):
    """A file of three images of two classes, with all that can be counted."""
    generator = np.random.default_rng(8)
    evaluation = Evaluation(
        dataset="drawn",
        split="test",
        protocol="drawn/1",
        split_digest="d",
        label_map="m",
        names=("road", "car"),
        ids=("a", "b", "c"),
        groups=("x", "x", ""),
        void_pixels=4,
        per_image=generator.integers(1, 90, (3, 2, 3)),
        categories={"flat": (0,), "vehicle": (1,)},
        boundary=generator.integers(1, 90, (3, 3, 2)),
        road=generator.integers(1, 90, (3, 2, 256)),
    )
    results.save(evaluation, tmp_path / "whole.npz")
    return tmp_path / "whole.npz"


def changed(path, fields=None, **arrays):
    """The same file with some of what it holds replaced."""
    with np.load(path) as content:
        held = dict(content)
    told = json.loads(str(held.pop("fields"))) | (fields or {})
    file = path.with_name("changed.npz")
    np.savez(file, fields=np.array(json.dumps(told)), **{**held, **arrays})
    return file


def refused(path):
    with pytest.raises(DataError) as error:
        counts_file.read(path)
    assert error.value.place == str(path)
    assert error.value.remedy
    return error.value.found


def test_what_was_saved_is_read_again(whole):
    found = counts_file.read(changed(whole))
    assert (found.ids, found.groups, found.categories) == (
        ("a", "b", "c"),
        ("x", "x", ""),
        {"flat": (0,), "vehicle": (1,)},
    )
    assert found.digest == counts_file.read(whole).digest


@pytest.mark.parametrize("dataset", ["../../../tmp/x", "/tmp/x", "a/b", "a\\b", "..", ".hidden", "", "a\nb", 5, None])
def test_a_dataset_whose_name_would_lead_elsewhere_is_refused(whole, dataset):
    found = refused(changed(whole, {"dataset": dataset}))
    assert f"dataset {dataset!r} is not a plain name" in found or f"dataset is {dataset!r}, expected a text" in found


@pytest.mark.parametrize("dataset", ["kitti_road", "own-data.2", "Stra\u00dfe"])
def test_plain_names_are_taken(whole, dataset):
    assert counts_file.read(changed(whole, {"dataset": dataset})).dataset == dataset


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"per_image": np.ones((2, 2, 3), np.int64)}, "per_image has shape (2, 2, 3)"),
        ({"per_image": np.ones((3, 2, 2), np.int64)}, "per_image has shape (3, 2, 2)"),
        ({"per_image": np.ones((3, 3, 4), np.int64)}, "expected (3, 2, 3) for 3 images and 2 classes"),
        ({"per_image": np.int64(4)}, "per_image has shape ()"),
        ({"per_image": np.ones((3, 2, 3))}, "per_image holds float64, expected counts"),
        ({"per_image": np.full((3, 2, 3), -1)}, "per_image holds int64 below 0, expected counts"),
        ({"boundary": np.ones((3, 2, 3), np.int64)}, "boundary has shape (3, 2, 3)"),
        ({"road": np.ones((3, 2, 255), np.int64)}, "road has shape (3, 2, 255)"),
    ],
)
def test_counts_that_do_not_fit_what_is_named_are_refused(whole, arrays, said):
    assert said in refused(changed(whole, **arrays))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"ids": ["a", "b", "a"]}, "ids must differ, but one occurs twice"),
        ({"ids": [1, 2, 3]}, "ids must be a list of names"),
        ({"ids": [], "groups": None}, "ids must be a list of names"),
        ({"ids": ["a", "b", "\udcff"]}, "surrogates not allowed"),
        ({"groups": [[], [], []]}, "groups must be a list of names"),
        ({"groups": ["x"]}, "3 images, but 1 groups"),
        ({"categories": {"flat": [0, 2]}}, "category flat has class ids [0, 2], but there are 2 classes"),
        ({"categories": []}, "no counts of an evaluation"),
        ({"stranger": 1}, "stranger"),
    ],
)
def test_names_that_name_nothing_or_something_twice_are_refused(whole, fields, said):
    assert said in refused(changed(whole, fields))


def test_other_classes_under_the_same_digest_are_not_compared(whole):
    first, other = counts_file.read(whole), counts_file.read(changed(whole, {"names": ["road", "bus"]}))
    for pair in ((first, other), (other, first)):
        with pytest.raises(ComparisonError, match="those of one, which has the same label-map digest"):
            compare.compare(list(zip(("one", "two"), pair, strict=True)), resamples=100, confidence=0.95)


def test_scores_as_json_are_told_from_counts(tmp_path):
    for name, content in (("score.json", {"schema": "segline/score", "miou": 0.5}), ("x.npz", {"miou": None})):
        (tmp_path / name).write_text(json.dumps(content, indent=2))
        with pytest.raises(DataError) as error:
            counts_file.read(tmp_path / name)
        assert error.value.found == "scores as JSON, without the counts of each image"
        assert "--counts" in error.value.remedy
        assert "pickle" not in str(error.value)


def archive(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"{}", b"[1]", b"\x93NUMPY\x01\x00", b"\xff\xfe", archive(), archive(fields=b"x"), archive(fields=b"")],
    # Names of their own: an archive's bytes hold the time, and two test processes would call it differently.
    ids=["nothing", "brace", "object", "list", "array", "text", "empty archive", "no array", "empty array"],
)
def test_files_of_other_kinds_are_refused_without_a_word_of_pickles(tmp_path, content):
    (tmp_path / "file.npz").write_bytes(content)
    assert "no counts of an evaluation" in refused(tmp_path / "file.npz")
    if not content.startswith(b"PK"):
        assert "not an .npz file" in refused(tmp_path / "file.npz")


def test_a_file_that_is_damaged_anywhere_is_read_whole_or_refused(whole, tmp_path):
    data, before = whole.read_bytes(), counts_file.read(whole)
    refusals = 0
    for place in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[place] ^= 0x5A
        (tmp_path / "damaged.npz").write_bytes(damaged)
        try:
            found = counts_file.read(tmp_path / "damaged.npz")
        except DataError:
            refusals += 1
        else:  # times and such, which mean nothing
            assert (found.digest, found.ids) == (before.digest, before.ids)
    assert refusals > len(data) / 7 / 2
    for length in range(0, len(data), 41):
        (tmp_path / "damaged.npz").write_bytes(data[:length])
        assert "no counts" in refused(tmp_path / "damaged.npz")


def test_a_folder_is_read_by_its_counts_and_what_is_not_there_is_none(whole, tmp_path):
    (tmp_path / "run").mkdir()
    assert counts_file.read(tmp_path / "run") is None
    assert counts_file.read(tmp_path / "nobody") is None
    shutil.copy(whole, tmp_path / "run" / Files.COUNTS)
    assert counts_file.read(tmp_path / "run").ids == ("a", "b", "c")
