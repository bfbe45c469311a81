import json
import mmap
import pickle
import random

import albumentations as A
import cv2
import numpy as np
import pytest

from segline.core.labels import VOID
from segline.data.batches.augment import Augmenter
from segline.data.batches.loader import Crops, Whole, rare_classes
from segline.data.images import manifest, split
from segline.data.prepare.prepare import _choose_places, prepare
from segline.data.prepare.prepared import PLACES, Prepared
from segline.data.validate.build_manifest import build_manifest
from segline.datasets.base import Dataset, Pair, match
from segline.datasets.oxford_pets import DATASET as PETS
from segline.errors import ConfigError, DataError
from segline.project import Files

SIZES = [(60, 90), (90, 60), (75, 75), (200, 140), (40, 50)]


def pairs(raw):
    found = match(
        ((path.stem, f"images/{path.name}") for path in (raw / "images").iterdir()),
        ((path.stem, f"masks/{path.name}") for path in (raw / "masks").iterdir()),
    )
    of = ("train", "train", "validation", "test")
    return [
        Pair(id=name, image=image, mask=mask, split=of[number % 4], group=f"{of[number % 4]} {number // 8}")
        for number, (name, image, mask) in enumerate(found)
    ]


DATASET = Dataset(
    name="oxford_pets",
    title="drawn",
    terms="none",
    archives=(),
    label_map=PETS.label_map,
    protocol="drawn/1",
    pairs=pairs,
)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    generator = np.random.default_rng(3)
    for number in range(20):
        height, width = SIZES[number % len(SIZES)]
        mask = generator.integers(1, 4, (height // 20, width // 20)).astype(np.uint8)
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
        # The image shows the mask: what happens to one can be checked against the other.
        image = np.stack([mask * 80, mask * 80, mask * 80], axis=-1)
        cv2.imwrite(str(folder / "images" / f"{number:02d}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"{number:02d}.png"), mask)
    return folder


@pytest.fixture(scope="module")
def make(raw, tmp_path_factory):
    def run(*, short_side=48, workers=1):
        folder = tmp_path_factory.mktemp("prepared")
        found = pairs(raw)
        table = build_manifest(
            DATASET, found, raw=raw, splits=split.assign(found, validation_share=0.2), workers=workers
        )
        (folder / "manifest").mkdir()
        manifest.write(table, folder / "manifest" / Files.MANIFEST)
        prepare(
            DATASET,
            raw=raw,
            manifest_folder=folder / "manifest",
            folder=folder / "out",
            short_side=short_side,
            workers=workers,
            report=lambda line: None,
        )
        return folder / "out"

    return run


@pytest.fixture(scope="module")
def prepared(make):
    return Prepared(make())


def test_samples_come_back_scaled_and_labels_native(prepared, raw):
    test = prepared.split("test")
    assert len(test) == 5
    group_of = {pair.id: pair.group for pair in pairs(raw)}
    assert test.groups == [group_of[name] for name in test.ids]
    assert len(set(test.groups)) == 3
    for index, name in enumerate(test.ids):
        native = cv2.imread(str(raw / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(test.label(index), PETS.label_map.encode(native))
        assert test.image(index).shape == (*test.mask(index).shape, 3)
        assert min(test.size(index)) == min(48, *native.shape)
        assert test.image(index).dtype == test.mask(index).dtype == np.uint8


def test_equal_inputs_give_equal_bytes_at_any_number_of_workers(make):
    first, second = make(), make(workers=2)
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir())
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)


def test_batches_name_the_samples_that_are_in_them(prepared):
    """The image shows the mask, and no two samples have the same one."""
    validation, train = prepared.split("validation"), prepared.split("train")
    whole = Whole(validation, batch=2, multiple=32)
    told = []
    for number in range(len(whole)):
        told += whole.ids(number)
        images, _ = whole.batch(number)
        for image, name in zip(images, whole.ids(number), strict=True):
            expected = validation.image(validation.ids.index(name))
            lacking = [(0, padded - own) for padded, own in zip(image.shape, expected.shape, strict=True)]
            np.testing.assert_array_equal(image, np.pad(expected, lacking, mode="edge"))
    assert sorted(told) == validation.ids
    crops = Crops(train, augmenter=_Untouched(), batch=3, seed=5)
    for step in (0, 2, 7):  # the later ones reach over two passes
        images, _ = crops.batch(step)
        assert len(crops.ids(step)) == 3
        for image, name in zip(images, crops.ids(step), strict=True):
            np.testing.assert_array_equal(image, train.image(train.ids.index(name))[:32, :32])


class _Untouched:
    """An augmenter that cuts the upper left corner."""

    crop, specification = (32, 32), {}

    def __call__(self, image, mask, *, seed, centre=None):
        return image[:32, :32], mask[:32, :32]


def test_train_has_no_native_labels(prepared):
    with pytest.raises(ValueError, match="not scored"):
        prepared.split("train").label(0)


def test_data_prepared_otherwise_is_refused(make):
    prepared = Prepared(make(short_side=64))
    prepared.check(DATASET, short_side=64)
    with pytest.raises(ConfigError, match="64"):
        prepared.check(DATASET, short_side=48)


def test_missing_or_foreign_folders_are_named(tmp_path, make):
    with pytest.raises(DataError, match="dvc repro"):
        Prepared(tmp_path)
    folder = make()
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"format": 99}))
    with pytest.raises(DataError, match="format 99"):
        Prepared(folder)


def crops(prepared, *, strength=0.5, seed=1):
    augmenter = Augmenter(crop=(32, 64), strength=strength, mirrored=True)
    return Crops(prepared.split("train"), augmenter=augmenter, batch=4, seed=seed)


def test_a_batch_depends_on_seed_and_step_alone(prepared):
    first, second = crops(prepared), crops(prepared)
    expected = [first.batch(step) for step in range(6)]
    for step in (5, 0, 3):  # in another order, from another loader
        for one, other in zip(second.batch(step), expected[step], strict=True):
            np.testing.assert_array_equal(one, other)
    assert not np.array_equal(crops(prepared, seed=2).batch(0)[0], expected[0][0])
    assert not np.array_equal(expected[0][0], expected[1][0])


def test_every_sample_is_drawn_once_a_pass(prepared):
    loader = crops(prepared)
    total = len(prepared.split("train"))
    assert total == 10
    for number in range(3):
        assert sorted(loader._shuffle(number)) == list(range(total))
    assert list(loader._shuffle(0)) != list(loader._shuffle(1))


def test_a_batch_names_its_samples_in_their_order(prepared):
    class Corner:
        """Cuts without chance, so that a sample can be told from its crop."""

        crop = (32, 32)

        def __call__(self, image, mask, *, seed, centre=None):
            return image[:32, :32], mask[:32, :32]

    split = prepared.split("train")
    loader = Crops(split, augmenter=Corner(), batch=4, seed=3)
    for step in range(6):  # over two passes, of which a batch may hold both
        images, _ = loader.batch(step)
        names = loader.ids(step)
        assert len(names) == 4
        for name, image in zip(names, images, strict=True):
            np.testing.assert_array_equal(image, split.image(split.ids.index(name))[:32, :32])


@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_image_and_mask_stay_together_and_padding_is_void(prepared, strength):
    loader = crops(prepared, strength=strength)
    void = 0
    for step in range(8):
        images, masks = loader.batch(step)
        assert images.shape == (4, 32, 64, 3)
        assert masks.shape == (4, 32, 64)
        assert set(np.unique(masks)) <= {0, 1, 2, VOID}
        void += int((masks == VOID).sum())
        if strength == 0:
            # Only flips, scales and crops: inside regions the image still shows the mask.
            shown = images[..., 0].astype(int)
            labelled = masks != VOID
            near = np.abs(shown - 80 * (masks.astype(int) + 1)) <= 4
            assert near[labelled].mean() > 0.8
    assert void > 0  # 48 pixels of short side never fill 32 x 64 at every scale


def test_the_specification_is_plain_and_says_what_it_does(prepared):
    specification = crops(prepared).augmentation
    assert "HorizontalFlip" in json.dumps(specification)
    plain = Augmenter(crop=(32, 64), strength=0.0, mirrored=False).specification
    assert "HorizontalFlip" not in json.dumps(plain)


def test_whole_images_come_once_each_padded_with_void(prepared):
    validation = prepared.split("validation")
    whole = Whole(validation, batch=2, multiple=32)
    batches = [whole.batch(number) for number in range(len(whole))]
    assert sum(len(images) for images, _ in batches) == len(validation)
    pixels = sum(int((masks != VOID).sum()) for _, masks in batches)
    assert pixels == sum(int((validation.mask(index) != VOID).sum()) for index in range(len(validation)))
    for images, masks in batches:
        assert images.shape == (*masks.shape, 3)
        assert all(side % 32 == 0 for side in masks.shape[1:])


def test_a_split_is_rescaled_from_the_raw_files(make, raw):
    folder = make(short_side=32)
    native = Prepared(folder).split("test")
    larger = native.rescaled(raw=raw, manifest_folder=folder.parent / "manifest", short_side=48)
    assert larger.groups == native.groups
    expected = Prepared(make(short_side=48)).split("test")
    assert (larger.ids, larger.digest, larger.short_side) == (expected.ids, expected.digest, 48)
    for index in range(len(larger)):
        np.testing.assert_array_equal(larger.image(index), expected.image(index))
        np.testing.assert_array_equal(larger.label(index), expected.label(index))


def test_native_size_keeps_every_image_as_it_is(make, raw):
    test = Prepared(make(short_side=None)).split("test")
    assert test.short_side is None
    for index, name in enumerate(test.ids):
        np.testing.assert_array_equal(
            test.image(index), cv2.imread(str(raw / "images" / f"{name}.png"), cv2.IMREAD_COLOR_RGB)
        )
        np.testing.assert_array_equal(test.mask(index), test.label(index))


def test_samples_are_views_of_mapped_files_and_stay_so_when_pickled(prepared):
    split = prepared.split("train")
    again = pickle.loads(pickle.dumps(split))
    assert len(pickle.dumps(split)) < 2000
    assert again.ids == split.ids
    for held in (split, again):
        for view, whole in ((held.image(3), held._images), (held.mask(3), held._masks)):
            assert np.shares_memory(view, whole)
            assert not view.flags.writeable
            assert _root(view).__class__ is mmap.mmap
    np.testing.assert_array_equal(split.image(3), again.image(3))


def _root(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return array


def test_other_data_under_the_same_path_are_refused_by_a_worker(make):
    folder = make()
    pickled = pickle.dumps(Prepared(folder).split("train"))
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"short_side": 64}))
    with pytest.raises(DataError, match="have changed since the training began"):
        pickle.loads(pickled)


def test_places_are_of_their_class_and_spread_over_it(prepared):
    train = prepared.split("train")
    for index in range(len(train)):
        mask, places = train.mask(index).ravel(), train.places(index)
        assert places.shape == (3, PLACES)
        for train_id, found in enumerate(places):
            if (mask == train_id).any():
                assert set(mask[found]) == {train_id}
                assert len(set(found.tolist())) == min(PLACES, np.count_nonzero(mask == train_id))
            else:
                assert set(found) == {-1}
    with pytest.raises(ValueError, match="not trained on"):
        prepared.split("test").places(0)


def test_rare_classes_are_those_below_the_median_of_what_occurs():
    assert rare_classes([50, 0, 10, 30, 5]) == [2, 4]
    assert rare_classes([70, 30]) == [1]
    assert rare_classes([9, 0]) == rare_classes([0, 0]) == []


@pytest.fixture(scope="module")
def speckled():
    """A split with a rare class in a few pixels of each mask, far from where an even crop would be."""

    class Speckled:
        name, pixels = "train", [90_000, 9_000, 100]

        def __init__(self):
            generator = np.random.default_rng(1)
            self.masks = np.zeros((6, 100, 150), np.uint8)
            self.masks[:, :, 75:] = 1
            self.spots = generator.integers((4, 4), (96, 146), (6, 2))
            for mask, (row, column) in zip(self.masks, self.spots, strict=True):
                mask[row - 2 : row + 2, column - 2 : column + 2] = 2

        def __len__(self):
            return 6

        def size(self, index):
            return self.masks[index].shape

        def image(self, index):
            return np.repeat(self.masks[index][..., None], 3, axis=2)

        def mask(self, index):
            return self.masks[index]

        def places(self, index):
            return _choose_places(self.masks[index], 3)

    return Speckled()


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_crops_are_centred_on_rare_classes_as_often_as_asked(speckled, strength):
    augmenter = Augmenter(crop=(32, 32), strength=strength, mirrored=True)
    held = {}
    for share in (0.0, 0.5, 1.0):
        batches = Crops(speckled, augmenter=augmenter, batch=6, seed=1, rare=share)
        masks = np.concatenate([batches.batch(step)[1] for step in range(10)])
        held[share] = np.mean([(mask == 2).any() for mask in masks])
    # A spot of 4 x 4 can vanish only where it is turned out of the picture or scaled away.
    assert held[1.0] > (0.99 if strength == 0 else 0.9)
    assert held[0.0] < 0.35
    assert abs(held[0.5] - (held[0.0] + held[1.0]) / 2) < 0.12


def test_a_centred_crop_is_centred_where_the_border_allows(speckled):
    augmenter = Augmenter(crop=(32, 32), strength=0.0, mirrored=True)
    mask = np.zeros((100, 150), np.uint8)
    mask[48:52, 68:72] = 2
    for seed in range(20):
        _, found = augmenter(np.zeros((100, 150, 3), np.uint8), mask, seed=seed, centre=(50, 70))
        rows, columns = np.nonzero(found == 2)
        assert abs(rows.mean() - 15.5) <= 1.5
        assert abs(columns.mean() - 15.5) <= 1.5
    mask[:] = 0
    mask[:2, :2] = 2
    for seed in range(20):  # in the corner the crop stays inside
        _, found = augmenter(np.zeros((100, 150, 3), np.uint8), mask, seed=seed, centre=(0, 0))
        assert (found == 2).any()
        assert (found != VOID).all()


def test_without_rare_crops_nothing_changes(speckled):
    augmenter = Augmenter(crop=(32, 32), strength=0.5, mirrored=True)
    none, some = (Crops(speckled, augmenter=augmenter, batch=6, seed=1, rare=share) for share in (0.0, 1 / 3))
    same = [np.array_equal(*pair) for pair in zip(none.batch(0)[1], some.batch(0)[1], strict=True)]
    assert same == [True, True, False, True, True, False]


def test_a_logged_specification_builds_the_same_pipeline(prepared):
    augmenter = Augmenter(crop=(32, 64), strength=0.8, mirrored=True)
    specification = json.loads(json.dumps(augmenter.specification))
    again = A.from_dict(specification)
    train = prepared.split("train")
    for seed in range(40):
        image, mask = augmenter(train.image(0), train.mask(0), seed=seed)
        again.set_random_seed(seed)
        result = again(image=train.image(0), mask=train.mask(0))
        np.testing.assert_array_equal(result["image"], image)
        np.testing.assert_array_equal(result["mask"], mask)


def test_draws_come_from_the_seed_alone(prepared):
    augmenter, train = Augmenter(crop=(32, 64), strength=1.0, mirrored=True), prepared.split("train")
    found = []
    for noise in (1, 2):
        random.seed(noise)
        np.random.seed(noise)
        augmenter(train.image(1), train.mask(1), seed=noise)  # nor from what it drew before
        found.append([augmenter(train.image(0), train.mask(0), seed=seed)[0] for seed in range(20)])
    np.testing.assert_array_equal(*found)


def test_every_geometric_transform_fills_masks_with_void():
    for entry in Augmenter(crop=(32, 64), strength=1.0, mirrored=True).specification["transform"]["transforms"]:
        assert entry.get("fill_mask", VOID) == VOID or entry["__class_fullname__"].endswith("RandomCropAround"), entry
