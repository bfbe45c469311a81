"""Batches to learn from in seconds: every class has a colour, a third of the pixels are void or noisy."""

import numpy as np

from segline.core.labels import VOID, Image, Mask

CLASSES = 3
COLOURS = np.array([[30, 60, 200], [200, 40, 30], [90, 220, 80]])
SIDES = (32, 64)


def draw(key: list[int], *, batch: int = 2) -> tuple[Image, Mask]:
    """Vertical bands of the classes at random places, with noise, and a void strip on top."""
    rng = np.random.default_rng(key)
    height, width = SIDES
    edges = np.sort(rng.integers(4, width - 4, (batch, CLASSES - 1)), axis=1)
    bands = (np.arange(width)[None, None] >= edges[:, :, None]).sum(axis=1)
    mask = np.repeat(bands[:, None], height, axis=1).astype(np.uint8)
    image = np.clip(COLOURS[mask] + rng.normal(0, 60, (*mask.shape, 3)), 0, 255).astype(np.uint8)
    mask[:, :5] = VOID
    return image, mask


class Train:
    """Endless training batches; `strength` changes them as augmentation would."""

    def __init__(self, seed: int = 1, strength: float = 0.0) -> None:
        self._seed, self._strength = seed, strength

    def batch(self, step: int) -> tuple[Image, Mask]:
        image, mask = draw([self._seed, step])
        return (image * (1 - self._strength / 2)).astype(np.uint8), mask

    def ids(self, step: int) -> list[str]:
        return [f"band_{step}_{place}" for place in range(2)]


class Validation:
    """Three fixed batches, the last smaller than the others in every way, as whole images are."""

    def __len__(self) -> int:
        return 3

    def batch(self, index: int) -> tuple[Image, Mask]:
        image, mask = draw([999, index])
        return (image, mask) if index < 2 else (image[:1, :24, 8:56], mask[:1, :24, 8:56])
