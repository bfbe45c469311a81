"""A run's few lines say what its interval was drawn over."""

import numpy as np
import pytest
import quiet_prefect  # noqa: F401  (before flows, which import Prefect)
from mlflow import MlflowClient
from rich.console import Console

from flows import reporting
from segline.evaluation import results
from segline.evaluation.summary import summarise
from segline.project import Tags
from segline.registry import run_summary, versions
from segline.registry.gate.rules import Decision


def evaluated(groups):
    generator = np.random.default_rng(2)
    evaluation = results.Evaluation(
        dataset="x",
        split="test",
        protocol="x/1",
        split_digest="0123456789abcdef",
        label_map="fedcba9876543210",
        names=("a", "b"),
        ids=tuple(map(str, range(12))),
        groups=groups,
        void_pixels=0,
        per_image=generator.integers(1, 90, (12, 2, 3)),
    )
    return summarise(evaluation, resamples=100, confidence=0.95, baseline=0.1)


FIRST = Decision(
    promote=True,
    reason="first version",
    challenger=0.5,
    bar=0.1,
    compared=False,
    version="1",
    label_map="1" * 16,
    champion=None,
)


@pytest.mark.parametrize(
    ("groups", "drawn", "caution"),
    [
        (tuple("aaabbbcccdde"), "(95 %, bootstrap over 5 groups)", "12 images in 5 groups: treat the interval as"),
        (None, "(95 %, bootstrap over images)", "12 images: treat the interval as approximate"),
    ],
)
def test_a_finished_run_tells_its_groups_and_one_from_before_there_were_any_none(tmp_path, groups, drawn, caution):
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(address, address)
    run = client.create_run(client.create_experiment("segline-x", artifact_location=str(tmp_path)))
    logged = run_summary.metrics(evaluated(groups))
    assert logged.get("test_groups") == (5 if groups else None)
    for name in ("miou", "pixel_accuracy", "macro_f1"):
        assert logged[f"test_{name}_low"] < logged[f"test_{name}"] < logged[f"test_{name}_high"]
    for name, value in logged.items():
        client.log_metric(run.info.run_id, name, value)
    for name, value in {
        Tags.DECISION: FIRST.as_tag(),
        "segline.dataset": "x",
        "segline.network": "unet",
    }.items():
        client.set_tag(run.info.run_id, name, value)
    found = run_summary.of_run(client, run.info.run_id, reused=False)
    assert found.groups == (5 if groups else None)
    console = Console(record=True, width=250)
    console.print(run_summary.table(found))
    for told in (console.export_text(), reporting.markdown(run_summary.rows(found))):
        assert drawn in told
        assert caution in told


def test_one_decision_that_cannot_be_read_hides_no_other_version(tmp_path):
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(address, address)
    client.create_registered_model("segline-x")
    for text in (FIRST.as_tag(), '{"promote": true}', None):
        version = client.create_model_version("segline-x", source="file:///nowhere")
        if text is not None:
            client.set_model_version_tag("segline-x", version.version, Tags.DECISION, text)
    console = Console(record=True, width=250)
    console.print(versions.table(client))
    told = console.export_text()
    assert "0.5000" in told
    for reason in (FIRST.reason, "not readable", "not judged yet"):
        assert told.count(reason) == 1
