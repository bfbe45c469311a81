"""A trained network with all it needs to be used: one folder, readable without MLflow.

``network.keras`` holds architecture and weights; ``segline.json`` says what goes in (the scale),
what comes out (the label map, a binary task's threshold, the mirror images that are answered too)
and what it was trained on.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras

from segline.config.fields import Flip
from segline.core.labels import BINARY, LabelMap
from segline.errors import DataError
from segline.inference import description, network_file
from segline.models import unet_plus_plus
from segline.project import Files
from segline.reading import TEXT_BYTES, read_bytes
from segline.storage import atomic_folder

"""What the folder of a bundle is called, in a run and in the registry."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A network and its description.

    Args:
        network: uint8-range RGB (N, H, W, 3) -> logits float32 (N, H, W, C).
        stride: the sides of its input must be multiples of this.
        short_side: images are scaled down to this before they go in; None: not at all.
        threshold: of a binary task, the foreground's probability above which a pixel is foreground;
            None: the higher logit decides, as always with more classes.
        mirrors: flips whose mirror images are answered too, one after the other and together, and averaged.

    Raises:
        ValueError: a threshold where there are not two classes, or one outside 0..1.
    """

    network: keras.Model
    dataset: str
    family: str
    labels: LabelMap
    short_side: int | None
    stride: int
    threshold: float | None = None
    mirrors: tuple[Flip, ...] = ()

    def __post_init__(self) -> None:
        if self.threshold is not None and (len(self.labels) != BINARY or not 0 < self.threshold < 1):
            raise ValueError(f"threshold {self.threshold} of {len(self.labels)} classes")


def pruned(bundle: Bundle, *, head: int) -> Bundle:
    """The same, answering by one head of its U-Net++ alone: the paper's fast mode.

    Raises:
        ConfigError: its network has no such head.
    """
    return replace(bundle, network=unet_plus_plus.prune(bundle.network, head=head))


def save(bundle: Bundle, folder: Path) -> None:
    """Write `bundle` to `folder`, whole or not at all.

    Raises:
        StorageError: the disk is full.
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
    with atomic_folder(folder) as partial:
        # The same layers without the optimizer, whose state is twice the weights and of no use here.
        keras.Model(bundle.network.input, bundle.network.output).save(partial / Files.NETWORK)
        (partial / Files.DESCRIPTION).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> Bundle:
    """Read what `save` wrote.

    Raises:
        DataError: `folder` is no bundle, is damaged, of another format, or says what its network does not do.
    """
    try:
        text = read_bytes(folder / Files.DESCRIPTION, limit=TEXT_BYTES)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _no_bundle(folder, lacking=Files.DESCRIPTION) from error
    said = description.parse(text, place=folder / Files.DESCRIPTION)
    if not (folder / Files.NETWORK).is_file():
        raise _no_bundle(folder, lacking=Files.NETWORK)
    return Bundle(
        network=network_file.load(folder / Files.NETWORK, classes=len(said.classes), stride=said.stride),
        dataset=said.dataset,
        family=said.family,
        labels=said.label_map(),
        short_side=said.short_side,
        stride=said.stride,
        threshold=said.threshold,
        mirrors=said.mirrors,
    )


def _no_bundle(folder: Path, *, lacking: str) -> DataError:
    return DataError(
        folder,
        found=f"no {lacking}",
        expected="a model folder, or a registered model such as segline-oxford_pets@champion",
        remedy="name one of those with --model",
    )
