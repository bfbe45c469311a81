"""Choose compositions, encoders under decoders, by their price: memory and multiply-adds.

The search tries each combination of the encoders and decoders that are kept, so at most four are chosen.
"""

import functools
from collections.abc import Sequence

from segline import models
from segline.config import MULTIPLE, ModelConfig
from segline.errors import ConfigError
from segline.evaluation.cost.measure import multiply_adds
from segline.training.fit.memory_estimate import footprint
from segline.training.plan.constants import BATCH, DEAREST
from segline.training.plan.facts import Size
from segline.training.plan.memory_budget import MemoryBudget, format_budget, format_size
from segline.training.plan.plan import Composition

_PROBE_SIDE = 256  # of the image for which multiply-adds are counted, pixels; a multiple of every stride


def price(memory: MemoryBudget, encoder: str, decoder: str, *, width: int, crop: Size, batch: int) -> Composition:
    """Build a composition to count what it takes; some seconds for each new one."""
    search = memory.search
    config = ModelConfig(
        network="composed",
        classes=memory.classes,
        width=width,
        dropout=memory.training.dropout,
        encoder=encoder,
        decoder=decoder,
        output_stride=min(search.output_stride),
        separable=min(search.separable),
        heads=max(search.heads),
    )
    parameters, operations = _count(config)
    taken = footprint(config, memory.training).of_training(crop=crop, batch=batch)
    return Composition(encoder=encoder, decoder=decoder, parameters=parameters, multiply_adds=operations, bytes=taken)


@functools.cache
def _count(config: ModelConfig) -> tuple[int, int]:
    """Count the parameters of a network, and its multiply-adds for each pixel."""
    model = models.build(config)
    operations = multiply_adds(models.deployed(model), height=_PROBE_SIDE, width=_PROBE_SIDE)
    return int(model.count_params()), round(operations / _PROBE_SIDE**2)


def choose_compositions(
    memory: MemoryBudget, encoders: Sequence[str], decoders: Sequence[str], *, width: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Leave out the encoders and decoders of compositions that are too large for memory, or too dear.

    Too dear are those with more than `DEAREST` times the multiply-adds of the cheapest that fits.

    Returns:
        Encoders and decoders, all of whose combinations fit.

    Raises:
        ConfigError: no composition fits into memory, not even with the smallest crop and batch.
    """
    smallest = MULTIPLE, MULTIPLE
    priced = [
        price(memory, encoder, decoder, width=width, crop=smallest, batch=BATCH[0])
        for encoder in encoders
        for decoder in decoders
    ]
    fitting = [each for each in priced if each.bytes <= memory.limit]
    if not fitting:
        raise _make_memory_error(memory, priced)
    most = DEAREST * min(each.multiply_adds for each in fitting)
    kept = {(each.encoder, each.decoder) for each in fitting if each.multiply_adds <= most}
    used = [encoder for encoder in encoders if any((encoder, decoder) in kept for decoder in decoders)]
    while True:
        common = tuple(decoder for decoder in decoders if all((encoder, decoder) in kept for encoder in used))
        if common:
            return tuple(used), common
        used = used[:-1]  # the encoders are in the order of preference


def _make_memory_error(memory: MemoryBudget, priced: Sequence[Composition]) -> ConfigError:
    each = ", ".join(f"{one.encoder} under {one.decoder} {format_size(one.bytes)}" for one in priced)
    least = min(one.bytes for one in priced)
    return ConfigError(
        "training.memory",
        found=f"a budget of {format_size(memory.limit)}, too small for any composition",
        expected=f"at least {format_size(least)}, for {BATCH[0]} crops of {MULTIPLE}x{MULTIPLE} ({each})",
        remedy=f"raise training.memory to {format_budget(least)}",
    )
