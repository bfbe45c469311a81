"""What is written of a score follows its schema and says no more than was counted."""

import json

import jsonschema
import numpy as np
import pytest
from scored_folders import LABELS, SCHEMA, document, read, rewritten, score

from segline import datasets
from segline.core.metrics.boundary import boundary_outcomes
from segline.core.metrics.confusion import iou, mean_iou
from segline.data.images.decode import write_png
from segline.evaluation import results
from segline.evaluation.folders import published_splits
from segline.evaluation.folders.document import ScoreDocument
from segline.evaluation.lock import lock_of
from segline.parallel import forking


def test_what_is_written_follows_the_published_schema(root, project):
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    write_png(root / "truth/image_0.png", np.zeros((11, 17), dtype=np.uint8))  # all void: no score of its own
    content = document(score(root))
    jsonschema.validate(json.loads(json.dumps(content, allow_nan=False)), schema)
    assert content["per_image_miou"]["image_0"] is None
    assert content["miou_low"] <= content["miou"] <= content["miou_high"]
    more = {"mean_category_iou", "per_category_iou", "boundary_miou", "per_class_boundary_iou"}
    assert content.keys() == set(schema["required"])
    assert schema["properties"].keys() == content.keys() | more
    for wrong in (
        {"miou": 1.5},
        {"split_digest": ""},
        {"images": 0},
        {"schema_version": 2},
        {"news": 1},
        {"groups": 0},
        {"confusion": []},
        {"confusion": [[1]]},
        {"pixel_accuracy": None},
        {"macro_f1": None},
        {"protocol": "a/1 at short side 3"},
        {"baseline_miou": 0.1},
        {"intervals": content["intervals"] | {"per_class_iou": {}}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(content | wrong, schema)


def test_the_published_schema_is_made_from_the_table_and_what_is_written_can_be_read(root):
    assert json.loads(SCHEMA.read_text()) == ScoreDocument.json_schema(), "run `make schema`"
    content = document(score(root, boundary=True))
    assert ScoreDocument.from_json(content).as_json() == content
    with pytest.raises(ValueError, match="news"):
        ScoreDocument.from_json(content | {"news": 1})
    with pytest.raises(ValueError, match="confusion"):
        ScoreDocument.from_json({key: value for key, value in content.items() if key != "confusion"})


def test_a_score_says_over_how_many_groups_its_interval_was_drawn(project, root):
    known = published_splits.read(project / "manifest", raw=project / "raw")
    truth = project / "raw/masks"
    content = document(score(root, truth=truth, prediction=truth, only="test", published=known))
    jsonschema.validate(json.loads(json.dumps(content, allow_nan=False)), json.loads(SCHEMA.read_text()))
    assert (content["images"], content["groups"], content["interval_method"]) == (4, 3, "bootstrap over images")
    assert "4 images in 3 groups: too few groups" in content["caveat"]
    content = document(score(root))
    assert (content["images"], content["groups"], content["interval_method"]) == (7, None, "bootstrap over images")


def test_figures_are_those_of_the_counts(root):
    found = score(root)
    content, counts = document(found), found.evaluation.counts
    assert content["miou"] == pytest.approx(float(mean_iou(counts)))
    assert list(content["per_class_iou"].values()) == pytest.approx(iou(counts).tolist())
    assert content["confusion"] == counts.tolist()
    assert content["pixel_accuracy"] == pytest.approx(np.trace(counts[:, :4]) / counts.sum())
    assert content["images"] == len(content["per_image_miou"]) == 7
    assert lock_of(ScoreDocument.from_json(content)) == lock_of(found.evaluation)


def test_pets_scores_have_their_two_foreground_scores_even_where_undefined(root):
    pets = datasets.load("oxford_pets")
    for name in ("truth", "prediction"):
        rewritten(root / name, lambda ids: ids % 3 + np.uint8(1))
    content = document(score(root, pets), pets)
    assert content["extra_scores"].keys() == {"foreground_iou_border_rest", "foreground_iou_border_void"}
    assert all(0 < value < 1 for value in content["extra_scores"].values())
    for name in ("truth", "prediction"):
        rewritten(root / name, lambda ids: np.maximum(ids, np.uint8(2)))
    content = document(score(root, pets, ids="raw"), pets)
    assert content["extra_scores"] == {"foreground_iou_border_rest": None, "foreground_iou_border_void": None}
    jsonschema.validate(content, json.loads(SCHEMA.read_text()))


def reference(root, truths_of, predictions_of):
    """Boundary IoU of both folders' files, from the two maps of each image alone."""
    total = None
    for path in sorted((root / "truth").iterdir()):
        truth, prediction = truths_of(read(path)), predictions_of(read(root / "prediction" / path.name))
        found = boundary_outcomes(truth, prediction, classes=4)
        total = found if total is None else total + found
    return total.iou


@pytest.mark.parametrize("workers", [1, 2])
def test_boundaries_are_counted_beside_the_areas_where_that_is_asked_for(root, monkeypatch, workers):

    monkeypatch.setattr(forking, "FEW", 0)
    plain, found = score(root), score(root, boundary=True, workers=workers)
    assert plain.evaluation.boundary is None
    assert found.evaluation.boundary.shape == (7, 3, 4)
    assert found.evaluation.digest == plain.evaluation.digest
    content = document(found)
    jsonschema.validate(json.loads(json.dumps(content, allow_nan=False)), json.loads(SCHEMA.read_text()))
    expected = reference(root, LABELS.encode, LABELS.encode)
    assert list(content["per_class_boundary_iou"].values()) == pytest.approx(expected.tolist())
    assert content["boundary_miou"] == pytest.approx(expected.mean())
    assert content["boundary_miou"] != pytest.approx(content["miou"])


def test_boundaries_are_of_the_reading_that_was_decided_on(root):
    before = document(score(root, boundary=True))
    rewritten(root / "prediction", LABELS.encode)  # train ids; void becomes 255, which is no raw id
    as_train = score(root, boundary=True)
    assert as_train.ids == "train"
    assert document(as_train)["per_class_boundary_iou"] == before["per_class_boundary_iou"]


def test_an_image_that_refutes_a_reading_late_leaves_no_boundary_of_it_behind(root):
    """All but the last image could be train ids too."""
    for name in ("truth", "prediction"):
        for path in (root / name).iterdir():
            write_png(path, np.where(path.stem == "image_6", read(path), np.uint8(3) * (read(path) % 2)))
    found = score(root, boundary=True)
    assert found.ids == "raw"
    assert found.evaluation.boundary.shape == (7, 3, 4)
    assert document(found)["per_class_boundary_iou"]["road"] == pytest.approx(
        reference(root, LABELS.encode, LABELS.encode)[0]
    )


def test_kittis_categories_are_in_the_document_and_follow_the_schema(root):
    kitti = datasets.load("kitti")
    raw = np.array([7, 8, 26, 27, 0], np.uint8)  # road, sidewalk, car, truck, void
    for name in ("truth", "prediction"):
        rewritten(root / name, lambda ids: raw[ids % 5])
    content = document(score(root, kitti), kitti)
    jsonschema.validate(json.loads(json.dumps(content, allow_nan=False)), json.loads(SCHEMA.read_text()))
    known = {name: value for name, value in content["per_category_iou"].items() if value is not None}
    assert known.keys() == {"flat", "vehicle"}
    truth, prediction = (
        np.concatenate([read(path).ravel() for path in sorted((root / name).iterdir())])
        for name in ("truth", "prediction")
    )
    flat = [np.isin(ids[truth != 0], [7, 8]) for ids in (truth, prediction)]
    vehicle = [np.isin(ids[truth != 0], [26, 27]) for ids in (truth, prediction)]
    for name, (true, claimed) in (("flat", flat), ("vehicle", vehicle)):
        assert known[name] == pytest.approx((true & claimed).sum() / (true | claimed).sum())
    assert content["mean_category_iou"] == pytest.approx(sum(known.values()) / 2)


def test_counts_that_were_saved_are_bound_to_the_same(root, tmp_path):
    evaluation = score(root).evaluation
    results.save(evaluation, tmp_path / "counts.npz")
    again = results.load(tmp_path / "counts.npz")
    assert lock_of(again) == lock_of(evaluation)
    np.testing.assert_array_equal(again.per_image, evaluation.per_image)
