"""How far an interval over so many images, in so many groups, can be trusted: what a person must be told."""

HONEST_FROM = 200
"""Below this many images an interval is too narrow to be taken at its word (PROTOCOLS, rule 6)."""

HONEST_GROUPS = 20
"""The same of groups, where images are grouped."""

FEWEST_GROUPS = 5
"""Below this many groups (Cityscapes' test has 3 cities) nothing can be told of others: images are drawn."""

# Up to how many, and what share of 95 % intervals then holds the truth: `benchmarks/intervals.py`, street scenes.
_HELD_BY_IMAGES: tuple[tuple[int, str], ...] = ((20, "fewer than 92"), (50, "about 92"), (HONEST_FROM, "about 94"))
_HELD_BY_GROUPS: tuple[tuple[int, str], ...] = ((10, "about 90"), (HONEST_GROUPS, "about 93"))


def counted(number: int, what: str) -> str:
    """`number` of `what`, in words: 1 image, 2 images."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def caveat(images: int, groups: int | None = None) -> str:
    """What must be said beside an interval over `images` images in `groups` groups; empty where nothing must.

    Where there are few groups, they are what limits it, however many images they hold.

    Args:
        groups: None where images are not grouped.
    """
    if groups is not None and groups < FEWEST_GROUPS:
        few = f"{counted(images, 'image')} in {counted(groups, 'group')}"
        return f"{few}, too few to draw: the interval tells of other images of these alone"
    if groups is not None and groups < HONEST_GROUPS:
        count, what, held, limit = groups, f"{images} images in {groups} groups", _HELD_BY_GROUPS, " groups"
    else:
        count, what, held, limit = images, counted(images, "image"), _HELD_BY_IMAGES, ""
    share = next((share for below, share in held if count < below), None)
    if share is None:
        return ""
    honest = f"{what}: intervals are honest only from about {held[-1][0]}{limit} up"
    return f"{honest} (of 95 % ones {share} % held the truth in simulations)"


def method(groups: int | None) -> str:
    """How an interval over images in `groups` groups is made, for a person to read."""
    return "bootstrap over images" if groups is None or groups < FEWEST_GROUPS else f"bootstrap over {groups} groups"
