"""Say how reliable an interval is, by its number of images and of groups."""

MIN_IMAGES = 200
"""From this many images up an interval is stated without a caution (PROTOCOLS, rule 6)."""

MIN_GROUPS = 20
"""From this many groups up an interval over grouped images is stated without a caution."""

MIN_GROUPS_TO_DRAW = 5
"""Below this many groups, as Cityscapes' test with its 3 cities, images are drawn instead of groups."""

# Below this number of images (groups), this percentage of 95 % intervals contained the true score:
# measured by `benchmarks/intervals.py` on street scenes.
_COVERAGE_BY_IMAGES: tuple[tuple[int, str], ...] = ((20, "less than 92"), (50, "about 92"), (MIN_IMAGES, "about 94"))
_COVERAGE_BY_GROUPS: tuple[tuple[int, str], ...] = ((10, "about 90"), (MIN_GROUPS, "about 93"))


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
        count, enough, table = groups, f"{MIN_GROUPS} groups", _COVERAGE_BY_GROUPS
    else:
        count, number, enough, table = images, counted(images, "image"), f"{MIN_IMAGES} images", _COVERAGE_BY_IMAGES
    coverage = next((share for below, share in table if count < below), None)
    if coverage is None:
        return ""
    held = f"{coverage} % of simulated 95 % intervals held the truth"
    return f"{number}: treat the interval as approximate ({held}; {enough} are enough)"


def method(groups: int | None) -> str:
    """Name the method of an interval over images in `groups` groups, for a person to read."""
    return (
        "bootstrap over images" if groups is None or groups < MIN_GROUPS_TO_DRAW else f"bootstrap over {groups} groups"
    )
