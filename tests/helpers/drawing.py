"""One small dataset, drawn in every form that a user's own data may have."""

import base64
import csv
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

HEIGHT, WIDTH, COUNT = 40, 60, 30
NAMES = ("background", "road", "car")
COLOURS = {0: (0, 0, 0), 1: (128, 64, 128), 2: (0, 0, 142)}
LOOKS = np.array([(60, 110, 60), (150, 150, 150), (190, 40, 40)])


def samples(count=COUNT):
    """(name, image, mask of ids 0..2): a road across, and a car on it, both axis-parallel, on noise."""
    generator = np.random.default_rng(8)
    for number in range(count):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        top, left = generator.integers(5, 20), generator.integers(3, 40)
        mask[top : top + 15] = 1
        mask[top + 4 : top + 10, left : left + 12] = 2
        noise = generator.normal(0, 12, (HEIGHT, WIDTH, 3))
        yield f"s{number:02}", np.clip(LOOKS[mask] + noise, 0, 255).astype(np.uint8), mask


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = array if isinstance(array, Pillow.Image) else Pillow.fromarray(array)
    picture.save(path, **options)


def draw_ids(root, *, image="images/{}.jpg", mask="masks/{}.png", change=lambda mask: mask, count=COUNT):
    """Image and mask files under `root`; `change` is what becomes of a mask of ids 0..2."""
    for name, picture, ids in samples(count):
        save(root / image.format(name), picture, **({"quality": 95} if image.endswith("jpg") else {}))
        save(root / mask.format(name), change(ids))
    return root


def as_palette(mask):
    picture = Pillow.fromarray(mask)
    picture.putpalette([value for place in range(3) for value in COLOURS[place]] + [0] * 759)
    return picture


def as_colours(mask):
    return np.array([COLOURS[place] for place in range(3)], np.uint8)[mask]


def as_binary(mask):
    return np.where(mask > 0, 255, 0).astype(np.uint8)


def boxes(mask):
    """(name, left, top, right, bottom) of road and car; the car lies on the road."""
    found = []
    for place in (1, 2):
        rows, columns = np.nonzero(mask >= place)
        found.append((NAMES[place], *map(int, (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))))
    return found


def draw_coco(root, *, files=("annotations/instances.json",)):
    """One COCO file, or several that share the images in turn; the car comes first in it, the road as RLE."""
    contents = [{"images": [], "annotations": [], "categories": [{"id": 7, "name": "road"}, {"id": 9, "name": "car"}]}
                for _ in files]  # fmt: skip
    for number, (name, picture, mask) in enumerate(samples()):
        save(root / "images" / f"{name}.jpg", picture, quality=95)
        content = contents[number % len(files)]
        content["images"].append({"id": number, "file_name": f"{name}.jpg", "height": HEIGHT, "width": WIDTH})
        _, (_, left, top, right, bottom) = boxes(mask)
        car = [left, top, right, top, right, bottom, left, bottom]
        road = mask >= 1
        flat = road.T.ravel()
        edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(int), [0]])))
        runs = np.diff([0, *edges, flat.size]).tolist()
        content["annotations"] += [
            {"id": 2 * number, "image_id": number, "category_id": 9, "segmentation": [car], "iscrowd": 0},
            {"id": 2 * number + 1, "image_id": number, "category_id": 7, "iscrowd": 1,
             "segmentation": {"size": [HEIGHT, WIDTH], "counts": runs}},
        ]  # fmt: skip
    for file, content in zip(files, contents, strict=True):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(json.dumps(content))
    return root


def draw_labelme(root):
    for name, picture, mask in samples():
        save(root / f"{name}.jpg", picture, quality=95)
        (_, *road), (_, left, top, right, bottom) = boxes(mask)
        stamp = io.BytesIO()
        Pillow.fromarray(np.full((bottom - top, right - left), 255, np.uint8)).save(stamp, "PNG")
        shapes = [
            {"label": "road", "points": [road[:2], road[2:]], "shape_type": "rectangle"},
            {"label": "car", "points": [[left, top], [right, bottom]], "shape_type": "mask",
             "mask": base64.b64encode(stamp.getvalue()).decode()},
        ]  # fmt: skip
        content = {"imagePath": f"{name}.jpg", "imageHeight": HEIGHT, "imageWidth": WIDTH, "shapes": shapes}
        (root / f"{name}.json").write_text(json.dumps(content))
    return root


def draw_csv(root, *, encoding="utf-8-sig", newline="\r\n"):
    """Names that do not meet, so that only the table pairs them; saved as spreadsheets do."""
    draw_ids(root, image="photos/{}.jpg", mask="drawn/of {}.png")
    for path in sorted((root / "drawn").iterdir()):
        path.rename(path.with_name(f"z{path.stem[-2:]}é.png"))
    with (root / "table.csv").open("w", encoding=encoding, newline="") as handle:
        writer = csv.writer(handle, delimiter=";", lineterminator=newline)
        writer.writerow(["Image", "mask", "split", "group"])
        for number in range(COUNT):
            split = ("train", "train", "train", "val", "test")[number // 2 % 5]
            writer.writerow([f"photos\\s{number:02}.jpg", f"drawn/z{number:02}é.png", split, f"pair{number // 2}"])
    return root


def draw_lists(root):
    draw_ids(root, image="JPEGImages/{}.jpg", mask="SegmentationClass/{}.png", change=as_palette)
    names = [f"s{number:02}" for number in range(COUNT)]
    folder = root / "ImageSets" / "Segmentation"
    folder.mkdir(parents=True)
    for split, chosen in (("train", names[:18]), ("val", names[18:24]), ("test", names[24:]), ("trainval", names[:24])):
        (folder / f"{split}.txt").write_text("\n".join(chosen) + "\n")
    (root / "labels.txt").write_text("\n".join(NAMES) + "\n")
    return root


def draw_folders(root):
    """Splits by folder, colours, and a label map as CVAT writes it."""
    for number, (name, picture, mask) in enumerate(samples()):
        split = ("train", "train", "train", "val", "test")[number % 5]
        save(root / split / "images" / f"{name}.png", picture)
        save(root / split / "labels" / f"{name}.png", as_colours(mask))
    lines = ["# label:color_rgb:parts:actions"] + [
        f"{name}:{','.join(map(str, COLOURS[place]))}::" for place, name in enumerate(NAMES)
    ]
    (root / "labelmap.txt").write_text("\n".join(lines) + "\n")
    return root


FORMS = {
    "ids": draw_ids,
    "ids beside": lambda root: draw_ids(root, image="{}.PNG", mask="{}_mask.PNG"),
    "palette and lists": draw_lists,
    "colours and folders": draw_folders,
    "binary": lambda root: draw_ids(root, change=as_binary),
    "COCO": draw_coco,
    "COCO a split": lambda root: draw_coco(root, files=("a/instances_train.json", "a/instances_val.json")),
    "LabelMe": draw_labelme,
    "CSV": draw_csv,
}

if __name__ == "__main__":
    import sys

    for form, draw in FORMS.items():
        draw(Path(sys.argv[1]) / form)
