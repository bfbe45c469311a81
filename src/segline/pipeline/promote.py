"""Register a trained network, let the gate judge it against the champion, and promote it."""

import json
from dataclasses import asdict
from typing import Any

from segline.pipeline.evaluate import fitting_split
from segline.pipeline.work import Work
from segline.project import Files, Scratch, Tags
from segline.registry import versions
from segline.registry.gate import rules
from segline.registry.versions import Version
from segline.storage import read_json


def register(work: Work) -> Version:
    """Put the trained network into the registry as a new version, with its lineage."""
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


def judge(work: Work, version: Version) -> dict[str, Any]:
    """Compare with the champion, re-scored on the same test split.

    A decision made before a kill stays while it speaks of the present champion, or made this
    version the champion; after somebody else's promotion it is made anew.
    """
    champion = versions.champion(work.client, work.name)
    made = json.loads(version.tags.get(Tags.DECISION, "null"))
    holder = champion.version if champion else None
    if made and holder in (made["champion"], version.version):
        return dict(made)
    decision = rules.decide(
        read_json(work.scratch / Files.EVALUATION)["miou"],
        champion=_rescore(work, champion) if champion else None,
        floor=work.params.promotion.floor[work.params.dataset],
    )
    result = asdict(decision) | {"version": version.version, "champion": holder}
    versions.tag(work.client, version, {Tags.DECISION: json.dumps(result)})
    work.report(f"gate: {'promoted' if decision.promote else 'rejected'}: {decision.reason}")
    return result


def promote(work: Work, version: Version) -> None:
    """Make `version` the champion."""
    versions.promote(work.client, version)


def _rescore(work: Work, champion: Version) -> float:
    """Score the champion by mean IoU on the split that the challenger was scored on."""
    from segline.evaluation.bundles import evaluate as scoring
    from segline.evaluation.lock import lock_of, refuse_differences
    from segline.inference import bundle

    network = bundle.load(versions.download(champion, work.scratch / Scratch.CHAMPION))
    split = fitting_split(work.project, network, work.prepared, "test")
    with work.progress as progress:
        advance = progress.start(f"re-score version {champion.version}", len(split), unit="images")
        rescored = scoring.evaluate(network, split, progress=advance)
    challenger = read_json(work.scratch / Files.EVALUATION)
    refuse_differences({"the challenger": lock_of(challenger), f"version {champion.version}": lock_of(rescored)})
    return rescored.miou
