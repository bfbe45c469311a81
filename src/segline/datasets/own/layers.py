"""Find the masks of images that have one mask for each class, such as ``masks/road/7.png`` and ``masks/car/7.png``.

The pattern names the classes in braces: ``masks/{road,car}/*.png`` or ``masks/*_{road,car}.png``. If it has several
braces, the last ones count, except those of an extension (``.{png,tif}``).
"""

import re
from collections.abc import Iterable

from segline.datasets.own.files import Pattern, is_image
from segline.errors import ConfigError

_CLASSES = re.compile(r"(?<!\.)\{([^{}]+)\}(?!.*(?<!\.)\{)")


def class_names(pattern: str) -> list[str]:
    """Return the classes that a pattern names.

    Raises:
        ConfigError: it names none.
    """
    found = _CLASSES.search(pattern)
    if found is None:
        raise ConfigError(
            "own/NAME.yaml masks",
            found=repr(pattern),
            expected="the classes in braces, such as masks/{road,car}/*.png, because `encoding: layers` says that "
            "there is one mask for each class",
            remedy="write the names of the folders or endings of the classes in braces",
        )
    return found[1].split(",")


def match_layers(paths: Iterable[str], pattern: str) -> dict[str, dict[str, str]]:
    """Match the masks of each image: name -> class -> path.

    Raises:
        ConfigError: the pattern names no classes.
    """
    names = class_names(pattern)
    before, _, after = _CLASSES.sub("\0", pattern).partition("\0")
    patterns = {name: Pattern(f"{before}{name}{after}") for name in names}
    found: dict[str, dict[str, str]] = {}
    for path in paths:
        if not is_image(path):
            continue
        for label, one in patterns.items():
            name = one.name(path)
            if name is not None:
                found.setdefault(name, {})[label] = path
    return found
