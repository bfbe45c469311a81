"""Render the fingerprint as a page of charts, with explanations of what they mean for training.

Bars and boxes are plain HTML that adapts to narrow screens. Curves are SVG. Maps and thumbnails are embedded images.
The page has no script and loads nothing from other sites. Equal data give equal bytes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log10, sqrt
from typing import Literal, NamedTuple

import numpy as np

from segline.core.labels import LabelClass
from segline.data.images.manifest import SampleRow
from segline.data.images.thumbnails import Album, Thumbnail, tinted_uri
from segline.data.validate import page_layout
from segline.data.validate.findings_page import choose_some
from segline.data.validate.fingerprint_schema import (
    CHANNELS,
    DuplicateGroup,
    Fingerprint,
    Shift,
    SplitFigures,
)
from segline.datasets.base import SPLITS, Dataset
from segline.pages.environment import percent
from segline.project import Files

_EXAMPLES_PER_SPLIT = 3
_MAX_GROUPS = 12  # of near duplicates
_MAX_PICTURES_OF_GROUP = 4
_SMALLEST_SHARE = 1e-5  # left end of the logarithmic axis of bars
_CHANCE_WIDTH = 40  # width of the grey range (expected by chance), in percent of a track
_SIZE_STEPS = 40  # bins along each axis of the plot of image sizes
_PLOT_WIDTH, _PLOT_HEIGHT = 340, 200  # pixels: a telephone's width
_SIGNIFICANT = 0.05  # p-value

_SHIFT_WORDS = {
    "class_frequencies": "classes",
    "image_size": "image size",
    "void_share": "void",
}


class _ClassBars(NamedTuple):
    """Share and presence of one class, with bars for each split in percent of the axis."""

    item: LabelClass
    share: str
    presence: str
    share_bars: list[float]
    presence_bars: list[float]


class _SizePlot(NamedTuple):
    """Dots at (x, y) with radius r, for the image sizes."""

    dots: list[dict[str, float]]
    most: int
    distinct: int
    words: str


class _Box(NamedTuple):
    """Box plot of the component sizes of one class; `marks` are percent of the axis."""

    item: LabelClass
    marks: dict[str, float]
    words: str
    per_image: str


class _Scale(NamedTuple):
    """All box plots, and the ticks of their axis: side in pixels, and position in percent."""

    boxes: list[_Box]
    ticks: list[tuple[int, float]]


class _LocationMap(NamedTuple):
    """Heat map of one class; `most` is its largest share of images, as text."""

    item: LabelClass
    uri: str
    most: str
    aspect: float


class _Track(NamedTuple):
    """One distance between two splits; `place` is the position in percent of the track, `far` means significant."""

    words: str
    value: str
    place: float
    far: bool


class _ShiftCard(NamedTuple):
    """All distances between two splits; the range expected by chance takes `band` percent of each track."""

    between: list[str]
    tracks: list[_Track]
    band: int


class _ColourPlot(NamedTuple):
    """Histograms of one split as points of curves, and mean and standard deviation, by channel."""

    split: str
    curves: list[tuple[str, str]]
    words: list[tuple[str, float, float]]


class _GroupPictures(NamedTuple):
    """Near duplicates; `more` are the ids of those without a picture."""

    pictures: list[Thumbnail]
    across: bool
    more: list[str]


def render_fingerprint(
    figures: Fingerprint, rows: Sequence[SampleRow], *, dataset: Dataset, album: Album, passed: bool
) -> str:
    """Render the page.

    Args:
        rows: the manifest.
        passed: whether the pipeline continues.
    """
    whole = figures["splits"]["all"]
    by_id = {row["id"]: row for row in rows}
    classes = dataset.label_map.classes
    held = [item.name for item in classes if whole["classes"][item.name]["pixels"]]
    return page_layout.render(
        "fingerprint.html",
        name=Files.FINGERPRINT_PAGE,
        title=f"{dataset.title}: fingerprint",
        passed=passed,
        whole=whole,
        splits={split: figures["splits"][split] for split in SPLITS},
        classes=classes,
        held=held,
        rarest=min(held, key=lambda name: whole["classes"][name]["pixels"], default="none"),
        crossing=sum(len(group["splits"]) > 1 for group in figures["near_duplicates"]),
        examples=_draw_examples(rows, album) if whole["samples"] else {},
        frequencies=_draw_frequencies(figures, classes),
        sizes=_plot_sizes(rows),
        scale=_plot_scale(whole, classes),
        maps=_draw_maps(figures, classes),
        symmetry=figures["symmetry"],
        shift=[_draw_shift(entry) for entry in figures["shift"]],
        colours=_plot_colours(figures),
        groups=[_draw_group(group, by_id, album) for group in _sort_groups(figures)[:_MAX_GROUPS]],
        groups_in_all=len(figures["near_duplicates"]),
    )


def _draw_examples(rows: Sequence[SampleRow], album: Album) -> dict[str, list[Thumbnail]]:
    good = [row for row in rows if not row["problems"]]
    return {
        split: [
            picture
            for row in choose_some([row for row in good if row["split"] == split], most=_EXAMPLES_PER_SPLIT)
            for picture in album.draw_pair(row["image"], row["mask"], caption=row["id"])
        ]
        for split in SPLITS
    }


def _draw_frequencies(figures: Fingerprint, classes: Sequence[LabelClass]) -> list[_ClassBars]:
    """Draw bars of each class: its share of the pixels, on a logarithmic axis, and of the images."""

    def draw_bars(name: str, kind: Literal["share", "presence"]) -> list[float]:
        shares = [figures["splits"][split]["classes"][name][kind] or 0.0 for split in SPLITS]
        if kind == "presence":
            return [round(100 * share, 1) for share in shares]
        decades = log10(_SMALLEST_SHARE)
        return [round(100 * max(0.0, 1 - log10(share) / decades), 1) if share else 0.0 for share in shares]

    whole = figures["splits"]["all"]["classes"]
    return [
        _ClassBars(
            item=item,
            share=percent(whole[item.name]["share"]),
            presence=percent(whole[item.name]["presence"]),
            share_bars=draw_bars(item.name, "share"),
            presence_bars=draw_bars(item.name, "presence"),
        )
        for item in classes
    ]


def _plot_sizes(rows: Sequence[SampleRow]) -> _SizePlot | None:
    """Plot a dot for each size, larger where it is more frequent."""
    known = [(row["image_height"], row["image_width"]) for row in rows if row["image_height"] and row["image_width"]]
    if not known:
        return None
    most = max(max(size) for size in known)
    step = max(1, most // _SIZE_STEPS)
    binned = Counter((height // step, width // step) for height, width in known)
    scale = 180 / most
    dots = [
        {
            "x": round(30 + (width + 0.5) * step * scale, 1),
            "y": round(190 - (height + 0.5) * step * scale, 1),
            "r": round(2 + 10 * sqrt(count / len(known)), 1),
        }
        for (height, width), count in sorted(binned.items())
    ]
    commonest = Counter(known).most_common(3)
    words = ", ".join(f"{height}x{width} ({count} images)" for (height, width), count in commonest)
    return _SizePlot(dots=dots, most=most, distinct=len(set(known)), words=words)


def _plot_scale(whole: SplitFigures, classes: Sequence[LabelClass]) -> _Scale:
    """Plot boxes of component sizes (square root of the area) on a logarithmic axis."""
    found = {item.name: whole["classes"][item.name]["components"] for item in classes}
    areas = [entry["area"]["max"] for entry in found.values() if entry["area"]]
    decades = max(1.0, log10(max(areas, default=10)) / 2)

    def place(area: float) -> float:
        return round(100 * log10(max(area, 1)) / 2 / decades, 1)

    boxes = [
        _Box(
            item=item,
            marks={name: place(area[name]) for name in ("q05", "q25", "median", "q75", "q95")},
            words=f"{area['q01']:.0f} / {area['q05']:.0f} / {area['median']:.0f}",
            per_image=f"{found[item.name]['per_image']:.1f}",
        )
        for item in classes
        for area in [found[item.name]["area"]]
        if area is not None
    ]
    ticks = [(10**power, place(100**power)) for power in range(5) if place(100**power) <= 100]
    return _Scale(boxes=boxes, ticks=ticks)


def _draw_maps(figures: Fingerprint, classes: Sequence[LabelClass]) -> list[_LocationMap]:
    """Draw a heat map for each class: the more images contain the class at a position, the stronger its colour."""
    aspect = figures["splits"]["all"]["sizes"]["aspect"] or {}
    maps = []
    for item in classes:
        shares = np.array(figures["location"][item.name] or [[0.0]])
        if shares.max() > 0:
            picture = tinted_uri(shares / shares.max(), item.colour)
            most = percent(float(shares.max()))
            maps.append(_LocationMap(item=item, uri=picture, most=most, aspect=aspect["median"]))
    return maps


def _draw_shift(entry: Shift) -> _ShiftCard:
    """Draw each distance as a dot on a track, scaled so that the range expected by chance always has equal width."""
    tracks = []
    for name, judged in entry["measures"].items():
        reach = judged["chance_extreme"]
        place = _CHANCE_WIDTH * judged["value"] / reach if reach else 0.0
        tracks.append(
            _Track(
                words=_SHIFT_WORDS.get(name, name),
                value=f"{judged['value']:.2f}",
                place=round(min(place, 97.0), 1),
                far=judged["p"] < _SIGNIFICANT,
            )
        )
    return _ShiftCard(between=entry["between"], tracks=tracks, band=_CHANCE_WIDTH)


def _plot_colours(figures: Fingerprint) -> list[_ColourPlot]:
    """Plot histograms of red, green and blue, one plot for each split."""
    plots = []
    for split in SPLITS:
        channels = [(name, figures["splits"][split]["channels"][name]) for name in CHANNELS]
        known = [(name, channel) for name, channel in channels if channel is not None]
        if not known:
            continue
        # The first and last bins (under- and overexposed pixels) are often by far the highest: they may be cut off.
        top = 1.15 * max(max(channel["histogram"][1:-1]) for _, channel in known) or 1.0
        plots.append(
            _ColourPlot(
                split=split,
                curves=[(name, _draw_curve(channel["histogram"], top)) for name, channel in known],
                words=[(name, channel["mean"], channel["std"]) for name, channel in known],
            )
        )
    return plots


def _draw_curve(heights: Sequence[float], top: float) -> str:
    step = _PLOT_WIDTH / (len(heights) - 1)
    return " ".join(
        f"{place * step:.1f},{_PLOT_HEIGHT * (1 - min(value / top, 1)):.1f}" for place, value in enumerate(heights)
    )


def _sort_groups(figures: Fingerprint) -> list[DuplicateGroup]:
    """Sort groups of near duplicates: those across splits first, then the larger."""
    return sorted(
        figures["near_duplicates"],
        key=lambda group: (-len(group["splits"]), -len(group["samples"]), min(group["samples"])),
    )


def _draw_group(group: DuplicateGroup, by_id: Mapping[str, SampleRow], album: Album) -> _GroupPictures:
    names = list(group["samples"])
    pictures = [
        picture
        for name in names[:_MAX_PICTURES_OF_GROUP]
        for picture in album.draw_pair(
            by_id[name]["image"], by_id[name]["mask"], caption=f"{name} ({group['samples'][name]})"
        )
    ]
    return _GroupPictures(pictures=pictures, across=len(group["splits"]) > 1, more=names[_MAX_PICTURES_OF_GROUP:])
