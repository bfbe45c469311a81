"""What of an evaluation becomes MLflow metrics."""

from segline.registry import run_summary

RESULT = {
    "miou": 0.5,
    "miou_low": 0.4,
    "miou_high": 0.6,
    "confidence": 0.95,
    "baseline_miou": 0.1,
    "pixel_accuracy": 0.8,
    "images": 12,
    "groups": None,
    "mean_class_accuracy": 0.7,
    "frequency_weighted_iou": 0.75,
    "macro_f1": 0.65,
    "per_class_iou": {"road": 0.5, "tram": None},
    "per_class_f1": {"road": 0.6, "tram": None},
    "intervals": {
        "miou": {"low": 0.4, "high": 0.6},
        "pixel_accuracy": {"low": 0.7, "high": 0.9},
        "max_f": {"low": 0.8, "high": None},
        "per_class_iou": {"road": {"low": 0.4, "high": 0.6}, "tram": {"low": None, "high": None}},
    },
    "caveat": "few",
}


def test_undefined_figures_are_left_out_and_the_rest_is_named_after_what_it_is():
    found = run_summary.metrics(
        RESULT
        | {
            "mean_category_iou": 0.55,
            "per_category_iou": {"flat": 0.55, "rail": None},
            "foreground_iou_border_rest": None,
            "road_image_space": {"max_f": 0.9, "average_precision": None, "threshold": 0.4},
        }
    )
    assert found["test_miou"] == 0.5
    assert found["test_images"] == 12.0
    assert found["test_category_iou/flat"] == found["test_mean_category_iou"] == 0.55
    assert found["test_max_f_image_space"] == 0.9
    further = {"mean_category_iou", "mean_class_accuracy", "frequency_weighted_iou", "macro_f1", "max_f_image_space"}
    plain = {"miou", "miou_low", "miou_high", "confidence", "baseline_miou", "pixel_accuracy", "images"}
    ends = {"pixel_accuracy_low", "pixel_accuracy_high", "max_f_image_space_low"}
    assert found["test_pixel_accuracy_low"] == 0.7
    assert found.keys() == {f"test_{name}" for name in further | plain | ends | {"iou/road", "category_iou/flat"}}


def test_without_categories_and_road_there_are_no_such_metrics():
    found = run_summary.metrics(RESULT | {"intervals": {}})
    assert not [name for name in found if "category" in name or "image_space" in name]
    assert found["test_iou/road"] == 0.5
