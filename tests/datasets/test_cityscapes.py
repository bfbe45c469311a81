"""Cityscapes: the official label table, and cities that stay together."""

from segline import datasets
from segline.datasets.cityscapes import VALIDATION_CITIES

TRAIN = {
    "aachen": 174, "bochum": 96, "bremen": 316, "cologne": 154, "darmstadt": 85, "dusseldorf": 221, "erfurt": 109,
    "hamburg": 248, "hanover": 196, "jena": 119, "krefeld": 99, "monchengladbach": 94, "strasbourg": 365,
    "stuttgart": 196, "tubingen": 144, "ulm": 95, "weimar": 142, "zurich": 122,
}  # fmt: skip
VAL = {"frankfurt": 267, "lindau": 59, "munster": 174}


def test_the_label_map_is_the_official_table():
    from cityscapesscripts.helpers.labels import labels as official

    label_map = datasets.load("cityscapes").label_map
    scored = sorted((row for row in official if not row.ignoreInEval), key=lambda row: row.trainId)
    assert [row.trainId for row in scored] == list(range(19))
    assert [(item.raw, item.name, item.colour, item.merged) for item in label_map.classes] == [
        (row.id, row.name, row.color, ()) for row in scored
    ]
    assert sorted(label_map.void) == [row.id for row in official if row.ignoreInEval and row.id >= 0]


def test_val_is_the_test_and_validation_is_whole_cities_of_train(tmp_path):
    for split, cities in (("train", TRAIN), ("val", VAL), ("test", ["berlin"])):
        for city in cities:
            for root, ends in (("leftImg8bit", ["leftImg8bit"]), ("gtFine", ["gtFine_labelIds", "gtFine_instanceIds"])):
                folder = tmp_path / root / split / city
                folder.mkdir(parents=True)
                for number in range(2):
                    for end in ends:
                        (folder / f"{city}_{number:06d}_000019_{end}.png").touch()
    pairs = datasets.load("cityscapes").pairs(tmp_path)
    assert all(pair.image and pair.mask and pair.mask.endswith("_labelIds.png") for pair in pairs)
    cities = {split: {pair.group for pair in pairs if pair.split == split} for split in ("train", "validation", "test")}
    assert cities == {"train": set(TRAIN) - VALIDATION_CITIES, "validation": VALIDATION_CITIES, "test": set(VAL)}
    images = {split: sum((TRAIN | VAL)[city] for city in names) for split, names in cities.items()}
    assert images == {"train": 2594, "validation": 381, "test": 500}  # of the whole dataset
