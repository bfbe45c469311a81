import pytest

from segline.core.statistics.trust import caveat


def test_a_single_image_or_group_is_in_the_singular():
    assert caveat(1).startswith("1 image: ")
    assert caveat(2).startswith("2 images: ")
    assert caveat(2, 1).startswith("2 images in 1 group: too few")


def test_many_images_in_many_groups_need_no_caveat():
    assert "about 94 %" in caveat(60)
    assert caveat(500, 100) == caveat(500) == ""


@pytest.mark.parametrize(("groups", "share"), [(5, "about 90"), (9, "about 90"), (10, "about 93"), (19, "about 93")])
def test_few_groups_limit_an_interval_however_many_their_images(groups, share):
    """What `benchmarks/README.md` saw of street scenes, in rounder numbers."""
    for count in (30, 3000):
        said = caveat(count, groups)
        assert said.startswith(f"{count} images in {groups} groups: treat the interval as approximate")
        assert f"{share} % of simulated 95 % intervals held the truth; 20 groups are enough" in said
    assert caveat(60, 20) == caveat(60)  # then the images are what is few
