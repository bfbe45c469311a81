"""Every metric that an evaluation reports: one row each.

Terminal, pages, MLflow, the JSON and its schema read this table and name no metric themselves, so a new metric is a
new row. Its function takes counts that are summed over the split: the ratio is taken last.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from segline.core.metrics.boundary import boundary_iou
from segline.core.metrics.confusion import (
    Counts,
    Ratios,
    accuracy,
    f1,
    frequency_weighted_iou,
    iou,
    macro_f1,
    mean_class_accuracy,
    mean_iou,
    mean_of_present,
    merged,
    precision,
    recall,
)
from segline.core.metrics.road import road_score

Source = Literal["confusion", "categories", "boundary", "road"]
"""Counts that a metric is read from, and their shape behind any leading axes.

confusion: (C, C + 1), `confusion.confusion`. categories: (K, K + 1), the same after joining each category's classes.
boundary: (3, C), `boundary.boundary_counts`. road: (2, 256), `road.confidence_histogram`.
"""

Axis = Literal["all", "class", "category"]
"""What a metric has one value for: the whole split, each class, or each category."""

Place = Literal["terminal", "page", "comparison", "mlflow"]
"""Where a metric is shown. The JSON and its schema hold every metric."""

EVERYWHERE: frozenset[Place] = frozenset(get_args(Place))
BESIDE_COMPARISONS: frozenset[Place] = EVERYWHERE - {"comparison"}
"""A comparison shows the metrics of the whole split, and the main one of the classes."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row of the table.

    Args:
        name: the field's term, unique on its axis; part of `key` and of the name in MLflow.
        title: heading of its row or column.
        meaning: a phrase that explains it, for pages and for the schema.
        function: int64 counts (..., *shape of `source`) -> float64 (...), or (..., K) of classes or categories;
            NaN where it is undefined.
        unit: "share" for 0..1 of a whole; "probability" for a threshold.
        group: group of extra scores. The metric is reported only for datasets that declare this group. Empty: it is
            reported for every dataset.
        interval: whether it has a bootstrap interval.
        shown_by_truth: whether only images with the class in their truth inform the metric. If there are few of them,
            its interval is widened.
        undefined: when it has no value; empty if it has a value wherever a pixel is labelled.
        places: where it is shown.

    Raises:
        ValueError: a metric of classes or categories is to be shown in comparisons.
    """

    name: str
    title: str
    meaning: str
    function: Callable[[Counts], Ratios]
    source: Source = "confusion"
    axis: Axis = "all"
    unit: Literal["share", "probability"] = "share"
    group: str = ""
    interval: bool = True
    shown_by_truth: bool = False
    undefined: str = ""
    places: frozenset[Place] = EVERYWHERE

    def __post_init__(self) -> None:
        if self.axis != "all" and "comparison" in self.places:
            raise ValueError(f"{self.key}: comparisons show metrics of axis all; use places=BESIDE_COMPARISONS")

    @property
    def key(self) -> str:
        """Its key in the JSON: ``miou``, ``per_class_iou``, ``per_category_iou``."""
        return self.name if self.axis == "all" else f"per_{self.axis}_{self.name}"

    @property
    def tracked_name(self) -> str:
        """Its name in MLflow, before the name of a class or category: ``test_miou``, ``test_iou``."""
        return f"test_category_{self.name}" if self.axis == "category" else f"test_{self.name}"


def _mean_boundary_iou(counts: Counts) -> Ratios:
    return mean_of_present(boundary_iou(counts))


def _first_iou(counts: Counts, *, groups: tuple[tuple[int, ...], ...]) -> Ratios:
    """Compute the IoU of the first of the joined classes; a class in no group is void."""
    return iou(merged(counts, groups))[..., 0]


_ON_PAGE: frozenset[Place] = frozenset({"page"})
_ROAD = (
    "over 256 thresholds of the road's probability, in the camera's view (KITTI's benchmark ranks the bird's-eye view)"
)

_NO_ROAD = "where the truth has no road, or nothing else"
_ABSENT = "for a class in neither truth nor prediction"

TABLE: tuple[Metric, ...] = (
    Metric(
        name="miou",
        title="mIoU",
        meaning="mean IoU over the classes that occur in truth or prediction",
        function=mean_iou,
    ),
    Metric(
        name="mean_category_iou",
        undefined="where no category occurs",
        title="mIoU of the categories",
        meaning="mean IoU of the categories: confusing two classes of one category is no error",
        source="categories",
        function=mean_iou,
    ),
    Metric(
        name="boundary_miou",
        undefined="where no class has a boundary",
        title="boundary mIoU",
        meaning="mean boundary IoU of the classes: how well the edges fit",
        source="boundary",
        function=_mean_boundary_iou,
    ),
    Metric(
        name="pixel_accuracy",
        title="pixel accuracy",
        meaning="share of the labelled pixels that are right",
        function=accuracy,
    ),
    Metric(
        name="mean_class_accuracy",
        title="mean class accuracy",
        meaning="mean recall over the classes that occur in the truth",
        function=mean_class_accuracy,
    ),
    Metric(
        name="frequency_weighted_iou",
        title="frequency-weighted IoU",
        meaning="IoU weighted by each class's share of the labelled pixels",
        function=frequency_weighted_iou,
    ),
    Metric(
        name="macro_f1",
        title="mean F1 (Dice)",
        meaning="mean F1, which is the mean Dice, over the classes that occur in truth or prediction",
        function=macro_f1,
    ),
    Metric(
        name="foreground_iou_border_rest",
        undefined="where truth and prediction have no foreground",
        title="foreground IoU, border as rest",
        meaning="IoU of the foreground against background and border together",
        group="foreground",
        function=partial(_first_iou, groups=((0,), (1, 2))),
    ),
    Metric(
        name="foreground_iou_border_void",
        undefined="where truth and prediction have no foreground",
        title="foreground IoU, border as void",
        meaning="IoU of the foreground against the background; the border is not scored",
        group="foreground",
        function=partial(_first_iou, groups=((0,), (1,))),
    ),
    Metric(
        name="max_f_image_space",
        undefined=_NO_ROAD,
        title="MaxF in image space",
        meaning=f"best F1 {_ROAD}",
        group="road",
        source="road",
        function=partial(road_score, name="max_f"),
    ),
    Metric(
        name="average_precision_image_space",
        undefined=_NO_ROAD,
        title="AP in image space",
        meaning=f"average precision at 11 recalls {_ROAD}",
        group="road",
        source="road",
        function=partial(road_score, name="average_precision"),
    ),
    *(
        Metric(
            name=f"{name}_image_space",
            undefined=_NO_ROAD,
            title=f"{title} at MaxF's threshold",
            meaning=f"{title} of the road at the threshold with the best F1",
            group="road",
            source="road",
            interval=False,
            places=_ON_PAGE,
            function=partial(road_score, name=name),
        )
        for name, title in (
            ("precision", "precision"),
            ("recall", "recall"),
            ("false_positive_rate", "false positive rate"),
            ("false_negative_rate", "false negative rate"),
        )
    ),
    Metric(
        name="threshold_image_space",
        undefined=_NO_ROAD,
        title="MaxF's threshold",
        meaning="the lowest threshold of the road's probability with the best F1",
        unit="probability",
        group="road",
        source="road",
        interval=False,
        places=_ON_PAGE,
        function=partial(road_score, name="threshold"),
    ),
    Metric(
        name="iou",
        title="IoU",
        meaning="intersection over union",
        undefined=_ABSENT,
        places=BESIDE_COMPARISONS,
        axis="class",
        shown_by_truth=True,
        function=iou,
    ),
    Metric(
        name="precision",
        title="precision",
        meaning="share of the pixels predicted as the class that are right",
        undefined="for a class that was never predicted",
        axis="class",
        places=_ON_PAGE,
        function=precision,
    ),
    Metric(
        name="recall",
        title="recall",
        meaning="share of the pixels of the class that were found: the accuracy of the class",
        undefined="for a class that is not in the truth",
        axis="class",
        shown_by_truth=True,
        places=_ON_PAGE,
        function=recall,
    ),
    Metric(
        name="f1",
        title="F1",
        meaning="harmonic mean of precision and recall: the Dice coefficient",
        undefined=_ABSENT,
        axis="class",
        shown_by_truth=True,
        places=_ON_PAGE,
        function=f1,
    ),
    Metric(
        name="boundary_iou",
        title="boundary IoU",
        meaning="IoU of the pixels near an edge, within 2 % of the image's diagonal",
        undefined="for a class without a boundary",
        axis="class",
        source="boundary",
        shown_by_truth=True,
        places=frozenset({"terminal", "page"}),
        function=boundary_iou,
    ),
    Metric(
        name="iou",
        title="IoU",
        meaning="intersection over union of the classes of the category together",
        undefined="for a category in neither truth nor prediction",
        places=BESIDE_COMPARISONS,
        axis="category",
        source="categories",
        shown_by_truth=True,
        function=iou,
    ),
)
"""The rows in the order in which they are listed; on each axis the first is the main one, shown with its interval."""


def rows(*, axis: Axis | None = None, place: Place | None = None) -> tuple[Metric, ...]:
    """Select the rows of an axis that are shown at a place; None selects all."""
    return tuple(row for row in TABLE if axis in (None, row.axis) and (place is None or place in row.places))


def applicable(sources: Collection[Source], extra_scores: Collection[str]) -> tuple[Metric, ...]:
    """Select the rows that can be computed from `sources` and that the dataset reports.

    Args:
        sources: the kinds of counts that exist.
        extra_scores: groups that the dataset's definition declares.
    """
    return tuple(row for row in TABLE if row.source in sources and (not row.group or row.group in extra_scores))


def needs(source: Source, extra_scores: Collection[str]) -> bool:
    """Return whether a row of the declared groups is computed from `source`."""
    return any(row.source == source for row in TABLE if row.group and row.group in extra_scores)
