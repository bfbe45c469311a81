from hypothesis import given
from hypothesis import strategies as st

from segline.data.images.split import assign, digest
from segline.datasets.base import Pair


def pets(breeds, count):
    return [
        Pair(id=f"{breed}_{number}", image=None, mask=None, split=None, stratum=breed)
        for breed in breeds
        for number in range(count)
    ]


@given(st.integers(2, 40), st.floats(0.05, 0.45))
def test_every_breed_gives_the_share_to_validation(count, share):
    splits = assign(pets("abc", count), validation_share=share)
    for breed in "abc":
        held_out = sum(split == "validation" for name, split in splits.items() if name.startswith(breed))
        assert held_out == max(1, round(count * share))


def test_the_choice_is_fixed_and_survives_newcomers():
    few, more = pets("ab", 20), pets("abc", 20)
    first, second = assign(few, validation_share=0.2), assign(more, validation_share=0.2)
    assert {name: second[name] for name in first} == first
    assert assign(reversed(more), validation_share=0.2) == second


def test_a_published_split_is_never_touched():
    pair = Pair(id="x", image=None, mask=None, split="test", stratum="a")
    assert assign([pair, *pets("a", 10)], validation_share=0.4)["x"] == "test"


def test_a_lone_sample_of_a_breed_is_trained_on():
    assert assign(pets("a", 1), validation_share=0.4) == {"a_0": "train"}


@given(st.lists(st.integers(1, 9), min_size=2, max_size=12), st.floats(0.05, 0.45))
def test_a_group_goes_as_a_whole_and_both_sides_get_some(sizes, share):
    pairs = [
        Pair(id=f"{drive}_{number}", image=None, mask=None, split=None, group=f"drive {drive}")
        for drive, size in enumerate(sizes)
        for number in range(size)
    ]
    splits = assign(pairs, validation_share=share)
    sides = [{splits[pair.id] for pair in pairs if pair.group == f"drive {drive}"} for drive in range(len(sizes))]
    assert all(len(side) == 1 for side in sides)
    assert set(splits.values()) == {"train", "validation"}
    held_out = sum(side == "validation" for side in splits.values())
    assert held_out < max(1, round(len(pairs) * share)) + max(sizes)


def test_digest_names_membership_and_not_order():
    assert digest({"a": "train", "b": "test"}) == digest({"b": "test", "a": "train"})
    assert digest({"a": "train", "b": "test"}) != digest({"a": "test", "b": "test"})
