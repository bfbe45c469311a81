"""Which model `--model` means, where it is in a folder; the files are only looked for here."""

import pytest

from segline.errors import ConfigError, DataError
from segline.pipeline.choose_model import chosen_model


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("network.keras", "segline.json"):
        (tmp_path / "mine" / name).touch()
    return tmp_path / "mine"


@pytest.mark.parametrize("part", ["", "network.keras", "segline.json"])
def test_a_folder_or_either_of_its_files_is_the_model(folder, part):
    with chosen_model(str(folder / part)) as found:
        assert (found.name, found.folder, found.version) == ("mine", folder, None)


@pytest.mark.parametrize("part", ["network.keras", "segline.json"])
def test_a_file_in_the_folder_where_one_stands_has_that_folders_name(folder, monkeypatch, part):
    monkeypatch.chdir(folder)
    with chosen_model(part) as found:
        assert found.name == "mine"
        assert (found.folder / part).is_file()


@pytest.mark.parametrize("lacking", ["network.keras", "segline.json"])
def test_a_folder_that_lacks_one_of_them_is_not_looked_for_among_registered_models(folder, lacking):
    (folder / lacking).unlink()
    with chosen_model(str(folder)) as found:
        assert found.folder == folder  # segline.inference.bundle says what it lacks


def test_a_file_of_no_model_folder_is_refused(folder):
    other = folder / "other.keras"
    other.touch()
    with (
        pytest.raises(DataError, match=r"other\.keras: a file that does not belong to a model folder"),
        chosen_model(str(other)),
    ):
        pass


@pytest.mark.parametrize("empty", ["", " "])
def test_an_empty_name_is_refused_even_where_a_model_is(folder, monkeypatch, empty):
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match="--model: an empty name"), chosen_model(empty):
        pass
