"""The JSON that `segline score` writes, and its schema, docs/score.schema.json.

``make schema`` writes the schema file; a test checks that it equals `ScoreDocument.json_schema`.
"""

import json
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from segline.core.metrics.confusion import mean_iou
from segline.datasets.base import Dataset, Split
from segline.evaluation.figures import plain
from segline.evaluation.folders.label_folders import Ids
from segline.evaluation.folders.score import FolderScore
from segline.evaluation.results import BOOTSTRAP_SEED
from segline.evaluation.summary import Digest, Ratio, Summary, summarise


class ScoreDocument(Summary):
    """Summary of an evaluation of folders, with how their files were read and the score of each image."""

    name: Literal["segline/score"] = Field(default="segline/score", alias="schema")
    schema_version: Literal[3] = 3
    segline: str = Field(description="Version of Segline that scored.")
    task: str
    protocol: str = Field(
        pattern=r"^[^/]+/[0-9]+(\+.+)?$",
        description="Name and version of the scoring rules, and after a plus the split's name where it is not the "
        "dataset's own.",
    )
    split_digest: Digest = Field(
        description="That split's digest, as prepared data have it; else one of the images' names, and of their "
        "labels' sizes and train ids."
    )
    baseline_miou: None = None
    split: Split | None = Field(
        description="The dataset's split with exactly these labels, as equal files or with equal pixels; null if "
        "no known split has them."
    )
    split_because: str = Field(description="How the split was recognised; if it is null, what to do about it.")
    resamples: Annotated[int, Field(ge=100)]
    seed: int
    truth: str = Field(description="Folder of the labels.")
    prediction: str = Field(description="Folder of the predictions.")
    prediction_ids: Ids = Field(description="How the predictions were read: as the dataset's ids, or as train ids.")
    prediction_ids_because: str = Field(description="Why they were read so.")
    warnings: list[str] = Field(description="Warnings that concern the meaning of the score.")
    per_image_miou: Annotated[dict[str, Ratio | None], Field(min_length=1)] = Field(
        description="Mean IoU of each image alone, whose mean is not miou; null if none of its pixels is labelled."
    )

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Make the JSON schema of what `segline score --json` writes."""
        made = super().json_schema()
        made["properties"].pop("baseline_miou")  # without a training split, its most frequent class is not known
        made["required"] += ["schema", "schema_version"]
        return made | {
            "title": "What `segline score --json` writes",
            "description": "Version 3: the scores that a dataset declares, such as those of road, are in extra_scores. "
            "A later version may add fields; if a field changes its meaning, schema_version is raised.",
        }


def document(
    score: FolderScore, dataset: Dataset, *, truth: Path, prediction: Path, resamples: int, confidence: float
) -> ScoreDocument:
    """Summarise the score of a folder."""
    evaluation = score.evaluation
    summary = summarise(evaluation, resamples=resamples, confidence=confidence)
    each = map(plain, mean_iou(evaluation.per_image).tolist())
    return ScoreDocument.model_validate(
        {name: getattr(summary, name) for name in Summary.model_fields}
        | {
            "segline": metadata.version("segline"),
            "task": dataset.task,
            "split": score.split,
            "split_because": score.split_why,
            "resamples": resamples,
            "seed": BOOTSTRAP_SEED,
            "truth": str(truth),
            "prediction": str(prediction),
            "prediction_ids": score.ids,
            "prediction_ids_because": score.why,
            "warnings": list(score.warnings),
            "per_image_miou": dict(zip(evaluation.ids, each, strict=True)),
        }
    )


if __name__ == "__main__":
    print(json.dumps(ScoreDocument.json_schema(), indent=2))  # noqa: T201  `make schema` takes it
