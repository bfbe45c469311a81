"""Score a folder of predictions, from whatever tool, against a folder of ground truth.

Every pair is decoded and counted once, on a pool of processes; only its counts are kept. The faults of all files are
collected. Nothing is scored unless there is none.

Ids follow ``cityscapesscripts``: a prediction that is a known void id is a miss of the true class, and
one that is no id of the dataset has no meaning and is refused (there it lies outside of the matrix and
ends the script). Whether a folder holds raw ids or train ids is seen from all ids in it; where both
would do and give different counts, it has to be said.
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
        split: the dataset's published split whose labels these are; None where they are of none.
        split_why: how that is known, or what to do about it.
        ids: how the predictions were read, and `why`.
        warnings: what a reader of the score should know.
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
        dataset: of the task that is scored.
        ids: what the predictions hold; None to see it from them.
        truth_ids: what the truth holds; None for what its files' names say, else the publisher's raw ids.
        only: one of `published`'s splits, whose images alone are scored; None for all that have a truth.
        published: the dataset's splits, as far as they are known here.
        report: takes lines of progress where there is no terminal.
        boundary: count along the boundaries too, which takes several times as long.

    Raises:
        ConfigError: nothing is known of the split `only`, or the manifest is of other splits than the dataset's.
        DataError: anything is wrong with the folders; it names all of it, with counts and examples.
    """
    _refuse_stale_manifest(dataset, published)
    there = label_folders.look(truth, role="--truth")
    answered = label_folders.look(prediction, role="--prediction", nested=there.nested)
    if only is not None:
        there, answered = _keep_split(there, answered, only=only, published=published)
    problems = Problems()
    pairs = _pair_files(dataset, there, answered, problems, published=Published() if only else published)
    counted = _bind_counter(dataset, truth_ids=truth_ids, named=there.ids, ids=ids, boundary=boundary)
    sums = Sums(problems, readings(dataset.label_map), stated=ids)
    for one in stream_samples(counted, pairs, workers=workers, description=f"score {dataset.name}", report=report):
        sums.take(one)
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
        warnings=_collect_warnings(evaluation, pairs, sums.contents, unlike=only if only != found.split else None),
    )


def _refuse_stale_manifest(dataset: Dataset, published: Published) -> None:
    """Refuse a manifest whose splits are not those that the protocol names (``+last_30``)."""
    made_for, wanted = (protocol.partition("+")[2] for protocol in (published.protocol, dataset.protocol))
    if published.protocol and made_for != wanted:
        raise ConfigError(
            f"splits of {dataset.name}",
            found=f"a manifest of {published.protocol}",
            expected=f"one of {dataset.protocol}, as params.yaml has it",
            remedy="run `dvc repro`",
        )


def _describe_foreground(dataset: Dataset, outside: float) -> tuple[str, str]:
    """Describe the problem that 255 is on so many pixels that it is hardly void, but a foreground of 0 and 255."""
    hint = "; if 255 is the second class, write 1 in its place" if len(dataset.label_map) == BINARY else ""
    return (
        "readings that leave much of what is labelled without a class",
        f"255 is void among train ids, and {outside:.1%} of the labelled pixels are predicted so: if that is meant, "
        f"say --ids train{hint}",
    )


def _bind_counter(
    dataset: Dataset, *, truth_ids: Ids | None, named: Ids | None, ids: Ids | None, boundary: bool
) -> Callable[[FilePair], Counted]:
    """Bind the readings to `count`; the result can be sent to another process.

    Args:
        truth_ids: what the truth is said to hold.
        named: what its files' names say.
        ids: what the predictions are said to hold.
    """
    both = readings(dataset.label_map)
    truth_held: Ids = truth_ids or named or "raw"
    return partial(
        count,
        truth_reading=both[truth_held],
        other_reading=both["train" if truth_held == "raw" else "raw"],
        readings=both if ids is None else {ids: both[ids]},
        colours=dataset.colours,
        truth_colours=None if truth_ids else dataset.colours,
        classes=len(dataset.label_map),
        boundary=boundary,
    )


def _refuse(problems: Problems, place: str) -> None:
    if problems:
        raise DataError(
            place,
            found="nothing was scored, because of\n" + "\n".join(f"  - {line}" for line in problems.lines()),
            remedy="correct these, then score again; a score of the rest would not be one of the whole",
        )


def _build_evaluation(
    dataset: Dataset, sums: Sums, chosen: Ids, *, split: str | None, published: Published
) -> Evaluation:
    """Build the evaluation under the reading `chosen`; `split` is the published one that the labels are of."""
    return Evaluation(
        dataset=dataset.name,
        split=split or "",
        protocol=dataset.protocol,
        split_digest=published.digests[split] if split else splits.digest(sums.contents),
        label_map=dataset.label_map.digest,
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
    """Group the images: as the manifest does, whatever their split, else by what their names tell."""
    if all(any(name in labels for labels in published.labels.values()) for name in images):
        return published.grouped(images)
    names = (PurePosixPath(name).name for name in images)  # of nested folders the last part
    return grouping([dataset.group_of(name) for name in names]) if dataset.group_of else None


def _keep_split(
    there: LabelFolder, answered: LabelFolder, *, only: str, published: Published
) -> tuple[LabelFolder, LabelFolder]:
    """Keep the images of the split `only` in both folders; a prediction of an unknown image stays, to be reported."""
    wanted = published.labels.get(only)
    if not wanted:
        raise ConfigError(
            f"--split {only}",
            found="no manifest that says which images it consists of" if wanted is None else "no image in it",
            expected="a validated dataset, in this project",
            remedy="run `dvc repro` there, or give a --truth folder that holds the wanted images alone",
        )
    if there.nested:
        raise ConfigError(
            f"--split {only}",
            found=f"equal names in several subfolders of {there.folder}",
            expected="names that tell which image of the split each is",
            remedy="give the --truth folder that holds the split alone",
        )
    others = {name for labels in published.labels.values() for name in labels}
    others |= there.files.keys() | there.clashes.keys()  # of some images no list says the split: 41 of Oxford Pets
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
            expected="all of them",
            remedy="give the folder of the dataset's own labels",
        )
    return narrowed, kept(answered)


def _pair_files(
    dataset: Dataset, there: LabelFolder, answered: LabelFolder, problems: Problems, *, published: Published
) -> list[FilePair]:
    """Pair the files; those without a partner go to `problems`."""
    found = label_folders.pair(there, answered)
    known = label_folders.dataset_named(there.files)
    if known not in (None, dataset.name) and dataset.own is None:
        problems.add(f"images named as those of {known}, though the dataset is {dataset.name}", *there.files)
    covered = published.called(frozenset(answered.files)) if found.missing and not found.extra else None
    hint = f" (the predictions are of the {covered} split: --split {covered}?)" if covered else ""
    if not found.pairs and found.missing:
        other = label_folders.dataset_named(answered.files)
        like = f"named as those of {other}" if other else f"not named as the images are: {found.missing[0]}.png"
        hint = f" (the predictions are {like})"
    problems.add(f"images without a prediction, of {len(there.files)}{hint}", *found.missing)
    problems.add("predictions without a truth", *(_show_path(path, answered) for path in found.extra))
    for folder, what in ((there, "truth"), (answered, "prediction")):
        clashes = (", ".join(_show_path(path, folder) for path in paths) for paths in folder.clashes.values())
        problems.add(f"images with several files that may each be the {what}", *clashes)
    return list(found.pairs)


def _show_path(path: Path, folder: LabelFolder) -> str:
    return path.relative_to(folder.folder).as_posix()


def _collect_warnings(
    evaluation: Evaluation, pairs: list[FilePair], contents: Mapping[str, str], *, unlike: str | None
) -> tuple[str, ...]:
    """Collect warnings for the reader of the score.

    Args:
        contents: of `Sums`, in the order of the evaluation's images.
        unlike: the split that was asked for, where the labels are not those that were validated.
    """
    found = []
    if all(pair.truth.samefile(pair.prediction) for pair in pairs):
        found.append("the predictions are the truth's own files: it was scored against itself")
    elif pixel_accuracy(evaluation.counts) == 1.0:
        found.append("every labelled pixel is right: are the predictions a copy of the truth?")
    share = outside_share(evaluation.counts)
    if share > _MOST_OUTSIDE:
        found.append(f"{share:.1%} of the labelled pixels are predicted void or of no class, and count as misses")
    several = (evaluation.per_image.sum(axis=-1) > 0).sum(axis=-1) > 1  # blank labels are rightly alike
    of_each = Counter(content for content, telling in zip(contents.values(), several, strict=True) if telling)
    copies = sum(count for count in of_each.values() if count > 1)
    if copies:
        found.append(
            f"{copies} of the {len(contents)} labels are equal to another image's, pixel by pixel: intervals take "
            "them for separate evidence"
        )
    if unlike is not None:
        found.append(f"the labels are not those that were validated as the {unlike} split")
    return tuple(found)
