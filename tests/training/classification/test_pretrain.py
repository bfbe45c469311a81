"""An encoder learns what whole images show, is scored by exact counts, and is begun with; killed, it goes on."""

import json
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import pytest
from recording_tracker import RecordingTracker
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from synthetic import SIDES

from segline import models
from segline.config import Classification, Loss, ModelConfig, Training
from segline.core.labels import VOID, Image, Mask
from segline.errors import ConfigError, TrainingError
from segline.models import encoders
from segline.training.classification import pretrain
from segline.training.classification.classifier_scores import ClassifierScores
from segline.training.fit.fit import fit
from segline.training.fit.job import Job

NAMES = ("black", "grey", "white")
LEVELS = {"black": 60, "grey": 128, "white": 190}
TRAINING = Training(crop=SIDES, batch=6, steps=4, epochs=9, weight_decay=0.01, warm_up=0.1, dropout=0.1, threads=1)
SETTINGS = Classification(epochs=3, learning_rate=0.005)
ENCODER = "mini_xception"


def label(name: str) -> str:
    return name.split("_")[0]


CLASSES = pretrain.collect_classes("shade", label, ["white_1", "black_1", "grey_7", "black_2"])


class Shades:
    """Noise around a brightness that the sample's name tells; the masks are of another question."""

    def __init__(self, seed: int, sizes: list[tuple[int, int, int]]) -> None:
        self._seed, self._sizes = seed, sizes

    def __len__(self) -> int:
        return len(self._sizes)

    def ids(self, number: int, /) -> list[str]:
        count = self._sizes[number % len(self._sizes)][0]
        rng = np.random.default_rng([self._seed, number])
        return [f"{NAMES[place % 3]}_{number}{place}" for place in rng.permutation(count)]

    def batch(self, number: int, /) -> tuple[Image, Mask]:
        count, height, width = self._sizes[number % len(self._sizes)]
        rng = np.random.default_rng([self._seed, number, 1])
        levels = np.array([LEVELS[label(name)] for name in self.ids(number)])[:, None, None, None]
        images = np.clip(levels + rng.normal(0, 40, (count, height, width, 3)), 0, 255).astype(np.uint8)
        return images, np.full((count, height, width), VOID, np.uint8)


def train() -> Shades:
    return Shades(1, [(6, *SIDES)])


def validation() -> Shades:
    return Shades(2, [(7, 32, 64), (5, 64, 32)])


def run(folder: Path, tracker: RecordingTracker | None = None, **options: object) -> tuple[ClassifierScores, list[str]]:
    lines: list[str] = []
    arguments = {"classes": CLASSES, "train": train(), "validation": validation(), "seed": 4, **options}
    summary = pretrain.pretrain(
        ENCODER,
        TRAINING,
        SETTINGS,
        tracker=tracker or RecordingTracker(artifacts=folder / "artifacts"),
        folder=folder,
        report=lines.append,
        **arguments,  # type: ignore[arg-type]
    )
    return summary, lines


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClassifierScores, RecordingTracker, Path]:
    folder = tmp_path_factory.mktemp("trained")
    tracker = RecordingTracker(artifacts=folder / "artifacts")
    return run(folder, tracker)[0], tracker, folder


def test_classes_are_those_that_occur_in_the_order_of_their_names() -> None:
    assert CLASSES.names == NAMES
    np.testing.assert_array_equal(CLASSES.masks(["white_3", "black_3"]), [[[2]], [[0]]])
    with pytest.raises(ConfigError, match=r"classification\.task: shade, with 1 classes in the data \(white\)"):
        pretrain.collect_classes("shade", label, ["white_1", "white_2"])
    with pytest.raises(ConfigError, match="with 300 classes"):
        pretrain.collect_classes("name", str, [str(number) for number in range(300)])


def test_batches_keep_their_images_and_get_the_classes_of_their_samples() -> None:
    labelled = pretrain.LabelledSplit(validation(), CLASSES)
    assert len(labelled) == 2
    for number in range(2):
        images, truth = labelled.batch(number)
        np.testing.assert_array_equal(images, validation().batch(number)[0])
        assert [NAMES[place] for place in truth[:, 0, 0]] == [label(name) for name in labelled.ids(number)]
        assert truth.dtype == np.uint8


def test_it_learns_and_reports_what_scikit_learn_counts(
    trained: tuple[ClassifierScores, RecordingTracker, Path],
) -> None:
    summary, tracker, folder = trained
    assert summary.accuracy > 0.6
    counts = np.array(summary.confusion)
    truth, answer = (
        np.repeat([row for row, _ in np.ndindex(counts.shape)], counts.ravel()),
        np.repeat([column for _, column in np.ndindex(counts.shape)], counts.ravel()),
    )
    assert len(truth) == summary.images == 12
    assert summary.accuracy == pytest.approx(accuracy_score(truth, answer))
    columns = precision_recall_fscore_support(truth, answer, labels=range(3), zero_division=0)
    for place, name in enumerate(NAMES):
        found = summary.per_class[name].model_dump()
        for key, column in zip(("precision", "recall", "f1", "images"), columns, strict=True):
            assert (found[key] or 0) == pytest.approx(column[place])
    assert summary.macro_f1 == pytest.approx(np.mean(columns[2]))
    assert tracker.metrics[3]["accuracy"] == summary.accuracy
    assert tracker.metrics[3]["top_2_accuracy"] == summary.top_k_accuracy == sum(summary.places[:2]) / 12
    assert summary.places[0] == np.trace(counts)
    assert tracker.metrics[3]["f1/grey"] == summary.per_class["grey"].f1
    assert json.loads((folder / "artifacts" / f"{ENCODER}.json").read_text()) == summary.model_dump(mode="json")
    assert (folder / "artifacts" / f"{ENCODER}.npz").read_bytes() == (folder / f"{ENCODER}.npz").read_bytes()


def test_the_epoch_is_that_of_the_best_jaccard_index_and_the_counts_are_its(
    trained: tuple[ClassifierScores, RecordingTracker, Path],
) -> None:
    summary, tracker, _ = trained
    indices = [tracker.metrics[epoch]["val_miou"] for epoch in (1, 2, 3)]
    assert summary.best_epoch == 1 + int(np.argmax(indices))
    counts = np.array(summary.confusion)[:, :3]
    jaccard = np.diag(counts) / (counts.sum(0) + counts.sum(1) - np.diag(counts))
    assert jaccard.mean() == pytest.approx(max(indices))


def test_segmentation_begins_with_the_trained_encoder_and_its_identity_is_the_files_content(
    trained: tuple[ClassifierScores, RecordingTracker, Path],
    tmp_path: Path,
) -> None:
    weights = trained[2] / f"{ENCODER}.npz"
    wanted = ModelConfig(network="deeplab_v3_plus", classes=3, width=2, encoder=ENCODER, weights=str(weights))
    model = models.build(wanted)
    models.load_encoder(model, wanted)
    with np.load(weights) as content:
        values = dict(content)
    inner = model.get_layer(encoders.NAME)
    assert len(inner.weights) == len(values)
    for layer in inner.layers:
        for place, value in enumerate(layer.weights):
            np.testing.assert_array_equal(value, values[f"{layer.name}/{place}"])

    copy = tmp_path / "copy.npz"
    copy.write_bytes(weights.read_bytes())
    digests = [models.weights_digest(str(weights)), models.weights_digest(str(copy))]
    values[min(values)][:] += 1
    np.savez(copy, **values)
    assert digests[0] == digests[1] != models.weights_digest(str(copy))
    with pytest.raises(ConfigError, match=r"nowhere\.npz: cannot be read"):
        models.weights_digest("nowhere.npz")


def test_a_checkpoint_of_other_first_weights_is_refused(
    trained: tuple[ClassifierScores, RecordingTracker, Path],
) -> None:
    weights = str(trained[2] / f"{ENCODER}.npz")
    with pytest.raises(TrainingError, match=r"another fit \(different: weights\)"):
        fit(
            Job(
                model_config=ModelConfig(
                    network="classifier", classes=3, encoder=ENCODER, weights=weights, dropout=TRAINING.dropout
                ),
                training=TRAINING.model_copy(update={"loss": Loss(dice=0.0)}),
                learning_rate=SETTINGS.learning_rate,
                epochs=SETTINGS.epochs,
                seed=4,
            ),
            train=pretrain.Labelled(train(), CLASSES),
            validation=pretrain.LabelledSplit(validation(), CLASSES),
            tracker=RecordingTracker(),
            checkpoint=trained[2] / f"{ENCODER}.checkpoint.npz",
        )


def test_what_is_done_is_not_done_again(trained: tuple[ClassifierScores, RecordingTracker, Path]) -> None:
    summary, tracker, folder = trained
    again = RecordingTracker(artifacts=folder / "artifacts")
    found, lines = run(folder, again)
    assert found == summary
    assert lines == summary.describe()
    assert list(again.metrics) == [3]
    assert again.metrics[3]["accuracy"] == tracker.metrics[3]["accuracy"]


def test_memory_that_runs_out_is_told_with_its_estimate(tmp_path: Path) -> None:
    class Greedy(Shades):
        def batch(self, number: int, /) -> tuple[Image, Mask]:
            raise MemoryError

    with pytest.raises(TrainingError, match=r"none left for batches of 6 crops .*estimate \d\.\d+ GiB"):
        run(tmp_path, train=Greedy(1, [(6, *SIDES)]))


def test_killed_after_an_epoch_it_ends_with_the_same_weights(
    trained: tuple[ClassifierScores, RecordingTracker, Path],
    tmp_path: Path,
) -> None:
    class Dying(RecordingTracker):
        def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
            if step == 2:
                raise KeyboardInterrupt
            super().log_metrics(metrics, step)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Dying())
    keras.utils.set_random_seed(99)
    summary, lines = run(tmp_path)
    assert lines[0] == "resuming after epoch 1 of 3"
    assert summary == trained[0]
    assert (tmp_path / f"{ENCODER}.npz").read_bytes() == (trained[2] / f"{ENCODER}.npz").read_bytes()
