"""What training does to a crop, by Albumentations (the only place that imports it).

2.0.8 is its last MIT release, so a successor has to be put in here and nowhere else.
"""

import os
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # on import it would ask the network for a newer release

import albumentations as A
import cv2

from segline.core.labels import VOID, Image, Mask


class Augmenter:
    """Flips, scales, crops and, with growing strength, turns and recolours; masks are filled with void.

    Args:
        crop: height and width that come out, pixels.
        strength: 0 (flips and crops) to 1.
        mirrored: whether left and right may be swapped.
    """

    def __init__(self, *, crop: tuple[int, int], strength: float, mirrored: bool) -> None:
        self._compose = A.Compose(_transforms(crop, strength, mirrored))

    @property
    def specification(self) -> dict[str, Any]:
        """The whole pipeline as plain values, for the log."""
        specification: dict[str, Any] = self._compose.to_dict()
        return specification

    def __call__(self, image: Image, mask: Mask, *, seed: int) -> tuple[Image, Mask]:
        """Augment one sample; equal seeds give equal results.

        Args:
            image: uint8 (h, w, 3).
            mask: uint8 (h, w).

        Returns:
            uint8 (H, W, 3) and uint8 (H, W) of the crop's size.
        """
        self._compose.set_random_seed(seed)
        result = self._compose(image=image, mask=mask)
        return result["image"], result["mask"]


def _transforms(crop: tuple[int, int], strength: float, mirrored: bool) -> list[A.BasicTransform]:
    height, width = crop
    transforms: list[A.BasicTransform] = [A.HorizontalFlip(p=0.5)] if mirrored else []
    transforms.append(
        A.RandomScale(
            scale_limit=(-0.15 - 0.25 * strength, 0.15 + 0.45 * strength),
            interpolation=cv2.INTER_LINEAR,
            mask_interpolation=cv2.INTER_NEAREST_EXACT,
            p=0.8,
        )
    )
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
    transforms += [
        A.PadIfNeeded(height, width, border_mode=cv2.BORDER_CONSTANT, fill=0, fill_mask=VOID, position="random"),
        A.RandomCrop(height, width),
    ]
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
