"""Folders of label maps of a tiny dataset, and their score."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from places import ROOT

from segline.core.labels import label_map
from segline.data.images.decode import write_png
from segline.datasets.base import Dataset, Pair
from segline.errors import DataError
from segline.evaluation.folders import document as score_document
from segline.evaluation.folders import published_splits
from segline.evaluation.folders import score as scoring
from segline.progress import silent

SCHEMA = ROOT / "docs/score.schema.json"
# Raw and train ids share 0 (void, and the first class) and 3 (the first class, and the last).
LABELS = label_map(
    [(3, "road", (128, 64, 128)), (5, "car", (0, 0, 142)), (9, "sky", (70, 130, 180)), (10, "tree", (9, 99, 9))],
    void=[0, 200],
)
RAW = np.array([3, 5, 9, 10, 0, 200], dtype=np.uint8)


def _pairs(raw):
    return [
        Pair(
            id=path.stem,
            image=f"images/{path.name}",
            mask=f"masks/{path.name}",
            split=path.stem.split("_")[0],
            group="walk" if path.stem in {"test_1", "test_3"} else "",
        )
        for path in sorted((raw / "images").iterdir())
    ]


TINY = Dataset(name="tiny", title="Tiny", terms="", archives=(), label_map=LABELS, protocol="tiny/1", pairs=_pairs)


def score(root, dataset=TINY, **options):
    given = {"truth": root / "truth", "prediction": root / "prediction", "ids": None, "truth_ids": None, "only": None}
    rest = {"published": published_splits.Published(), "workers": 1, "report": silent}
    return scoring.score_folders(dataset, **{**given, **rest, **options})


def refused(root, dataset=TINY, **options):
    with pytest.raises(DataError) as error:
        score(root, dataset, **options)
    return error.value.found


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def rewritten(folder, change):
    for path in folder.iterdir():
        write_png(path, change(read(path)))


# --- what is written ---


def document(found, dataset=TINY):
    made = score_document.document(
        found, dataset, truth=Path("truth"), prediction=Path("prediction"), resamples=200, confidence=0.9
    )
    return made.as_json()
