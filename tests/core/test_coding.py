"""Coloured pictures -> ids, and what is said of colours that stand for nothing."""

import cv2
import numpy as np
import pytest

from segline.core.coding import BLENDS, Colours

COLOURS = Colours(ids={(0, 0, 0): 0, (200, 40, 10): 1, (20, 90, 230): 7})


def picture() -> np.ndarray:
    ids = np.random.default_rng(3).integers(0, 3, (6, 9))
    return np.array(list(COLOURS.ids), np.uint8)[np.kron(ids, np.ones((8, 8), int))]


def test_each_colour_becomes_its_id() -> None:
    found = COLOURS.encode(picture())
    for colour, raw in COLOURS.ids.items():
        np.testing.assert_array_equal(found == raw, (picture() == colour).all(axis=-1))


def test_other_colours_are_one_id_where_that_is_said_and_an_error_else() -> None:
    odd = picture()
    odd[0, 0] = (9, 250, 9)
    assert Colours(ids=COLOURS.ids, otherwise=255).encode(odd)[0, 0] == 255
    with pytest.raises(ValueError, match=r"\(9, 250, 9\) in 1 pixels") as caught:
        COLOURS.encode(odd)
    assert BLENDS not in str(caught.value)


def test_what_interpolation_leaves_is_named() -> None:
    blurred = cv2.resize(picture(), None, fx=0.7, fy=0.7, interpolation=cv2.INTER_LINEAR)
    with pytest.raises(ValueError, match="resized with interpolation"):
        COLOURS.encode(blurred)
