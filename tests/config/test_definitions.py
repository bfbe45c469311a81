"""The mapping `datasets` of params.yaml, and the files own/NAME.yaml that define own data.

Before, `datasets` was a list, in which all own data were called `folder`.
"""

import pytest
from places import PARAMS

from segline import config
from segline.config import own_file
from segline.errors import ConfigError

FIELDS = "fields: own/fields.yaml"
KITTI = "  kitti: src/segline/datasets/kitti.py"
LAST = "  cityscapes: src/segline/datasets/cityscapes.py\n"


@pytest.fixture
def project(tmp_path):
    """Writes params.yaml with the own data `fields` and `leaves`, and their files; replaces `old` by `new`."""

    def write(old="", new="", *, files=None):
        text = PARAMS.read_text("utf-8").replace(LAST, f"{LAST}  fields: own/fields.yaml\n  leaves: own/leaves.yaml\n")
        for a, b in (
            ("own: []", "own: [fields, leaves]"),
            ("  camvid: {}\n", "  camvid: {}\n  fields: {}\n  leaves: {}\n"),
            ("camvid: 0.15}", "camvid: 0.15, fields: 0.2, leaves: 0.3}"),
        ):
            assert a in text
            text = text.replace(a, b)
        assert old in text
        (tmp_path / "params.yaml").write_text(text.replace(old, new) if old else text, "utf-8")
        (tmp_path / "own").mkdir(exist_ok=True)
        for name, content in ({"fields": "path: a", "leaves": "{path: b, encoding: rgb}"} | (files or {})).items():
            if content is not None:
                (tmp_path / own_file(name)).write_text(content)
        return tmp_path / "params.yaml"

    return write


def test_several_own_data_have_options_of_their_own(project):
    params = config.load(project(), dataset="leaves")
    assert (params.dataset, params.own) == ("leaves", ("fields", "leaves"))
    assert params.datasets["kitti"] == "src/segline/datasets/kitti.py"
    assert (params.options["fields"].path, params.options["fields"].encoding) == ("a", "ids")
    assert (params.options["leaves"].path, params.options["leaves"].encoding) == ("b", "rgb")
    read = params.options["leaves"].model_dump(mode="json") | {"path": None}
    assert params.resolved()["options"] == {"leaves": read}


def test_own_data_in_another_folder_are_the_same_training(project):
    """Before, a folder that was moved trained again, although its digests were the same."""
    here = config.load(project(), dataset="leaves").resolved()
    moved = config.load(project(files={"leaves": "{path: moved/b, encoding: rgb}"}), dataset="leaves").resolved()
    other = config.load(project(files={"leaves": "{path: b, encoding: ids}"}), dataset="leaves").resolved()
    assert here == moved
    assert here != other


def test_a_list_of_datasets_is_refused_with_the_mapping_to_write(tmp_path):
    text = PARAMS.read_text("utf-8")
    listed = text[text.index("datasets:") : text.index("own: []")]
    path = tmp_path / "params.yaml"
    path.write_text(text.replace(listed, "datasets: [kitti, oxford_pets, fields]\n"), "utf-8")
    with pytest.raises(ConfigError, match=r"datasets: a list, expected a mapping") as caught:
        config.load(path)
    assert "kitti: src/segline/datasets/kitti.py" in str(caught.value)
    assert "fields: own/fields.yaml}`" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (FIELDS, "fields: own/field.yaml", "datasets.fields: 'own/field.yaml', expected 'own/fields.yaml'"),
        (FIELDS, "fields: fields.yaml", "datasets.fields: 'fields.yaml', expected 'own/fields.yaml'"),
        (FIELDS, "fields: src/segline/datasets/kitti.py", "datasets.fields: found 'fields'"),
        (KITTI, "  kitti: own/kitti.yaml", "expected 'src/segline/datasets/kitti.py'"),
        (KITTI, "  kitti:", "datasets.kitti: None, expected 'src/segline"),
        (KITTI, "  kitty: src/segline/datasets/kitti.py", "datasets.kitty: found 'kitty', expected 'kitti'?"),
        (FIELDS, "no: own/no.yaml", "a key that is true or false (no)"),
        ("own: [fields, leaves]", "own: [leaves]", "`own` to be [fields, leaves]"),
        ("own: [fields, leaves]", "own: [fields, leafs]", "own.1: found 'leafs', expected 'leaves'?"),
        ("  fields: own/fields.yaml\n", "", "own.0: fields, which `datasets` lacks"),
        ("dataset: oxford_pets", "dataset: field", "dataset: found 'field', expected 'fields'?"),
        ("  fields: {}\n", "", "an `options` entry for fields, such as `fields: {}`"),
        ("  fields: {}\n", "  fields: {levels: [0, 9]}\n", "options.fields.levels: a key for own data, expected `f"),
        ("  camvid: {}\n", "  camvid: {path: x}\n", "options.camvid.path: a key for own data, expected only task"),
        ("  fields: {}\n", "  field: {}\n", "options.field: found 'field', expected 'fields'?"),
    ],
)  # fmt: skip
def test_a_contradiction_between_the_sections_is_named_with_its_line(project, old, new, said):
    with pytest.raises(ConfigError) as caught:
        config.load(project(old, new))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "own/fields.yaml: cannot be read"),
        ("", "own/fields.yaml: no keys, expected a mapping"),
        ("path: a\nencodng: rgb", "own/fields.yaml:2 encodng: unknown key, expected 'encoding'?"),
        ("path: a\nencoding: rbg", "own/fields.yaml:2 encoding: found 'rbg'"),
        ("path: a\nsplit: official", "own/fields.yaml:2 split: a key for public datasets"),
        ("path: http://ann:secret@h/x", "own/fields.yaml:1 path: an address with a secret in it"),
    ],
)
def test_a_fault_in_a_definition_is_named_with_its_file_and_line(project, content, said):
    with pytest.raises(ConfigError) as caught:
        config.load(project(files={"fields": content}))
    assert said in str(caught.value)
    assert "ann:secret" not in str(caught.value)


def test_a_public_dataset_that_is_not_listed_is_asked_for_with_the_line_to_add(project):
    with pytest.raises(ConfigError, match=r"add the line `camvid: src/segline/datasets/camvid\.py`"):
        config.load(project(), dataset="camvid")
    with pytest.raises(ConfigError, match=r"dataset: 'leafs', expected 'leaves'\?"):
        config.load(project(), dataset="leafs")
