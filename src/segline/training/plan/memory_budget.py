"""Compute which crops, batches and networks keep to a memory budget."""

import math
from dataclasses import dataclass
from itertools import product

from segline import models
from segline.config import MULTIPLE, ModelConfig, Search, Training
from segline.errors import ConfigError
from segline.storage import size_text
from segline.training.fit.memory_estimate import GIBIBYTE, Footprint, footprint
from segline.training.plan.facts import Size

_ALLOWED_DEPTHS = (2, 3, 4, 5)


@dataclass(frozen=True, kw_only=True)
class MemoryBudget:
    """A budget, and the candidates that must keep to it.

    Args:
        limit: bytes.
        classes: of the label map.
        training: optimizer, loss, precision and averages, which take memory.
        search: the options of networks that have them: encoders, strides, blocks.
        edge: least and most side that the deepest features of a crop should have, pixels.
        depths: how many times candidates halve the sides; None: derived from `edge` and the crop.
    """

    limit: int
    classes: int
    training: Training
    search: Search
    edge: tuple[int, int]
    depths: tuple[int, ...] | None = None

    def choose_depths(self, crop: Size) -> tuple[int, ...]:
        """Find the depths at which the crop's deepest features are within `edge`; if there is none, the nearest depth.

        A depth must divide both sides of the crop by 2 ** depth, and be at least the number of heads.

        Raises:
            ConfigError: no depth does.
        """
        if self.depths:
            return self.depths
        heads = max(self.search.heads)
        legal = [depth for depth in _ALLOWED_DEPTHS if depth >= heads and not any(side % 2**depth for side in crop)]
        if not legal:
            least = max(heads, _ALLOWED_DEPTHS[0])
            raise ConfigError(
                "training.crop",
                found=str(list(crop)),
                expected=f"multiples of {2**least}: networks halve it at least {least} times",
                remedy=f"use multiples of {MULTIPLE}" + (", or fewer search.heads" if heads > 1 else ""),
            )
        deepest = {depth: min(crop) / 2**depth for depth in legal}
        found = tuple(depth for depth, side in deepest.items() if self.edge[0] <= side <= self.edge[1])
        nearest = min(legal, key=lambda depth: max(self.edge[0] / deepest[depth], deepest[depth] / self.edge[1]))
        return found or (nearest,)

    def footprint(self, network: str, width: int, crop: Size) -> Footprint:
        """Estimate the memory of a network at its greatest depth, with the options that take most."""
        common = {
            "network": network,
            "classes": self.classes,
            "width": width,
            "dropout": self.training.dropout,
        }
        offered = {"depth": (max(self.choose_depths(crop)),), **self.search.offered}
        own = {option: values for option, values in offered.items() if models.has_option(network, option)}
        forms = (
            ModelConfig.model_validate({**common, **dict(zip(own, values, strict=True))})
            for values in product(*own.values())
        )
        return max(
            (footprint(form, self.training) for form in forms), key=lambda one: one.of_training(crop=crop, batch=1)
        )

    def takes(self, network: str, width: int, *, crop: Size, batch: int) -> int:
        """Estimate the bytes of training on `batch` crops at a time."""
        return self.footprint(network, width, crop).of_training(crop=crop, batch=batch)

    def fits(self, network: str, width: int, *, crop: Size, batch: int) -> bool:
        """Return whether training on `batch` crops at a time is within the budget."""
        return self.takes(network, width, crop=crop, batch=batch) <= self.limit


def format_size(count: int) -> str:
    """Format a number of bytes in GiB, the unit of budgets."""
    return size_text(count, unit="GiB")


def format_budget(size: int) -> str:
    """Round `size` bytes up to a budget in GiB, as ``params.yaml`` writes it."""
    return f"{math.ceil(10 * size / GIBIBYTE) / 10:.1f}"
