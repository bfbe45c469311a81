"""The fingerprint as a page of pictures: what a dataset is like, and what that means for training.

Bars and boxes are plain HTML that reflows on a telephone; curves are SVG; maps and thumbnails are
pictures inside the page. No script, nothing from elsewhere, equal bytes for equal data.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log10, sqrt
from typing import Any

import numpy as np

from segline.core.labels import LabelClass
from segline.data.images.thumbnails import Album, Thumbnail, tinted_uri
from segline.data.validate import page_layout
from segline.data.validate.findings_page import chosen
from segline.data.validate.fingerprint import CHANNELS
from segline.data.validate.manifest_rules import Row
from segline.datasets.base import SPLITS, Dataset
from segline.pages.environment import percent
from segline.project import Files

_EXAMPLES = 3  # a split
_GROUPS = 12  # of near duplicates
_TOGETHER = 4  # pictures of one of them
_RAREST = 1e-5  # share at which a bar is empty; its axis is logarithmic
_BAND = 40  # percent of a shift's track that chance takes
_SIZE_STEPS = 40  # along each axis of the sizes' plot
_PLOT = (340, 200)  # pixels of a curve's plot: a telephone's width

_SHIFT_WORDS = {
    "class_frequencies": "classes",
    "image_size": "image size",
    "void_share": "void",
}

Figures = Mapping[str, Any]


def portrait(figures: Figures, rows: Sequence[Row], *, dataset: Dataset, album: Album, passed: bool) -> str:
    """The page.

    Args:
        figures: of `fingerprint.fingerprint`.
        rows: the manifest.
        passed: whether the pipeline goes on.
    """
    whole = figures["splits"]["all"]
    by_id = {row["id"]: row for row in rows}
    classes = dataset.label_map.classes
    return page_layout.render(
        "fingerprint.html",
        name=Files.FINGERPRINT_PAGE,
        title=f"{dataset.title}: fingerprint",
        passed=passed,
        whole=whole,
        splits={split: figures["splits"][split] for split in SPLITS},
        classes=classes,
        tiles=_tiles(figures, classes),
        examples=_examples(rows, album) if whole["samples"] else {},
        frequencies=_frequencies(figures, classes),
        sizes=_sizes(rows),
        scale=_scale(whole, classes),
        maps=_maps(figures, classes),
        symmetry=[_symmetry(figures, name) for name in ("left_right", "up_down")],
        samples_mirrored=figures["symmetry"]["samples"],
        mirrored=figures["symmetry"]["mirrored"],
        shift=[_shift(entry) for entry in figures["shift"]],
        colours=_colours(figures),
        together=_together(whole, classes),
        groups=[_group(entry, by_id, album) for entry in _telling(figures)[:_GROUPS]],
        groups_in_all=len(figures["near_duplicates"]),
    )


def _tiles(figures: Figures, classes: Sequence[LabelClass]) -> list[tuple[str, str]]:
    whole = figures["splits"]["all"]
    if not whole["samples"]:
        return []
    held = [item.name for item in classes if whole["classes"][item.name]["pixels"]]
    rarest = min(held, key=lambda name: whole["classes"][name]["pixels"], default="none")
    height, width = whole["sizes"]["height"], whole["sizes"]["width"]
    crossing = sum(len(group["splits"]) > 1 for group in figures["near_duplicates"])
    return [
        (
            str(whole["samples"]),
            "samples: " + ", ".join(f"{figures['splits'][name]['samples']} {name}" for name in SPLITS),
        ),
        (f"{height['median']:.0f} x {width['median']:.0f}", "median height x width, pixels"),
        (f"{len(held)} of {len(classes)}", f"classes occur; the rarest is {rarest}"),
        (percent(whole["void_share"]), "void: neither trained on nor scored"),
        (str(crossing), "groups of near duplicates across splits"),
    ]


def _examples(rows: Sequence[Row], album: Album) -> dict[str, list[Thumbnail]]:
    good = [row for row in rows if not row["problems"]]
    return {
        split: [
            picture
            for row in chosen([row for row in good if row["split"] == split], most=_EXAMPLES)
            for picture in album.pictures(row["image"], row["mask"], caption=row["id"])
        ]
        for split in SPLITS
    }


def _frequencies(figures: Figures, classes: Sequence[LabelClass]) -> list[dict[str, Any]]:
    """Bars a class: its share of the pixels, on a logarithmic axis, and of the images; one a split."""

    def bars(name: str, kind: str) -> list[float]:
        shares = [figures["splits"][split]["classes"][name][kind] or 0.0 for split in SPLITS]
        if kind == "presence":
            return [round(100 * share, 1) for share in shares]
        return [round(100 * max(0.0, 1 - log10(share) / log10(_RAREST)), 1) if share else 0.0 for share in shares]

    whole = figures["splits"]["all"]["classes"]
    return [
        {
            "item": item,
            "share": percent(whole[item.name]["share"]),
            "presence": percent(whole[item.name]["presence"]),
            "share_bars": bars(item.name, "share"),
            "presence_bars": bars(item.name, "presence"),
        }
        for item in classes
    ]


def _sizes(rows: Sequence[Row]) -> dict[str, Any] | None:
    """A dot a size, as large as it is frequent."""
    known = [(row["image_height"], row["image_width"]) for row in rows if row["image_height"]]
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
    return {"dots": dots, "most": most, "distinct": len(set(known)), "words": words}


def _scale(whole: Figures, classes: Sequence[LabelClass]) -> dict[str, Any]:
    """Boxes on a logarithmic axis of the side of a square as large as the object."""
    found = {item.name: whole["classes"][item.name]["components"] for item in classes}
    sides = [entry["area"]["max"] for entry in found.values() if entry["area"]]
    decades = max(1.0, log10(max(sides, default=10)) / 2)

    def place(area: float) -> float:
        return round(100 * log10(max(area, 1)) / 2 / decades, 1)

    boxes = []
    for item in classes:
        area, entry = found[item.name]["area"], found[item.name]
        if area is None:
            continue
        marks = {name: place(area[name]) for name in ("q05", "q25", "median", "q75", "q95")}
        words = f"{area['q01']:.0f} / {area['q05']:.0f} / {area['median']:.0f}"
        per_image = f"{entry['per_image']:.1f}"
        boxes.append({"item": item, "marks": marks, "words": words, "per_image": per_image})
    ticks = [(10**power, place(100**power)) for power in range(5) if place(100**power) <= 100]
    return {"boxes": boxes, "ticks": ticks}


def _maps(figures: Figures, classes: Sequence[LabelClass]) -> list[dict[str, Any]]:
    """Where each class lies: the more of the images hold it there, the more of its colour."""
    aspect = figures["splits"]["all"]["sizes"]["aspect"]
    found = []
    for item in classes:
        shares = np.array(figures["location"][item.name] or [[0.0]])
        if shares.max() > 0:
            picture = tinted_uri(shares / shares.max(), item.colour)
            most = percent(float(shares.max()))
            found.append({"item": item, "uri": picture, "most": most, "aspect": aspect["median"]})
    return found


def _symmetry(figures: Figures, name: str) -> dict[str, Any]:
    seen = figures["symmetry"][name]
    overlap = seen["overlap"]
    return {
        "words": name.replace("_", "-"),
        "legal": seen["legal"],
        "why": seen["why"],
        "overlap": overlap,
        "same": overlap["p"] >= 0.05,
        "value": round(100 * overlap["value"], 1),
        "chance": round(100 * overlap["chance_extreme"], 1),
    }


def _shift(entry: Figures) -> dict[str, Any]:
    """Dots on tracks that are scaled so that what chance gives ends at the same place on each."""
    tracks = []
    for name, judged in entry["measures"].items():
        reach = judged["chance_extreme"]
        place = _BAND * judged["value"] / reach if reach else 0.0
        tracks.append(
            {
                "words": _SHIFT_WORDS.get(name, name),
                "value": f"{judged['value']:.2f}",
                "place": round(min(place, 97.0), 1),
                "far": judged["p"] < 0.05,
            }
        )
    return {"between": entry["between"], "tracks": tracks, "band": _BAND}


def _colours(figures: Figures) -> list[dict[str, Any]]:
    """Histograms of red, green and blue, a plot a split."""
    found = []
    for split in SPLITS:
        channels = figures["splits"][split]["channels"]
        if channels["red"] is None:
            continue
        # The ends hold what is over- and underexposed, often more than all between: they may leave the plot.
        top = 1.15 * max(max(channels[name]["histogram"][1:-1]) for name in CHANNELS) or 1.0
        found.append(
            {
                "split": split,
                "curves": [(name, _curve(channels[name]["histogram"], top)) for name in CHANNELS],
                "words": [(name, channels[name]["mean"], channels[name]["std"]) for name in CHANNELS],
            }
        )
    return found


def _curve(heights: Sequence[float], top: float) -> str:
    width, height = _PLOT
    step = width / (len(heights) - 1)
    return " ".join(
        f"{place * step:.1f},{height * (1 - min(value / top, 1)):.1f}" for place, value in enumerate(heights)
    )


def _together(whole: Figures, classes: Sequence[LabelClass]) -> list[dict[str, Any]]:
    """Of the images with the row's class, the share with the column's."""
    rows = []
    for place, item in enumerate(classes):
        counts = whole["together"][place]
        if counts[place]:
            rows.append(
                {
                    "item": item,
                    "cells": [
                        (round(count / counts[place], 2), f"{classes[other].name} in {percent(count / counts[place])}")
                        for other, count in enumerate(counts)
                        if whole["together"][other][other]
                    ],
                }
            )
    return rows


def _telling(figures: Figures) -> list[Figures]:
    """Groups of near duplicates, those across splits first, then the larger."""
    groups: list[Figures] = figures["near_duplicates"]
    return sorted(groups, key=lambda group: (-len(group["splits"]), -len(group["samples"]), min(group["samples"])))


def _group(entry: Figures, by_id: Mapping[str, Row], album: Album) -> dict[str, Any]:
    names = list(entry["samples"])
    pictures = [
        picture
        for name in names[:_TOGETHER]
        for picture in album.pictures(
            by_id[name]["image"], by_id[name]["mask"], caption=f"{name} ({entry['samples'][name]})"
        )
    ]
    return {"pictures": pictures, "across": len(entry["splits"]) > 1, "more": names[_TOGETHER:]}
