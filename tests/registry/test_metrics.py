"""What of an evaluation becomes MLflow metrics."""

from segline.evaluation.summary import Ends, Summary
from segline.registry import run_summary


def ends(low, high):
    return Ends(low=low, high=high)


SUMMARY = Summary(
    dataset="drawn",
    split="test",
    protocol="drawn/1",
    split_digest="0" * 16,
    label_map_digest="1" * 16,
    images=12,
    groups=None,
    labelled_pixels=100,
    void_pixels=0,
    outside_share=0,
    confidence=0.95,
    interval_method="bootstrap over images",
    caveat="few",
    baseline_miou=0.1,
    scores={
        "miou": 0.5,
        "pixel_accuracy": 0.8,
        "mean_class_accuracy": 0.7,
        "frequency_weighted_iou": 0.75,
        "macro_f1": 0.65,
    },
    per_class={"iou": {"road": 0.5, "tram": None}, "f1": {"road": 0.6, "tram": None}},
    per_category={},
    extra_scores={},
    intervals={
        "miou": ends(0.4, 0.6),
        "pixel_accuracy": ends(0.7, 0.9),
        "max_f_image_space": ends(0.8, None),
        "iou": {"road": ends(0.4, 0.6), "tram": ends(None, None)},
    },
    per_class_images={"road": 12, "tram": 0},
    confusion=[[60, 0, 0], [40, 0, 0]],
    counts_digest="2" * 16,
)


def test_undefined_figures_are_left_out_and_the_rest_is_named_after_what_it_is():
    road = {"max_f_image_space": 0.9, "average_precision_image_space": None, "threshold_image_space": 0.4}
    found = run_summary.metrics(
        SUMMARY.model_copy(
            update={
                "scores": SUMMARY.scores | {"mean_category_iou": 0.55},
                "per_category": {"iou": {"flat": 0.55, "rail": None}},
                "extra_scores": {"foreground_iou_border_rest": None, **road},
            }
        )
    )
    assert found["test_miou"] == 0.5
    assert found["test_images"] == 12.0
    assert found["test_category_iou/flat"] == found["test_mean_category_iou"] == 0.55
    assert found["test_max_f_image_space"] == 0.9
    further = {"mean_category_iou", "mean_class_accuracy", "frequency_weighted_iou", "macro_f1", "max_f_image_space"}
    plain = {"miou", "miou_low", "miou_high", "confidence", "baseline_miou", "pixel_accuracy", "images"}
    low_and_high = {"pixel_accuracy_low", "pixel_accuracy_high", "max_f_image_space_low"}
    assert found["test_pixel_accuracy_low"] == 0.7
    assert found.keys() == {
        f"test_{name}" for name in further | plain | low_and_high | {"iou/road", "category_iou/flat"}
    }


def test_without_categories_and_road_there_are_no_such_metrics():
    found = run_summary.metrics(SUMMARY.model_copy(update={"intervals": {}}))
    assert not [name for name in found if "category" in name or "image_space" in name]
    assert found["test_iou/road"] == 0.5
