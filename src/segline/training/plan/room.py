"""What fits into a memory budget: crops, batches and networks against what their fits would take."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from segline import models
from segline.config import MULTIPLE, ModelConfig, Search, Training
from segline.errors import ConfigError
from segline.storage import size_text
from segline.training.fit.memory_estimate import GIBIBYTE, Footprint, footprint

Size = tuple[int, int]
"""Height and width, pixels."""

_HALVINGS = (2, 3, 4, 5)  # that a network may have


@dataclass(frozen=True, kw_only=True)
class Room:
    """A budget, and candidates that are to keep to it.

    Args:
        budget: bytes.
        classes: of the label map.
        training: optimizer, loss, precision and averages, which take their part.
        search: what else is offered to networks that have it: encoders, strides, blocks.
        edge: pixels a side that the deepest features of a crop should have, least and most.
        depths: how often candidates halve the sides; none for what `edge` makes of a crop.
    """

    budget: int
    classes: int
    training: Training
    search: Search
    edge: tuple[int, int]
    depths: tuple[int, ...] | None = None

    def depths_for(self, crop: Size) -> tuple[int, ...]:
        """How often to halve until the crop's shorter side is within `edge`; the nearest if none does.

        Only what halves both sides evenly, and often enough for the heads that are offered.

        Raises:
            ConfigError: nothing does.
        """
        if self.depths:
            return self.depths
        heads = max(self.search.heads)
        legal = [depth for depth in _HALVINGS if depth >= heads and not any(side % 2**depth for side in crop)]
        if not legal:
            least = max(heads, _HALVINGS[0])
            raise ConfigError(
                "training.crop",
                found=str(list(crop)),
                expected=f"multiples of {2**least}: networks halve it at least {least} times",
                remedy=f"take multiples of {MULTIPLE}" + (", or fewer search.heads" if heads > 1 else ""),
            )
        deepest = {depth: min(crop) / 2**depth for depth in legal}
        found = tuple(depth for depth, side in deepest.items() if self.edge[0] <= side <= self.edge[1])
        nearest = min(legal, key=lambda depth: max(self.edge[0] / deepest[depth], deepest[depth] / self.edge[1]))
        return found or (nearest,)

    def footprint(self, network: str, width: int, crop: Size) -> Footprint:
        """What that network takes in the form that takes most, at its greatest depth."""
        common = {
            "network": network,
            "classes": self.classes,
            "width": width,
            "dropout": self.training.dropout,
        }
        offered = {"depth": (max(self.depths_for(crop)),), **self.search.offered}
        own = {option: values for option, values in offered.items() if models.has_option(network, option)}
        forms = (
            ModelConfig.model_validate({**common, **dict(zip(own, values, strict=True))})
            for values in product(*own.values())
        )
        return max(
            (footprint(form, self.training) for form in forms), key=lambda one: one.of_training(crop=crop, batch=1)
        )

    def takes(self, network: str, width: int, *, crop: Size, batch: int) -> int:
        """Bytes of training on so many crops at a time."""
        return self.footprint(network, width, crop).of_training(crop=crop, batch=batch)

    def fits(self, network: str, width: int, *, crop: Size, batch: int) -> bool:
        """Whether that is within the budget."""
        return self.takes(network, width, crop=crop, batch=batch) <= self.budget


def shrinking(largest: Size) -> Iterator[Size]:
    """Crops from `largest` down to the smallest, each a step smaller along the side that is largest for its whole.

    nnU-Net's way: the shape of the crop follows that of the image.
    """
    crop = largest
    yield crop
    while max(crop) > MULTIPLE:
        shares = [side / whole if side > MULTIPLE else 0.0 for side, whole in zip(crop, largest, strict=True)]
        place = int(shares[1] >= shares[0])
        crop = (crop[0] - MULTIPLE * (1 - place), crop[1] - MULTIPLE * place)
        yield crop


def multiple_below(side: int) -> int:
    """The largest legal crop side that is not above `side`, or the smallest there is."""
    return max(MULTIPLE, side // MULTIPLE * MULTIPLE)


def multiple_above(side: float) -> int:
    """The smallest legal crop side that is not below `side`."""
    return max(MULTIPLE, -(-round(side) // MULTIPLE) * MULTIPLE)


def gibibytes(count: int) -> str:
    """Write so many bytes as budgets are given: in GiB."""
    return size_text(count, unit="GiB")


def rounded_up(size: int) -> str:
    """A budget in GiB that holds `size` bytes, for ``params.yaml``."""
    return f"{math.ceil(10 * size / GIBIBYTE) / 10:.1f}"
