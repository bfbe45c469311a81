"""Register a trained network, compare it with the champion, and promote it if it is better."""

from typing import TYPE_CHECKING

from segline.errors import TrackingError, shortened
from segline.pipeline import champion
from segline.pipeline.evaluate import fitting_split
from segline.pipeline.work import Work
from segline.project import Files, Scratch, Tags
from segline.registry import versions
from segline.registry.gate import rules
from segline.registry.gate.rules import Decision
from segline.registry.versions import Version
from segline.storage import read_json

if TYPE_CHECKING:
    from segline.evaluation.summary import Summary


def register(work: Work) -> Version:
    """Register the trained network as a new version, with its lineage as tags."""
    augmentation = (work.scratch / Scratch.AUGMENTATION).read_text(encoding="utf-8")
    version = versions.register(
        work.client,
        run_id=work.tracker.run_id,
        name=work.name,
        bundle=work.scratch / Files.BUNDLE,
        tags=work.tags | {Tags.AUGMENTATION: augmentation},
    )
    work.report(f"registered {version.name} version {version.version}")
    return version


def judge(work: Work, version: Version) -> Decision:
    """Decide whether `version` replaces the champion, which is re-scored on the same test split.

    A champion with other classes cannot be compared: then only the floor applies.

    If the run was killed after an earlier decision, that decision is used again, provided that it was made against the
    present champion, or that `version` is the champion now. If another version was promoted meanwhile, the decision is
    made again.

    Raises:
        ComparisonError: a champion with other classes was promoted meanwhile, and an earlier champion had these.
    """
    present = versions.champion(work.client, work.name, challenger=version)
    holder = present.version if present else None
    made = _earlier_decision(version)
    if made and holder in (made.champion, version.version):
        return made
    labels = work.dataset.label_map
    found = champion.find(work.client, work.name, labels, challenger=version)
    challenger = _read_challenger(work)
    verdict = rules.decide(
        challenger.miou,
        champion=_rescore(work, challenger, found.version) if found and found.is_comparable else None,
        floor=work.params.promotion.floor[work.params.dataset],
        label_map=labels.digest,
        other_classes=f"version {holder}, which has {found.classes}" if found and not found.is_comparable else "",
    )
    decision = Decision(**verdict.model_dump(), version=version.version, label_map=labels.digest, champion=holder)
    versions.tag(work.client, version, {Tags.DECISION: decision.as_tag()})
    work.report(f"gate: {decision.outcome}: {decision.reason}")
    return decision


def promote(work: Work, version: Version) -> None:
    """Make `version` the champion."""
    versions.promote(work.client, version)


def _earlier_decision(version: Version) -> Decision | None:
    """Read the decision that was made before a kill; None where there is none.

    Raises:
        TrackingError: the version carries a decision that cannot be read.
    """
    if Tags.DECISION not in version.tags:
        return None
    try:
        return Decision.from_tag(version.tags[Tags.DECISION])
    except ValueError as error:
        raise TrackingError(
            f"{version.name} version {version.version}",
            found=f"a tag {Tags.DECISION} that cannot be read ({shortened(str(error))})",
            expected="a decision that this version of Segline wrote",
            remedy="delete that tag on MLflow's page (`make up`, Models): the gate then decides anew",
        ) from error


def _read_challenger(work: Work) -> "Summary":
    """Read the evaluation that this run wrote."""
    from segline.evaluation.summary import Summary

    return Summary.from_json(read_json(work.scratch / Files.EVALUATION))


def _rescore(work: Work, challenger: "Summary", holder: Version) -> float:
    """Compute the champion's mean IoU on the split on which the challenger was scored."""
    from segline.evaluation.bundles import evaluate as scoring
    from segline.evaluation.lock import lock_of, refuse_differences
    from segline.inference import bundle

    network = bundle.load(versions.download(holder, work.scratch / Scratch.CHAMPION))
    network = bundle.renamed(network, work.dataset.label_map)
    split = fitting_split(work.project, network, work.prepared, "test")
    with work.progress as progress:
        advance = progress.start(f"re-score version {holder.version}", len(split), unit="images")
        rescored = scoring.evaluate(network, split, progress=advance)
    refuse_differences({"the challenger": lock_of(challenger), f"version {holder.version}": lock_of(rescored)})
    return rescored.miou
