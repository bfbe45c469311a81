"""Data that change while a network is trained: what was trained on the old ones is neither scored nor continued."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from recording_tracker import RecordingTracker

from segline import config
from segline.data.recorded import content
from segline.errors import DataError
from segline.pipeline import evaluate
from segline.project import Project, Tags

SHIPPED = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def work(tmp_path):
    """A run at its end, on recorded data; `prepare` prepares others, as a stage does."""
    project = Project(root=tmp_path, tracking_uri="sqlite://", workers=1)
    prepared = project.prepared("kitti")
    prepared.mkdir(parents=True)

    def prepare(data):
        (prepared / "test.labels").write_bytes(data)
        digest = content._digest_of({"test.labels": content._sum_file(prepared / "test.labels")})
        outs = [{"path": "data/prepared/kitti", "md5": digest}]
        stages = {f"{name}@kitti": {"outs": outs} for name in ("download", "extract", "validate", "prepare")}
        project.dvc_lock.write_text(yaml.safe_dump({"stages": stages}))
        return digest

    (tmp_path / "params.yaml").write_text(SHIPPED.read_text())
    scratch = project.scratch("run")
    scratch.mkdir(parents=True)
    tags = {Tags.PREPARED_MD5: prepare(b"old"), Tags.RUN_KEY: "key"}
    tracker = RecordingTracker()
    tracker.set_tags(tags)
    return SimpleNamespace(
        project=project,
        params=config.load(project.params, dataset="kitti"),
        scratch=scratch,
        tags=tags,
        tracker=tracker,
        report=print,
        prepare=prepare,
    )


def state(work):
    """Whether the run can be continued: its key, and whether its scratch folder is there."""
    return work.tracker.tags[Tags.RUN_KEY], work.scratch.is_dir()


def test_unchanged_data_pass(work):
    evaluate._refuse_changed_data(work)
    assert state(work) == ("key", True)


def test_data_that_a_stage_prepared_anew_are_refused(work):
    """Before, a `data` flow beside a training changed the test split, and the version had the old digest."""
    work.prepare(b"new")
    with pytest.raises(DataError, match=r"prepared during the training(.*\n)*.*start the training again"):
        evaluate._refuse_changed_data(work)
    assert state(work) == ("none: the data changed during the training", False)


def test_files_that_were_changed_by_hand_are_refused(work):
    (work.project.prepared("kitti") / "test.labels").write_bytes(b"000")
    with pytest.raises(DataError, match=r"content with the digest"):
        evaluate._refuse_changed_data(work)
    assert state(work) == ("none: the data changed during the training", False)


def test_a_lost_record_leaves_the_run_as_it_is(work):
    """Before, such data passed without a word."""
    work.project.dvc_lock.write_text("stages: {}")
    with pytest.raises(DataError, match="no stage download@kitti"):
        evaluate._refuse_changed_data(work)
    assert state(work) == ("key", True)
