"""Where a project may lie."""

import pytest

from segline.errors import ConfigError
from segline.project import Project


@pytest.fixture
def project_in(tmp_path, monkeypatch):
    """Make a project in a folder of that name, and load it from there."""

    def load(name):
        root = tmp_path / name
        root.mkdir()
        (root / "params.yaml").touch()
        monkeypatch.chdir(root)
        return Project.load()

    return load


@pytest.mark.parametrize("name", ["a%b", "a%20b", "a?b", "a:b", "a*b", "a[b]", "a\\b", "a\nb", "a\u202eb", "a\u200bb"])
def test_a_path_that_tools_take_for_another_is_refused(project_in, name):
    """Before, `a%20b` put its database into the sibling folder `a b`, `a?b` into a file `a`; DVC failed in `a[b]`."""
    with pytest.raises(ConfigError, match="the folder's path contains") as caught:
        project_in(name)
    assert caught.value.remedy == "rename the folder, then run the same command in it"


@pytest.mark.parametrize("name", ["a b", "a#b", "it's", 'a"b', "a$b;c&d`e", "a+b@c=d,e~(f)!{g}", "Äcker", "畑"])
def test_any_other_path_works(project_in, name):
    """Whole runs in such folders were tried by hand; `tests/registry/test_location.py` moves projects there."""
    assert project_in(name).root.name == name
