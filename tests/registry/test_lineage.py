import subprocess

import pytest
import yaml

from segline.errors import ConfigError, DataError
from segline.registry.lineage import code_state, data_state, flat, run_key


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


LOCK = {
    "stages": {
        f"{stage}@{dataset}": {"outs": [{"path": f"data/{stage}/{dataset}", "md5": f"{stage}-{dataset}.dir"}]}
        for stage in ("download", "extract", "validate", "prepare")
        for dataset in ("kitti", "oxford_pets")
    }
}


def test_data_digests_are_the_datasets_own(tmp_path, checkout):
    path = tmp_path / "lock.yaml"
    path.write_text(yaml.safe_dump(LOCK))
    state = data_state(path, "kitti")
    assert (state.raw, state.prepared) == ("extract-kitti.dir", "prepare-kitti.dir")
    changed = {"stages": LOCK["stages"] | {"prepare@oxford_pets": {"outs": [{"md5": "other"}]}}}
    path.write_text(yaml.safe_dump(changed))
    assert data_state(path, "kitti") == state
    code = code_state(checkout)
    assert run_key(state, code, {"seed": 1}) != run_key(state, code, {"seed": 2})
    assert run_key(state, code, {"a": 1, "b": 2}) == run_key(state, code, {"b": 2, "a": 1})


def test_stages_that_did_not_run_are_named(tmp_path):
    with pytest.raises(DataError, match="extract@kitti"):
        data_state(tmp_path / "dvc.lock", "kitti")


def test_nested_parameters_become_columns():
    assert flat({"a": {"b": 1, "c": {"d": [2]}}, "e": 3}) == {"a.b": 1, "a.c.d": [2], "e": 3}
