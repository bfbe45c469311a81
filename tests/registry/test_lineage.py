import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from listed_datasets import listed

from segline import config, datasets
from segline.config import Prepare
from segline.errors import ConfigError, DataError
from segline.project import Project
from segline.registry.lineage import Code, Data, code_state, data_state, flatten, resolved, run_key, tags


@pytest.fixture
def checkout(tmp_path):
    for name, content in {"src/code.py": "a = 1\n", "README.md": "hello\n", "dvc.lock": "{}\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_a_clean_checkout_is_its_commit(checkout):
    state = code_state(checkout)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True)
    assert state.commit == head.stdout.strip()
    assert not state.dirty
    assert state.changes == ""


def test_dvc_lock_and_stray_files_do_not_make_it_dirty(checkout):
    (checkout / "dvc.lock").write_text("stages: {}\n")
    (checkout / "holiday.jpg").write_bytes(b"picture")
    assert not code_state(checkout).dirty


def test_other_files_make_it_dirty_and_code_changes_the_key(checkout):
    clean = code_state(checkout)
    (checkout / "README.md").write_text("changed\n")
    documented = code_state(checkout)
    assert documented.dirty
    assert documented.changes == ""
    (checkout / "src" / "code.py").write_text("a = 2\n")
    edited = code_state(checkout)
    (checkout / "src" / "new.py").write_text("b = 1\n")
    extended = code_state(checkout)
    assert len({clean.changes, edited.changes, extended.changes}) == 3


def test_a_folder_without_git_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="git init"):
        code_state(tmp_path)


ROOT = Path(__file__).parents[2]
PARAMS = config.load(ROOT / "params.yaml", dataset="kitti")


EMPTY = hashlib.md5(b"[]", usedforsecurity=False).hexdigest() + ".dir"
FOLDERS = {"download": "archives", "extract": "raw", "validate": "manifest", "prepare": "prepared"}


def digest_of(folder):
    """DVC's digest of a folder."""
    listing = [
        {"md5": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest(), "relpath": path.name}
        for path in sorted(folder.iterdir())
    ]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def lock_of(project, params, **digests):
    """A ``dvc.lock`` as DVC writes it after all stages of two datasets ran with `params`."""
    recorded = {
        "download": {"source": params.source},
        "validate": {"prepare.validation_share": params.prepare.validation_share},
        "prepare": {"prepare.short_side": params.prepare.short_side},
    }
    manifest = digest_of(project.manifest("kitti"))
    known = {"extract_kitti": "extract-kitti.dir", "validate_kitti": manifest, "prepare_kitti": EMPTY} | digests
    return {
        "stages": {
            f"{stage}@{dataset}": {
                "outs": [{"path": f"data/{folder}/{dataset}", "md5": known.get(f"{stage}_{dataset}", "other.dir")}],
                **({"params": {"params.yaml": recorded[stage]}} if stage in recorded else {}),
            }
            for stage, folder in FOLDERS.items()
            for dataset in ("kitti", "oxford_pets")
        }
    }


@pytest.fixture
def places(tmp_path):
    found = Project(root=tmp_path / "places", tracking_uri="sqlite://", workers=1)
    found.manifest("kitti").mkdir(parents=True)
    found.prepared("kitti").mkdir(parents=True)
    (found.manifest("kitti") / "validation.json").write_text('{"success": true}')
    found.dvc_lock.write_text(yaml.safe_dump(lock_of(found, PARAMS)))
    return found


def test_data_digests_are_the_datasets_own(places):
    state = data_state(places, PARAMS)
    assert (state.raw, state.prepared, state.validation) == ("extract-kitti.dir", EMPTY, "passed")
    places.dvc_lock.write_text(yaml.safe_dump(lock_of(places, PARAMS, prepare_oxford_pets="new.dir")))
    assert data_state(places, PARAMS) == state
    places.dvc_lock.write_text(yaml.safe_dump(lock_of(places, PARAMS, extract_kitti="new.dir")))
    assert data_state(places, PARAMS) != state


def test_the_key_follows_data_code_and_parameters(places):
    state = data_state(places, PARAMS)
    assert run_key(state, "code", {"seed": 1}) != run_key(state, "code", {"seed": 2})
    assert run_key(state, "code", {"a": 1, "b": 2}) == run_key(state, "code", {"b": 2, "a": 1})
    assert run_key(state, "code", {"seed": 1}) != run_key(state, "other code", {"seed": 1})
    assert run_key(replace(state, prepared="new.dir"), "code", {}) != run_key(state, "code", {})


def with_another_dataset(content, _):
    """Before: a dataset that was added to params.yaml trained every other one again."""
    content["datasets"] |= listed("camvid")
    content["options"]["camvid"] = {}
    content["promotion"]["floor"]["camvid"] = 0.5


def with_the_floor_of_another(content, _):
    content["promotion"]["floor"]["oxford_pets"] = 0.99


def with_options_of_another(content, _):
    content["options"]["oxford_pets"] = {"split": "shuffled_1337"}


def with_own_data(content, root):
    content["datasets"] |= listed("fields")
    content["own"] = ["fields"]
    content["options"]["fields"] = {}
    content["promotion"]["floor"]["fields"] = 0.5
    (root / "own").mkdir()
    (root / "own/fields.yaml").write_text("{path: elsewhere, images: '*.jpg', masks: '*.png'}")


def with_another_source(content, _):
    content["source"] = "official"


def with_another_classification(content, _):
    content["classification"]["epochs"] = 99  # nothing is trained by it: `search.weights` is null


def with_another_quarantine(content, _):
    content["validation"]["quarantine_share"] = 0.5  # the prepared data say what it did


def with_another_default(content, _):
    content["dataset"] = "cityscapes"


@pytest.mark.parametrize(
    "change",
    [
        with_another_dataset,
        with_the_floor_of_another,
        with_options_of_another,
        with_own_data,
        with_another_source,
        with_another_classification,
        with_another_quarantine,
        with_another_default,
    ],
)
def test_what_the_training_does_not_read_is_not_in_the_key(tmp_path, change):
    assert key_with(tmp_path, change) == key_with(tmp_path, lambda content, _: None)


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("promotion", {"floor": {"kitti": 0.16}}),
        ("options", {"kitti": {"task": "road"}}),
        ("evaluation", {"resamples": 200}),
        ("search", {"trials": 5}),
        ("training", {"epochs": 31}),
        ("prepare", {"validation_share": 0.3}),
        ("search", {"weights": "classification", "networks": ["deeplab_v3_plus"]}),
    ],
)
def test_what_the_training_reads_is_in_the_key(tmp_path, section, value):
    def change(content, _):
        content[section] = config.merged(content[section], value)

    assert key_with(tmp_path, change) != key_with(tmp_path, lambda content, _: None)


def key_with(folder, change):
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    change(content, folder)
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    params = config.load(path, dataset="kitti")
    return run_key(Data(lock="", raw="", prepared="p", validation="", terms=""), "code", resolved(params, root=folder))


def test_what_a_run_depends_on_holds_the_content_of_its_weights(tmp_path):
    assert resolved(PARAMS, root=tmp_path) == PARAMS.resolved()
    wanted = PARAMS.model_copy(update={"search": PARAMS.search.model_copy(update={"weights": "encoder.npz"})})
    with pytest.raises(ConfigError, match=r"encoder\.npz: cannot be read"):
        resolved(wanted, root=tmp_path)
    found = []
    for content in (b"one", b"one", b"other"):
        (tmp_path / "encoder.npz").write_bytes(content)
        found.append(resolved(wanted, root=tmp_path))
    assert found[0] == found[1] != found[2]


def test_what_a_run_depends_on_holds_the_published_weights(tmp_path, places):
    found = [resolved(PARAMS, root=tmp_path, weights=weights) for weights in ({}, {"a": "sha256:1"}, {"a": "sha256:2"})]
    assert found[0] == PARAMS.resolved()
    assert found[1]["weights"] == {"a": "sha256:1"}
    state = data_state(places, PARAMS)
    assert len({run_key(state, "code", each) for each in found}) == 3


def test_stages_that_did_not_run_are_named(places):
    places.dvc_lock.unlink()
    with pytest.raises(DataError, match="download@kitti"):
        data_state(places, PARAMS)


def test_a_verdict_that_is_gone_is_named(places):
    (places.manifest("kitti") / "validation.json").unlink()
    with pytest.raises(DataError, match=r"data/manifest/kitti.*\n.*dvc repro validate@kitti"):
        data_state(places, PARAMS)


def test_the_terms_are_those_shown_at_the_download(places):
    assert data_state(places, PARAMS).terms == datasets.load("kitti").terms  # the archives are not here
    record = places.archives("kitti") / "SOURCE.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"terms": "as shown"}')
    state = data_state(places, PARAMS)
    assert state.terms == "as shown"
    meta = {"dataset": "kitti", "protocol": "p/1", "label_map": "l", "splits": {"test": {"digest": "d"}}}
    code = Code(commit="c", dirty=False, changes="")
    assert tags(state, code, {}, meta)["segline.terms"] == "as shown"
    record.write_text("{")
    with pytest.raises(DataError, match=r"SOURCE\.json.*\n.*download@kitti"):
        data_state(places, PARAMS)


def test_stages_that_ran_with_other_parameters_are_refused(places):
    other = PARAMS.model_copy(update={"prepare": Prepare(short_side=128, validation_share=0.4)})
    with pytest.raises(DataError, match=r"prepare\.validation_share 0\.2, expected 0\.4"):
        data_state(places, other)


@pytest.mark.parametrize("folder", ["manifest", "prepared"])
def test_files_that_are_not_those_of_the_lock_are_refused(places, folder):
    """Before: a changed payload trained without a word; only small files were compared."""
    (places.root / "data" / folder / "kitti" / "test.labels").write_bytes(b"zeroed")
    with pytest.raises(DataError, match=rf"data/{folder}/kitti"):
        data_state(places, PARAMS)


def test_nested_parameters_become_columns():
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": 3}) == {"a.b": 1, "a.c.d": [2], "e": 3}
