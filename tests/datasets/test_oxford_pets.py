"""Oxford-IIIT Pet: the official lists, and the split of the well-known example."""

import json
import random
from pathlib import Path

import pytest

from segline import datasets
from segline.config import Options
from segline.data.images.split import assign
from segline.errors import ConfigError


def layout(raw, names):
    for folder in ("images", "annotations/trimaps"):
        (raw / folder).mkdir(parents=True)
    for name in names:
        (raw / f"images/{name}.jpg").touch()
        (raw / f"annotations/trimaps/{name}.png").touch()
    (raw / "annotations/trimaps/._Bengal_1.png").touch()
    (raw / "images/Bengal_1.mat").touch()
    return raw


def example(raw, *, held_out):
    """Names of the held-out samples as the Keras example finds them: two lists, shuffled alike, paired by place."""
    images = sorted(str(path) for path in (raw / "images").iterdir() if path.name.endswith(".jpg"))
    masks = sorted(
        str(path)
        for path in (raw / "annotations/trimaps").iterdir()
        if path.name.endswith(".png") and not path.name.startswith(".")
    )
    random.Random(1337).shuffle(images)
    random.Random(1337).shuffle(masks)
    names = [Path(path).stem for path in images[-held_out:]]
    assert names == [Path(path).stem for path in masks[-held_out:]]
    return set(names)


def test_shuffled_1337_holds_out_the_examples_thousand(tmp_path):
    breeds = [f"{'Breed' if number % 3 else 'breed'}_{number}" for number in range(36)]
    names = [f"{breed}_{number}" for breed in breeds for number in range(1, 201)]
    names += [f"Bengal_{number}" for number in range(1, 191)]
    assert len(names) == 7390
    raw = layout(tmp_path, names)
    pairs = datasets.load("oxford_pets", Options(split="shuffled_1337")).pairs(raw)
    assert [pair.id for pair in pairs] == sorted(names)
    assert all(pair.image and pair.mask for pair in pairs)
    assert {pair.id for pair in pairs if pair.split == "test"} == example(raw, held_out=1000)
    assert {pair.split for pair in pairs} == {None, "test"}
    assert {pair.stratum for pair in pairs} == {*breeds, "Bengal"}


@pytest.mark.parametrize("of", ["raw", "real"])
def test_what_a_whole_image_shows_is_what_the_publishers_list_says(request, of):
    folder = request.getfixturevalue(of) / "oxford_pets"
    name, breed = datasets.load("oxford_pets").image_label(None)
    assert name == "breed"
    _, species = datasets.load("oxford_pets").image_label("species")
    lines = (folder / "annotations/list.txt").read_text("utf-8").splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    assert len(rows) > 100
    assert all(species(row[0]) == {"1": "cat", "2": "dog"}[row[2]] for row in rows)
    assert len({(breed(row[0]), row[1]) for row in rows}) == len({row[1] for row in rows}) > 1
    assert {species(row[0]) for row in rows} == ({"cat", "dog"} if of == "raw" else {"cat"})


def test_what_whole_images_are_not_told_apart_by_is_named():
    with pytest.raises(
        ConfigError, match=r"classification\.task: 'breeds', expected 'breed'\? \(one of: breed, species"
    ):
        datasets.load("oxford_pets").image_label("breeds")
    with pytest.raises(ConfigError, match=r"search\.weights: classification.*kitti has no labels of whole images"):
        datasets.load("kitti").image_label(None)


def test_of_a_smaller_archive_the_same_share_is_held_out(real):
    raw = real / "oxford_pets"
    pairs = datasets.load("oxford_pets", Options(split="shuffled_1337")).pairs(raw)
    assert len(pairs) == 400  # the two images that are in no list are taken, as the example does
    assert {pair.id for pair in pairs if pair.split == "test"} == example(raw, held_out=54)
    found = assign(pairs, validation_share=0.2)
    by_breed = {
        breed: [found[pair.id] for pair in pairs if pair.stratum == breed] for breed in ("Abyssinian", "Bengal")
    }
    for sides in by_breed.values():
        rest = len(sides) - sides.count("test")
        assert sides.count("validation") == round(rest * 0.2)


@pytest.mark.lengthy
def test_the_real_oddities_are_converted_and_reported(real, tmp_path):
    from segline.data.validate.expectations import validate  # imports Great Expectations, which takes seconds

    validate(
        datasets.load("oxford_pets", Options(split="shuffled_1337")),
        raw=real / "oxford_pets",
        folder=tmp_path / "manifest",
        docs=tmp_path / "docs",
        validation_share=0.2,
        quarantine_share=0.02,
        workers=2,
    )
    verdict = json.loads((tmp_path / "manifest/validation.json").read_text("utf-8"))
    assert verdict["quarantined"] == []
    notes = [note for note in verdict["notes"] if "Abyssinian_5.jpg" in note or "Abyssinian_34.jpg" in note]
    assert notes == [
        "images/Abyssinian_34.jpg: GIF P read as RGB",  # in no official list
        "images/Abyssinian_5.jpg: PNG RGBA read as RGB, alpha dropped",
    ]
