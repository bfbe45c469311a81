"""The steps of a training, as plain functions on a real registry."""

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from mlflow import MlflowClient

from segline import config
from segline.core.labels import label_map
from segline.errors import ConfigError, TrainingError
from segline.inference.bundle import Bundle
from segline.pipeline import fit, promote, search, train
from segline.pipeline.train import alone
from segline.pipeline.work import Work
from segline.progress import FlowLines
from segline.project import Project, Tags
from segline.registry import versions


def test_the_same_training_twice_at_once_is_refused(tmp_path):
    places = Project(root=tmp_path, tracking_uri="sqlite://", workers=1)
    places.runs.mkdir(parents=True)
    with alone(places, "key"):
        with pytest.raises(TrainingError, match="another process is training"), alone(places, "key"):
            pass
        with alone(places, "other"):
            pass
    with alone(places, "key"):
        pass


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """`judge` on a real registry; only the two scores, whose reading and re-scoring have their own tests, are given."""
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}", f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_registered_model("segline-x")
    scores = {}
    monkeypatch.setattr(promote, "_rescore", lambda work, challenger, holder: scores[int(holder.version)])
    labels = label_map([(0, "ground", (0, 0, 0)), (1, "thing", (250, 0, 0))])
    work = SimpleNamespace(
        name="segline-x",
        dataset=SimpleNamespace(label_map=labels),
        client=client,
        scratch=tmp_path,
        progress=FlowLines(print),
        report=print,
        params=SimpleNamespace(dataset="x", promotion=SimpleNamespace(floor={"x": 0.1})),
    )

    def new(score):
        tags = {Tags.LABEL_MAP: labels.digest}
        version = client.create_model_version("segline-x", source="file:///nowhere", tags=tags)
        scores[int(version.version)] = score
        return version

    def judge(version):
        monkeypatch.setattr(
            promote, "_read_challenger", lambda work: SimpleNamespace(miou=scores[int(version.version)])
        )
        return promote.judge(work, versions.resolve(client, f"segline-x/{version.version}"))

    return SimpleNamespace(client=client, new=new, judge=judge, promote=lambda version: promote.promote(work, version))


def test_a_better_version_takes_the_alias_and_a_worse_one_does_not(judged):
    first, better, worse = judged.new(0.5), judged.new(0.8), judged.new(0.6)
    assert judged.judge(first).promote
    judged.promote(first)
    decision = judged.judge(better)
    assert decision.promote
    assert decision.bar == 0.5
    judged.promote(better)
    assert judged.client.get_model_version_by_alias("segline-x", "champion").version == better.version
    assert not judged.judge(worse).promote


def test_a_decision_stays_after_a_kill_but_not_after_somebody_elses_promotion(judged):
    first, other = judged.new(0.5), judged.new(0.8)
    made = judged.judge(first)
    assert judged.judge(first) == made  # killed before the promotion
    judged.promote(first)
    assert judged.judge(first) == made  # killed after it
    judged.judge(other)
    judged.promote(other)
    again = judged.judge(first)  # resumed late: it must not take the title back
    assert not again.promote
    assert again.bar == 0.8


def test_an_encoder_is_trained_with_the_steps_of_one_pass(tmp_path, monkeypatch):
    """Which both presets ask for; the fit itself has its own tests."""
    from segline.training import backend
    from segline.training.classification import pretrain

    given = []
    monkeypatch.setattr(backend, "make_deterministic", lambda **options: None)
    monkeypatch.setattr(Work, "batches", lambda *arguments, **options: (None, None))
    monkeypatch.setattr(pretrain, "pretrain", lambda encoder, training, *_, **__: given.append((encoder, training)))
    params = config.Params.model_construct(
        seed=1,
        training=config.Training(batch=4, steps=0, threads=1),
        search=config.Search(networks=("deeplab_v3_plus",), encoders=("mini_xception",)),
        classification=config.Classification(),
    )

    class OneDataset(Work):
        dataset = SimpleNamespace(image_label=lambda task: ("breed", lambda name: name[0]))

    work = OneDataset(
        project=Project(root=tmp_path, tracking_uri="sqlite://", workers=1),
        params=params,
        prepared=SimpleNamespace(split=lambda name: SplitOfNine()),
        tracker=SimpleNamespace(child=lambda key, name: nullcontext()),
        client=None,
        scratch=tmp_path,
        tags={},
        progress=FlowLines(print),
    )
    search.pretrain(work)
    assert [(encoder, training.steps) for encoder, training in given] == [("mini_xception", 3)]


def test_an_encoder_too_deep_for_the_crop_is_refused_before_it_is_pretrained(tmp_path, monkeypatch):
    """Before, the search refused it, after the pre-training had taken its time."""
    from segline.training import backend

    monkeypatch.setattr(backend, "make_deterministic", lambda **options: None)
    params = config.Params.model_construct(
        seed=1,
        training=config.Training(crop=(32, 64), batch=4, threads=1),
        search=config.Search(
            networks=("composed",), encoders=("mini_xception",), output_stride=(32,), weights="classification"
        ),
    )

    class ThreeClasses(Work):
        dataset = SimpleNamespace(label_map=range(3))

    work = ThreeClasses(
        project=Project(root=tmp_path, tracking_uri="sqlite://", workers=1),
        params=params,
        prepared=SimpleNamespace(split=lambda name: SplitOfNine()),
        tracker=None,
        client=None,
        scratch=tmp_path,
        tags={},
        progress=FlowLines(print),
    )
    calls = []
    steps = replace(train.PLAIN, begin=lambda work: None, pretrain=lambda work: calls.append("pretrain"))
    monkeypatch.setattr(train.tracking, "watching_machine", lambda tracker: nullcontext())
    with pytest.raises(ConfigError, match=r"at least 64 with search\.output_stride 32"):
        train._run(work, steps)
    assert calls == []


class SplitOfNine:
    ids = tuple("aaaabbbbb")

    def __len__(self):
        return 9


class Brightness:
    """One labelled image whose foreground is darker than the network below takes for foreground."""

    name = "validation"

    def __len__(self):
        return 1

    def image(self, index):
        return np.repeat(np.array([[30, 90, 90, 200]], np.uint8).repeat(3, axis=0)[..., None], 3, axis=2)

    def mask(self, index):
        return np.array([[0, 1, 1, 1]] * 2 + [[255] * 4], np.uint8)


@pytest.mark.parametrize(("wanted", "classes"), [("validation", 2), (0.45, 2), ("validation", 3), (0.45, 3)])
def test_a_binary_task_gets_its_threshold_from_validation_or_params(tmp_path, wanted, classes):
    import keras

    image = keras.Input((None, None, 3))
    head = keras.layers.Conv2D(classes, 1, kernel_initializer="zeros")
    network = keras.Model(image, head(image))
    weights = np.zeros((1, 1, 3, classes))
    weights[..., 1] = 1 / 300
    head.set_weights([weights, np.array([1.0, 0.0, 0.0][:classes])])
    labels = label_map([(place, str(place), (place, 0, 0)) for place in range(classes)])
    bundle = Bundle(network=network, dataset="x", family="unet", labels=labels, short_side=None, stride=1)
    logged = {}
    work = SimpleNamespace(
        params=SimpleNamespace(training=SimpleNamespace(threshold=wanted)),
        prepared=SimpleNamespace(split=lambda name: {"validation": Brightness()}[name]),
        tracker=SimpleNamespace(log_metrics=lambda metrics, step: logged.update(metrics)),
        progress=FlowLines(print),
        report=print,
    )
    found = fit._choose_threshold(work, bundle)
    if classes == 3:
        assert found is None
    elif wanted == 0.45:
        assert found == 0.45
    else:  # the foreground's logits differ by -0.1 and +1, the background's by -0.7
        assert 0.332 < found < 0.475
        assert logged == {"threshold": found, "threshold_val_miou": 1.0, "argmax_val_miou": pytest.approx(1 / 3)}
    assert bool(logged) == (wanted == "validation" and classes == 2)
