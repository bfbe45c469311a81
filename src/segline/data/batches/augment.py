"""Augment training crops with Albumentations. Only this module imports it.

2.0.8 is its last release under the MIT licence. To replace the library, change only this module.
"""

import os
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # otherwise its import checks the network for a newer release

import albumentations as A
import cv2
import numpy as np

from segline.config import Augmentation
from segline.core.labels import VOID, Image, Mask


class Augmenter:
    """Augmentation of one image and its mask: flip, scale, crop and, with growing strength, rotate and change colours.

    Areas outside the image become void in the mask.

    Args:
        crop: height and width of the result, pixels.
        strength: 0 (only flips, scaling and crops) to 1 (strongest); used only by the kind ``scaled``.
        mirrored: whether left and right may be swapped.
        upended: whether up and down may be swapped.
        kind: the kind of augmentation; None for ``scaled``.
    """

    def __init__(
        self,
        *,
        crop: tuple[int, int],
        strength: float,
        mirrored: bool,
        upended: bool = False,
        kind: Augmentation | None = None,
    ) -> None:
        self.crop = crop
        chosen = kind or Augmentation()
        flips = (
            [] if chosen.kind == "none" else [A.HorizontalFlip(p=0.5)] * mirrored + [A.VerticalFlip(p=0.5)] * upended
        )
        transforms = [*flips, *_make_transforms(crop, strength, chosen)]
        self._compose = A.Compose(transforms)
        # Centred crops need a tenth more time, so they have a pipeline of their own.
        self._around = A.Compose(transforms, keypoint_params=A.KeypointParams(format="xy", remove_invisible=False))

    @property
    def specification(self) -> dict[str, Any]:
        """Return the whole pipeline as plain values, for the log."""
        specification: dict[str, Any] = self._compose.to_dict()
        return specification

    def __call__(
        self, image: Image, mask: Mask, *, seed: int, centre: tuple[int, int] | None = None
    ) -> tuple[Image, Mask]:
        """Augment one sample; equal arguments give equal results.

        Args:
            image: uint8 (h, w, 3).
            mask: uint8 (h, w).
            centre: row and column of the crop's centre, as far as the image border allows; None for a random
                position.

        Returns:
            uint8 (H, W, 3) and uint8 (H, W) of the crop's size.
        """
        if centre is None:
            self._compose.set_random_seed(seed)
            result = self._compose(image=image, mask=mask)
        else:
            self._around.set_random_seed(seed)
            point = np.array([[centre[1], centre[0]]], dtype=np.float32)
            result = self._around(image=image, mask=mask, keypoints=point)
        return result["image"], result["mask"]


class RandomCropAround(A.RandomCrop):
    """Crop around the first keypoint, as moved by earlier transforms; crop at random if there is no keypoint."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Choose the corners of the crop."""
        found: dict[str, Any] = super().get_params_dependent_on_data(params, data)
        around = _centre_crop(data, size=(self.height, self.width), shape=params["shape"])
        return found if around is None else {**found, "crop_coords": around}


class RandomSizedCropAround(A.RandomSizedCrop):
    """Crop a random height and resize it. In an image that is too small, the crop is smaller, but never distorted."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Choose the corners of the crop. Albumentations' own choice can exceed a narrow image."""
        rows, columns = params["shape"][:2]
        largest = min(rows, int(columns / self.w2h_ratio))
        height = self.py_random.randint(*(min(side, largest) for side in self.min_max_height))
        width = min(columns, round(height * self.w2h_ratio))
        around = _centre_crop(data, size=(height, width), shape=params["shape"])
        if around is None:
            left, top = (self.py_random.randint(0, room) for room in (columns - width, rows - height))
            around = (left, top, left + width, top + height)
        return {"crop_coords": around}


def _centre_crop(
    data: dict[str, Any], *, size: tuple[int, int], shape: tuple[int, ...]
) -> tuple[int, int, int, int] | None:
    """Return the corners of a crop of `size` (height, width) around the first keypoint, inside the image."""
    points = data.get("keypoints")
    if points is None or len(points) == 0:
        return None
    left, top = (
        round(min(max(float(middle) - length / 2, 0), side - length))
        for middle, length, side in zip(points[0][:2], size[::-1], (shape[1], shape[0]), strict=True)
    )
    return left, top, left + size[1], top + size[0]


def _make_transforms(crop: tuple[int, int], strength: float, kind: Augmentation) -> list[A.BasicTransform]:
    if kind.kind == "none":
        return [_pad(crop, position="center"), A.CenterCrop(*crop)]
    if kind.heights is not None:
        return _make_sized(crop, kind.heights, kind.probability)
    return _make_scaled(crop, strength)


def _pad(crop: tuple[int, int], *, position: str) -> A.BasicTransform:
    return A.PadIfNeeded(*crop, border_mode=cv2.BORDER_CONSTANT, fill=0, fill_mask=VOID, position=position)


def _make_sized(crop: tuple[int, int], heights: tuple[int, int], probability: float) -> list[A.BasicTransform]:
    """Make a `RandomSizedCrop` as in Albumentations' tutorials.

    With probability 1 - `probability`, crop without scaling; there, the tutorials distort the whole image instead.
    """
    sized = RandomSizedCropAround(
        min_max_height=heights,
        size=crop,
        w2h_ratio=crop[1] / crop[0],
        interpolation=cv2.INTER_LINEAR,
        mask_interpolation=cv2.INTER_NEAREST_EXACT,
        p=probability,
    )
    return [sized, _pad(crop, position="random"), RandomCropAround(*crop)]


def _make_scaled(crop: tuple[int, int], strength: float) -> list[A.BasicTransform]:
    transforms: list[A.BasicTransform] = [
        A.RandomScale(
            scale_limit=(-0.15 - 0.25 * strength, 0.15 + 0.45 * strength),
            interpolation=cv2.INTER_LINEAR,
            mask_interpolation=cv2.INTER_NEAREST_EXACT,
            p=0.8,
        )
    ]
    if strength > 0:
        transforms.append(
            A.Affine(
                rotate=(-12 * strength, 12 * strength),
                shear=(-6 * strength, 6 * strength),
                interpolation=cv2.INTER_LINEAR,
                mask_interpolation=cv2.INTER_NEAREST,
                border_mode=cv2.BORDER_CONSTANT,
                fill_mask=VOID,  # its default, 0, would teach class 0 in every corner
                p=0.5,
            )
        )
    transforms += [_pad(crop, position="random"), RandomCropAround(*crop)]
    if strength > 0:
        transforms += [
            A.ColorJitter(
                brightness=(1 - 0.4 * strength, 1 + 0.4 * strength),
                contrast=(1 - 0.4 * strength, 1 + 0.4 * strength),
                saturation=(1 - 0.5 * strength, 1 + 0.5 * strength),
                hue=(-0.05 * strength, 0.05 * strength),
                p=0.8,
            ),
            A.GaussianBlur(sigma_limit=(0.1, 0.1 + 1.2 * strength), blur_limit=0, p=0.2),
            A.GaussNoise(std_range=(0.0, 0.06 * strength), p=0.2),
        ]
    return transforms
