"""Reduce images of more than 8 bits per channel to 8 bits.

Cameras store 10, 12 or 14 bits in files of 16 bits. The upper 8 bits of such a file hold only a few levels. The file
does not say what its range is, and a dark image looks the same, so the range has to be stated.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from segline.core.labels import Image
from segline.errors import DataError

Levels = tuple[int, int]
"""Lowest and highest value of 16-bit images; they become 0 and 255."""

UNSTATED = "16-bit values that reach only"
"""Begins the message about an image whose range is not known."""

FULL: Levels = (0, 65535)
_MIN_BITS_OF_FULL_RANGE = 16


def reduce_depth(values: npt.NDArray[np.integer], *, levels: Levels | None, place: Path) -> Image:
    """Map 16-bit values to 0..255; without stated `levels`, keep the upper 8 bits.

    Raises:
        DataError: the values do not use all 16 bits and no levels are stated, or they leave the stated levels.
    """
    low, high = int(values.min()), int(values.max())
    if levels is None and high.bit_length() < _MIN_BITS_OF_FULL_RANGE:
        raise _report_unstated(low, high, place)
    first, last = levels or FULL
    if low < first or high > last:
        raise DataError(
            place,
            found=f"16-bit values {low}..{high}",
            expected=f"values within the stated levels [{first}, {last}]",
            remedy=f"state levels that hold every image, such as `levels: [{min(low, first)}, {max(high, last)}]`",
        )
    return np.asarray((values.astype(np.uint32) - first) * 256 // (last - first + 1), dtype=np.uint8)


def _report_unstated(low: int, high: int, place: Path) -> DataError:
    bits = max(1, high.bit_length())
    kept = (high >> 8) - (low >> 8) + 1
    # Findings show only `found`, so it names the option.
    return DataError(
        place,
        found=f"{UNSTATED} {low}..{high} ({bits} bits): in 8 bits, only {kept} of 256 grey levels would be left",
        expected="values that use all 16 bits, or a stated range",
        remedy=f"state the range of all images, in own/NAME.yaml: `levels: [0, {2**bits - 1}]` if "
        f"the camera has {bits} bits, `levels: [0, {FULL[1]}]` if the images are dark and have 16 bits "
        "(`segline predict` has an option --levels instead)",
    )
