"""Errors of code that does not know which own data it reads name their file all the same."""

import pytest

from segline.datasets.own.naming import naming
from segline.errors import DataError, LinkError


def test_every_part_of_an_error_names_the_file_and_its_class_stays():
    """Before, all named `options.folder` in params.yaml."""
    with pytest.raises(LinkError) as caught, naming("leaves"):
        text = "{} in own/NAME.yaml"
        raise LinkError(text.format(1), found=text.format(2), expected=text.format(3), remedy=text.format(4))
    assert str(caught.value) == (
        "1 in own/leaves.yaml: 2 in own/leaves.yaml, expected 3 in own/leaves.yaml\n  remedy: 4 in own/leaves.yaml"
    )


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), naming("leaves"):
        raise ZeroDivisionError
    with pytest.raises(DataError, match="a place: found\n  remedy: do it"), naming("leaves"):
        raise DataError("a place", found="found", remedy="do it")
