"""Derive a training from a dataset's fingerprint and a stated memory budget, by fixed rules.

The rules are nnU-Net's (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z), for colour images and
small networks. They look at no machine: equal fingerprints, budgets and overrides give equal plans
everywhere. What ``params.yaml`` says itself holds, and what follows from it follows.
"""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from segline import models
from segline.config import CLASSIFICATION, IMAGENET, MULTIPLE, Params, Search, Training, completed, largest_crop
from segline.errors import ConfigError
from segline.storage import atomic_file
from segline.training.facts import Facts
from segline.training.memory import GIBIBYTE, Footprint
from segline.training.room import Room, Size, multiple_above, multiple_below, shrinking

# What the rules are made of. Everything that experience may change is here.

MEMORY = 4.0  # GiB, where no budget is stated
PIXELS = 4e8  # in all crops of the final fit, where no amount is stated
NETWORKS = ("unet",)  # candidates, the most promising first: crops are made to fit that one
PRETRAINED = ("deeplab_v3_plus",)  # those where first weights are stated: they begin with an encoder
ENCODERS = (
    (0, ("mobilenet_v2",)),
    (400e6, ("mobilenet_v2", "xception")),
)  # from so many training pixels on
WIDTHS = (
    (0, (12,)),
    (20e6, (12, 16, 24)),
    (400e6, (24, 32, 48)),
)  # from so many training pixels on; crops fit the first
EDGE = (4, 7)  # pixels that the deepest features of a crop have a side: nnU-Net halves until they are below 8
CONTEXT = 2.0  # sides of the smallest crop over those of an object
SIDE = 1024  # of a crop, at most
BATCH = (2, 8, 8)  # crops: at least, wanted before a crop is made smaller, at most
BATCH_SHARE = 0.05  # of the training pixels, that a batch has at most
EPOCHS = (30, 60)  # of the final fit; between them an epoch is one pass
IMBALANCE = 4.0  # median class over rarest, from which rare classes are sought out
RARE = 1 / 3  # of the crops, which are then centred on one of them
FEW, MANY = 100, 10_000  # images: the strongest augmentation up to here, the weakest from there on
STRENGTH = (0.85, 0.2)  # middle of the range at FEW and at MANY
SPREAD = 0.15  # the range on either side of it
LEARNING_RATE = (3e-3, 6e-3)  # for the wanted batch; the best whole fits seen had 4e-3 (Pets) and 5e-3 (KITTI)
PRETRAINED_RATE = (5e-4, 4e-3)  # that does not forget what the encoder knows
TRIALS = 2
SEARCH_SHARE = 0.1  # crops that all trials see, over those of the final fit
FIXED: Mapping[str, tuple[Any, str]] = {
    "optimizer": ("adamw", "converges at any width without being tuned"),
    "weight_decay": (0.01, "AdamW's default"),
    "schedule": ("cosine", "half of all steps below half the peak, where averages settle"),
    "warm_up": (0.05, "first steps with drawn weights are wild"),
    "clip": (12.0, "nnU-Net's: against a single bad batch"),
    "ema": (0.99, "averaged weights score better for nothing"),
    "dropout": (0.2, "small networks on few images"),
    "mirrors": ("validation", "averages over mirror images score better for twice the time, where validation agrees"),
    "loss.class_weights": ("equal", "soft Dice sees to rare classes; balanced ones lost 0.02 of KITTI's mean IoU"),
}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One value of a plan; lists where ``params.yaml`` has them.

    Args:
        key: where it belongs in ``params.yaml``: ``training.crop``.
        value: what holds.
        why: the rule that gives `derived`, in one line.
        derived: what the rule gives.
        given: whether ``params.yaml`` says `value` itself.
    """

    key: str
    value: Any
    why: str
    derived: Any
    given: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A training, derived.

    Args:
        dataset: what for.
        fingerprint: digest of what it was read off.
        lines: its values, in the order in which they were decided.
        memory: network -> bytes that fitting its largest candidate is estimated to take.
    """

    dataset: str
    fingerprint: str
    lines: tuple[Line, ...]
    memory: Mapping[str, int]

    def section(self, name: str) -> dict[str, Any]:
        """The values under ``training`` or ``search``, as ``params.yaml`` would have them."""
        return _section(self.lines, name)

    def applied(self, params: Params) -> Params:
        """`params` with these values."""
        return params.planned(training=self.section("training"), search=self.section("search"))

    def write(self, path: Path) -> None:
        """Keep it in the JSON file `path`; equal plans give equal bytes.

        Raises:
            StorageError: no room or no right to write.
        """
        with atomic_file(path) as partial:
            partial.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Plan:
    """The plan that `Plan.write` left in `path`."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Plan(**{**content, "lines": tuple(Line(**line) for line in content["lines"])})


def make(facts: Facts, *, short_side: int | None, training: Training, search: Search) -> Plan:
    """The plan for a dataset; what `training` and `search` were given (their `model_fields_set`) is kept.

    It builds the candidates to count what they take, which needs some seconds.

    Raises:
        ConfigError: the budget is too small for any crop, for what was given, or for an image of the
            validation split; or what was given contradicts itself.
    """
    draft = _Draft(training, search)
    budget = draft.settle("training.memory", MEMORY, "GiB that a fit may take, where none are stated")
    for key, (value, why) in FIXED.items():
        draft.settle(f"training.{key}", value, why)
    _settle_sampling(draft, facts)
    networks, widths = draft.given("search.networks"), draft.given("search.width")
    candidates = networks or _settle_weights(draft)
    search = search.model_copy(update=_settle_options(draft, facts, candidates))
    room = Room(
        budget=round(budget * GIBIBYTE),
        classes=facts.classes,
        training=draft.training(),
        search=search,
        edge=EDGE,
        depths=draft.given("search.depth"),
    )
    certain = _certain(room, candidates, widths or _widths(facts)[:1], given=networks is not None)
    crop = tuple(draft.settle("training.crop", *_crop(facts, certain, short_side, given=draft.given("training.batch"))))
    batch = draft.settle("training.batch", *_batch(facts, certain, crop))
    _check_given(certain, crop, batch)
    amount = max(1, round(PIXELS / math.prod(crop)))
    images = draft.settle(
        "training.images", amount, f"the final fit's crops: {PIXELS:.2g} pixels, where none are stated"
    )
    peaks = _settle_candidates(draft, room, candidates, widths or _widths(facts), crop=crop, batch=batch)
    _settle_validation(draft, facts, room, peaks.values(), batch)
    _settle_amount(draft, facts, images=images, batch=batch)
    return Plan(
        dataset=facts.dataset,
        fingerprint=facts.digest,
        lines=draft.lines,
        memory={network: peak.of_training(crop=crop, batch=batch) for network, peak in peaks.items()},
    )


def asked(params: Params, *, memory: float | None = None) -> tuple[Training, Search]:
    """What a plan for `params` is to keep to; without ``plan: auto`` only what is no plan's business.

    Args:
        memory: another budget, GiB.
    """
    training, search = params.training, params.search
    if training.plan is None:
        said = training.model_dump(exclude_unset=True, include={"memory", "threads", "precision"})
        training, search = Training.model_validate({"plan": "auto", **said}), Search()
    return training if memory is None else training.model_copy(update={"memory": memory}), search


def neighbours(
    made: Plan, facts: Facts, *, short_side: int | None, training: Training, search: Search
) -> Iterator[tuple[str, str]]:
    """In words, what half the budget and twice as much would change."""
    budget = made.section("training")["memory"]
    before = {line.key: line.value for line in made.lines}
    for name, factor in (("half the memory", 0.5), ("twice the memory", 2.0)):
        other = training.model_copy(update={"memory": budget * factor})
        try:
            lines = make(facts, short_side=short_side, training=other, search=search).lines
        except ConfigError as error:
            yield name, error.found
            continue
        changed = [
            f"{line.key} {line.value}"
            for line in lines
            if line.value != before[line.key] and line.key != "training.memory"
        ]
        yield name, ", ".join(changed) or "the same"


class _Draft:
    """The lines so far, and what ``params.yaml`` says itself."""

    def __init__(self, training: Training, search: Search) -> None:
        self._said = {
            "training": training.model_dump(mode="json", exclude_unset=True),
            "search": search.model_dump(mode="json", exclude_unset=True),
        }
        for key in ("memory", "images"):  # null is no budget and no amount
            if self._said["training"].get(key, 0) is None:
                del self._said["training"][key]
        self.lines: tuple[Line, ...] = ()

    def given(self, key: str, otherwise: Any = None) -> Any:
        """What ``params.yaml`` says of `key`."""
        value: Any = self._said
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return otherwise
            value = value[part]
        return tuple(value) if isinstance(value, list) else value

    def settle(self, key: str, derived: Any, why: str) -> Any:
        """Add a line; returns what holds."""
        value = self.given(key, _ABSENT)
        given = value is not _ABSENT
        holds = value if given else derived
        native = json.loads(json.dumps([holds, derived]))
        line = Line(key=key, value=native[0], why=why, derived=native[1], given=given)
        self.lines = (*self.lines, line)
        return holds

    def training(self) -> Training:
        """What is settled of the training, and what is given."""
        return completed(Training, _section(self.lines, "training"), self._said["training"])


_ABSENT = object()

_OPTIMIZERS = {"adamw": ("AdamW", 1.0), "adam": ("Adam", 1.0), "rmsprop": ("RMSprop", 0.3), "sgd": ("SGD", 10.0)}
"""Names, and learning rates over those of AdamW, by reasoning: only AdamW's are measured.

Adam's steps are AdamW's. RMSprop averages no gradients: where Adam's momentum of 0.9 evens steps out, its
steps are up to 4 times as long, sqrt((1 + 0.9) / (1 - 0.9)). nnU-Net's 0.01 for SGD with a momentum of 0.99
moves as far as 0.1 does with ours of 0.9.
"""


def _section(lines: Sequence[Line], name: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for line in lines:
        section, *parts, last = line.key.split(".")
        if section != name:
            continue
        inner = values
        for part in parts:
            inner = inner.setdefault(part, {})
        inner[last] = line.value
    return values


def _settle_weights(draft: _Draft) -> tuple[str, ...]:
    """First weights of encoders, and which networks are candidates with or without them."""
    none = "none are stated; with `imagenet`, `classification` or a file networks with an encoder are planned"
    return NETWORKS if draft.settle("search.weights", None, none) is None else PRETRAINED


def _settle_options(draft: _Draft, facts: Facts, candidates: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """What some of the candidates are offered: fields of `Search` -> values."""
    options: dict[str, tuple[Any, ...]] = {}
    if any(models.has_option(network, "skips") for network in candidates):
        skips = draft.settle("search.skips", [True], "what the bottom loses: edges, small things")
        options["skips"] = tuple(skips)
    if any(models.has_option(network, "encoder") for network in candidates):
        weights = draft.given("search.weights")
        derived = _encoders(facts)[: 1 if weights not in (None, IMAGENET, CLASSIFICATION) else None]
        encoders = draft.settle("search.encoders", derived, "those with published weights; larger for more pixels")
        options["encoders"] = tuple(encoders)
    return options


def _encoders(facts: Facts) -> tuple[str, ...]:
    return next(encoders for least, encoders in reversed(ENCODERS) if facts.pixels >= least)


def _settle_sampling(draft: _Draft, facts: Facts) -> None:
    """Which crops are seen: flips, rare classes, augmentation."""
    legal = [name for name, (is_legal, _) in facts.flips.items() if is_legal]
    reasons = "; ".join(f"{name.replace('_', '-')}: {why}" for name, (_, why) in facts.flips.items())
    draft.settle("training.flips", legal, reasons)
    imbalance = _imbalance(facts)
    said = f"the median class has {imbalance:.3g} times the pixels of the rarest"
    if draft.given("training.augmentation.kind") == "none":
        draft.settle("training.rare", 0.0, "crops are not drawn where the augmentation is none")
    else:
        share = round(RARE, 3) if imbalance >= IMBALANCE else 0.0
        draft.settle("training.rare", share, f"{said}; from {IMBALANCE:g} on")
    draft.settle(
        "search.augmentation", _strengths(facts.samples), f"{facts.samples} training images: the fewer, the stronger"
    )


def _imbalance(facts: Facts) -> float:
    """Pixels of the median class over those of the rarest that occurs; 1 where there are none to compare."""
    shares = list(facts.shares.values())
    return median(shares) / min(shares) if shares else 1.0


def _strengths(samples: int) -> tuple[float, float]:
    """The range of the augmentation strength, falling with the logarithm of the number of images."""
    share = min(1.0, max(0.0, math.log(samples / FEW) / math.log(MANY / FEW)))
    middle = STRENGTH[0] + share * (STRENGTH[1] - STRENGTH[0])
    return round(max(0.0, middle - SPREAD), 2), round(min(1.0, middle + SPREAD), 2)


def _widths(facts: Facts) -> tuple[int, ...]:
    return next(widths for least, widths in reversed(WIDTHS) if facts.pixels >= least)


@dataclass(frozen=True)
class _Certain:
    """Candidates that are there in any case, at one width, against the budget: crop and batch are made to fit them."""

    room: Room
    networks: tuple[str, ...]
    width: int

    def takes(self, crop: Size, batch: int) -> int:
        return max(self.room.takes(network, self.width, crop=crop, batch=batch) for network in self.networks)

    def fits(self, crop: Size, batch: int) -> bool:
        return self.takes(crop, batch) <= self.room.budget

    def said(self, crop: Size, batch: int) -> str:
        """What they take, in words."""
        return f"{' or '.join(self.networks)} with {batch} crops takes {_gibibytes(self.takes(crop, batch))}"


def _certain(room: Room, candidates: Sequence[str], widths: Sequence[int], *, given: bool) -> _Certain:
    """All candidates where they were given, or else the first whose smallest fit is within the budget.

    Raises:
        ConfigError: not even the smallest crops fit.
    """
    smallest, batch, width = (MULTIPLE, MULTIPLE), BATCH[0], max(widths)
    needs = {network: room.takes(network, width, crop=smallest, batch=batch) for network in candidates}
    fitting = [network for network, need in needs.items() if need <= room.budget]
    if given and len(fitting) == len(candidates):
        return _Certain(room, tuple(candidates), width)
    if fitting and not given:
        return _Certain(room, (fitting[0],), width)
    each = ", ".join(f"{network} {_gibibytes(need)}" for network, need in needs.items())
    least = max(needs.values()) if given else min(needs.values())
    raise ConfigError(
        "training.memory",
        found=f"a budget of {_gibibytes(room.budget)}, too small for any crop",
        expected=f"at least {_gibibytes(least)}: {batch} crops of {MULTIPLE}x{MULTIPLE} at width {width} take {each}",
        remedy=f"raise training.memory to {_rounded_up(least)}",
    )


def _crop(facts: Facts, certain: _Certain, short_side: int | None, *, given: int | None) -> tuple[Size, str]:
    """The largest crop whose batch of the wanted number fits; then smaller batches; then less than the context.

    Args:
        given: the batch, if ``params.yaml`` says it.
    """
    whole = _whole(facts, short_side)
    context = _context(facts, whole)
    enough = [crop for crop in shrinking(whole) if crop[0] >= context[0] and crop[1] >= context[1]]
    for crop in enough:
        batch = given or min(BATCH[1], _cap(facts, crop))
        if certain.fits(crop, batch):
            full = "the median prepared image" if crop == whole else "as large as fits into memory"
            return crop, f"{full}: {certain.said(crop, batch)}"
    batch = given or BATCH[0]
    for crop in shrinking(enough[-1]):
        if certain.fits(crop, batch):
            known = f"with their context, objects want {context[0]}x{context[1]}"
            return crop, f"as large as fits into memory: {certain.said(crop, batch)}; {known}"
    return (MULTIPLE, MULTIPLE), "the smallest"


def _whole(facts: Facts, short_side: int | None) -> Size:
    """The median prepared image, in whole multiples."""
    cap = largest_crop(short_side) or (SIDE, SIDE)
    height, width = (min(multiple_below(side), most, SIDE) for side, most in zip(facts.size, cap, strict=True))
    return height, width


def _context(facts: Facts, whole: Size) -> Size:
    """What an object of the median class needs round it, within the image."""
    if facts.thing is None:
        return MULTIPLE, MULTIPLE
    height, width = (min(multiple_above(CONTEXT * side), most) for side, most in zip(facts.thing, whole, strict=True))
    return height, width


def _cap(facts: Facts, crop: Size) -> int:
    """The largest batch that does not see too much of the dataset at once."""
    return max(BATCH[0], int(BATCH_SHARE * facts.pixels / math.prod(crop)))


def _batch(facts: Facts, certain: _Certain, crop: Size) -> tuple[int, str]:
    cap = min(BATCH[2], _cap(facts, crop))
    fitting = next((number for number in range(cap, BATCH[0], -1) if certain.fits(crop, number)), BATCH[0])
    if fitting < cap:
        return fitting, f"as many as fit: {certain.said(crop, fitting)}"
    if cap == BATCH[2]:
        return cap, "enough for a steady gradient"
    return cap, f"{BATCH_SHARE:.0%} of the training pixels at most, {BATCH[0]} crops at least"


def _check_given(certain: _Certain, crop: Size, batch: int) -> None:
    """Refuse a crop or batch of ``params.yaml`` that cannot be within the budget."""
    if not certain.fits(crop, batch):
        need = certain.takes(crop, batch)
        raise ConfigError(
            "training.crop",
            found=f"{crop[0]}x{crop[1]}, of which {certain.said(crop, batch)} at width {certain.width}",
            expected=f"at most {_gibibytes(certain.room.budget)} (training.memory)",
            remedy=f"lower training.crop or training.batch, or raise training.memory to {_rounded_up(need)}",
        )


def _settle_candidates(
    draft: _Draft, room: Room, networks: Sequence[str], widths: Sequence[int], *, crop: Size, batch: int
) -> dict[str, Footprint]:
    """What the search may choose from: all that fits; what the largest of each network takes."""

    def fitting(network: str, width: int) -> bool:
        return room.fits(network, width, crop=crop, batch=batch)

    kept = [network for network in networks if fitting(network, min(widths))]
    wide = [width for width in widths if all(fitting(network, width) for network in kept)]
    left = [name for name in networks if name not in kept]
    draft.settle("search.networks", kept, f"{', '.join(left)} would not fit" if left else "those that fit, all of them")
    draft.settle(
        "search.width", wide, "more filters for more pixels" + ("" if len(wide) == len(widths) else ", as fit")
    )
    depths = room.depths_for(crop)
    edges = " or ".join(str(min(crop) // 2**depth) for depth in depths)
    halving = [name for name in draft.given("search.networks", kept) if models.has_option(name, "depth")]
    why = f"the deepest features are {edges} pixels high or wide" if halving else "unused: these networks have none"
    draft.settle("search.depth", depths, why)
    widest = max(draft.given("search.width", wide))
    return {name: room.footprint(name, widest, crop) for name in draft.given("search.networks", kept)}


def _settle_validation(draft: _Draft, facts: Facts, room: Room, peaks: Collection[Footprint], batch: int) -> None:
    """As many whole images at a time as fit, and no more than there are crops in a batch.

    Raises:
        ConfigError: a single one does not fit, or as many as ``params.yaml`` says do not.
    """

    def most(images: int) -> int:
        return max(peak.of_validation(size=padded, batch=images) for peak in peaks)

    height, width = facts.validated
    padded = multiple_above(height), multiple_above(width)  # as `data.loader.Whole` gives them
    fitting = next((number for number in range(batch, 0, -1) if most(number) <= room.budget), 0)
    if fitting == 0:
        raise ConfigError(
            "training.memory",
            found=f"a budget of {_gibibytes(room.budget)}",
            expected=f"{_gibibytes(most(1))} for validating one whole image, which has up to {height}x{width} pixels",
            remedy=f"lower prepare.short_side, or raise training.memory to {_rounded_up(most(1))}",
        )
    settled = draft.settle("training.validation_batch", fitting, f"whole images of up to {height}x{width}, as fit")
    images = settled or batch
    if most(images) > room.budget:
        raise ConfigError(
            "training.validation_batch",
            found=f"{images} images of up to {height}x{width} pixels, which take {_gibibytes(most(images))}",
            expected=f"at most {_gibibytes(room.budget)} (training.memory)",
            remedy=f"lower it to {fitting}, or raise training.memory to {_rounded_up(most(images))}",
        )


def _settle_amount(draft: _Draft, facts: Facts, *, images: int, batch: int) -> None:
    """Epochs, steps, and what the search takes of them."""
    passes = images / facts.samples
    epochs = draft.settle(
        "training.epochs",
        min(max(round(passes), EPOCHS[0]), EPOCHS[1]),
        f"{passes:.3g} passes over {facts.samples} images, validated {EPOCHS[0]} to {EPOCHS[1]} times",
    )
    draft.settle("training.steps", max(1, round(images / (epochs * batch))), f"{images} crops in {epochs} epochs")
    trials = draft.settle("search.trials", TRIALS, "random search over ranges that are narrow already")
    draft.settle(
        "search.epochs",
        max(1, round(SEARCH_SHARE * epochs / trials)),
        f"all trials together see {SEARCH_SHARE:.0%} of what the final fit sees",
    )
    optimizer, over_adamw = _OPTIMIZERS[draft.training().optimizer]
    factor = over_adamw * math.sqrt(batch / BATCH[1])
    rates, knowing = LEARNING_RATE, ""
    if draft.given("search.weights") is not None:
        rates, knowing = PRETRAINED_RATE, " and an encoder that knows something"
    draft.settle(
        "search.learning_rate",
        [float(f"{min(1.0, rate * factor):.2g}") for rate in rates],
        f"for {optimizer}{knowing}, with the square root of the batch (1 at {BATCH[1]})",
    )


def _gibibytes(size: int) -> str:
    return f"{size / GIBIBYTE:.2f} GiB"


def _rounded_up(size: int) -> str:
    return f"{math.ceil(10 * size / GIBIBYTE) / 10:.1f}"
