"""Oxford-IIIT Pet: the official lists, and the split of the well-known example."""

import json
import random
from pathlib import Path

from segline import datasets
from segline.config import Options
from segline.data.split import assign


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


def test_the_real_oddities_are_converted_and_reported(real, tmp_path):
    from segline.data.checks import validate  # imports Great Expectations, which takes seconds

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
