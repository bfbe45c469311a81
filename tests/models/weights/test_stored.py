"""Weights that are carried to another machine are the same there, or refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segline.errors import ConfigError
from segline.models.weights import catalogue, stored

PUBLISHED = catalogue.find("convnext_tiny")
WEIGHTS = {"b/0": np.arange(6, dtype=np.float32).reshape(2, 3), "a/0": np.ones(3, np.float32)}


def test_a_written_file_is_found_and_read(tmp_path: Path) -> None:
    assert stored.find(tmp_path, PUBLISHED) is None
    written = stored.write(tmp_path, PUBLISHED, WEIGHTS)
    assert stored.find(tmp_path, PUBLISHED) == written.path
    assert stored.read(written.path, PUBLISHED) == written
    assert written.digest == stored.digest_of(dict(reversed(WEIGHTS.items())))


def test_the_digest_is_of_names_shapes_and_values() -> None:
    others = [
        {**WEIGHTS, "b/0": WEIGHTS["b/0"] + 1},
        {**WEIGHTS, "b/0": WEIGHTS["b/0"].reshape(3, 2)},
        {"c/0": WEIGHTS["b/0"], "a/0": WEIGHTS["a/0"]},
    ]
    assert len({stored.digest_of(each) for each in (WEIGHTS, *others)}) == 4


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def _change(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(np.float32(5).tobytes())] ^= 1
    path.write_bytes(bytes(content))


def _exchange(path: Path) -> None:
    np.savez(path, **{**WEIGHTS, "a/0": np.zeros(3, np.float32)})


@pytest.mark.parametrize("damage", [_cut, _change, _exchange, lambda path: path.write_text("no archive")])
def test_a_damaged_file_is_refused(tmp_path: Path, damage) -> None:
    path = stored.write(tmp_path, PUBLISHED, WEIGHTS).path
    damage(path)
    with pytest.raises(
        ConfigError, match=r"convnext_tiny-[0-9a-f]{16}\.npz: [\s\S]*segline weights fetch convnext_tiny"
    ):
        stored.read(path, PUBLISHED)


def test_weights_with_a_pinned_digest_are_no_others(tmp_path: Path) -> None:
    pinned = replace(PUBLISHED, digest="0" * 64)
    stored.write(tmp_path, PUBLISHED, WEIGHTS)
    assert stored.find(tmp_path, pinned) is None
    shutil.copy(stored.find(tmp_path, PUBLISHED), tmp_path / stored.name_file(pinned.encoder, pinned.digest))
    with pytest.raises(ConfigError, match="weights with the digest"):
        stored.read(stored.find(tmp_path, pinned), pinned)


def test_two_files_of_one_encoder_are_not_chosen_between(tmp_path: Path) -> None:
    for factor in (1, 2):
        stored.write(tmp_path, PUBLISHED, {name: factor * value for name, value in WEIGHTS.items()})
    with pytest.raises(ConfigError, match="2 files of convnext_tiny"):
        stored.find(tmp_path, PUBLISHED)
