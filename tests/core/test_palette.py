import numpy as np
import pytest

from segline.core.palette import OKABE_ITO, perceive, safe_colours
from segline.datasets import kitti


def distances(colours):
    """In CIELAB (N, N), for the kind of sight that tells each pair apart worst."""
    seen = perceive(np.asarray(colours))
    return np.linalg.norm(seen[:, :, None] - seen[:, None, :], axis=-1).min(axis=0)


def apart(colours):
    table = distances(colours)
    return table[~np.eye(len(table), dtype=bool)].min()


def test_colours_are_told_apart_by_every_kind_of_sight_up_to_a_street_scenes_classes():
    assert safe_colours(7) == OKABE_ITO
    assert apart(safe_colours(19)) == pytest.approx(apart(OKABE_ITO))  # none comes closer than theirs do
    official = [item.colour for item in kitti.DATASET.label_map.classes]
    assert apart(safe_colours(19)) > 4 * apart(official)


def test_red_and_green_lie_closer_for_who_lacks_a_cone_and_a_colour_nowhere_from_itself():
    table = distances([(200, 60, 60), (110, 120, 40), (40, 60, 200)])
    assert table[0, 1] < table[0, 2]
    assert table.diagonal().tolist() == [0, 0, 0]
    np.testing.assert_array_equal(table, table.T)


def test_there_are_as_many_colours_as_a_label_map_can_have_classes():
    every = safe_colours(254)
    assert len(set(every)) == 254
    assert all(0 <= value <= 255 for colour in every for value in colour)
    assert safe_colours(30) == every[:30]
