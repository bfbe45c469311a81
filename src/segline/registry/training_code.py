"""Identify the code that trains and scores, by its content.

The run key holds this digest instead of the commit. So a commit of a README, or a new dataset, trains nothing again. A
change of a loss does, committed or not. `tests/registry/test_training_code.py` computes the imports of a training, and
fails if a module is neither listed here nor among those that change no result.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import segline
from segline.config import Params

CODE = (
    "config/fields.py",
    "config/network.py",
    "config/objective.py",
    "config/training_sections.py",
    "core/coding.py",
    "core/labels.py",
    "core/metrics",
    "core/statistics",
    "data/batches",
    "data/images/decode.py",
    "data/images/deep.py",
    "data/images/manifest.py",
    "data/images/palettes.py",
    "data/images/scale.py",
    "data/prepare/prepared.py",
    "datasets/__init__.py",
    "datasets/base.py",
    "datasets/own/classes.py",
    "datasets/own/stale.py",
    "datasets/street_labels.py",
    "evaluation/bundles",
    "evaluation/figures.py",
    "evaluation/lock.py",
    "evaluation/results.py",
    "evaluation/summary.py",
    "inference/bundle.py",
    "inference/description.py",
    "inference/network_file.py",
    "inference/predict.py",
    "models/__init__.py",
    "models/blocks.py",
    "models/classifier.py",
    "models/decoders/__init__.py",
    "models/encoders/__init__.py",
    "models/weights",
    "pictures.py",
    "pipeline/definition.py",
    "pipeline/evaluate.py",
    "pipeline/fit.py",
    "pipeline/promote.py",
    "pipeline/search.py",
    "pipeline/train.py",
    "pipeline/work.py",
    "registry/gate",
    "training/backend.py",
    "training/classification",
    "training/fit",
    "training/objective",
    "training/rungs.py",
    "training/search",
    "training/tracker.py",
)
"""Files and folders of every training, below the package. `list_files` adds those of the dataset and the networks."""

_COMPOSITIONS = {"composed", "deeplab_v3_plus"}
"""Networks that `models/composed.py` builds; the second has the decoder ``deeplab``."""


def digest(params: Params) -> str:
    """Compute the digest of the code of a training with `params`: 16 hex digits."""
    package = Path(segline.__file__).parent
    state = hashlib.sha256()
    for path in sorted(set(list_files(params, package=package))):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        state.update(f"{path.relative_to(package).as_posix()} {content}\n".encode())
    return state.hexdigest()[:16]


def list_files(params: Params, *, package: Path) -> Iterator[Path]:
    """List the files of a training with `params` in the folder `package`.

    Of the datasets, networks and encoders, these are only the files of those that `params` name.
    """
    for name in (*CODE, *_list_chosen(params)):
        path = package / name
        if path.is_dir():
            yield from path.rglob("*.py")
        elif path.is_file():  # own data have no file of their own
            yield path


def _list_chosen(params: Params) -> Iterator[str]:
    yield f"datasets/{params.dataset}.py"
    yield from (f"models/{network}.py" for network in params.search.networks)
    if _COMPOSITIONS & {*params.search.networks}:
        yield "models/composed.py"
        yield from (f"models/decoders/{decoder}.py" for decoder in ("deeplab", "unet", *params.search.decoders))
    if params.search.has_encoder:
        yield from (f"models/encoders/{encoder}.py" for encoder in params.search.encoders)
