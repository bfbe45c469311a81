"""Planted faults of what describes: YAML and JSON that is no such thing, or would take all time; each is one error.

Before, nested aliases and long lists took more than 15 s, and self-references, brackets, and keys or tags that are no
plain values ended in a RecursionError, TypeError, KeyError or AttributeError.
"""

import struct
import time
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

from segline import config
from segline.config import Source
from segline.config.edit import Document
from segline.data.download import pins
from segline.data.prepare.prepared import Prepared
from segline.datasets.own import classes, definition
from segline.datasets.own.annotation_files import read_json
from segline.datasets.own.class_names import find_names
from segline.errors import ConfigError, DataError
from segline.evaluation import counts_file
from segline.evaluation.folders import published_splits
from segline.formats import arrays, strict_yaml
from segline.formats.strict_yaml import MAX_CHARACTERS, MAX_DEPTH, MAX_VALUES
from segline.models import encoders

SECONDS = 5
"""A bound for the slowest of machines: before, these took longer on a fast one, or never ended."""

ALIASES = "".join(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9))
MERGES = "".join(f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 10)}]}}\n" for level in range(1, 9))

FAULTS = {
    "nested aliases": (f"a0: &a0 [1, 2]\n{ALIASES}", ":5", "aliases followed"),
    "nested merges": (f"a0: &a0 {{k: 1}}\n{MERGES}", ":5", "aliases followed"),
    "a chain of aliases": ("a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 99)), ":3", "deep"),
    "a list in itself": ("a: &a [*a]\n", ":1", "an alias outside its own anchor"),
    "a mapping in itself": ("a: &a {b: *a}\n", ":1", "an alias outside its own anchor"),
    "the document in itself": ("&a\nb: *a\n", ":2", "an alias outside its own anchor"),
    "merged with itself": ("a: &a {<<: *a}\n", ":1", "an alias outside its own anchor"),
    "an alias of nothing": ("a: *b\n", ":1", "no &b before it"),
    "one anchor twice": ("a: &a 1\nb: &a 2\n", ":2", "a second anchor"),
    "20,000 brackets": ("a: " + "[" * 20_000, ":1", "deep"),
    "20,000 braces": ("{a: " * 20_000, ":1", "deep"),
    "20,000 dashes": ("- " * 20_000 + "a", ":1", "deep"),
    "20,000 question marks": ("? " * 20_000, ":1", "deep"),
    "many keys": ("".join(f"a{n}: 1\n" for n in range(20_000)), ":50", "more than"),
    "a long file": ("\n" * (MAX_CHARACTERS + 1), "", "characters, expected at most"),
    "a long text": ("a: " + "x" * 100_000, ":1", "a text of 100000 characters"),
    "a list as a key": ("b: 1\n[1, 2]: 3\n", ":2", "a key that is a list"),
    "a mapping as a key": ("? {a: 1}\n: 3\n", ":1", "a key that is a mapping"),
    "an alias of a list as a key": ("a: &a [1]\n*a : 2\n", ":1", "a key that is a list"),
    "null as a key": ("~: 3\n", ":1", "a key that is null"),
    "a number as a key": ("1: 3\n", ":1", "a key that is a number (1)"),
    "a word that YAML takes for true": ("on: 3\n", ":1", "a key that is true or false (on)"),
    "a date as a key": ("2001-01-01: 3\n", ":1", "a key that is a timestamp"),
    "a key twice, once in quotes": ('a: 1\n"a": 2\n', ":2", "the same key as in line 1"),
    "a number of 5,000 digits": ("a: " + "9" * 5_000, ":1", "a number of 5000 characters"),
    "no number": ("a: !!int hello\n", ":1", "which is no int"),
    "neither true nor false": ("a: !!bool maybe\n", ":1", "which is no bool"),
    "an impossible date": ("a: 2001-99-99\n", ":1", "which is no timestamp"),
    "a Python object": ("a: !!python/object/apply:os.system [ls]\n", ":1", "the tag"),
    "bytes": ('a: !!binary "###"\n', ":1", "the tag"),
    "a set as a key": ("!!set {a}: 3\n", ":1", "the tag"),
    "an ordered mapping": ("a: !!omap [b: 1]\n", ":1", "the tag"),
    "no timestamp": ("a: !!timestamp x\n", ":1", "the tag"),
    "a tag without end": ("a: !" + "x" * 100_000 + " 1\n", ":1", "the tag !xxx"),
    "a list called a text": ("a: !!str [1]\n", ":1", "expected a scalar"),
    "a tab": ("a:\n\tb: 1\n", ":2", "'\\t'"),
    "NUL": ("b: 1\na: \0\n", ":2", "the character U+0000"),
    "NUL, written as an escape": ('a: "\\0"\n', ":1", "the character U+0000"),
    "a terminal's escape": ('a: "\\e[2J"\n', ":1", "the character U+001B"),
    "half a character": ('a: "\\ud800"\n', ":1", "the character U+D800"),
    "two documents": ("a: 1\n---\nb: 2\n", ":2", "a second document"),
    "nothing": ("", "", "no keys"),
    "a list": ("- a\n", "", "no keys"),
}


@pytest.mark.parametrize(("text", "line", "found"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("read", [config.load, lambda path: classes.read(path, encoding="ids", remedy="write it")])
def test_a_yaml_file_with_this_is_told_with_its_line(tmp_path, read, text, line, found):
    path = tmp_path / "settings.yaml"
    path.write_text(text, "utf-8")
    began = time.perf_counter()
    with pytest.raises(ConfigError) as error:
        read(path)
    assert time.perf_counter() - began < SECONDS
    assert error.value.place.startswith(f"{path}{line}")
    assert found in f"{error.value.found}, expected {error.value.expected}"
    assert len(str(error.value)) < 1000
    assert error.value.remedy


@pytest.mark.parametrize("content", [b"a: \xe9\n", "a: 1\n".encode("utf-16")], ids=["latin-1", "utf-16"])
def test_a_yaml_file_of_another_encoding_is_told(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="UTF-8"):
        config.load(path)


def test_as_much_as_settings_hold_is_read(tmp_path):
    path = tmp_path / "many.yaml"
    rows = "".join(f"key{number}: {number}\n" for number in range(MAX_VALUES // 2 - 1))
    path.write_text(rows, "utf-8")
    assert len(Source(path, remedy="").content) == MAX_VALUES // 2 - 1
    deep = "[" * (MAX_DEPTH - 2) + "]" * (MAX_DEPTH - 2)
    path.write_text(f"a: {deep}\n", "utf-8")
    assert str(Source(path, remedy="").content["a"]) == deep


def test_aliases_and_merges_in_moderate_use_mean_what_yaml_says(tmp_path):
    text = "\ufeffbase: &base {a: 1, b: [x, y]}\nother: {<<: *base, a: 2}\nsame: *base\nlist: [*base, *base]\n"
    path = tmp_path / "some.yaml"
    path.write_text(text, "utf-8")
    assert Source(path, remedy="").content == yaml.safe_load(text)


def test_the_projects_own_files_mean_what_they_meant():
    root = Path(__file__).parents[2]
    for path in (root / "params.yaml", root / "dvc.lock", root / "dvc.yaml", *root.glob("src/segline/presets/*.yaml")):
        text = path.read_text("utf-8")
        assert strict_yaml.parse(text, place=path).content == yaml.safe_load(text)


@pytest.mark.parametrize("name", ["nested aliases", "20,000 brackets", "a list as a key", "NUL", "a Python object"])
def test_pins_and_what_is_edited_meet_the_same_bounds(tmp_path, name):
    path = tmp_path / "pins.yaml"
    path.write_text(FAULTS[name][0], "utf-8")
    for read in (pins.read, Document):
        with pytest.raises(ConfigError, match=path.name):
            read(path)


def test_a_long_value_is_quoted_in_part(tmp_path):
    path = tmp_path / "classes.yaml"
    path.write_text(f"classes: {['x' * 10_000]}\n", "utf-8")
    with pytest.raises(ConfigError) as error:
        classes.read(path, encoding="ids", remedy="")
    assert "xxx…xxx" in error.value.found
    assert len(str(error.value)) < 1000


JSON_FAULTS = {
    "brackets": b"[" * 100_000,
    "braces": b'{"a": ' * 100_000,
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "a key twice": b'{"a": 1, "a": 2}',
    "a number of 5,000 digits": b'{"a": ' + b"9" * 5_000 + b"}",
    "no UTF-8": b'{"a": "\xff"}',
    "half of it": b'{"a": ',
    "nothing": b"",
}
"""Before: RecursionError for brackets and braces, in silence for NaN, infinity and a key twice."""


@pytest.mark.parametrize("text", JSON_FAULTS.values(), ids=JSON_FAULTS)
@pytest.mark.parametrize("read", [read_json, Prepared, published_splits._read_protocol, definition.read_samples])
def test_json_with_this_is_told(tmp_path, read, text):
    path = tmp_path / "meta.json"
    path.write_bytes(text)
    with pytest.raises(DataError) as error:
        read(tmp_path if read is Prepared else path)
    assert error.value.place == str(path)
    assert "cannot be read" in error.value.found
    assert len(str(error.value)) < 1000


def test_json_that_lists_something_else_is_told(tmp_path):
    path = tmp_path / "samples.json"
    for text in ("3", "[3]", '[{"image": "a.jpg"}]', "{}x"):
        path.write_text(text)
        with pytest.raises(DataError, match="samples"):
            definition.read_samples(path)


def _npy(shape: str, dtype: str = "<f4") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


NUMPY_FAULTS = {
    "1e12 numbers": _npy("(1000000000000,)"),
    "1e24 numbers": _npy("(1000000000000, 1000000000000)"),
    "a side below 0": _npy("(-1,)"),
    "Python objects": _npy("(1,)", "|O"),
    "a header that is no Python": b"\x93NUMPY\x01\x00\x04\x00((((",
    "text": b"text",
    "nothing": b"",
}
"""Before: a MemoryError for 1e12 and 1e24 numbers."""


@pytest.mark.parametrize("data", NUMPY_FAULTS.values(), ids=NUMPY_FAULTS)
def test_numpy_arrays_that_are_not_what_they_say_are_told(tmp_path, data):
    path = tmp_path / "weights.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fields.npy", data)
    for read in (arrays.shapes, arrays.load):
        with pytest.raises(ValueError):
            read(path)
    with pytest.raises(ValueError):
        arrays.parse(data)
    with pytest.raises(DataError, match="no counts of an evaluation"):
        counts_file.read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, True, 1j])
def test_encoder_weights_that_are_no_finite_numbers_are_told(tmp_path, value):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, name="only")])
    path = tmp_path / "weights.npz"
    np.savez(path, **{"only/0": np.array([[value]]), "only/1": np.zeros(1, dtype=np.float32)})
    with pytest.raises(ConfigError, match="NaN, infinite or no floating-point numbers: only/0"):
        encoders.load_weights(model, encoder="mini_xception", weights=str(path))


@pytest.mark.parametrize(
    "text", ["9" * 5_000 + ",0,0,a\n", 'a,"' + "x" * 200_000 + '"\n'], ids=["a long number", "a long cell"]
)
def test_a_table_of_names_that_is_none_is_passed_over(tmp_path, text):
    (tmp_path / "class_dict.csv").write_text(text)
    assert find_names(tmp_path, ["class_dict.csv"]) is None
