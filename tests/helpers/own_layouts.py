"""The drawn dataset in further layouts that tools and competitions write; each function draws one."""

import csv
import json

import numpy as np
from drawing import COLOURS, HEIGHT, NAMES, WIDTH, as_palette, boxes, samples, save

COUNT = 10
SPLITS = ("train", "train", "train", "val", "test")


def split_of(number):
    return SPLITS[number % len(SPLITS)]


def draw_siblings(root, image="{split}", mask="{split}annot"):
    """CamVid: `train/` beside `trainannot/`, with equal names in all splits."""
    for number, (_, picture, ids) in enumerate(samples(COUNT)):
        name, split = f"{number // 5}{number % 5 if split_of(number) == 'train' else 0}", split_of(number)
        save(root / image.format(split=split) / f"{name}.png", picture)
        save(root / mask.format(split=split) / f"{name}.png", ids)
    return root


def draw_voc(root):
    """Pascal VOC as labelme2voc writes it, with its visualisations and masks of instances."""
    for name, picture, ids in samples(COUNT):
        save(root / f"JPEGImages/{name}.jpg", picture, quality=95)
        save(root / f"SegmentationClass/{name}.png", as_palette(ids))
        save(root / f"SegmentationObject/{name}.png", as_palette(np.where(ids > 0, 3 - ids, 0).astype(np.uint8)))
        for view in ("SegmentationClassVisualization", "SegmentationObjectVisualization"):
            save(root / f"{view}/{name}.jpg", picture, quality=50)
    (root / "class_names.txt").write_text("\n".join(NAMES) + "\n")
    return root


def draw_cvat(root):
    """CVAT's `Segmentation mask 1.1`: colours, labelmap.txt, and masks of instances."""
    for name, picture, ids in samples(COUNT):
        save(root / f"JPEGImages/{name}.jpg", picture, quality=95)
        coloured = np.array([COLOURS[place] for place in range(3)], np.uint8)[ids]
        save(root / f"SegmentationClass/{name}.png", coloured)
        save(root / f"SegmentationObject/{name}.png", coloured[..., ::-1].copy())
    lines = [f"{name}:{','.join(map(str, COLOURS[place]))}::" for place, name in enumerate(NAMES)]
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "\n".join(lines) + "\n")
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "default.txt").write_text("\n".join(name for name, _, _ in samples(COUNT)) + "\n")
    return root


def draw_coco_splits(root, file="{split}/_annotations.coco.json", image="{split}/{name}.jpg"):
    """COCO as Roboflow writes it: a file in each split's folder, and image names that repeat in other splits."""
    contents = {}
    for number, (_, picture, ids) in enumerate(samples(COUNT)):
        split = split_of(number)
        content = contents.setdefault(
            split,
            {"images": [], "annotations": [], "categories": [{"id": 1, "name": "road"}, {"id": 2, "name": "car"}]},
        )
        name = f"{len(content['images'])}"
        save(root / image.format(split=split, name=name), picture, quality=95)
        content["images"].append({"id": number, "file_name": f"{name}.jpg", "height": HEIGHT, "width": WIDTH})
        for place, (_, left, top, right, bottom) in enumerate(boxes(ids), start=1):
            outline = [left, top, right, top, right, bottom, left, bottom]
            content["annotations"].append(
                {"id": 2 * number + place, "image_id": number, "category_id": place, "segmentation": [outline],
                 "bbox": [left, top, right - left, bottom - top], "area": (right - left) * (bottom - top), "iscrowd": 0}
            )  # fmt: skip
    for split, content in contents.items():
        path = root / file.format(split=split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return root


def draw_yolo(root, image="{split}/images/{name}.jpg", text="{split}/labels/{name}.txt"):
    """YOLO as Roboflow writes it; the car is written before the road that it lies on."""
    for number, (name, picture, ids) in enumerate(samples(COUNT)):
        save(root / image.format(split=split_of(number), name=name), picture, quality=95)
        lines = []
        for place, (_, left, top, right, bottom) in reversed(list(enumerate(boxes(ids)))):
            corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
            lines.append(" ".join([str(place), *(f"{x / WIDTH:.8f} {y / HEIGHT:.8f}" for x, y in corners)]))
        path = root / text.format(split=split_of(number), name=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    (root / "README.txt").write_text("Made by the tests.\n")
    (root / "data.yaml").write_text("train: ../train/images\nval: ../val/images\nnc: 2\nnames: ['road', 'car']\n")
    return root


def runs_of(area, order="columns"):
    """Kaggle's run lengths: starts from 1, and lengths."""
    flat = area.T.ravel() if order == "columns" else area.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(int), [0]])))
    return " ".join(f"{start + 1} {end - start}" for start, end in zip(edges[::2], edges[1::2], strict=True))


def draw_run_lengths(root, *, order="columns", header=("ImageId", "ClassId", "EncodedPixels"), square=False):
    """Kaggle: a row for each image and class."""
    rows = []
    for name, picture, ids in samples(COUNT):
        picture, ids = (picture[:, :HEIGHT], ids[:, :HEIGHT]) if square else (picture, ids)
        save(root / f"train_images/{name}.jpg", np.ascontiguousarray(picture), quality=95)
        for place in (1, 2):
            cells = [f"{name}.jpg", str(place), runs_of(ids == place, order)]
            rows.append(cells if len(header) == 3 else [f"{cells[0]}_{cells[1]}", cells[2]])
    with (root / "train.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([header, *rows])
    (root / "sample_submission.csv").write_text("ImageId,EncodedPixels\nx.jpg,1 1\n")
    return root


def draw_layers(root, mask="masks/{label}/{name}.png", image="images/{name}.jpg", save_as=lambda area: area):
    """One mask for each class, black and white; an image without a class has no mask of it."""
    for name, picture, ids in samples(COUNT):
        save(root / image.format(name=name), picture, quality=95)
        for place in (1, 2):
            save(
                root / mask.format(name=name, label=NAMES[place]),
                save_as(np.where(ids == place, 255, 0).astype(np.uint8)),
            )
    return root


def draw_nnunet(root):
    for name, picture, ids in samples(COUNT):
        save(root / f"imagesTr/{name}_0000.png", picture)
        save(root / f"labelsTr/{name}.png", ids)
    labels = {name: place for place, name in enumerate(NAMES)}
    content = {"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": labels, "file_ending": ".png"}
    (root / "dataset.json").write_text(json.dumps(content))
    return root
