"""What no dataset's file may change by accident, and the table that tells people of it."""

import importlib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from segline import config, datasets
from segline.config import Options
from segline.data.images.split import assign, digest
from segline.datasets.base import Dataset
from segline.errors import ConfigError

ROOT = Path(__file__).parents[2]
MODULES = {name: importlib.import_module(f"segline.datasets.{name}") for name in config.dataset_names()}
PUBLIC = {name: module.DATASET for name, module in MODULES.items() if hasattr(module, "DATASET")}
"""The datasets that have a publisher; the user's own are described elsewhere."""

# (dataset, task) -> digest of its label map and protocol. Who changes one gives the protocol another version.
TASKS = {
    ("camvid", "semantics"): ("2352506c42c65366", "camvid-11/1"),
    ("cityscapes", "semantics"): ("b6df76be2bc4ec07", "cityscapes-pixel/1"),
    ("kitti", "road"): ("71b4059daee8586a", "kitti-semantics-road/1"),
    ("kitti", "semantics"): ("b6df76be2bc4ec07", "kitti-semantics/1"),
    ("kitti_road", "road"): ("23145828bc8b96c0", "kitti-road-perspective/1"),
    ("oxford_pets", "semantics"): ("2eae753217fe15bd", "oxford-pets-trimap/1"),
}

DOCUMENT = (ROOT / "docs" / "datasets.md").read_text("utf-8")
PUBLISHED = re.findall(r"^- `(\w+)`, `(\w+)`, (.*): `([0-9a-f]{16})`$", DOCUMENT, flags=re.MULTILINE)
"""(dataset, split, of which samples, digest of which sample is where), as the document says."""


def tasks(dataset: Dataset) -> list[str]:
    return [dataset.task, *dataset.tasks]


def splits(dataset: Dataset) -> list[str]:
    return [dataset.split, *dataset.splits]


SPLITS = {(name, split) for name, dataset in PUBLIC.items() for split in splits(dataset)}


def touch(root: Path, paths: Iterable[str]) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def whole_kitti(root: Path) -> Path:
    folders = ("image_2", "semantic")
    return touch(root, (f"kitti/training/{folder}/{frame:06d}_10.png" for folder in folders for frame in range(200)))


def whole_kitti_road(root: Path) -> Path:
    names = [(kind, number) for kind, count in (("um", 95), ("umm", 96), ("uu", 98)) for number in range(count)]
    training = "kitti_road/data_road/training"
    touch(root, (f"{training}/image_2/{kind}_{number:06d}.png" for kind, number in names))
    return touch(root, (f"{training}/gt_image_2/{kind}_road_{number:06d}.png" for kind, number in names))


WHOLE = {"kitti": whole_kitti, "kitti_road": whole_kitti_road}
"""Datasets whose file names are known without having them."""


def _line(name: str, task: str) -> str:
    dataset = datasets.load(name, Options(task=task))
    return f'    ("{name}", "{task}"): ("{dataset.label_map.digest}", "{dataset.protocol}"),'


def test_every_public_dataset_is_pinned_here():
    known = {(name, task) for name, dataset in PUBLIC.items() for task in tasks(dataset)}
    lines = [_line(name, task) for name, task in sorted(known - set(TASKS))]
    assert set(TASKS) == known, "put into TASKS above:\n" + "\n".join(lines)
    assert {(name, split) for name, split, of, _ in PUBLISHED if of == "the drawn sample"} == SPLITS


def test_every_file_is_a_dataset():
    assert all(hasattr(module, "DATASET") or hasattr(module, "define") for module in MODULES.values())


@pytest.mark.parametrize(("name", "task"), TASKS)
def test_ids_names_and_their_order_are_what_scores_were_made_with(name, task):
    dataset = datasets.load(name, Options(task=task))
    assert (dataset.label_map.digest, dataset.protocol) == TASKS[name, task]
    assert dataset.model == (name if task == PUBLIC[name].task else f"{name}-{task}")


@pytest.mark.parametrize(("name", "split", "of", "published"), PUBLISHED)
def test_splits_are_the_published_ones(name, split, of, published, request, tmp_path):
    if of == "the drawn sample":
        raw = request.getfixturevalue("raw")
    elif of.startswith("all"):
        raw = WHOLE[name](tmp_path)
    else:
        raw = request.getfixturevalue("real")
    pairs = datasets.load(name, Options(split=split)).pairs(raw / name)
    found = assign(pairs, validation_share=0.2)
    assert digest(found) == published
    assert set(found.values()) == {"train", "validation", "test"}
    of_group = {pair.group: {found[other.id] for other in pairs if other.group == pair.group} for pair in pairs}
    assert all(len(sides) == 1 for group, sides in of_group.items() if group)


def test_a_split_of_another_name_has_another_protocol():
    assert datasets.load("kitti", Options(split="last_30")).protocol == "kitti-semantics/1+last_30"
    both = datasets.load("kitti", Options(task="road", split="last_30"))
    assert both.protocol == "kitti-semantics-road/1+last_30"
    assert datasets.load("oxford_pets", Options(split="shuffled_1337")).protocol == "oxford-pets-trimap/1+shuffled_1337"


def test_what_a_dataset_does_not_have_is_answered_with_what_it_has():
    with pytest.raises(ConfigError, match=r"options\.kitti\.split.*'last_20'.*'last_30'\?.*one of: blocks, last_30"):
        datasets.load("kitti", Options(split="last_20"))
    with pytest.raises(ConfigError, match=r"options\.camvid\.task.*one of: semantics"):
        datasets.load("camvid", Options(task="road"))


# --- for people ---


def table(text: str) -> dict[str, list[str]]:
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in text.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in rows}


def test_the_table_lists_the_datasets_that_exist_and_what_they_have():
    rows = table(DOCUMENT)
    assert set(rows) == set(PUBLIC)
    for name, (classes, split_cells, protocols, _, terms) in rows.items():
        dataset = PUBLIC[name]
        maps = {task: len(datasets.load(name, Options(task=task)).label_map) for task in tasks(dataset)}
        assert classes == ", ".join(f"`{task}` ({count})" for task, count in maps.items())
        assert re.findall(r"`(\w+)`", split_cells) == splits(dataset)
        assert protocols == ", ".join(f"`{TASKS[name, task][1]}`" for task in tasks(dataset))
        assert terms


def test_params_have_an_entry_for_each_and_a_comment_for_what_can_be_chosen():
    params = config.load(ROOT / "params.yaml")
    assert set(params.options) >= set(PUBLIC)
    assert set(params.promotion.floor) >= set(PUBLIC)
    text = (ROOT / "params.yaml").read_text("utf-8")
    for name, dataset in PUBLIC.items():
        line = next(line for line in text.splitlines() if line.startswith(f"  {name}: {{"))
        assert all(task in line for task in dataset.tasks)
        assert all(split in line for split in dataset.splits)


def test_the_dataset_that_the_architecture_page_shows_works(tmp_path):
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    namespace: dict[str, object] = {}
    exec(compile(code, "penn_fudan.py", "exec"), namespace)
    dataset = namespace["DATASET"]
    assert isinstance(dataset, Dataset)
    for campus, count in (("FudanPed", 74), ("PennPed", 96)):
        for number in range(1, count + 1):
            for path in (f"PNGImages/{campus}{number:05d}.png", f"PedMasks/{campus}{number:05d}_mask.png"):
                (tmp_path / "PennFudanPed" / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / "PennFudanPed" / path).touch()
    pairs = dataset.pairs(tmp_path)
    assert all(pair.image and pair.mask for pair in pairs)
    (row,) = table(text).items()
    counts = Counter(pair.split for pair in pairs)
    assert row[0] == dataset.name
    assert row[1][0] == f"`{dataset.task}` ({len(dataset.label_map)})"
    assert row[1][1] == f"`{dataset.split}` ({counts[None]} / {counts['test']})"
    assert row[1][2] == f"`{dataset.protocol}`"
