"""A trained network with all it needs to be used: one folder, readable without MLflow.

``network.keras`` holds architecture and weights; ``segline.json`` says what goes in (the scale),
what comes out (the label map, a binary task's threshold, the mirror images that are answered too)
and what it was trained on.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import keras

from segline.config.fields import Flip
from segline.core.labels import BINARY, LabelClass, LabelMap
from segline.errors import DataError
from segline.models import unet_plus_plus
from segline.reading import read_text
from segline.storage import atomic_folder

NETWORK, DESCRIPTION = "network.keras", "segline.json"
FORMAT = 3
_EARLIER = {1, 2}  # without thresholds, which were argmax then, and without mirror images
_KINDS = {"dataset": str, "family": str, "short_side": int | None, "stride": int}


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
    description = {
        "format": FORMAT,
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
        keras.Model(bundle.network.input, bundle.network.output).save(partial / NETWORK)
        (partial / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> Bundle:
    """Read what `save` wrote.

    Raises:
        DataError: `folder` is no bundle, is damaged, or of another format.
    """
    try:
        description = json.loads(read_text(folder / DESCRIPTION))
        fields = _fields(description, place=folder / DESCRIPTION)
        network = _network(folder)
        return Bundle(network=network, **fields)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _no_bundle(folder, lacking=DESCRIPTION) from error
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise DataError(
            folder / DESCRIPTION,
            found=f"no {error}" if isinstance(error, KeyError) else f"no description of a network ({error})",
            expected="what Segline wrote beside the network",
            remedy="restore the folder, or name another with --model",
        ) from error


def _no_bundle(folder: Path, *, lacking: str) -> DataError:
    return DataError(
        folder,
        found=f"no {lacking}",
        expected="a model folder, or a registered model such as segline-oxford_pets@champion",
        remedy="name one of those with --model",
    )


def _network(folder: Path) -> keras.Model:
    if not (folder / NETWORK).is_file():
        raise _no_bundle(folder, lacking=NETWORK)
    import segline.models.blocks  # noqa: F401  (its layers must be known by name)

    try:
        return keras.saving.load_model(folder / NETWORK, compile=False)
    except MemoryError:
        raise
    except Exception as error:  # what Keras raises on damaged files is not a closed set
        reason = str(error).strip() or type(error).__name__
        raise DataError(
            folder / NETWORK,
            found=f"no network that Keras can load: {reason.splitlines()[0]}",
            expected="the file that Segline wrote",
            remedy="restore it, or name another model",
        ) from error


def _fields(description: dict[str, Any], *, place: Path) -> dict[str, Any]:
    """All of a bundle but its network.

    Raises:
        DataError: a release wrote it whose format is not known here.
        KeyError: something lacks.
        ValueError, TypeError, AttributeError: something is of another kind.
    """
    if description["format"] not in {*_EARLIER, FORMAT}:
        raise DataError(
            place,
            found=f"format {description['format']}",
            expected=f"format {FORMAT} or an earlier one",
            remedy="use the Segline release that wrote it",
        )
    fields = {key: description[key] for key in ("dataset", "family", "short_side", "stride")}
    threshold, mirrors = description.get("threshold"), tuple(description.get("mirrors", ()))
    for key, kinds in _KINDS.items():
        if not isinstance(fields[key], kinds):
            raise TypeError(f"{key} is {fields[key]!r}")
    if not set(mirrors) <= set(get_args(Flip)):
        raise ValueError(f"mirrors are {mirrors}")
    return {**fields, "labels": _labels(description), "threshold": threshold, "mirrors": mirrors}


def _labels(description: dict[str, Any]) -> LabelMap:
    classes = (
        LabelClass(
            name=item["name"],
            raw=item["raw"],
            colour=tuple(item["colour"]),
            merged=tuple(item.get("merged", ())),
            category=item.get("category", ""),
        )
        for item in description["classes"]
    )
    return LabelMap(classes=tuple(classes), void=tuple(description["void"]))
