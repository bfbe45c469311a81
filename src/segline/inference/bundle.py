"""A trained network and all that is needed to use it: one folder, readable without MLflow.

``network.keras`` holds architecture and weights. ``segline.json`` describes the input (its scale), the
output (the label map, the threshold of a binary task, the mirror images to average over, the temperature of the
confidences) and the training data.
"""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras

from segline import models
from segline.config.fields import Flip
from segline.core.labels import BINARY, LabelMap, same_classes
from segline.core.metrics.temperature import Fitted
from segline.errors import DataError
from segline.inference import description, network_file
from segline.project import Files
from segline.reading import TEXT_BYTES, read_bytes
from segline.storage import atomic_folder, write_json


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A network and its description.

    Args:
        network: uint8-range RGB (N, H, W, 3) -> logits float32 (N, H, W, C).
        stride: the sides of its input must be multiples of this.
        dataset: what it was trained on.
        family: the network's name in ``params.yaml``.
        short_side: images are first scaled down until their shorter side has this many pixels; None: they keep
            their size.
        threshold: for a binary task: a pixel whose foreground probability is above this is foreground.
            None: the class with the highest logit is taken, as with more classes.
        mirrors: flips for test-time augmentation: the predictions for the image, for each flip of it and for all
            flips together are averaged.
        levels: values of 16-bit images that become 0 and 255, as in training; None if they were not stated.
        temperature: divisor of logits, fitted on validation, for confidences (`segline.core.metrics.temperature`);
            None if none was fitted to this network, its mirrors and its threshold.

    Raises:
        ValueError: the threshold is outside 0..1, or is given although there are not two classes.
    """

    network: keras.Model
    dataset: str
    family: str
    labels: LabelMap
    short_side: int | None
    stride: int
    threshold: float | None = None
    mirrors: tuple[Flip, ...] = ()
    levels: tuple[int, int] | None = None
    temperature: Fitted | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and (len(self.labels) != BINARY or not 0 < self.threshold < 1):
            raise ValueError(f"threshold {self.threshold} of {len(self.labels)} classes")


def pruned(bundle: Bundle, *, head: int) -> Bundle:
    """Return the bundle with its network cut down to one head: the fast mode of U-Net++.

    Raises:
        ConfigError: its network has no such head.
    """
    return replace(bundle, network=models.prune(bundle.network, head=head), temperature=None)


def renamed(bundle: Bundle, labels: LabelMap) -> Bundle:
    """Return the bundle with the class names of `labels`, if both have the same classes; else the bundle as it is.

    So a network can be scored on data whose classes were renamed after its training (`core.labels.same_classes`).
    """
    return replace(bundle, labels=labels) if same_classes(bundle.labels.identity, labels.identity) else bundle


def save(bundle: Bundle, folder: Path) -> None:
    """Write `bundle` to `folder`, completely or not at all.

    Raises:
        StorageError: no room or no right to write.
    """
    content = {
        "format": description.FORMAT,
        "dataset": bundle.dataset,
        "family": bundle.family,
        "short_side": bundle.short_side,
        "stride": bundle.stride,
        "threshold": bundle.threshold,
        "mirrors": list(bundle.mirrors),
        "classes": [asdict(item) for item in bundle.labels.classes],
        "void": list(bundle.labels.void),
    }
    if bundle.levels is not None:
        content["levels"] = list(bundle.levels)
    if bundle.temperature is not None:
        fitted = bundle.temperature
        content["temperature"] = {"value": fitted.temperature, "split": fitted.split, "digest": fitted.digest}
    with atomic_folder(folder) as partial:
        # A new model of the same layers has no optimizer, whose state would double or triple the file for nothing.
        keras.Model(bundle.network.input, bundle.network.output).save(partial / Files.NETWORK)
        write_json(partial / Files.DESCRIPTION, content)


def digest(folder: Path) -> str:
    """Return the SHA-256 of a bundle's files, in hex digits: bundles of one digest give the same answers.

    Raises:
        DataError: a file is missing.
    """
    found = hashlib.sha256()
    for name in (Files.DESCRIPTION, Files.NETWORK):
        if not (folder / name).is_file():
            raise _report_missing(name, folder)
        with (folder / name).open("rb") as handle:
            found.update(hashlib.file_digest(handle, "sha256").digest())
    return found.hexdigest()


def load(folder: Path) -> Bundle:
    """Read the bundle that `save` wrote to `folder`.

    Raises:
        DataError: `folder` is not a bundle, is damaged, has another format, or its description does not match
            its network.
    """
    try:
        text = read_bytes(folder / Files.DESCRIPTION, limit=TEXT_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _report_missing(Files.DESCRIPTION, folder) from error
    described = description.parse(text, place=folder / Files.DESCRIPTION)
    if not (folder / Files.NETWORK).is_file():
        raise _report_missing(Files.NETWORK, folder)
    return Bundle(
        network=network_file.load(folder / Files.NETWORK, classes=len(described.classes), stride=described.stride),
        dataset=described.dataset,
        family=described.family,
        labels=described.label_map(),
        short_side=described.short_side,
        stride=described.stride,
        threshold=described.threshold,
        mirrors=described.mirrors,
        levels=described.levels,
        temperature=_read_temperature(described),
    )


def _read_temperature(described: description.Description) -> Fitted | None:
    found = described.temperature
    return None if found is None else Fitted(temperature=found.value, split=found.split, digest=found.digest)


def _report_missing(name: str, folder: Path) -> DataError:
    return DataError(
        folder,
        found=f"no {name}",
        expected="a model folder, or a registered model such as segline-oxford_pets@champion",
        remedy="name a model folder or a registered model with --model",
    )
