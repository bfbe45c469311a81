import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from drawn_split import LABELS, Split, bundle
from sklearn.metrics import f1_score, precision_recall_curve

from segline import config, datasets
from segline.core.labels import VOID, label_map
from segline.core.metrics import table
from segline.core.metrics.boundary import boundary_outcomes
from segline.core.metrics.confusion import confusion, mean_iou
from segline.errors import DataError
from segline.evaluation import figures
from segline.evaluation.bundles import evaluate as library
from segline.evaluation.bundles.scored_split import AtTrainingScale
from segline.evaluation.report import evaluation_pictures
from segline.evaluation.summary import summarise
from segline.inference import bundle as bundles
from segline.inference.predict import predict_scaled


@pytest.fixture(scope="module")
def network():
    return bundle()


@pytest.fixture(scope="module")
def evaluation(network):
    done = []
    result = library.evaluate(network, Split(6), progress=done.append)
    assert done == [1] * 6
    return result


def test_counts_are_those_of_native_labels_image_by_image(network, evaluation):
    split = Split(6)
    for index in range(len(split)):
        label = split.label(index)
        mask = predict_scaled(network, split.image(index), height=label.shape[0], width=label.shape[1])
        np.testing.assert_array_equal(evaluation.per_image[index], confusion(label, mask, classes=4))
    labelled = sum(int((split.label(index) != VOID).sum()) for index in range(len(split)))
    assert evaluation.counts.sum() == labelled
    assert evaluation.void_pixels == sum(split.label(index).size for index in range(len(split))) - labelled
    assert 0.5 < evaluation.miou < 0.95


def test_a_score_carries_protocol_digests_and_interval(evaluation):
    content = summarise(evaluation, resamples=200, confidence=0.9, baseline=evaluation.baseline(commonest=1)).as_json()
    assert json.loads(json.dumps(content)) == content
    assert content["miou"] == pytest.approx(float(mean_iou(evaluation.counts)))
    assert content["miou_low"] <= content["miou"] <= content["miou_high"]
    assert (content["protocol"], content["split_digest"], content["label_map_digest"]) == (
        "drawn/1",
        "0123456789abcdef",
        LABELS.digest,
    )
    assert "6 images" in content["caveat"]
    assert content["baseline_miou"] < content["miou"]


def test_pets_report_their_two_foreground_scores(evaluation):
    pets = replace(evaluation, names=LABELS.names[:3], per_image=evaluation.per_image[:, :3, [0, 1, 2, 4]])
    assert pets.counts.sum() == evaluation.counts.sum()  # the class that is left out is nowhere
    assert "foreground_iou_border_rest" not in figures.values(pets)
    pets = replace(pets, extra_scores=("foreground",))
    scores, counts = figures.values(pets), pets.counts
    rest = counts[0, 0] / (counts[0].sum() + counts[1:, 0].sum())
    void = counts[0, 0] / (counts[0].sum() + counts[1, 0])
    assert scores["foreground_iou_border_rest"] == pytest.approx(rest)
    assert scores["foreground_iou_border_void"] == pytest.approx(void)
    assert rest <= void


def test_an_evaluation_survives_its_file(evaluation, tmp_path):
    library.save(evaluation, tmp_path / "evaluation.npz")
    again = library.load(tmp_path / "evaluation.npz")
    assert again.digest == evaluation.digest
    assert again.ids == evaluation.ids
    assert again.names == evaluation.names


def test_an_evaluation_has_the_groups_of_its_split_at_any_scale(network, tmp_path):
    groups = ["north", "", "north", "south", "", "south"]
    split = Split(6, groups=groups)
    for one in (split, AtTrainingScale(split)):
        found = library.evaluate(network, one, progress=lambda *_: None)
        assert found.groups == tuple(groups)
        assert found.interval(resamples=100, confidence=0.9).groups == 4
    library.save(found, tmp_path / "evaluation.npz")
    assert library.load(tmp_path / "evaluation.npz").groups == tuple(groups)


def test_a_split_whose_images_stand_alone_has_none(network, evaluation):
    assert evaluation.groups is None
    apart = Split(6, groups=["a", "b", "c", "", "", "d"])
    assert library.evaluate(network, apart, progress=lambda *_: None).groups is None


def test_one_changed_pixel_changes_the_digest(evaluation):
    changed = evaluation.per_image.copy()
    changed[2, 0, 0] -= 1
    changed[2, 0, 1] += 1
    assert replace(evaluation, per_image=changed).digest != evaluation.digest


def test_a_network_is_scored_on_data_whose_class_was_renamed(network, evaluation):
    """Before, it was refused: "score it on data with its own label map, or train again"."""
    labels = replace(LABELS, classes=(replace(LABELS.classes[0], name="another name"), *LABELS.classes[1:]))
    split = Split(6)
    split.label_map = labels.digest
    found = library.evaluate(bundles.renamed(network, labels), split, progress=lambda *_: None)
    assert found.names == labels.names
    np.testing.assert_array_equal(found.per_image, evaluation.per_image)
    pairs = zip(LABELS.classes, LABELS.names[::-1], strict=True)
    exchanged = label_map([(item.raw, name, item.colour) for item, name in pairs])
    assert bundles.renamed(network, exchanged) is network


def test_another_label_map_or_an_empty_split_is_refused(network):
    other = Split(6)
    other.label_map = "ffff"
    other.dataset = "pets"
    with pytest.raises(DataError, match="ffff") as error:
        library.evaluate(network, other, progress=lambda *_: None)
    assert error.value.place == "pets test split"  # where the label map is that was found
    assert "trained on drawn" in error.value.expected
    other = Split(6)
    other.short_side = 64  # what it would be shown is not what `predict` shows it
    with pytest.raises(DataError, match="short side 64"):
        library.evaluate(network, other, progress=lambda *_: None)
    with pytest.raises(DataError, match="no sample"):
        library.evaluate(network, Split(count=0), progress=lambda *_: None)


def test_a_score_is_of_the_data_and_not_of_what_the_network_was_trained_on(network):
    other = Split(2)
    other.dataset = "another of the same classes"
    assert library.evaluate(network, other, progress=lambda *_: None).dataset == other.dataset


def test_a_split_without_a_labelled_pixel_is_refused(network):
    split = Split(2)
    for index in range(2):
        split.label(index)[:] = VOID
    with pytest.raises(DataError, match="no labelled pixel"):
        library.evaluate(network, split, progress=lambda *_: None)


def test_boundaries_are_counted_image_by_image_where_that_is_asked_for(network, evaluation):
    split = Split(len(evaluation.ids))
    found = library.evaluate(network, split, progress=lambda *_: None, boundary=True)
    assert evaluation.boundary is None
    assert found.digest == evaluation.digest
    for index in range(len(split)):
        label = split.label(index)
        mask = predict_scaled(network, split.image(index), height=label.shape[0], width=label.shape[1])
        expected = boundary_outcomes(label, mask, classes=len(LABELS))
        for row, counts in zip(found.boundary[index], vars(expected).values(), strict=True):
            np.testing.assert_array_equal(row, counts)


ROAD = label_map([(8, "not road", (70, 70, 70)), (7, "road", (128, 64, 128))])


class RoadSplit(Split):
    """Where the drawn class is 0 there is road; brightness says so, with noise."""

    label_map, extra_scores = ROAD.digest, ("road",)

    def __init__(self):
        super().__init__(4)
        noise = np.random.default_rng(2)
        for label, image in zip(self._labels, self._images, strict=True):
            label[:] = np.where(label == VOID, VOID, label == 0)
            image[:] = np.clip(image.astype(int) + noise.integers(-60, 60, image.shape), 0, 255)


class Counting:
    """A network that tells how often it was asked."""

    def __init__(self, network):
        self._network, self.asked = network, 0

    def predict_on_batch(self, batch):
        self.asked += 1
        return self._network.predict_on_batch(batch)


@pytest.fixture(scope="module")
def road_network(network):
    import keras

    image = keras.Input((None, None, 3))
    grey = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer=keras.initializers.Constant(1 / (3 * 255)))
    head = keras.layers.Conv2D(2, 1)
    model = keras.Model(image, head(grey(image)))
    head.set_weights([np.array([[[[6.0, -6.0]]]]), np.array([-1.5, 1.5])])
    return replace(network, network=model, labels=ROAD)


@pytest.mark.parametrize("threshold", [None, 0.8])
def test_a_road_task_has_max_f_of_its_probabilities_without_asking_the_network_again(road_network, threshold):
    split, counting = RoadSplit(), Counting(road_network.network)
    asked = replace(road_network, network=counting, threshold=threshold)
    found = library.evaluate(asked, split, progress=lambda *_: None)
    assert counting.asked == len(split)
    summary = summarise(found, resamples=100, confidence=0.9)
    scores = summary.extra_scores

    truths, probabilities = [], []
    for index in range(len(split)):
        label = split.label(index)
        logits = road_network.network.predict(split.image(index)[None], verbose=0)[0]
        margin = cv2.resize(logits[..., 1] - logits[..., 0], label.shape[::-1], interpolation=cv2.INTER_LINEAR)
        truths.append(label[label != VOID])
        probabilities.append(1 / (1 + np.exp(-margin[label != VOID])))
    truth, confidence = np.concatenate(truths), np.round(255 * np.concatenate(probabilities))
    levels = [f1_score(truth, confidence >= level) for level in range(256)]
    assert scores["max_f_image_space"] == pytest.approx(max(levels), abs=2e-3)
    assert 0.6 < scores["max_f_image_space"] < 0.99
    precision, recall, _ = precision_recall_curve(truth, confidence)
    eleven = [precision[recall >= least].max() for least in np.linspace(0, 1, 11)]
    assert scores["average_precision_image_space"] == pytest.approx(np.mean(eleven), abs=2e-3)


def test_other_tasks_have_no_road_scores(network, evaluation):
    assert evaluation.road is None
    declaring = {
        name: datasets.load(name, config.Options(**options)).extra_scores
        for name, options in (("kitti", {"task": "road"}), ("kitti_road", {}), ("oxford_pets", {}))
    }
    assert declaring == {"kitti": ("road",), "kitti_road": ("road",), "oxford_pets": ("foreground",)}
    assert datasets.load("kitti", config.Options()).extra_scores == ()


def test_every_dataset_declares_scores_that_the_table_knows():
    known = {row.group for row in table.TABLE} - {""}
    for name in config.dataset_names():
        dataset = datasets.load(name, config.Options())
        for one in (dataset, *dataset.tasks.values()):
            assert set(one.extra_scores) <= known, name


def test_pictures_are_drawn_worst_first(network, evaluation, tmp_path):
    import cv2

    evaluation_pictures.confusion_picture(evaluation, tmp_path / "confusion.png")
    assert cv2.imread(str(tmp_path / "confusion.png")).shape[0] > 300
    paths = evaluation_pictures.example_pictures(network, Split(6), evaluation, tmp_path / "examples")
    scores = dict(zip(evaluation.ids, mean_iou(evaluation.per_image), strict=True))
    shown = [scores[path.stem.split("_", 2)[2]] for path in paths]
    assert shown == sorted(shown)
    assert shown[0] == min(scores.values())
    assert all(cv2.imread(str(path)).shape[1] > 4 * 90 for path in paths)


def test_at_the_training_scale_the_masks_of_that_scale_count(network):
    split = Split(6)
    scaled = library.evaluate(network, AtTrainingScale(split), progress=lambda *_: None)
    for index in range(len(split)):
        truth = split.mask(index)
        answer = predict_scaled(network, split.image(index), height=truth.shape[0], width=truth.shape[1])
        np.testing.assert_array_equal(scaled.per_image[index], confusion(truth, answer, classes=4))


@pytest.mark.parametrize(("samples", "worst", "best"), [(6, 2, 2), (3, 2, 1), (1, 1, 0)])
def test_the_extremes_are_the_worst_and_the_best_and_none_is_shown_twice(network, tmp_path, samples, worst, best):
    split = AtTrainingScale(Split(samples))
    evaluation = library.evaluate(network, split, progress=lambda *_: None)
    paths = evaluation_pictures.extreme_pictures(network, split, evaluation, tmp_path, count=2)
    shown = [path.stem.split("_", 2)[2] for path in paths]
    order = [evaluation.ids[index] for index in np.argsort(mean_iou(evaluation.per_image), kind="stable")]
    assert shown == order[:worst] + order[worst:][::-1][:best]
    assert [path.stem.split("_")[0] for path in paths] == ["worst"] * worst + ["best"] * best
    again = evaluation_pictures.extreme_pictures(network, split, evaluation, tmp_path / "again", count=2)
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]


def test_an_image_that_is_all_void_has_no_score_and_is_no_extreme(network, tmp_path):
    split = Split(3)
    split.label(1)[:] = VOID
    evaluation = library.evaluate(network, AtTrainingScale(split), progress=lambda *_: None)
    paths = evaluation_pictures.extreme_pictures(network, AtTrainingScale(split), evaluation, tmp_path, count=2)
    assert sorted(path.stem.split("_", 2)[2] for path in paths) == ["sample <0>", "sample <2>"]
