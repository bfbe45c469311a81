"""Define the schema of ``fingerprint.json``.

Lengths are pixels, areas square pixels, shares 0..1, colours grey levels 0..255. A value that cannot be
computed, because there are no samples or no pixels, is None.
"""

from typing import TypedDict

QUANTILES = {"min": 0.0, "q01": 0.01, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}
CHANNELS = ("red", "green", "blue")

Quantiles = dict[str, float]
"""Name in `QUANTILES` -> value; always a value that occurs in the data, without interpolation."""


class SizeCount(TypedDict):
    """How many samples have one size."""

    height: int
    width: int
    samples: int


class Sizes(TypedDict):
    """Image sizes of a split."""

    height: Quantiles | None
    width: Quantiles | None
    aspect: Quantiles | None  # width over height
    commonest: list[SizeCount]


class Channel(TypedDict):
    """One colour channel of all pixels together."""

    mean: float
    std: float
    q005: float  # quantile 0.005, to within a bin of the histogram
    q995: float
    histogram: list[float]  # shares, `sample_statistics.BINS` of them


class ComponentFigures(TypedDict):
    """Connected components of one class."""

    count: int
    per_image: float | None  # of the images that hold the class
    area: Quantiles | None
    area_share: Quantiles | None  # of the image
    height: Quantiles | None
    width: Quantiles | None
    height_share: Quantiles | None
    width_share: Quantiles | None
    thickness: Quantiles | None  # of the class's pixels, not of its components: fragments weigh little


class ClassFigures(TypedDict):
    """One class in one split."""

    pixels: int
    share: float | None  # of the labelled pixels
    presence: float | None  # of the images
    components: ComponentFigures


class SplitFigures(TypedDict):
    """One split, or all of them together."""

    samples: int
    pixels: int
    void_share: float | None
    sizes: Sizes
    channels: dict[str, Channel | None]  # by the names of `CHANNELS`
    classes: dict[str, ClassFigures]
    together: list[list[int]]  # (C, C) number of images that contain both classes, in the order of the label map


class ChanceFigures(TypedDict):
    """The fields of `segline.core.vision.divergence.Judged`."""

    value: float
    chance_median: float
    chance_extreme: float
    p: float


class Flip(TypedDict):
    """Whether mirrored images are plausible training images, and why."""

    legal: bool
    why: str
    overlap: ChanceFigures
    by_class: dict[str, float | None]


class Symmetry(TypedDict):
    """Effect of mirroring the training masks."""

    mirrored: bool  # as the dataset declares
    samples: int
    left_right: Flip
    up_down: Flip


class Shift(TypedDict):
    """The distances between two splits."""

    between: list[str]
    measures: dict[str, ChanceFigures]  # by the names of `fingerprint.SHIFTS`


class DuplicateGroup(TypedDict):
    """Samples whose images are the same bytes or look alike."""

    splits: list[str]
    samples: dict[str, str]  # id -> split


class Fingerprint(TypedDict):
    """The whole file."""

    dataset: str
    protocol: str
    label_map: str
    classes: list[str]
    connectivity: int
    splits: dict[str, SplitFigures]  # "all" and the names of the splits
    location: dict[str, list[list[float]] | None]  # by class: share of the images that hold it at a point of a grid
    symmetry: Symmetry
    shift: list[Shift]
    near_duplicates: list[DuplicateGroup]
