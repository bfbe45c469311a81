import json
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

from flows import training
from flows.training import _alone
from segline.errors import TrainingError
from segline.settings import Settings


def test_the_same_training_twice_at_once_is_refused(tmp_path):
    places = Settings(root=tmp_path, tracking_uri="sqlite://", workers=1)
    places.runs.mkdir(parents=True)
    with _alone(places, "key"):
        with pytest.raises(TrainingError, match="another process is training"), _alone(places, "key"):
            pass
        with _alone(places, "other"):
            pass
    with _alone(places, "key"):
        pass


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """`judge` on a real registry; only the champion's re-scoring, which has its own tests, is told its result."""
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}", f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_registered_model("segline-x")
    (tmp_path / "evaluation.json").write_text('{"miou": 0.5}')
    scores = {}
    monkeypatch.setattr(training, "_rescore", lambda work, champion: scores[int(champion.version)])
    work = SimpleNamespace(
        name="segline-x",
        scratch=tmp_path,
        params=SimpleNamespace(dataset="x", promotion=SimpleNamespace(floor={"x": 0.1})),
    )

    def new(score):
        version = client.create_model_version("segline-x", source="file:///nowhere")
        scores[int(version.version)] = score
        return version

    def judge(version):
        (tmp_path / "evaluation.json").write_text(json.dumps({"miou": scores[int(version.version)]}))
        return training.judge.fn(work, client, client.get_model_version("segline-x", version.version))

    return SimpleNamespace(client=client, new=new, judge=judge, promote=lambda v: training.promote.fn(client, v))


def test_a_better_version_takes_the_alias_and_a_worse_one_does_not(judged):
    first, better, worse = judged.new(0.5), judged.new(0.8), judged.new(0.6)
    assert judged.judge(first)["promote"]
    judged.promote(first)
    decision = judged.judge(better)
    assert decision["promote"]
    assert decision["bar"] == 0.5
    judged.promote(better)
    assert judged.client.get_model_version_by_alias("segline-x", "champion").version == better.version
    assert not judged.judge(worse)["promote"]


def test_a_decision_stays_after_a_kill_but_not_after_somebody_elses_promotion(judged):
    first, other = judged.new(0.5), judged.new(0.8)
    made = judged.judge(first)
    assert judged.judge(first) == made  # killed before the promotion
    judged.promote(first)
    assert judged.judge(first) == made  # killed after it
    judged.judge(other)
    judged.promote(other)
    again = judged.judge(first)  # resumed late: it must not take the title back
    assert not again["promote"]
    assert again["bar"] == 0.8
