"""Tables of the training objective, read from their text."""

import re

import pytest

from segline.config import objective
from segline.errors import ConfigError


@pytest.fixture
def read(tmp_path):
    """Return a function that reads the table ``TERMS`` from source text, without the functions."""

    def read_source(source):
        path = tmp_path / "losses.py"
        path.write_text(source)
        rows = objective.read_rows(path, "TERMS")
        return {
            name: objective.read_keywords(path, name, row, ignored=frozenset({"function"}))
            for name, row in rows.items()
        }

    return read_source


def test_every_literal_is_read(read):
    row = "Term(function=made(1), weight=-0.5, limits=(0, +1.5), names=['a'], options={'b': {'ge': -1}}, off=None)"
    expected = {"weight": -0.5, "limits": (0, 1.5), "names": ["a"], "options": {"b": {"ge": -1}}, "off": None}
    assert read(f"TERMS = {{'a': {row}}}") == {"a": expected}
    assert read(f"TERMS: dict[str, Term] = {{'a': {row}, 'b': Term()}}") == {"a": expected, "b": {}}


REFUSED = {
    "a call": ("TERMS = {\n  'a': Term(weight=float('inf')),\n}", r":2: row 'a': weight=float\('inf'\), .*a literal"),
    "a name": ("TERMS = {'a': Term(weight=HALF)}", r":1: row 'a': weight=HALF, .*a literal"),
    "a sum": ("TERMS = {'a': Term(weight=1 + 2)}", r":1: row 'a': weight=1 \+ 2, .*a literal"),
    "a call within": ("TERMS = {'a': Term(options={'b': dict(ge=0)})}", r"row 'a': options=.*a literal"),
    "unpacked values": ("TERMS = {'a': Term(**COMMON)}", r":1: row 'a': \*\*COMMON, .*a literal"),
    "a positional argument": ("TERMS = {'a': Term(cross_entropy)}", r":1: row 'a': Term\(.*keyword arguments only"),
    "no call": ("TERMS = {'a': CROSS_ENTROPY}", r":1: row 'a': CROSS_ENTROPY, .*keyword arguments only"),
    "unpacked rows": ("TERMS = {\n  **OTHERS}", r":2: TERMS: the key \*\*OTHERS, .*a string"),
    "a key that is a name": ("TERMS = {NAME: Term()}", r":1: TERMS: the key NAME, .*a string"),
    "no table": ("OTHERS = {}", "0 definitions of TERMS"),
    "two tables": ("TERMS = {}\nTERMS = {}", "2 definitions of TERMS"),
    "a table that is made": ("TERMS = dict(a=Term())", "TERMS is no dictionary"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_with_its_file_and_row(read, name):
    source, message = REFUSED[name]
    with pytest.raises(ConfigError, match=r"losses\.py" + f".*{message}") as caught:
        read(source)
    assert re.search("remedy: write", str(caught.value))


def test_the_tables_of_the_package_are_read_whole():
    """Importing them gives the same."""
    from segline.training.objective import losses, optimizers, schedule

    assert objective.loss_terms() == {
        name: {
            field: getattr(term, field)
            for field in ("weight", "options", "floats")
            if field in objective.loss_terms()[name]
        }
        for name, term in losses.TERMS.items()
    }
    assert objective._list_names("optimizers.py", "OPTIMIZERS") == list(optimizers.OPTIMIZERS)
    assert objective._list_names("schedule.py", "DECAYS") == list(schedule.DECAYS)
