"""The pictures that a page shows."""

import base64

import cv2
import numpy as np
import pytest
from drawn_split import LABELS, Split, bundle
from scored_network import evaluated

from segline.core.labels import VOID
from segline.core.metrics.confusion import mean_iou
from segline.core.palette import safe_colours
from segline.evaluation.bundles import evaluate as library
from segline.evaluation.report import image_slider


def decoded(uri):
    content = base64.b64decode(uri.partition(",")[2])
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def test_the_worst_and_the_middle_images_are_shown_and_none_twice():
    evaluation = evaluated()
    order = np.argsort(mean_iou(evaluation.per_image), kind="stable").tolist()
    assert image_slider.choose_images(evaluation, worst=2, median=3) == [
        ("worst", 1, order[0]),
        ("worst", 2, order[1]),
        *(("median", place + 1, order[place]) for place in (3, 4, 5)),
    ]
    few = library.evaluate(bundle(), Split(3), progress=lambda *_: None)
    places = [place for _, place, _ in image_slider.choose_images(few, worst=5, median=3)]
    assert places == [1, 2, 3]


def test_the_layers_are_truth_answer_and_errors_in_both_sets_of_colours():
    network, split, evaluation = bundle(), Split(), evaluated()
    shown = image_slider.make_exhibits(network, split, evaluation)[0]
    label = split.label(evaluation.ids.index(shown.id))
    assert (shown.height, shown.width) == label.shape  # small enough to be shown as it is
    for name, colours in (("official", [item.colour for item in LABELS.classes]), ("safe", safe_colours(4))):
        truth = decoded(shown.layers[f"truth_{name}"])[..., 2::-1]
        for train_id in range(3):
            assert (truth[label == train_id] == colours[train_id]).all()
        assert {tuple(colour) for colour in truth[label == VOID].reshape(-1, 3).tolist()} == {(96,) * 3, (176,) * 3}
    errors = decoded(shown.layers["errors"])
    red = (errors[..., 2] == 200) & (errors[..., 1] == 0)
    assert red.sum() == pytest.approx(shown.wrong * (label != VOID).sum())
    assert not red[label == VOID].any()
    assert shown.classes == (0, 1, 2)
    assert shown.void


def test_ids_beyond_the_colours_are_refused():
    with pytest.raises(ValueError, match="train id 4"):
        image_slider.mask_uri(np.array([[0, 4]], np.uint8), LABELS, safe_colours(4))
    with pytest.raises(ValueError, match="3 colours"):
        image_slider.mask_uri(np.array([[0, 1]], np.uint8), LABELS, safe_colours(3))
