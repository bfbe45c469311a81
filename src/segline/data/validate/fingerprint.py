"""The fingerprint: a dataset in figures, from which a training can be planned.

After nnU-Net's (Isensee et al., Nature Methods 2021), for RGB images and label masks. Everything is
counted at the native size of the files, over usable samples, void left out. Lengths are pixels,
areas square pixels, shares 0..1, colours grey levels 0..255. A quantile is a value that occurs.
Equal manifests give equal bytes.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, combinations
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from segline.core.vision.divergence import Judged, shifts, symmetry
from segline.data.validate.sample_statistics import BINS, GRID, Store
from segline.datasets.base import SPLITS, Dataset

QUANTILES = {"min": 0.0, "q01": 0.01, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}
CHANNELS = ("red", "green", "blue")
SHIFTS = ("class_frequencies", "image_size", "aspect", *CHANNELS, "contrast", "void_share")
"""What is compared between splits; the first by Jensen-Shannon distance (0..1), the others by the
difference of their means in standard deviations of both splits together."""

_AT_A_TIME = 1000  # samples whose measures are in memory
_DEALINGS = 499  # permutations behind a shift
_TOSSES = 199  # behind a symmetry
_KEPT_SIZES = 50  # distinct image sizes listed, the commonest
_DIGITS = 6
_CHANCE = 0.05  # share of chance's cases, below which something is not chance
_ENOUGH = 50  # images, from which a symmetry that nobody declared is believed
_SYMMETRIC = 0.9  # overlap with the mirror image, from which it is
_LOPSIDED = 0.6  # overlap, below which a declared symmetry is not believed

Numbers = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A manifest's figures and measures, as arrays; N samples, C classes, K kinds of component."""

    usable: Numbers  # (N,) bool: what the figures are of
    split: Numbers  # (N,)
    sides: Numbers  # (N, 2) height and width
    pixels: Numbers  # (N, C)
    void: Numbers  # (N,)
    fields: Mapping[str, Numbers]  # of `measures.Store`


def measured(table: pa.Table, store: Store, *, usable: Numbers) -> Measured:
    """The arrays of what `build_manifest` made; samples whose image or mask cannot be read are left out.

    Args:
        usable: (N,) bool, which samples are wanted.
    """
    columns = {name: table[name].to_pylist() for name in ("split", "pixels")}
    classes = max((len(pixels) for pixels in columns["pixels"] if pixels is not None), default=0)

    def values(name: str) -> Numbers:
        return np.asarray(np.nan_to_num(table[name].to_numpy().astype(np.float64)))

    return Measured(
        usable=usable & store.seen(),
        split=np.array(columns["split"], dtype=object),
        sides=np.stack([values("mask_height"), values("mask_width")], axis=1).astype(np.int64),
        pixels=np.array([pixels or [0] * classes for pixels in columns["pixels"]], dtype=np.int64).reshape(
            table.num_rows, classes
        ),
        void=values("void_fraction"),
        fields=store.read(),
    )


def fingerprint(
    table: pa.Table,
    store: Store,
    *,
    dataset: Dataset,
    alike: Mapping[str, Sequence[str]],
    left_out: Collection[str] = (),
) -> dict[str, Any]:
    """Sum up the usable samples of a manifest.

    Args:
        table: of `build_manifest`.
        store: what it measured.
        left_out: ids of samples that are not usable.
        alike: sample id -> ids of samples whose images look the same.

    Returns:
        What ``fingerprint.json`` holds.
    """
    usable = np.array([name not in left_out for name in table["id"].to_pylist()], dtype=bool)
    found = measured(table, store, usable=usable)
    chosen = {"all": found.usable} | {split: found.usable & (found.split == split) for split in SPLITS}
    names = dataset.label_map.names
    return {
        "dataset": dataset.name,
        "protocol": dataset.protocol,
        "label_map": dataset.label_map.digest,
        "classes": list(names),
        "connectivity": 8,
        "splits": {name: _portrait(found, members, names) for name, members in chosen.items()},
        "location": dict(zip(names, _locations(found, len(names)), strict=True)),
        "symmetry": _symmetries(found, dataset),
        "shift": _shifts(found),
        "near_duplicates": _groups(table, alike, usable),
    }


def to_json(content: Mapping[str, Any]) -> str:
    """The text of ``fingerprint.json``; equal fingerprints give equal text."""
    return json.dumps(_rounded(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _portrait(found: Measured, members: Numbers, names: Sequence[str]) -> dict[str, Any]:
    """One split, or all of it."""
    pixels = found.pixels[members].reshape(-1, len(names))
    height, width = found.sides[members].T.astype(np.int64)
    area = height * width
    labelled = pixels.sum()
    held = pixels > 0
    return {
        "samples": int(members.sum()),
        "pixels": int(area.sum()),
        "void_share": _share(area.sum() - labelled, area.sum()),
        "sizes": {
            "height": _spread(height),
            "width": _spread(width),
            "aspect": _spread(width / np.maximum(height, 1)),  # width over height
            "commonest": _commonest(height, width),
        },
        "channels": _channels(found, members),
        "classes": {
            name: {
                "pixels": int(pixels[:, place].sum()),
                "share": _share(pixels[:, place].sum(), labelled),  # of the labelled pixels
                "presence": _share(held[:, place].sum(), len(held)),  # of the images
                "components": _objects(found, members, place),
            }
            for place, name in enumerate(names)
        },
        "together": (held.T.astype(np.int64) @ held.astype(np.int64)).tolist(),  # images with both classes
    }


def _objects(found: Measured, members: Numbers, place: int) -> dict[str, Any]:
    """Connected components of one class."""
    chosen = np.flatnonzero((found.fields["class"] == place) & members[found.fields["owner"]])
    area, height, width, count, owner = (
        np.asarray(found.fields[kind][chosen]) for kind in ("area", "height", "width", "count", "owner")
    )
    sides = found.sides[owner]
    holders = len(np.unique(owner))
    return {
        "count": int(count.sum()),
        "per_image": _share(count.sum(), holders),  # of the images that hold the class
        "area": _spread(area, count),
        "area_share": _spread(area / (sides[:, 0] * sides[:, 1]), count),  # of the image
        "height": _spread(height, count),
        "width": _spread(width, count),
        "height_share": _spread(height / sides[:, 0], count),
        "width_share": _spread(width / sides[:, 1], count),
    }


def _locations(found: Measured, classes: int) -> list[list[list[float]] | None]:
    """Share of the usable images that hold each class at each point of the grid, row by row."""
    count, layouts = np.count_nonzero(found.usable), found.fields["layout"]
    held = np.zeros((classes, GRID, GRID), dtype=np.int64)
    for part in _parts(found.usable):
        held += (layouts[part, None] == np.arange(classes, dtype=np.uint8)[:, None, None]).sum(axis=0)
    return [(places / count).tolist() if count else None for places in held]


def _parts(members: Numbers) -> list[Numbers]:
    """Places of the members, some at a time: memory maps are read through them without a copy of all."""
    places = np.flatnonzero(members)
    return [places[begin : begin + _AT_A_TIME] for begin in range(0, len(places), _AT_A_TIME)]


def _channels(found: Measured, members: Numbers) -> dict[str, Any]:
    """Colours of all pixels together; percentiles to within a bin."""
    if not members.any():
        return dict.fromkeys(CHANNELS)
    weights = np.prod(found.sides[members].astype(np.float64), axis=1)
    means, deviations = (found.fields[name][members] for name in ("channel_mean", "channel_std"))
    mean = np.average(means, axis=0, weights=weights)
    square = np.average(deviations**2 + means**2, axis=0, weights=weights)
    parts = _parts(members)
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


def _commonest(height: Numbers, width: Numbers) -> list[dict[str, int]]:
    sizes, counts = np.unique(np.stack([height, width], axis=1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_KEPT_SIZES]
    return [{"height": int(sizes[k, 0]), "width": int(sizes[k, 1]), "samples": int(counts[k])} for k in order]


def _symmetries(found: Measured, dataset: Dataset) -> dict[str, Any]:
    """Measured on the training split: what a training may do must not be read off the test split."""
    layouts = np.asarray(found.fields["layout"][found.usable & (found.split == "train")])
    result: dict[str, Any] = {"mirrored": dataset.mirrored, "samples": len(layouts)}
    for name, axis in (("left_right", 2), ("up_down", 1)):
        seen = symmetry(layouts, classes=len(dataset.label_map), axis=axis, tosses=_TOSSES)
        legal, why = _verdict(seen.overlap, len(layouts), declared=dataset.mirrored if axis == 2 else None)
        result[name] = {
            "legal": legal,
            "why": why,
            "overlap": asdict(seen.overlap),
            "by_class": dict(zip(dataset.label_map.names, map(_or_none, seen.by_class.tolist()), strict=True)),
        }
    return result


def _verdict(overlap: Judged, images: int, *, declared: bool | None) -> tuple[bool, str]:
    """Whether a flip is legal, and why.

    Args:
        declared: what the dataset says of this flip; None where it says nothing, and only clear figures speak for it.
    """
    stays = f"{100 * overlap.value:.0f} % of the labels stay"
    if images < _ENOUGH:
        return bool(declared), f"{images} training images say nothing" + (
            ", the dataset declares it" if declared else ""
        )
    if declared is None:
        legal = overlap.p >= _CHANCE and overlap.value >= _SYMMETRIC
        return (
            legal,
            f"nobody declares it; {stays}, {'as' if legal else 'fewer than'} in a dataset without a preferred side",
        )
    if not declared:
        return False, "the dataset rules it out"
    legal = overlap.p >= _CHANCE or overlap.value >= _LOPSIDED
    return legal, f"the dataset declares it, and {stays}" if legal else f"the dataset declares it, but only {stays}"


def _shifts(found: Measured) -> list[dict[str, Any]]:
    """How far each two splits lie apart, in `SHIFTS`."""
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
    result = []
    for one, other in combinations(SPLITS, 2):
        here = np.isin(split, (one, other))
        second = split[here] == other
        if second.all() or not second.any():
            continue  # a split is empty
        judged = shifts(pixels[here].astype(np.float64), features[here], second, dealings=_DEALINGS)
        measures = {name: asdict(entry) for name, entry in zip(SHIFTS, judged, strict=True)}
        result.append({"between": [one, other], "measures": measures})
    return result


def _groups(table: pa.Table, alike: Mapping[str, Sequence[str]], usable: Numbers) -> list[dict[str, Any]]:
    """Usable samples whose images are the same bytes or look alike, joined through one another."""
    ids, splits, digests = (
        table[name].filter(pa.array(usable)).to_pylist() for name in ("id", "split", "image_sha256")
    )
    split_of = dict(zip(ids, splits, strict=True))
    first_of: dict[str, str] = {}
    leader = {name: name for name in ids}
    twins = ((name, first_of.setdefault(digest, name)) for name, digest in zip(ids, digests, strict=True) if digest)
    for one, other in chain(((name, other) for name, others in alike.items() for other in others), twins):
        if one in leader and other in leader:
            low, high = sorted((_leader(leader, one), _leader(leader, other)))
            leader[high] = low
    members: dict[str, list[str]] = {}
    for name in sorted(leader):
        members.setdefault(_leader(leader, name), []).append(name)
    groups = [names for names in members.values() if len(names) > 1]
    return [
        {"splits": sorted({str(split_of[name]) for name in names}), "samples": {name: split_of[name] for name in names}}
        for names in groups
    ]


def _leader(leader: dict[str, str], name: str) -> str:
    while leader[name] != name:
        leader[name] = leader[leader[name]]
        name = leader[name]
    return name


def _spread(values: Numbers, count: Numbers | None = None) -> dict[str, float] | None:
    """`QUANTILES` of values that occur `count` times each; None where there are none."""
    if not len(values):
        return None
    found = np.quantile(values, list(QUANTILES.values()), weights=count, method="inverted_cdf")
    return dict(zip(QUANTILES, found.astype(float).tolist(), strict=True))


def _share(part: float, whole: float) -> float | None:
    return float(part) / float(whole) if whole else None


def _or_none(value: float) -> float | None:
    return None if isnan(value) else value


def _rounded(content: Any) -> Any:
    """Floats to the digits that mean something, and that no processor's order of summing changes."""
    if isinstance(content, float):
        rounded = float(f"{content:.{_DIGITS}g}")
        return int(rounded) if rounded.is_integer() else rounded
    if isinstance(content, Mapping):
        return {name: _rounded(value) for name, value in content.items()}
    if isinstance(content, str) or not isinstance(content, Iterable):
        return content
    return [_rounded(value) for value in content]
