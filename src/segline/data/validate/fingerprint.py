"""Compute the fingerprint of a dataset: statistics from which a training can be planned.

Follows the dataset fingerprint of nnU-Net (Isensee et al., Nature Methods 2021), adapted to RGB images and label masks.
Everything is counted at the native size of the files, over usable samples, without void pixels. Equal manifests give
equal bytes. `fingerprint_schema` describes every value.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from segline.core.vision.divergence import Judged, shifts, symmetry
from segline.data.validate.fingerprint_schema import (
    CHANNELS,
    QUANTILES,
    ChanceFigures,
    Channel,
    ComponentFigures,
    DuplicateGroup,
    Fingerprint,
    Flip,
    Quantiles,
    Shift,
    SizeCount,
    SplitFigures,
    Symmetry,
)
from segline.data.validate.sample_statistics import BINS, GRID, Store
from segline.datasets.base import SPLITS, Dataset

SHIFTS = ("class_frequencies", "image_size", "aspect", *CHANNELS, "contrast", "void_share")
"""Measures of the distance between two splits. For class frequencies it is the Jensen-Shannon distance (0..1), for all
others the difference of the means, in standard deviations of both splits together."""

_CHUNK_SAMPLES = 1000  # number of samples whose layouts are in memory at a time
_SHIFT_PERMUTATIONS = 499
_SYMMETRY_PERMUTATIONS = 199
_MAX_SIZES_LISTED = 50
_SIGNIFICANT_DIGITS = 6
_SIGNIFICANCE = 0.05  # a smaller p-value means that an asymmetry is not due to chance
_MIN_IMAGES_FOR_SYMMETRY = 50  # with fewer images, only the dataset's declaration decides
_MIN_OVERLAP_UNDECLARED = 0.9  # undeclared symmetry: accepted from this overlap with the mirror image on
_MIN_OVERLAP_DECLARED = 0.6  # declared symmetry: refused below this overlap, if the asymmetry is significant

Numbers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """Columns of a manifest and statistics of its samples, as arrays of N samples and C classes."""

    usable: Numbers  # (N,) bool: samples that are included
    split: Numbers  # (N,)
    sides: Numbers  # (N, 2) height and width
    pixels: Numbers  # (N, C)
    void: Numbers  # (N,)
    fields: Mapping[str, Numbers]  # of `sample_statistics.Store`


def fingerprint(
    table: pa.Table,
    store: Store,
    *,
    dataset: Dataset,
    alike: Mapping[str, Sequence[str]],
    left_out: Collection[str] = (),
) -> Fingerprint:
    """Compute the fingerprint of the usable samples of a manifest.

    Args:
        table: of `build_manifest`.
        store: the statistics that `build_manifest` measured.
        left_out: ids of samples that are not usable.
        alike: sample id -> ids of samples whose images look the same.

    Returns:
        The content of ``fingerprint.json``.
    """
    usable = np.array([name not in left_out for name in table["id"].to_pylist()], dtype=bool)
    found = _collect(table, store, usable=usable)
    chosen = {"all": found.usable} | {split: found.usable & (found.split == split) for split in SPLITS}
    names = dataset.label_map.names
    return {
        "dataset": dataset.name,
        "protocol": dataset.protocol,
        "label_map": dataset.label_map.digest,
        "classes": list(names),
        "connectivity": 8,
        "splits": {name: _sum_split(found, members, names) for name, members in chosen.items()},
        "location": dict(zip(names, _sum_locations(found, len(names)), strict=True)),
        "symmetry": _judge_symmetry(found, dataset),
        "shift": _measure_shifts(found),
        "near_duplicates": _group_duplicates(table, alike, usable),
    }


def to_json(content: Fingerprint) -> str:
    """Write the text of ``fingerprint.json``; equal fingerprints give equal text."""
    return json.dumps(_round(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _collect(table: pa.Table, store: Store, *, usable: Numbers) -> _Measured:
    """Convert the results of `build_manifest` to arrays. Samples with an unreadable file are excluded.

    Args:
        usable: (N,) bool, samples that may be included.
    """
    columns = {name: table[name].to_pylist() for name in ("split", "pixels")}
    classes = max((len(pixels) for pixels in columns["pixels"] if pixels is not None), default=0)

    def values(name: str) -> Numbers:
        return np.asarray(np.nan_to_num(table[name].to_numpy().astype(np.float64)))

    return _Measured(
        usable=usable & store.seen(),
        split=np.array(columns["split"], dtype=object),
        sides=np.stack([values("mask_height"), values("mask_width")], axis=1).astype(np.int64),
        pixels=np.array([pixels or [0] * classes for pixels in columns["pixels"]], dtype=np.int64).reshape(
            table.num_rows, classes
        ),
        void=values("void_fraction"),
        fields=store.read(),
    )


def _sum_split(found: _Measured, members: Numbers, names: Sequence[str]) -> SplitFigures:
    pixels = found.pixels[members].reshape(-1, len(names))
    height, width = found.sides[members].T.astype(np.int64)
    area = height * width
    labelled = pixels.sum()
    held = pixels > 0
    return {
        "samples": int(members.sum()),
        "pixels": int(area.sum()),
        "void_share": _divide(area.sum() - labelled, area.sum()),
        "sizes": {
            "height": _compute_quantiles(height),
            "width": _compute_quantiles(width),
            "aspect": _compute_quantiles(width / np.maximum(height, 1)),
            "commonest": _count_sizes(height, width),
        },
        "channels": _sum_channels(found, members),
        "classes": {
            name: {
                "pixels": int(pixels[:, place].sum()),
                "share": _divide(pixels[:, place].sum(), labelled),
                "presence": _divide(held[:, place].sum(), len(held)),
                "components": _sum_components(found, members, place),
            }
            for place, name in enumerate(names)
        },
        "together": (held.T.astype(np.int64) @ held.astype(np.int64)).tolist(),
    }


def _sum_components(found: _Measured, members: Numbers, place: int) -> ComponentFigures:
    chosen = np.flatnonzero((found.fields["class"] == place) & members[found.fields["owner"]])
    area, height, width, runs, count, owner = (
        np.asarray(found.fields[kind][chosen]) for kind in ("area", "height", "width", "runs", "count", "owner")
    )
    sides = found.sides[owner]
    holders = len(np.unique(owner))
    return {
        "count": int(count.sum()),
        "per_image": _divide(count.sum(), holders),
        "area": _compute_quantiles(area, count),
        "area_share": _compute_quantiles(area / (sides[:, 0] * sides[:, 1]), count),
        "height": _compute_quantiles(height, count),
        "width": _compute_quantiles(width, count),
        "height_share": _compute_quantiles(height / sides[:, 0], count),
        "width_share": _compute_quantiles(width / sides[:, 1], count),
        "thickness": _compute_quantiles(_measure_thickness(area, height, width, runs), area.astype(np.int64) * count),
    }


def _measure_thickness(area: Numbers, height: Numbers, width: Numbers, runs: Numbers) -> Numbers:
    """Estimate the thickness of components in pixels, from their area and the length of their line.

    A line of length L has on average (4 / pi) L runs along rows and columns together, over all its directions. The
    bounding box alone does not see that a ring is thin; it corrects poles and rails.
    """
    return np.minimum(np.minimum(height, width), 4 / np.pi * area / runs)


def _sum_locations(found: _Measured, classes: int) -> list[list[list[float]] | None]:
    """Return the share of the usable images that hold each class at each point of the grid, row by row."""
    count, layouts = np.count_nonzero(found.usable), found.fields["layout"]
    held = np.zeros((classes, GRID, GRID), dtype=np.int64)
    for part in _cut_into_parts(found.usable):
        held += (layouts[part, None] == np.arange(classes, dtype=np.uint8)[:, None, None]).sum(axis=0)
    return [(places / count).tolist() if count else None for places in held]


def _cut_into_parts(members: Numbers) -> list[Numbers]:
    """Return the indices of the members in chunks, so that memory maps are read without a copy of the whole."""
    places = np.flatnonzero(members)
    return [places[begin : begin + _CHUNK_SAMPLES] for begin in range(0, len(places), _CHUNK_SAMPLES)]


def _sum_channels(found: _Measured, members: Numbers) -> dict[str, Channel | None]:
    """Compute the colour statistics of all pixels together; quantiles are accurate to one histogram bin."""
    if not members.any():
        return dict.fromkeys(CHANNELS)
    weights = np.prod(found.sides[members].astype(np.float64), axis=1)
    means, deviations = (found.fields[name][members] for name in ("channel_mean", "channel_std"))
    mean = np.average(means, axis=0, weights=weights)
    square = np.average(deviations**2 + means**2, axis=0, weights=weights)
    parts = _cut_into_parts(members)
    bins = np.sum([found.fields["channel_bins"][part].sum(axis=0, dtype=np.int64) for part in parts], axis=0)
    middle = np.arange(BINS) * (256 / BINS) + (256 / BINS - 1) / 2
    tails = [np.quantile(middle, (0.005, 0.995), weights=counts, method="inverted_cdf").tolist() for counts in bins]
    return {
        name: {
            "mean": float(mean[place]),
            "std": float(np.sqrt(max(square[place] - mean[place] ** 2, 0.0))),
            "q005": tails[place][0],
            "q995": tails[place][1],
            "histogram": (bins[place] / bins[place].sum()).tolist(),
        }
        for place, name in enumerate(CHANNELS)
    }


def _count_sizes(height: Numbers, width: Numbers) -> list[SizeCount]:
    sizes, counts = np.unique(np.stack([height, width], axis=1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MAX_SIZES_LISTED]
    return [{"height": int(sizes[k, 0]), "width": int(sizes[k, 1]), "samples": int(counts[k])} for k in order]


def _judge_symmetry(found: _Measured, dataset: Dataset) -> Symmetry:
    """Judge both flips on the training split only, because the test split must not influence training."""
    layouts = np.asarray(found.fields["layout"][found.usable & (found.split == "train")])
    return {
        "mirrored": dataset.mirrored,
        "samples": len(layouts),
        "left_right": _judge_flip(layouts, dataset, axis=2, declared=dataset.mirrored),
        "up_down": _judge_flip(layouts, dataset, axis=1, declared=None),
    }


def _judge_flip(layouts: Numbers, dataset: Dataset, *, axis: int, declared: bool | None) -> Flip:
    seen = symmetry(layouts, classes=len(dataset.label_map), axis=axis, permutations=_SYMMETRY_PERMUTATIONS)
    legal, why = _decide_flip(seen.overlap, len(layouts), declared=declared)
    by_class = [None if isnan(value) else value for value in seen.by_class.tolist()]
    return {
        "legal": legal,
        "why": why,
        "overlap": _list_figures(seen.overlap),
        "by_class": dict(zip(dataset.label_map.names, by_class, strict=True)),
    }


def _list_figures(judged: Judged) -> ChanceFigures:
    return {
        "value": judged.value,
        "chance_median": judged.chance_median,
        "chance_extreme": judged.chance_extreme,
        "p": judged.p,
    }


def _decide_flip(overlap: Judged, images: int, *, declared: bool | None) -> tuple[bool, str]:
    """Decide whether a flip is legal, and say why.

    Args:
        declared: whether the dataset declares the flip plausible; None if it declares nothing. Then the flip is legal
            only with an overlap of at least `_MIN_OVERLAP_UNDECLARED`, and without significant asymmetry.
    """
    stays = f"{100 * overlap.value:.0f} % of the labels keep their class"
    if images < _MIN_IMAGES_FOR_SYMMETRY:
        return bool(declared), f"{images} training images are too few to measure it" + (
            "; the dataset declares it plausible" if declared else ""
        )
    if declared is None:
        legal = overlap.p >= _SIGNIFICANCE and overlap.value >= _MIN_OVERLAP_UNDECLARED
        return (
            legal,
            f"the dataset declares nothing; {stays}, {'as' if legal else 'fewer than'} in a symmetric dataset",
        )
    if not declared:
        return False, "the dataset declares it implausible"
    legal = overlap.p >= _SIGNIFICANCE or overlap.value >= _MIN_OVERLAP_DECLARED
    return legal, f"the dataset declares it plausible, {'and' if legal else 'but only'} {stays}"


def _measure_shifts(found: _Measured) -> list[Shift]:
    """Measure the distances `SHIFTS` between every two splits."""
    members, split = found.usable, found.split[found.usable]
    height, width = found.sides[members].astype(np.float64).T
    features = np.stack(
        [
            np.log2(height * width),
            np.log2(width / height),
            *found.fields["channel_mean"][members].T,
            found.fields["channel_std"][members].mean(axis=1),
            found.void[members],
        ],
        axis=1,
    )
    pixels = found.pixels[members]
    result: list[Shift] = []
    for one, other in combinations(SPLITS, 2):
        here = np.isin(split, (one, other))
        second = split[here] == other
        if second.all() or not second.any():
            continue  # a split is empty
        judged = shifts(pixels[here].astype(np.float64), features[here], second, permutations=_SHIFT_PERMUTATIONS)
        measures = {name: _list_figures(entry) for name, entry in zip(SHIFTS, judged, strict=True)}
        result.append({"between": [one, other], "measures": measures})
    return result


def _group_duplicates(table: pa.Table, alike: Mapping[str, Sequence[str]], usable: Numbers) -> list[DuplicateGroup]:
    """Group usable samples with identical or similar images; similarity is transitive (union-find)."""
    ids, splits, digests = (
        table[name].filter(pa.array(usable)).to_pylist() for name in ("id", "split", "image_sha256")
    )
    split_of = dict(zip(ids, splits, strict=True))
    first_of: dict[str, str] = {}
    leader = {name: name for name in ids}
    twins = ((name, first_of.setdefault(digest, name)) for name, digest in zip(ids, digests, strict=True) if digest)
    for one, other in chain(((name, other) for name, others in alike.items() for other in others), twins):
        if one in leader and other in leader:
            low, high = sorted((_find_leader(leader, one), _find_leader(leader, other)))
            leader[high] = low
    members: dict[str, list[str]] = {}
    for name in sorted(leader):
        members.setdefault(_find_leader(leader, name), []).append(name)
    groups = [names for names in members.values() if len(names) > 1]
    return [
        {"splits": sorted({str(split_of[name]) for name in names}), "samples": {name: split_of[name] for name in names}}
        for names in groups
    ]


def _find_leader(leader: dict[str, str], name: str) -> str:
    while leader[name] != name:
        leader[name] = leader[leader[name]]
        name = leader[name]
    return name


def _compute_quantiles(values: Numbers, count: Numbers | None = None) -> Quantiles | None:
    """Compute the `QUANTILES` of values that occur `count` times each; None where there are none."""
    if not len(values):
        return None
    found = np.quantile(values, list(QUANTILES.values()), weights=count, method="inverted_cdf")
    return dict(zip(QUANTILES, found.astype(float).tolist(), strict=True))


def _divide(part: float, whole: float) -> float | None:
    return float(part) / float(whole) if whole else None


def _round(content: Any) -> Any:
    """Round floats to `_SIGNIFICANT_DIGITS`, so that they do not depend on the processor's order of summation."""
    if isinstance(content, float):
        rounded = float(f"{content:.{_SIGNIFICANT_DIGITS}g}")
        return int(rounded) if rounded.is_integer() else rounded
    if isinstance(content, Mapping):
        return {name: _round(value) for name, value in content.items()}
    if isinstance(content, str) or not isinstance(content, Iterable):
        return content
    return [_round(value) for value in content]
