"""Measure how often the intervals contain the true score, and how often the comparison finds a false difference.

    .venv/bin/python benchmarks/intervals.py                    # some minutes on an idle core
    .venv/bin/python benchmarks/intervals.py --trials 300       # coarser

A population of images is simulated, so its true score is known. Samples are drawn from it, and the intervals of
samples that contain the true score are counted. `street` has the 19 classes of Cityscapes with about its shares of
pixels and of images, rare classes included; `pets` has three classes that every image shows. Grouped images partly
share contents and difficulty; groups have 2 to 20 images.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import machine
import numpy as np

from segline.core.metrics.confusion import Counts, iou, mean_iou
from segline.core.statistics.bootstrap import Interval, bootstrap, bootstraps, of_few, shown_units
from segline.core.statistics.permutation import compare

CONFIDENCE = 0.95
PIXELS_PER_IMAGE = 20_000
SHOWN = (0, 1, 2, 5, 10, 20, 50, 100, 1000)  # upper limits of the numbers of images that show a class
BETWEEN_GROUPS = 0.7  # spread between groups over the spread within them


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Share of pixels and of images for each class, and how much images differ.

    Args:
        recall: log-odds that a typical pixel is right.
        spread: sigma of the log-normal share of a class in the images that show it.
        noise: standard deviation of the log-odds of a class in an image, besides the image's own difficulty.
    """

    pixels: tuple[float, ...]
    images: tuple[float, ...]
    recall: float = 2.2
    spread: float = 1.0
    noise: float = 0.8


_STREET = (
    *((0.369, 0.985), (0.061, 0.94), (0.228, 0.985), (0.0066, 0.33), (0.0088, 0.44), (0.0123, 0.99), (0.0021, 0.55)),
    *((0.0055, 0.94), (0.159, 0.97), (0.0116, 0.55), (0.04, 0.9), (0.0122, 0.79), (0.0014, 0.34), (0.07, 0.95)),
    *((0.0027, 0.12), (0.0024, 0.09), (0.0023, 0.05), (0.001, 0.17), (0.0041, 0.55)),
)
STREET = Scene(pixels=tuple(pixels for pixels, _ in _STREET), images=tuple(images for _, images in _STREET))
PETS = Scene(pixels=(0.3, 0.58, 0.12), images=(0.999, 0.999, 0.999), spread=0.5)
SCENES = {"street": STREET, "pets": PETS}


def draw_population(
    scene: Scene, images: int, *, seed: int, group_of: np.ndarray | None = None, models: int = 1
) -> Counts:
    """Draw confusion matrices int64 (models, images, C, C + 1); models are equally good on the same images.

    The class of wrong pixels is drawn for each image (Dirichlet-multinomial), because errors are connected areas.
    """
    generator = np.random.default_rng(seed)
    classes, share = len(scene.pixels), np.array(scene.pixels)
    groups = np.arange(images) if group_of is None else group_of
    between = 0.0 if group_of is None else BETWEEN_GROUPS

    def normal(*shape: int) -> np.ndarray:
        whole = between * generator.normal(size=(groups.max() + 1, *shape))
        return generator.normal(size=(images, *shape)) + whole[groups]

    odds = np.log(scene.images) - np.log1p(-np.array(scene.images))
    shown = generator.logistic(size=(images, classes)) + between * normal(classes) < odds
    area = shown * share / scene.images * np.exp(scene.spread * normal(classes))
    pixels = np.round(PIXELS_PER_IMAGE * area / np.maximum(area.sum(axis=1, keepdims=True), 1e-12)).astype(np.int64)
    rank = np.argsort(np.argsort(-share))
    recall = scene.recall + 0.8 * np.linspace(1, -1, classes)[rank] - 0.6 * normal()[:, None]
    taken = generator.dirichlet(0.2 + 5 * share, size=classes)
    counts = np.zeros((models, images, classes, classes + 1), dtype=np.int64)
    for own in counts:
        right = generator.binomial(pixels, 1 / (1 + np.exp(scene.noise * normal(classes) - recall)))
        for true in range(classes):
            shares = generator.gamma(np.maximum(2 * taken[true], 1e-3), size=(images, classes)) + 1e-12
            shares[:, true] = 0
            shares /= shares.sum(axis=1, keepdims=True)
            own[:, true, :-1] = generator.multinomial(pixels[:, true] - right[:, true], shares)
            own[:, true, true] = right[:, true]
    return counts


def draw_groups(groups: int, *, seed: int) -> np.ndarray:
    """Draw the group of each image; groups have 2 to 20 images."""
    return np.repeat(np.arange(groups), np.random.default_rng(seed).integers(2, 21, groups))


def draw_samples(whole: Counts, count: int, trials: int, *, group_of: np.ndarray | None, seed: int) -> Iterator[tuple]:
    """Yield counts (models, n, C, C + 1) of `count` images or groups, drawn with replacement, and the groups' names."""
    generator = np.random.default_rng(seed)
    if group_of is None:
        for _ in range(trials):
            yield whole[:, generator.integers(0, whole.shape[1], count)], None
        return
    members = np.split(np.arange(len(group_of)), np.flatnonzero(np.diff(group_of)) + 1)
    for _ in range(trials):
        chosen = [members[place] for place in generator.integers(0, len(members), count)]
        names = [str(place) for place, images in enumerate(chosen, 1) for _ in images]
        yield whole[:, np.concatenate(chosen)], names


def percentile_interval(counts: Counts, *, groups: None, resamples: int, confidence: float, seed: int) -> Interval:  # noqa: ARG001
    """Compute the plain percentile interval, for comparison."""
    images, flat = len(counts), counts.reshape(len(counts), -1).astype(float)
    drawn = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=resamples)
    scores = mean_iou((drawn @ flat).reshape(-1, *counts.shape[1:]).astype(np.int64))
    low, high = np.nanquantile(scores, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(low=low, high=high, confidence=confidence, images=images)


def coverage(
    whole: Counts,
    count: int,
    *,
    trials: int,
    resamples: int,
    group_of: np.ndarray | None = None,
    interval: Callable[..., Interval] = bootstrap,
) -> float:
    """Return the share of samples whose interval contains the mean IoU of the population (1, images, C, C + 1)."""
    truth = float(mean_iou(whole[0].sum(axis=0)))
    held = 0
    for number, ((counts,), names) in enumerate(draw_samples(whole, count, trials, group_of=group_of, seed=count)):
        found = interval(counts, groups=names, resamples=resamples, confidence=CONFIDENCE, seed=number)
        held += found.low <= truth <= found.high
    return held / trials


def class_coverage(whole: Counts, count: int, *, trials: int, resamples: int) -> dict[int, tuple[int, int]]:
    """Count, for classes that up to so many images show (`SHOWN`), the intervals that contain the class's IoU.

    Returns:
        limit of `SHOWN` -> (intervals that contain it, all intervals).
    """
    truth = iou(whole[0].sum(axis=0))
    found = dict.fromkeys(SHOWN, (0, 0))
    for number, ((counts,), names) in enumerate(draw_samples(whole, count, trials, group_of=None, seed=count)):
        drawn = bootstraps(counts, scores=iou, groups=names, resamples=resamples, confidence=CONFIDENCE, seed=number)
        told = drawn, iou(counts.sum(axis=0)), shown_units(counts.sum(axis=-1) > 0, names), truth
        for interval, score, shown, own in zip(*told, strict=True):
            if not math.isnan(interval.low):
                few, most = of_few(interval, float(score), int(shown)), next(most for most in SHOWN if shown <= most)
                held, of = found[most]
                found[most] = held + (few.low <= own <= few.high), of + 1
    return {most: pair for most, pair in found.items() if pair[1]}


def verdicts(
    whole: Counts, count: int, *, trials: int, resamples: int, group_of: np.ndarray | None = None
) -> tuple[float, float]:
    """Of samples of two models (2, images, C, C + 1): p at most 0.05, and intervals that hold the true difference."""
    first, second = mean_iou(whole.sum(axis=1))
    called = held = 0
    for number, ((ours, theirs), names) in enumerate(draw_samples(whole, count, trials, group_of=group_of, seed=count)):
        found = compare(ours, theirs, groups=names, resamples=resamples, confidence=CONFIDENCE, seed=number)
        called += found.p <= 1 - CONFIDENCE
        held += found.interval.low <= first - second <= found.interval.high
    return called / trials, held / trials


def draw_unequal_noise(scene: Scene, images: int, *, seed: int) -> Counts:
    """Draw two models of equal mean IoU that are not exchangeable: the second varies more from image to image."""
    steady = draw_population(scene, images, seed=seed, models=1)[0]
    goal, low, high = float(mean_iou(steady.sum(axis=0))), 0.0, 2.0
    other = steady
    for _ in range(12):
        middle = (low + high) / 2
        wild = replace(scene, noise=2 * scene.noise, recall=scene.recall + middle)
        other = draw_population(wild, images, seed=seed, models=2)[1]
        low, high = (middle, high) if mean_iou(other.sum(axis=0)) < goal else (low, middle)
    return np.stack([steady, other])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--population", type=int, default=8000, help="images")
    chosen = parser.parse_args()
    print(machine.line("numpy"))
    error = 196 * math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / chosen.trials)
    print(f"95 % intervals of the mean IoU, {chosen.trials} samples each: chance alone makes +- {error:.1f} %")
    how = {"trials": chosen.trials, "resamples": chosen.resamples}
    for name, scene in SCENES.items():
        whole = draw_population(scene, chosen.population, seed=1)
        for count in (20, 50, 100, 200, 500):
            plain = coverage(whole, count, interval=percentile_interval, **how)
            found = coverage(whole, count, **how)
            print(f"{name}, {count} images: {found:.1%} hold the truth, plain percentiles {plain:.1%}", flush=True)
        for count in (20, 50, 200):
            shares = class_coverage(whole, count, trials=chosen.trials // 4, resamples=chosen.resamples)
            told = (f"of up to {most}: {held / of:.1%} of {of}" for most, (held, of) in shares.items())
            print(f"{name}, {count} images, each class's IoU by the images that show it: {', '.join(told)}", flush=True)
        del whole
        group_of = draw_groups(chosen.population // 11, seed=2)
        grouped = draw_population(scene, len(group_of), seed=1, group_of=group_of)
        for count in (5, 10, 20, 40):
            found = coverage(grouped, count, group_of=group_of, **how)
            print(f"{name}, {count} groups: {found:.1%} hold the truth", flush=True)
        del grouped
        twins = draw_population(scene, chosen.population // 2, seed=3, models=2)
        unequal_pair = draw_unequal_noise(scene, chosen.population // 2, seed=4)
        for count in (20, 50, 200):
            for what, pair in (("alike", twins), ("equal, one noisier", unequal_pair)):
                called, held = verdicts(pair, count, **how)
                print(
                    f"{name}, two models {what}, {count} images: {called:.1%} called different at p <= 0.05, "
                    f"{held:.1%} of intervals hold the true difference",
                    flush=True,
                )
    counts = np.random.default_rng(0).integers(0, 5000, (500, 19, 20))
    start = time.perf_counter()
    bootstrap(counts, resamples=2000, confidence=CONFIDENCE, seed=0)
    print(f"500 images, 19 classes, 2000 resamples: {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
