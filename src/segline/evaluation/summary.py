"""The summary of an evaluation: a frozen model, its JSON and the schema of that JSON.

The JSON holds every metric of `core.metrics.table` under its key; the scores that a dataset declares are in
``extra_scores``. The schema is made from the same model and the same table.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segline.core.metrics import table
from segline.core.metrics.confusion import outside_share
from segline.core.metrics.table import Metric
from segline.core.statistics.bootstrap import Interval
from segline.evaluation import figures
from segline.evaluation.results import Evaluation

Ratio = Annotated[float, Field(ge=0, le=1)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Count = Annotated[int, Field(ge=0)]
Ratios = Annotated[dict[str, Ratio | None], Field(min_length=1)]
Row = Annotated[list[Count], Field(min_length=2)]


class Record(BaseModel):
    """A frozen record of plain values, for JSON; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Ends(Record):
    """The ends of an interval; None where its figure is undefined."""

    low: Ratio | None
    high: Ratio | None


class Summary(Record):
    """All scores of one evaluation, with the rules, split and classes that they belong to."""

    dataset: str
    split: str | None = Field(description="Name of the split; empty if the images are of no split.")
    protocol: str = Field(
        pattern=r"^[^/]+/[0-9]+(\+.+)?( at short side [0-9]+)?$",
        description="Name and version of the scoring rules, then a plus and the split's name if it is not the "
        "dataset's default split.",
    )
    split_digest: Digest = Field(description="Digest of the images' names, and of their labels' sizes and train ids.")
    label_map_digest: Digest = Field(description="Digest of the classes' ids and names.")
    images: int = Field(ge=1)
    groups: Annotated[int, Field(ge=1)] | None = Field(
        description="Number of groups of images that show the same drive, place or animal; null if images "
        "are not grouped."
    )
    labelled_pixels: int = Field(ge=1)
    void_pixels: Count = Field(description="Pixels without a true class, which are not scored.")
    outside_share: Ratio = Field(
        description="Share of the labelled pixels that were predicted as void or as no class; they count as misses."
    )
    confidence: float = Field(gt=0.5, lt=1, description="Level of every interval.")
    interval_method: str = Field(
        pattern="^bootstrap over (images|[1-9][0-9]* groups)$", description="Units that were drawn for the intervals."
    )
    caveat: str = Field(description="Caution to show beside the interval; empty if none is needed.")
    baseline_miou: Ratio | None = Field(
        default=None, description="Mean IoU of always answering the most frequent class of the training split."
    )
    scores: dict[str, Ratio | None]
    per_class: dict[str, Ratios]
    per_category: dict[str, Ratios]
    extra_scores: dict[str, Ratio | None] = Field(description="Scores that the dataset's definition declares.")
    intervals: dict[str, Ends | dict[str, Ends]] = Field(
        description="Interval of each metric, by the metric's key; one for each class or category if the metric has "
        "a value for each. Each is of its metric by itself. It is 0 to 1 for a class that only one image or one group "
        "shows: see per_class_images."
    )
    per_class_images: dict[str, Count] = Field(description="Number of images that show each class.")
    confusion: list[Row] = Field(
        min_length=1,
        description="Pixels by true class (rows) and predicted class (columns); the last column holds predictions of "
        "void or of no class.",
    )
    counts_digest: Digest = Field(description="Digest of the confusion matrices of all images.")

    FLATTENED: ClassVar[tuple[str, ...]] = ("scores", "per_class", "per_category")

    @property
    def miou(self) -> float:
        """Mean IoU; it is always defined, because at least one pixel is labelled."""
        found = self.scores["miou"]
        assert found is not None
        return found

    @property
    def miou_ends(self) -> tuple[float, float]:
        """The interval of the mean IoU: low and high."""
        ends = self.ends("miou")
        assert ends.low is not None
        assert ends.high is not None
        return ends.low, ends.high

    def value(self, row: Metric) -> float | None:
        """Return the value of a metric over the whole split; None if it is undefined or was not counted."""
        return (self.extra_scores if row.group else self.scores).get(row.name)

    def values(self, row: Metric) -> Mapping[str, float | None]:
        """Return the values of a metric by class or category; empty if it was not counted."""
        return (self.per_class if row.axis == "class" else self.per_category).get(row.name, {})

    def counted(self, row: Metric) -> bool:
        """Return whether a metric was counted, even if its value is undefined."""
        found = (self.extra_scores if row.group else self.scores) if row.axis == "all" else self.values(row)
        return row.name in found if row.axis == "all" else bool(found)

    def path(self, row: Metric) -> str:
        """Return the path of a metric in the JSON: ``miou``, ``extra_scores.max_f_image_space``."""
        return f"extra_scores.{row.key}" if row.group else row.key

    def ends(self, key: str, name: str | None = None) -> Ends:
        """Return the interval of the metric `key`, or of its class or category `name`; ends are None if it has none."""
        found = self.intervals.get(key, _NO_ENDS)
        if isinstance(found, Ends):
            return found
        return found[name] if name is not None else _NO_ENDS

    def as_json(self) -> dict[str, Any]:
        """Convert to plain values; each metric is at the top level under its key, beside the fields."""
        low, high = self.miou_ends
        flat = {row.key: _get_value(self, row) for row in table.TABLE if not row.group and self.counted(row)}
        content: dict[str, Any] = {}
        for name, value in self.model_dump(by_alias=True).items():
            if name == "scores":
                content |= {"miou": flat.pop("miou"), "miou_low": low, "miou_high": high} | flat
            elif name not in self.FLATTENED and (name, value) != ("baseline_miou", None):
                content[name] = value
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `as_json` wrote.

        Raises:
            ValueError: a key is missing, unknown, or holds another kind of value.
        """
        left = {key: value for key, value in content.items() if key not in ("miou_low", "miou_high")}
        flat: dict[str, dict[str, Any]] = {name: {} for name in cls.FLATTENED}
        for row in table.TABLE:
            if not row.group and row.key in left:
                flat[_FIELD[row.axis]][row.name] = left.pop(row.key)
        try:
            return cls.model_validate(left | flat)
        except ValidationError as error:
            raise ValueError(f"not a summary of an evaluation: {error}") from error

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Make the JSON schema of `as_json` from the model's fields and the table's rows."""
        made = cls.model_json_schema(by_alias=True)
        properties = made["properties"]
        required = [name for name in made["required"] if name not in cls.FLATTENED]
        for name in cls.FLATTENED:
            del properties[name]
        for row in table.TABLE:
            if not row.group:
                properties[row.key] = {"description": _write_sentence(row)} | _shape(row)
                if row.source == "confusion":
                    required.append(row.key)
        for end in ("low", "high"):
            properties[f"miou_{end}"] = {"description": f"The {end} end of the interval of miou.", **_RATIO}
        declared = {
            row.name: {"description": _write_sentence(row), **_RATIO_OR_NULL} for row in table.TABLE if row.group
        }
        properties["extra_scores"] |= {"properties": declared, "additionalProperties": False}
        with_interval = [row for row in table.TABLE if row.interval]
        properties["intervals"] |= {
            "properties": {
                row.key: {"$ref": "#/$defs/Ends"}
                if row.axis == "all"
                else {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/Ends"}}
                for row in with_interval
            },
            "required": [row.key for row in with_interval if row.source == "confusion" and not row.group],
            "additionalProperties": False,
        }
        made["required"] = [*required, "miou_low", "miou_high"]
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_remove_titles(made)}


_NO_ENDS = Ends(low=None, high=None)
_FIELD = {"all": "scores", "class": "per_class", "category": "per_category"}
_RATIO = {"type": "number", "minimum": 0, "maximum": 1}
_RATIO_OR_NULL = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_BY_NAME = {"type": "object", "minProperties": 1, "additionalProperties": _RATIO_OR_NULL}


def _get_value(summary: Summary, row: Metric) -> Any:
    return summary.value(row) if row.axis == "all" else dict(summary.values(row))


def _remove_titles(part: Any) -> Any:
    """Remove the titles that pydantic makes from names."""
    if isinstance(part, list):
        return [_remove_titles(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {key: _remove_titles(value) for key, value in part.items() if key != "title" or not isinstance(value, str)}


def _shape(row: Metric) -> dict[str, Any]:
    """Make the schema of a metric's value."""
    if row.axis != "all":
        return _BY_NAME
    return _RATIO_OR_NULL if row.undefined else _RATIO


def _write_sentence(row: Metric) -> str:
    """Describe a metric in sentences: its meaning, its unit where that is no share, and when it is null."""
    unit = "" if row.unit == "share" else f" Unit: {row.unit}."
    null = f" null {row.undefined}." if row.undefined else ""
    return f"{row.meaning[0].upper()}{row.meaning[1:]}.{unit}{null}"


def summarise(evaluation: Evaluation, *, resamples: int, confidence: float, baseline: float | None = None) -> Summary:
    """Compute every metric with its interval, and record rules, split and classes.

    Category, boundary and road metrics are in the summary only if they were counted.

    Args:
        resamples: number of bootstrap resamples.
        confidence: level of the intervals, e.g. 0.95.
        baseline: mean IoU of always predicting one class; None if the most frequent class in training is not known.
    """
    counts = evaluation.counts
    drawn = figures.intervals(evaluation, resamples=resamples, confidence=confidence)
    found = figures.values(evaluation)
    miou = drawn["miou"]
    assert isinstance(miou, Interval)
    held: dict[str, dict[str, Any]] = {name: {} for name in (*Summary.FLATTENED, "extra_scores")}
    for row in figures.metrics(evaluation):
        held["extra_scores" if row.group else _FIELD[row.axis]][row.name] = found[row.key]
    images = (evaluation.per_image.sum(axis=-1) > 0).sum(axis=0).tolist()
    return Summary.model_validate(
        dict(
            dataset=evaluation.dataset,
            split=evaluation.split,
            protocol=evaluation.protocol,
            split_digest=evaluation.split_digest,
            label_map_digest=evaluation.label_map,
            images=len(evaluation.ids),
            groups=miou.groups,
            labelled_pixels=int(counts.sum()),
            void_pixels=evaluation.void_pixels,
            outside_share=outside_share(counts),
            confidence=confidence,
            interval_method=miou.method,
            caveat=miou.caveat,
            baseline_miou=baseline,
            intervals=ends_of(drawn),
            per_class_images=dict(zip(evaluation.names, images, strict=True)),
            confusion=counts.tolist(),
            counts_digest=evaluation.digest,
            **held,
        )
    )


def ends_of(found: figures.Intervals) -> dict[str, Ends | dict[str, Ends]]:
    """Reduce intervals to their ends, for JSON."""

    def ends(interval: Interval) -> Ends:
        return Ends(low=figures.plain(interval.low), high=figures.plain(interval.high))

    return {
        key: ends(own) if isinstance(own, Interval) else {name: ends(interval) for name, interval in own.items()}
        for key, own in found.items()
    }
