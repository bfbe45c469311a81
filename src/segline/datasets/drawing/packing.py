"""Pixels -> image files, files -> archives: the same bytes on every machine and every run."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Picture

from segline.core.labels import Image
from segline.datasets.base import Member

NOTE = b"A miniature drawn by Segline in the layout of the official archive. It holds none of the publisher's data.\n"


def zip_archive(members: Iterable[Member]) -> bytes:
    """Pack a ZIP archive without compression, as its members are compressed already."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(members):
            entry = zipfile.ZipInfo(name, date_time=(2018, 4, 12, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, data)
    return content.getvalue()


def tar_archive(members: Iterable[Member]) -> bytes:
    """Pack a gzipped tar archive without names, owners or times of this machine."""
    content = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=content, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, data in sorted(members):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(data), 0o644, 1_340_000_000
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def png(pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> bytes:
    """Encode RGB, RGBA, grey or 16-bit grey pixels as a PNG file."""
    orders = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    ordered = cv2.cvtColor(pixels, orders[pixels.shape[2]]) if pixels.ndim == 3 else pixels
    return cv2.imencode(".png", ordered)[1].tobytes()


def jpeg(image: Image) -> bytes:
    """Encode RGB or grey pixels as a JPEG file."""
    ordered = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    return cv2.imencode(".jpg", ordered, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def gif(image: Image) -> bytes:
    """Encode RGB pixels as a GIF file of 64 colours."""
    content = io.BytesIO()
    Picture.fromarray(image).quantize(64).save(content, "GIF")
    return content.getvalue()
