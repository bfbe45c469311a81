"""Archives of drawn streets, in the official layouts of KITTI semantics, KITTI road, Cityscapes and CamVid."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from segline.core.labels import Image, LabelMap, Mask
from segline.datasets.base import Member
from segline.datasets.drawing.canvas import IDS, VOID_IDS, Canvas, Lens
from segline.datasets.drawing.packing import NOTE, png, zip_archive
from segline.datasets.drawing.street import Street, build, photograph
from segline.datasets.street_labels import LABEL_MAP

_KITTI_LENSES = tuple(
    Lens(width=width, height=height, focal=0.58 * width, horizon=0.46 * height, eye=1.65)
    for width, height in ((424, 130), (423, 131), (418, 129), (417, 129))
)
"""KITTI's four image sizes, a third as wide and as high."""
_STEP = 6.0  # metres between two frames of a drive

_CITIES = {
    "train": {"aachen": 9, "bochum": 9, "zurich": 9, "stuttgart": 9, "ulm": 6, "weimar": 6},
    "val": {"frankfurt": 7, "lindau": 6, "munster": 7},
    "test": {"berlin": 4},
}
"""Official split -> city -> number of images."""

_MAGENTA, _RED, _BLACK = (255, 0, 255), (255, 0, 0), (0, 0, 0)

_SEQUENCES = (
    ("train", "0001TP_{:06d}", range(6690, 6930, 30), 0),
    ("train", "0006R0_f{:05d}", range(930, 1230, 30), 1),
    ("train", "0016E5_{:05d}", range(390, 930, 30), 2),
    ("val", "0016E5_{:05d}", range(7959, 7983, 2), 2),
    ("test", "0001TP_{:06d}", range(6930, 7170, 30), 0),
    ("test", "Seq05VD_f{:05d}", range(0, 480, 30), 3),
)
"""CamVid's sequences, shortened: list, file name, numbers of the frames, and number of the street."""
_CAMVID_MEMBERS = {
    "building": ("building", "wall"),
    "pavement": ("sidewalk", "parking"),
    "tree": ("vegetation", "terrain"),
    "sign": ("traffic light", "traffic sign"),
    "pedestrian": ("person",),
    "bicyclist": ("rider", "bicycle"),
}
"""CamVid's class -> the labels of Cityscapes that it has; a class that is not here has the same name in both."""


def _list_colours() -> npt.NDArray[np.uint8]:
    """List the official colours by raw id, (256, 3)."""
    table = np.zeros((256, 3), np.uint8)
    for item in LABEL_MAP.classes:
        table[item.raw] = item.colour
    table[VOID_IDS["dynamic"]] = (111, 74, 0)
    table[VOID_IDS["ground"]] = (81, 0, 81)
    table[VOID_IDS["parking"]] = (250, 170, 160)
    return table


_COLOURS = _list_colours()


def kitti(seed: int, *, drives: Sequence[int]) -> Iterator[Member]:
    """Draw the archive of KITTI semantics: every second frame, one street for each drive.

    Args:
        drives: the first frame of each drive, and the number of frames.
    """
    yield "data_semantics.zip", zip_archive(_draw_kitti(seed, drives))


def _draw_kitti(seed: int, drives: Sequence[int]) -> Iterator[Member]:
    for number, (first, after) in enumerate(itertools.pairwise(drives)):
        frames = [frame for frame in range(first, after) if frame % 2 == 0]
        for frame, canvas in zip(frames, _drive(seed, 1, number, len(frames)), strict=True):
            name, labels = f"{frame:06d}_10.png", canvas.labels()
            number_within = np.where(canvas.identity >= 1000, canvas.identity % 1000 + 1, 0).astype(np.uint16)
            yield f"training/image_2/{name}", png(canvas.image)
            yield f"training/semantic/{name}", png(labels)
            yield f"training/semantic_rgb/{name}", png(_COLOURS[labels])
            yield f"training/instance/{name}", png(labels.astype(np.uint16) * np.uint16(256) + number_within)
    for frame, canvas in enumerate(_drive(seed, 1, len(drives) - 1, 4)):
        yield f"testing/image_2/{frame:06d}_10.png", png(canvas.image)


def _drive(seed: int, dataset: int, number: int, count: int) -> Iterator[Canvas]:
    """Photograph `count` frames along one street, all with the same camera."""
    rng = np.random.default_rng([seed, dataset, number])
    street = build(rng, length=_STEP * count)
    for place in range(count):
        yield photograph(street, _KITTI_LENSES[number % len(_KITTI_LENSES)], rng, z=place * _STEP)


def kitti_road(seed: int, *, blocks: Mapping[str, Sequence[int]]) -> Iterator[Member]:
    """Draw the archive of KITTI road: every fourth image, one street for each five of them.

    Args:
        blocks: kind of road -> the first number of each block, and the number of images.
    """
    yield "data_road.zip", zip_archive(_draw_kitti_road(seed, blocks))


def _draw_kitti_road(seed: int, blocks: Mapping[str, Sequence[int]]) -> Iterator[Member]:
    for place, (kind, firsts) in enumerate(blocks.items()):
        for first, after in itertools.pairwise(firsts):
            numbers = range(first, after, 4)
            for part in range(0, len(numbers), 5):
                yield from _draw_road_drive(seed, 100 * place + first + part, kind, numbers[part : part + 5])
        yield from _draw_road_drive(seed, 100 * place + 99, kind, range(2), labelled=False)


def _draw_road_drive(seed: int, street: int, kind: str, numbers: range, *, labelled: bool = True) -> Iterator[Member]:
    folder = "data_road/training" if labelled else "data_road/testing"
    for number, canvas in zip(numbers, _drive(seed, 4, street, len(numbers)), strict=True):
        name, labels = f"{number:06d}", canvas.labels()
        yield f"{folder}/image_2/{kind}_{name}.png", png(canvas.image)
        yield f"{folder}/calib/{kind}_{name}.txt", _write_calibration(_KITTI_LENSES[street % len(_KITTI_LENSES)])
        if labelled:
            yield f"{folder}/gt_image_2/{kind}_road_{name}.png", png(_colour_road(labels))
        if labelled and kind == "um":
            yield f"{folder}/gt_image_2/um_lane_{name}.png", png(_colour_road(labels, lane=True))


def _colour_road(labels: Mask, *, lane: bool = False) -> Image:
    """Colour the road magenta (with `lane`: its right half), void black and everything else red."""
    road = labels == IDS["road"]
    if lane:
        road &= np.cumsum(road, axis=1) * 2 > road.sum(axis=1, keepdims=True)
    truth = np.where(road[..., None], np.array(_MAGENTA), np.array(_RED))
    truth[np.isin(labels, list(VOID_IDS.values()))] = _BLACK
    return truth.astype(np.uint8)


def _write_calibration(lens: Lens) -> bytes:
    """Write the camera's projection as in KITTI's files: rows of a 3x4 matrix."""
    matrix = (lens.focal, 0, lens.width / 2, 0, 0, lens.focal, lens.horizon, 0, 0, 0, 1, 0)
    row = " ".join(f"{value:.6e}" for value in matrix)
    return "".join(f"P{camera}: {row}\n" for camera in range(4)).encode()


def cityscapes(seed: int) -> Iterator[Member]:
    """Draw the two archives of Cityscapes, images and fine annotations: one street for each image."""
    images: list[Member] = [("README", NOTE), ("license.txt", NOTE)]
    labels: list[Member] = [("README", NOTE), ("license.txt", NOTE)]
    lens = Lens(width=256, height=128, focal=184.0, horizon=54.0, eye=1.3, bonnet=True)
    shots = [
        (split, city, shot) for split, cities in _CITIES.items() for city in cities for shot in range(cities[city])
    ]
    for place, (split, city, shot) in enumerate(shots):
        rng = np.random.default_rng([seed, 2, place])
        frame = 19 if split == "train" else int(rng.integers(100, 30_000))
        canvas = photograph(build(rng, length=20.0), lens, rng, z=float(rng.uniform(0, 20)))
        name = f"{city}_{shot:06d}_{frame:06d}"
        images.append((f"leftImg8bit/{split}/{city}/{name}_leftImg8bit.png", png(canvas.image)))
        labels += [(f"gtFine/{split}/{city}/{name}_gtFine_{end}", data) for end, data in _annotate(canvas, split)]
    yield "leftImg8bit_trainvaltest.zip", zip_archive(images)
    yield "gtFine_trainvaltest.zip", zip_archive(labels)


def _annotate(canvas: Canvas, split: str) -> Iterator[Member]:
    """Yield the four official files; those of ``test`` label only the own car and the border of the image."""
    identity, objects = canvas.identity, canvas.objects()
    if split == "test":
        public = ("ego vehicle", "out of roi")
        identity = np.where(np.isin(identity, [VOID_IDS[name] for name in public]), identity, 0).astype(np.uint16)
        objects = [item for item in objects if item[0] in public]
    height, width = identity.shape
    labels = np.where(identity >= 1000, identity // 1000, identity).astype(np.uint8)
    polygons = {
        "imgHeight": height,
        "imgWidth": width,
        "objects": [{"label": label, "polygon": polygon} for label, polygon in objects],
    }
    yield "color.png", png(_COLOURS[labels])
    yield "instanceIds.png", png(identity)
    yield "labelIds.png", png(labels)
    yield "polygons.json", json.dumps(polygons).encode()


def camvid(seed: int, *, top: str, label_map: LabelMap) -> Iterator[Member]:
    """Draw SegNet's repository as its host packs it: one folder `top` with the folder ``CamVid`` in it."""
    others = ("README.md", "Models/segnet_train.prototxt", "Scripts/test_segmentation_camvid.py")
    members = [(f"{top}/{name}", NOTE) for name in others]
    members += [(f"{top}/CamVid/{name}", data) for name, data in _draw_camvid(seed, label_map)]
    yield f"{top}.zip", zip_archive(members)


def _draw_camvid(seed: int, label_map: LabelMap) -> Iterator[Member]:
    lists: dict[str, list[str]] = {}
    streets: dict[int, tuple[Street, np.random.Generator, float]] = {}
    table = _map_to_camvid(label_map)
    lens = Lens(width=192, height=144, focal=150.0, horizon=62.0, eye=1.4)
    for split, pattern, numbers, place in _SEQUENCES:
        for number in numbers:
            if place not in streets:
                rng = np.random.default_rng([seed, 5, place])
                streets[place] = build(rng, length=400.0), rng, 0.0
            street, rng, z = streets[place]
            canvas = photograph(street, lens, rng, z=z)
            streets[place] = street, rng, z + numbers.step / 5
            name = pattern.format(number) + ".png"
            yield f"{split}/{name}", png(canvas.image)
            yield f"{split}annot/{name}", png(table[canvas.labels()])
            lists.setdefault(split, []).append(f"/SegNet/CamVid/{split}/{name} /SegNet/CamVid/{split}annot/{name}\n")
    for split, lines in lists.items():
        yield f"{split}.txt", "".join(lines).encode()


def _map_to_camvid(label_map: LabelMap) -> npt.NDArray[np.uint8]:
    """Map raw Cityscapes ids to raw CamVid ids, (256,)."""
    table = np.full(256, label_map.void[0], np.uint8)
    for item in label_map.classes:
        for name in _CAMVID_MEMBERS.get(item.name, (item.name,)):
            table[IDS[name]] = item.raw
    return table
