import pytest

from segline.core.statistics.trust import caveat


def test_a_single_image_or_group_is_in_the_singular():
    assert caveat(1).startswith("1 image: ")
    assert caveat(2).startswith("2 images: ")
    assert caveat(2, 1).startswith("2 images in 1 group: too few")


def test_many_images_in_many_groups_need_no_caveat():
    assert caveat(60) == "60 images: treat the interval as approximate"
    assert caveat(500, 100) == caveat(500) == ""


@pytest.mark.parametrize("groups", [5, 9, 10, 19])
def test_few_groups_limit_an_interval_however_many_their_images(groups):
    for count in (30, 3000):
        assert caveat(count, groups) == f"{count} images in {groups} groups: treat the interval as approximate"
    assert caveat(60, 20) == caveat(60)  # then the images are what is few
