"""Say how reliable an interval is, by its number of images and of groups."""

MIN_IMAGES = 200
"""From this many images up an interval is stated without a caution (PROTOCOLS, rule 6).

Of simulated 95 % intervals on street scenes less than 92 % held the truth with up to 20 images, about 92 % with up to
50, and about 94 % with up to 200 (`benchmarks/intervals.py`).
"""

MIN_GROUPS = 20
"""From this many groups up an interval over grouped images is stated without a caution.

About 90 % of simulated intervals held the truth with up to 10 groups, and about 93 % with up to 20.
"""

MIN_GROUPS_TO_DRAW = 5
"""Below this many groups, as Cityscapes' test with its 3 cities, images are drawn instead of groups."""


def counted(number: int, what: str) -> str:
    """Write a number with its noun in the right form: 1 image, 2 images."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def caveat(images: int, groups: int | None = None) -> str:
    """Write the caution for an interval over `images` images in `groups` groups; empty if none is needed.

    With few groups an interval is unreliable, however many images the groups contain.

    Args:
        groups: None where images are not grouped.
    """
    if groups is not None and groups < MIN_GROUPS:
        number = f"{counted(images, 'image')} in {counted(groups, 'group')}"
        if groups < MIN_GROUPS_TO_DRAW:
            return f"{number}: too few groups, so the interval says nothing about images of other groups"
    elif images < MIN_IMAGES:
        number = counted(images, "image")
    else:
        return ""
    return f"{number}: treat the interval as approximate"


def method(groups: int | None) -> str:
    """Name the method of an interval over images in `groups` groups, for a person to read."""
    return (
        "bootstrap over images" if groups is None or groups < MIN_GROUPS_TO_DRAW else f"bootstrap over {groups} groups"
    )
