"""A trained network with all it needs to be used: one folder, readable without MLflow.

``network.keras`` holds architecture and weights; ``segline.json`` says what goes in (the scale),
what comes out (the label map) and what it was trained on.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from segline.core.labels import LabelMap, label_map
from segline.errors import DataError
from segline.storage import atomic_folder

NETWORK, DESCRIPTION = "network.keras", "segline.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A network and its description.

    Args:
        network: uint8-range RGB (N, H, W, 3) -> logits float32 (N, H, W, C).
        stride: the sides of its input must be multiples of this.
        short_side: images are scaled down to this before they go in; None: not at all.
    """

    network: keras.Model
    dataset: str
    family: str
    labels: LabelMap
    short_side: int | None
    stride: int


def save(bundle: Bundle, folder: Path) -> None:
    """Write `bundle` to `folder`, whole or not at all.

    Raises:
        StorageError: the disk is full.
    """
    description = {
        "format": FORMAT,
        "dataset": bundle.dataset,
        "family": bundle.family,
        "short_side": bundle.short_side,
        "stride": bundle.stride,
        "classes": [asdict(item) for item in bundle.labels.classes],
        "void": list(bundle.labels.void),
    }
    with atomic_folder(folder) as partial:
        # The same layers without the optimizer, whose state is twice the weights and of no use here.
        keras.Model(bundle.network.input, bundle.network.output).save(partial / NETWORK)
        (partial / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> Bundle:
    """Read what `save` wrote.

    Raises:
        DataError: `folder` is no bundle, or of another format.
    """
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            folder,
            found=f"no {DESCRIPTION}",
            expected="a model folder, or a registered model such as segline-oxford_pets@champion",
            remedy="name one of those with --model",
        ) from error
    if description["format"] != FORMAT:
        raise DataError(
            folder / DESCRIPTION,
            found=f"format {description['format']}",
            expected=f"format {FORMAT}",
            remedy="use the Segline release that wrote it",
        )
    import segline.models.blocks  # noqa: F401  (its layers must be known by name)

    return Bundle(
        network=keras.saving.load_model(folder / NETWORK, compile=False),
        dataset=description["dataset"],
        family=description["family"],
        labels=_labels(description),
        short_side=description["short_side"],
        stride=description["stride"],
    )


def _labels(description: dict[str, Any]) -> LabelMap:
    rows = [(item["raw"], item["name"], tuple(item["colour"])) for item in description["classes"]]
    return label_map(rows, void=description["void"])
