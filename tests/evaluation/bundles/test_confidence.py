"""Confidences are judged at the labels' native size, with the answers that `evaluate` scores."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from calibrated import calibrate

from segline.core.labels import VOID, label_map
from segline.core.metrics.calibration import compute_abstention, count, count_nothing
from segline.core.metrics.confusion import confusion, mean_iou
from segline.core.metrics.temperature import softmax
from segline.errors import DataError
from segline.evaluation.bundles import confidence as calibration
from segline.evaluation.bundles.evaluate import evaluate, predict_sample
from segline.inference.bundle import Bundle
from segline.inference.predict import logits_of, resized
from segline.pipeline.evaluate import answer
from segline.progress import FlowLines

LABELS = label_map([(1, "ground", (200, 0, 0)), (2, "thing", (0, 200, 0)), (3, "sky", (0, 0, 200))])
BINARY = label_map([(0, "ground", (0, 0, 0)), (1, "thing", (250, 0, 0))])
SURE = 40.0  # an image's mean red, green or blue over the others; the network is too sure of it


class Split:
    """Images whose red, green and blue say the class, and noisily; native labels are of twice their size."""

    dataset, protocol, short_side, extra_scores = "drawn", "drawn/1", 20, ()

    def __init__(self, name="test", *, count=4, seed=0, labels=LABELS, void=False):
        generator = np.random.default_rng(seed)
        self.name, self.digest, self.label_map = name, f"{name} {seed}", labels.digest
        self.ids, self.groups = [f"{name}_{number}" for number in range(count)], [""] * count
        self._samples = [self._draw(generator, number, len(labels)) for number in range(count)]
        if void:
            self._samples = [(image, np.full_like(label, VOID)) for image, label in self._samples]

    @staticmethod
    def _draw(generator, number, classes):
        label = generator.integers(0, classes, (10, 13 + number)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
        image = 100 + SURE * np.eye(3)[label[::2, ::2]] + generator.normal(0, 30, (20, 2 * (13 + number), 3))
        label[:3] = VOID
        return np.clip(image, 0, 255).astype(np.uint8), label

    def __len__(self):
        return len(self.ids)

    def image(self, index):
        return self._samples[index][0]

    def label(self, index):
        return self._samples[index][1]


def bundle_of(labels, *, sharpness=0.2, **options):
    image = keras.Input((None, None, 3))
    head = keras.layers.Conv2D(len(labels), 1)
    network = keras.Model(image, head(image))
    kernel = sharpness * np.eye(3)[:, : len(labels)]
    head.set_weights([kernel.reshape(1, 1, 3, -1), np.zeros(len(labels))])
    return Bundle(network=network, dataset="drawn", family="unet", labels=labels, short_side=20, stride=4, **options)


@pytest.fixture(scope="module")
def bundle():
    return bundle_of(LABELS)


def quiet(*_):
    pass


def fitted_elsewhere(temperature):
    return calibration.Fitted(temperature=temperature, split="validation", digest="elsewhere")


def judged(bundle, split, temperature=None):
    fitted = fitted_elsewhere(temperature) if temperature else None
    return calibrate(bundle, split, fitted=fitted, progress=quiet)


def test_a_temperature_fitted_on_validation_mends_an_overconfident_network_on_test(bundle):
    told = []
    fitted = calibration.fit(bundle, Split("validation", seed=1), progress=lambda *done: told.append(done))
    assert told == [(1,)] * 4
    assert (fitted.split, fitted.digest) == ("validation", "validation 1")
    assert fitted.temperature > 1.5
    found = calibrate(bundle, Split(), fitted=fitted, progress=quiet)
    assert found.before.overall.ece > 0.1
    assert found.after.overall.ece < 0.5 * found.before.overall.ece
    assert found.after.log_loss < found.before.log_loss
    assert found.after.temperature == fitted.temperature
    assert f"temperature {fitted.temperature:.2f} that was fitted on validation" in found.statement
    json.dumps(found.as_json(), allow_nan=False)


def test_the_temperature_of_a_bundle_is_used_and_not_fitted_anew(bundle):
    """Except where it was fitted on the very split that is scored."""

    def answered(fitted):
        asked = []
        network = replace(bundle, temperature=fitted)

        def splits(name):
            asked.append(name)
            return Split(name, seed=1)

        _, found = answer(network, Split(), splits, progress=FlowLines(quiet))
        return found.after.temperature, asked

    assert answered(fitted_elsewhere(2.5)) == (2.5, [])
    own = calibration.fit(bundle, Split("validation", seed=1), progress=quiet).temperature
    assert answered(None) == (own, ["validation"])
    assert answered(replace(fitted_elsewhere(2.5), digest=Split().digest)) == (own, ["validation"])


def test_the_same_pixels_are_drawn_again_and_few_are_enough(bundle, monkeypatch):
    split = Split("validation", seed=1)
    whole = calibration.fit(bundle, split, progress=quiet)
    monkeypatch.setattr(calibration, "PIXELS", 4000)
    few = calibration.fit(bundle, split, progress=quiet)
    assert few == calibration.fit(bundle, split, progress=quiet)
    assert few != whole
    assert few.temperature == pytest.approx(whole.temperature, rel=0.1)


def test_answers_are_those_of_evaluate_whatever_the_temperature(bundle):
    split = Split()
    evaluation = evaluate(bundle, split, progress=quiet)
    for fitted in (None, 0.3, 5.0):
        found = judged(bundle, split, fitted)
        assert found.abstention.miou_lost_as_0[0] == pytest.approx(evaluation.miou)
        assert found.labelled_pixels == evaluation.counts.sum()
        assert sum(found.before.overall.pixels) == found.labelled_pixels
    assert found.images == len(split)
    assert found.split_digest == split.digest


def test_confidence_is_that_of_logits_at_the_labels_size(bundle):
    split = Split(count=1)
    truth = split.label(0)
    probabilities = softmax(resized(logits_of(bundle, split.image(0)), height=truth.shape[0], width=truth.shape[1]))
    labelled = truth != VOID
    confidence, right = probabilities.max(axis=-1)[labelled], (probabilities.argmax(axis=-1) == truth)[labelled]
    found = judged(bundle, split).before.overall
    inside = (confidence > 13 / 15) & (confidence <= 14 / 15)
    assert found.pixels[13] == inside.sum() > 0
    assert found.confidence[13] == pytest.approx(confidence[inside].mean(dtype=np.float64), abs=1e-6)
    assert found.accuracy[13] == pytest.approx(right[inside].mean())


def test_whoever_answers_half_the_pixels_is_right_more_often(bundle):
    curve = judged(bundle, Split()).abstention
    half = int(np.argmin(np.abs(np.array(curve.answered) - 0.5)))
    assert curve.pixel_accuracy[half] > curve.pixel_accuracy[0] + 0.02
    assert curve.miou_lost_as_0[half] > curve.miou_lost_as_0[0] + 0.02


def test_a_threshold_decides_here_too():
    bundle, split = bundle_of(BINARY, threshold=0.2), Split(labels=BINARY)
    found = judged(bundle, split)
    counts = evaluate(bundle, split, progress=quiet).counts
    assert found.abstention.miou_lost_as_0[0] == pytest.approx(float(mean_iou(counts)))
    plain = judged(replace(bundle, threshold=None), split)
    assert sum(plain.before.overall.pixels[:7]) == 0
    assert sum(found.before.overall.pixels[:7]) > 0  # foreground that is less likely than not


def test_averages_over_mirror_images_are_judged_as_probabilities(bundle):
    mirrored, split = replace(bundle, mirrors=("left_right",)), Split()
    truth, logits = split.label(0), logits_of(mirrored, split.image(0))
    np.testing.assert_allclose(softmax(logits), np.exp(logits), rtol=1e-4)
    found = judged(mirrored, split)
    size = {"height": truth.shape[0], "width": truth.shape[1]}
    first = confusion(truth, resized(logits, **size).argmax(axis=-1).astype(np.uint8), classes=3)
    assert found.abstention.miou_lost_as_0[0] == pytest.approx(evaluate(mirrored, split, progress=quiet).miou)
    assert found.labelled_pixels > first.sum()


def test_what_was_fitted_where_it_is_reported_is_refused(bundle):
    fitted = calibration.fit(bundle, Split(), progress=quiet)
    with pytest.raises(ValueError, match="fitted on test"):
        calibrate(bundle, Split(), fitted=fitted, progress=quiet)
    with pytest.raises(ValueError, match="fitted on test"):  # under another name
        calibration.Judge(bundle, Split(), fitted=replace(fitted, split="validation"))


def test_what_stays_unanswered_is_chosen_by_the_confidences_after_the_temperature(bundle):
    split, temperature = Split(), 5.0
    after = count_nothing(3)
    for index in range(len(split)):
        truth, answer, logits = predict_sample(bundle, split, index)
        after += count(truth, answer, softmax(logits, temperature=temperature))
    found = judged(bundle, split, temperature)
    assert found.abstention == compute_abstention(after)
    assert found.abstention != judged(bundle, split).abstention


def test_splits_that_do_not_fit_or_say_nothing_are_refused(bundle):
    with pytest.raises(DataError, match="no labelled pixel"):
        calibration.fit(bundle, Split("validation", void=True), progress=quiet)
    with pytest.raises(DataError, match="label map"):
        judged(bundle, Split(labels=BINARY))
    assert judged(bundle, Split(void=True)).before.overall.ece is None


def test_a_judge_that_sees_the_pass_of_evaluate_says_what_one_of_its_own_says(bundle):
    split = Split()
    judge = calibration.Judge(bundle, split, fitted=fitted_elsewhere(1.7))
    evaluation = evaluate(bundle, split, progress=quiet, also=judge.see)
    assert judge.judged().as_json() == judged(bundle, split, 1.7).as_json()
    assert evaluation.digest == evaluate(bundle, split, progress=quiet).digest
