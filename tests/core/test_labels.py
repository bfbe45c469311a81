import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segline import config, datasets
from segline.core.labels import VOID, Identity, LabelClass, LabelMap, label_map, same_classes

MAPS = {name: datasets.load(name).label_map for name in config.dataset_names()}


@pytest.mark.parametrize("name", MAPS)
@given(data=st.data())
def test_decode_then_encode_is_the_identity(name, data):
    labels = MAPS[name]
    mask = data.draw(hnp.arrays(np.uint8, (3, 5), elements=st.integers(0, len(labels) - 1)))
    np.testing.assert_array_equal(labels.encode(labels.decode(mask)), mask)


def test_cityscapes_equals_the_official_table():
    from cityscapesscripts.helpers.labels import labels as official

    ours = MAPS["cityscapes"]
    for row in official:
        if not 0 <= row.id <= 33:
            continue
        encoded = int(ours.encode(np.array([[row.id]], dtype=np.uint8))[0, 0])
        assert encoded == (VOID if row.ignoreInEval else row.trainId)
        assert ours.legal[row.id]
        if not row.ignoreInEval:
            assert ours.names[encoded] == row.name
            assert tuple(ours.colours[encoded]) == row.color


def test_illegal_ids_are_named_and_encoded_as_void():
    labels = MAPS["oxford_pets"]
    histogram = np.zeros(256, dtype=np.int64)
    histogram[[0, 2, 9]] = 4
    assert labels.illegal(histogram) == [0, 9]
    assert labels.encode(np.array([[0, 9, 3]], dtype=np.uint8)).tolist() == [[VOID, VOID, 2]]
    with pytest.raises(ValueError, match="train id 255"):
        labels.decode(np.array([[VOID]], dtype=np.uint8))


def test_digest_follows_ids_and_names_not_colours():
    first = label_map([(1, "a", (0, 0, 0)), (2, "b", (1, 1, 1))])
    assert first.digest == label_map([(1, "a", (9, 9, 9)), (2, "b", (1, 1, 1))]).digest
    assert first.digest != label_map([(2, "b", (1, 1, 1)), (1, "a", (0, 0, 0))]).digest
    assert first.digest != label_map([(1, "a", (0, 0, 0)), (2, "b", (1, 1, 1))], void=[0]).digest


ROWS = [(1, "car", (1, 1, 1)), (2, "road", (2, 2, 2)), (3, "sky", (3, 3, 3))]


def named(*names):
    return [(raw, name, colour) for (raw, _, colour), name in zip(ROWS, names, strict=True)]


@pytest.mark.parametrize(
    ("rows", "void", "alike"),
    [
        pytest.param(named("auto", "road", "sky"), [], True, id="renamed"),
        pytest.param(named("auto", "way", "heaven"), [], True, id="all renamed"),
        pytest.param(named("Car", "road", "sky"), [], True, id="a capital letter"),
        pytest.param(named("car", "road", "sky"), [0], True, id="a void id more"),
        pytest.param([(1, "car", (9, 9, 9)), *ROWS[1:]], [], True, id="recoloured"),
        pytest.param(named("road", "car", "sky"), [], False, id="exchanged"),
        pytest.param(named("Road", "Car", "sky"), [], False, id="exchanged, with capital letters"),
        pytest.param(named("road", "sky", "car"), [], False, id="rotated"),
        pytest.param(named("road", "way", "sky"), [], False, id="a name moved, another is new"),
        pytest.param([(1, "auto", (9, 9, 9)), *ROWS[1:]], [], False, id="renamed and recoloured: another class"),
        pytest.param([(4, "car", (1, 1, 1)), *ROWS[1:]], [], False, id="another id"),
        pytest.param(ROWS[:2], [], False, id="a class less"),
        pytest.param(ROWS[:2], [3], False, id="a class became void"),
        pytest.param([*ROWS, (4, "dog", (4, 4, 4))], [], False, id="a class more"),
        pytest.param(ROWS[::-1], [], False, id="other train ids"),
    ],
)
def test_a_renamed_class_is_the_same_and_an_exchanged_or_other_one_is_not(rows, void, alike):
    """Before, every other digest was other classes, even for a corrected spelling."""
    one, other = label_map(ROWS).identity, label_map(rows, void=void).identity
    assert same_classes(one, other) is alike
    assert same_classes(other, one) is alike


def test_names_that_differ_in_capitals_can_be_exchanged():
    one, other = (
        label_map([(0, a, (0, 0, 0)), (1, b, (1, 1, 1))]).identity for a, b in (("Car", "car"), ("car", "Car"))
    )
    assert not same_classes(one, other)


def test_the_order_of_merged_ids_is_no_part_of_the_classes():
    maps = [
        LabelMap(classes=(LabelClass(name="a", raw=0, colour=(0, 0, 0), merged=merged),)) for merged in ((7, 8), (8, 7))
    ]
    assert len({found.digest for found in maps}) == len({found.unnamed_digest for found in maps}) == 1


def test_unknown_colours_are_not_taken_for_equal_ones():
    one, other = (Identity(digest=digest, unnamed="", names=("a",)) for digest in ("1", "2"))
    assert not same_classes(one, other)


def test_a_raw_id_can_be_used_once():
    with pytest.raises(ValueError, match="distinct"):
        label_map([(1, "a", (0, 0, 0))], void=[1])


def test_core_imports_nothing_heavier_than_numpy():
    code = (
        "import sys, pkgutil, importlib, segline.core as room\n"
        "[importlib.import_module(f'segline.core.{m.name}') for m in pkgutil.iter_modules(room.__path__)]\n"
        "roots = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(roots & {'keras', 'tensorflow', 'mlflow', 'prefect', 'pandas', 'pyarrow', 'PIL', 'scipy'}))\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_categories_group_train_ids_and_are_no_part_of_the_identity():
    rows = [(7, "road", (1, 2, 3)), (11, "wall", (4, 5, 6)), (8, "pavement", (7, 8, 9))]
    plain = label_map(rows, void=[0])
    grouped = label_map(rows, void=[0], categories={"built": ["wall"], "flat": ["pavement", "road"]})
    assert grouped.categories == {"flat": (0, 2), "built": (1,)}
    assert plain.categories == label_map(rows, categories={"flat": ["road"]}).categories == {}
    assert (grouped, grouped.digest) == (plain, plain.digest)
    with pytest.raises(ValueError, match="hedge"):
        label_map(rows, categories={"flat": ["road", "hedge"]})
