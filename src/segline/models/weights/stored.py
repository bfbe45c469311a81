"""Keep weights of encoders as files ``<encoder>-<digest>.npz``, which can be carried to another machine.

The digest in a file's name is that of the weights, not of the file, so that it is the same for every version of
NumPy. A file that was damaged or renamed is found out when it is read.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segline.errors import ConfigError
from segline.formats import arrays
from segline.models.weights.catalogue import Published
from segline.storage import atomic_file

_DIGITS = 16  # of the digest, in the name of a file

Arrays = Mapping[str, npt.NDArray[Any]]
"""``<layer>/<place>`` -> array: the weights of an encoder, as in `segline.models.encoders.save_weights`."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Weights of one encoder in a file.

    Args:
        encoder: its name.
        origin: where the weights come from.
        digest: of the weights, 64 hex digits.
        path: the file.
    """

    encoder: str
    origin: str
    digest: str
    path: Path


def digest_of(weights: Arrays) -> str:
    """Compute the SHA-256 of names, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = np.ascontiguousarray(weights[name], dtype="<f4")
        digest.update(f"{name} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def name_file(encoder: str, digest: str) -> str:
    """Return the name of the file for weights with this `digest`."""
    return f"{encoder}-{digest[:_DIGITS]}.npz"


def write(folder: Path, published: Published, weights: Arrays) -> Stored:
    """Write `weights` to `folder`.

    Raises:
        StorageError: the disk is full, or writing is not permitted.
    """
    digest, values = digest_of(weights), dict[str, Any](weights)
    path = folder / name_file(published.encoder, digest)
    with atomic_file(path) as partial, partial.open("wb") as handle:
        np.savez(handle, **values)
    return Stored(encoder=published.encoder, origin=published.origin, digest=digest, path=path)


def find(folder: Path, published: Published) -> Path | None:
    """Find the file of the published weights in `folder`, without reading it; None if there is none.

    Raises:
        ConfigError: there are several, and the catalogue does not say which of them is right.
    """
    if published.digest:
        path = folder / name_file(published.encoder, published.digest)
        return path if path.is_file() else None
    found = sorted(folder.glob(f"{published.encoder}-{'[0-9a-f]' * _DIGITS}.npz"))
    if len(found) > 1:
        raise ConfigError(
            folder,
            found=f"{len(found)} files of {published.encoder}: {', '.join(path.name for path in found)}",
            expected="one",
            remedy="keep the file that your earlier runs used, and move the others away",
        )
    return found[0] if found else None


def read(path: Path, published: Published) -> Stored:
    """Read a file of this folder, and check that its content is what its name says.

    Raises:
        ConfigError: the file is damaged, or holds other weights.
    """
    try:
        digest = digest_of(arrays.load(path))
    except ValueError as error:
        raise _make_damage_error(path, f"not a weights file ({error})", published) from error
    if path.name != name_file(published.encoder, digest):
        raise _make_damage_error(path, f"weights with the digest {digest[:_DIGITS]}…", published)
    return Stored(encoder=published.encoder, origin=published.origin, digest=digest, path=path)


def _make_damage_error(path: Path, found: str, published: Published) -> ConfigError:
    return ConfigError(
        path,
        found=found,
        expected=f"weights of {published.encoder} with the digest in the file's name",
        remedy=f"delete the file, then copy it from where it was fetched, or get it again: {published.command}",
    )
