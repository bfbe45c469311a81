"""Score a folder of predictions, from any tool, against a folder of labels.

Every pair is decoded and counted once, on a pool of processes; only its counts are kept. The problems of all files are
collected, and nothing is scored if there is one.

Ids are handled as in ``cityscapesscripts``: a predicted void id is a miss of the true class. A predicted id that the
dataset does not have is refused (``cityscapesscripts`` stops there). Whether a folder contains raw ids or train ids is
detected from all ids in it. If both are possible and give different counts, the user must give the kind.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from segline.core.labels import BINARY
from segline.core.metrics.confusion import outside_share, pixel_accuracy
from segline.data.images import split as splits
from segline.datasets.base import Dataset
from segline.errors import ConfigError, DataError
from segline.evaluation.folders import label_folders
from segline.evaluation.folders.count_pairs import Counted, count, readings
from segline.evaluation.folders.label_folders import FilePair, Ids, LabelFolder
from segline.evaluation.folders.palettes import Palettes, palettes_of
from segline.evaluation.folders.problems import SHOWN, Problems, Sums
from segline.evaluation.folders.published_splits import Published
from segline.evaluation.folders.split_identity import identify
from segline.evaluation.results import Evaluation, grouping
from segline.parallel.pool import stream_samples
from segline.progress import Report

_MOST_OUTSIDE = 0.1
"""Share of the labelled pixels that predictions may leave without a class before the user is asked."""


@dataclass(frozen=True, kw_only=True)
class FolderScore:
    """The score of a folder of predictions.

    Args:
        split: the dataset's split with exactly these labels; None if no split has them.
        split_why: how the split was recognised, or what to do about it.
        ids: kind of ids as which the predictions were read.
        why: reason for this kind.
        warnings: warnings that concern the meaning of the score.
    """

    evaluation: Evaluation
    split: str | None
    split_why: str
    ids: Ids
    why: str
    warnings: tuple[str, ...]


def score_folders(
    dataset: Dataset,
    *,
    truth: Path,
    prediction: Path,
    ids: Ids | None,
    truth_ids: Ids | None,
    only: str | None,
    published: Published,
    workers: int,
    report: Report,
    boundary: bool = False,
) -> FolderScore:
    """Count the predictions under `prediction` against the labels under `truth`.

    Args:
        dataset: the dataset, for the task that is scored.
        ids: kind of ids in the predictions; None to detect it.
        truth_ids: kind of ids in the labels; None: as their file names say, otherwise raw ids.
        only: score only the images of this split of `published`; None: all images that have a label.
        published: the dataset's splits, as far as they are known here.
        report: called with lines of progress if there is no terminal.
        boundary: also count for the boundary IoU, which takes several times as long.

    Raises:
        ConfigError: the images of the split `only` are not known, or the manifest was made for other splits.
        DataError: something is wrong with the folders; the error lists all problems, with counts and examples.
    """
    _refuse_stale_manifest(dataset, published)
    labels = label_folders.look(truth, role="--truth")
    answered = label_folders.look(prediction, role="--prediction", nested=labels.nested)
    if only is not None:
        labels, answered = _keep_split(labels, answered, only=only, published=published)
    problems = Problems()
    pairs = _pair_files(dataset, labels, answered, problems, published=Published() if only else published)
    counted = _bind_counter(dataset, truth_ids=truth_ids, named=labels.ids, ids=ids, boundary=boundary)
    sums = Sums(problems, readings(dataset.label_map), stated=ids)
    palettes = Palettes(dataset, truth_stated=truth_ids is not None, named=labels.ids, stated=ids is not None)
    files = {pair.id: pair for pair in pairs}
    for one in stream_samples(counted, pairs, workers=workers, description=f"score {dataset.name}", report=report):
        sums.take(one)
        palettes.take(one, truth=files[one.id].truth.name)
    for kind, example in palettes.problems():
        problems.add(kind, example)
    chosen, why = sums.decide(named=answered.ids)
    if (ids or answered.ids) is None and chosen == "train" and sums.outside(chosen) > _MOST_OUTSIDE:
        problems.add(*_describe_foreground(dataset, sums.outside(chosen)))
    if pairs and not problems and not sums.per_image(chosen).any():
        problems.add("labels without a labelled pixel, so that nothing can be scored", *(pair.id for pair in pairs))
    _refuse(problems, f"{prediction} against {truth}")
    found = identify(
        published,
        files=sums.files,
        contents=sums.contents,
        reading=readings(dataset.label_map)["raw"],
        colours=dataset.colours,
        workers=workers,
        report=report,
    )
    evaluation = _build_evaluation(dataset, sums, chosen, split=found.split, published=published)
    return FolderScore(
        evaluation=evaluation,
        split=found.split,
        split_why=found.why,
        ids=chosen,
        why=why,
        warnings=(
            *palettes.warnings(),
            *_collect_warnings(evaluation, pairs, sums.contents, unlike=only if only != found.split else None),
        ),
    )


def _refuse_stale_manifest(dataset: Dataset, published: Published) -> None:
    """Refuse a manifest that was made for other splits than the protocol names (``+last_30``)."""
    made_for, wanted = (protocol.partition("+")[2] for protocol in (published.protocol, dataset.protocol))
    if published.protocol and made_for != wanted:
        raise ConfigError(
            f"splits of {dataset.name}",
            found=f"a manifest of {published.protocol}",
            expected=f"a manifest of {dataset.protocol}, as in params.yaml",
            remedy="run `dvc repro`",
        )


def _describe_foreground(dataset: Dataset, outside: float) -> tuple[str, str]:
    """Describe the problem that 255 is too frequent to be void, so that it is probably a class."""
    hint = "; if 255 is the second class, write 1 in its place" if len(dataset.label_map) == BINARY else ""
    return (
        "kinds of ids that leave many labelled pixels without a class",
        f"255 is void among train ids, and {outside:.1%} of the labelled pixels are predicted as 255: if this is "
        f"intended, give --ids train{hint}",
    )


def _bind_counter(
    dataset: Dataset, *, truth_ids: Ids | None, named: Ids | None, ids: Ids | None, boundary: bool
) -> Callable[[FilePair], Counted]:
    """Bind the readings to `count`; the result can be sent to another process.

    Args:
        truth_ids: kind of ids in the labels, as the user gave it.
        named: kind of ids in the labels, according to their file names.
        ids: kind of ids in the predictions, as the user gave it.
    """
    both = readings(dataset.label_map)
    truth_held: Ids = truth_ids or named or "raw"
    indices = dataset.own is not None and dataset.own.indices
    truth_colours = dataset.colours
    if truth_ids or indices:
        truth_colours = None
    elif dataset.colours is None or dataset.colours.indexed:  # colours of palettes stand for raw ids
        truth_colours = palettes_of(dataset) if truth_held == "raw" else None
    return partial(
        count,
        truth_reading=both[truth_held],
        other_reading=both["train" if truth_held == "raw" else "raw"],
        readings=both if ids is None else {ids: both[ids]},
        colours=dataset.colours,
        truth_colours=truth_colours,
        palette_colours=None if ids or indices else palettes_of(dataset),
        classes=len(dataset.label_map),
        boundary=boundary,
    )


def _refuse(problems: Problems, place: str) -> None:
    if problems:
        raise DataError(
            place,
            found="nothing was scored, because of these problems:\n"
            + "\n".join(f"  - {line}" for line in problems.lines()),
            remedy="correct them and score again; a score of the other files alone would mislead",
        )


def _build_evaluation(
    dataset: Dataset, sums: Sums, chosen: Ids, *, split: str | None, published: Published
) -> Evaluation:
    """Build the evaluation with the predictions read as `chosen`; `split` is the recognised split of the labels."""
    return Evaluation(
        dataset=dataset.name,
        split=split or "",
        protocol=dataset.protocol,
        split_digest=published.digests[split] if split else splits.digest(sums.contents),
        label_map=dataset.label_map.digest,
        unnamed=dataset.label_map.unnamed_digest,
        names=dataset.label_map.names,
        ids=tuple(sums.contents),
        groups=_group_images(dataset, tuple(sums.contents), published),
        void_pixels=sums.void_pixels,
        per_image=sums.per_image(chosen),
        categories=dataset.label_map.categories,
        extra_scores=dataset.extra_scores,
        boundary=sums.boundary(chosen),
    )


def _group_images(dataset: Dataset, images: tuple[str, ...], published: Published) -> tuple[str, ...] | None:
    """Group the images: as in the manifest if it has all of them, otherwise by their names."""
    if all(any(name in labels for labels in published.labels.values()) for name in images):
        return published.grouped(images)
    names = (PurePosixPath(name).name for name in images)  # the last part, if images are in nested folders
    return grouping([dataset.group_of(name) for name in names]) if dataset.group_of else None


def _keep_split(
    there: LabelFolder, answered: LabelFolder, *, only: str, published: Published
) -> tuple[LabelFolder, LabelFolder]:
    """Keep the images of the split `only` in both folders; predictions of unknown images are kept, to be reported."""
    wanted = published.labels.get(only)
    if not wanted:
        raise ConfigError(
            f"--split {only}",
            found="no manifest that lists its images" if wanted is None else "no image in it",
            expected="a validated dataset, in this project",
            remedy="run `dvc repro` there, or give a --truth folder with only the wanted images",
        )
    if there.nested:
        raise ConfigError(
            f"--split {only}",
            found=f"equal file names in several subfolders of {there.folder}",
            expected="a different file name for each image",
            remedy="give a --truth folder with only this split",
        )
    others = {name for labels in published.labels.values() for name in labels}
    others |= there.files.keys() | there.clashes.keys()  # some images are in no split: 41 of Oxford Pets
    others -= wanted.keys()

    def kept(folder: LabelFolder) -> LabelFolder:
        return replace(
            folder,
            files={name: path for name, path in folder.files.items() if name not in others},
            clashes={name: paths for name, paths in folder.clashes.items() if name not in others},
        )

    narrowed = kept(there)
    absent = sorted(wanted.keys() - narrowed.files.keys() - narrowed.clashes.keys())
    if absent:
        raise DataError(
            f"--truth {there.folder}",
            found=f"no label of {len(absent)} of the {len(wanted)} images of the {only} split "
            f"({', '.join(absent[:SHOWN])}{', ...' if len(absent) > SHOWN else ''})",
            expected="a label for each of them",
            remedy="give the folder with all labels of the dataset",
        )
    return narrowed, kept(answered)


def _pair_files(
    dataset: Dataset, there: LabelFolder, answered: LabelFolder, problems: Problems, *, published: Published
) -> list[FilePair]:
    """Pair the files; files without a partner are added to `problems`."""
    found = label_folders.pair(there, answered)
    known = label_folders.dataset_named(there.files)
    if known not in (None, dataset.name) and dataset.own is None:
        problems.add(f"images with file names of {known}, although --dataset is {dataset.name}", *there.files)
    covered = published.called(frozenset(answered.files)) if found.missing and not found.extra else None
    hint = f" (the predictions are those of the {covered} split: give --split {covered})" if covered else ""
    if not found.pairs and found.missing:
        other = label_folders.dataset_named(answered.files)
        like = f"named like those of {other}" if other else f"not named like the images: {found.missing[0]}.png"
        hint = f" (the predictions are {like})"
    problems.add(f"images without a prediction, of {len(there.files)}{hint}", *found.missing)
    problems.add("predictions without a label", *(_show_path(path, answered) for path in found.extra))
    for folder, what in ((there, "label"), (answered, "prediction")):
        clashes = (", ".join(_show_path(path, folder) for path in paths) for paths in folder.clashes.values())
        problems.add(f"images with several files that can be the {what}", *clashes)
    return list(found.pairs)


def _show_path(path: Path, folder: LabelFolder) -> str:
    return path.relative_to(folder.folder).as_posix()


def _collect_warnings(
    evaluation: Evaluation, pairs: list[FilePair], contents: Mapping[str, str], *, unlike: str | None
) -> tuple[str, ...]:
    """Collect warnings for the reader of the score.

    Args:
        contents: digest of each label (`Sums.contents`), in the order of the evaluation's images.
        unlike: the requested split, if the labels are not its validated ones; else None.
    """
    found = []
    if all(pair.truth.samefile(pair.prediction) for pair in pairs):
        found.append("the predictions are the same files as the labels")
    elif pixel_accuracy(evaluation.counts) == 1.0:
        found.append("every labelled pixel is right: are the predictions a copy of the labels?")
    share = outside_share(evaluation.counts)
    if share > _MOST_OUTSIDE:
        found.append(f"{share:.1%} of the labelled pixels are predicted void or of no class, and count as misses")
    several = (evaluation.per_image.sum(axis=-1) > 0).sum(axis=-1) > 1  # labels of a single class may be equal
    of_each = Counter(content for content, telling in zip(contents.values(), several, strict=True) if telling)
    copies = sum(count for count in of_each.values() if count > 1)
    if copies:
        found.append(
            f"{copies} of the {len(contents)} labels are equal to another image's, pixel by pixel, but the intervals "
            "treat them as independent"
        )
    if unlike is not None:
        found.append(f"the labels differ from the validated labels of the {unlike} split")
    return tuple(found)
