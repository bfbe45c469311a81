"""Find the version with the alias "champion", and check that the gate gave it that alias.

Only the gate moves the alias. It records its decision with the version before, and with the run after that. MLflow
deletes an alias together with its version, so that a deleted champion looks like a model that never had one. The
recorded decisions tell the two apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from segline.errors import TrackingError
from segline.project import Tags
from segline.registry.gate.rules import Decision

CHAMPION: Final = "champion"
_MAX_RUNS = 50_000  # MLflow's own limit
_MISSING = "RESOURCE_DOES_NOT_EXIST"


def find_holder(client: MlflowClient, name: str, *, challenger: str | None = None) -> str | None:
    """Return the number of the champion of the model `name`; None if it never had one.

    Args:
        challenger: version that is being judged; after a kill it may have a decision, but not the alias.

    Raises:
        TrackingError: the champion was deleted, the alias was removed or moved by hand, or its version does not exist.
    """
    try:
        holder = client.get_registered_model(name).aliases.get(CHAMPION)
    except MlflowException as error:
        if error.error_code == _MISSING:
            return None
        raise
    holder = None if holder is None else str(holder)
    finished = _read_finished_runs(client, name)
    found = {str(each.version): each for each in client.search_model_versions(f"name = '{name}'")}
    settled = [
        each
        for number, each in found.items()
        if number == holder or (number != challenger and _is_settled(client, each.run_id, finished))
    ]
    records = [_read(each.tags) for each in settled] + [_read(tags) for tags in finished.values()]
    fault = find_fault(
        name,
        holder=holder,
        existing=[str(each.version) for each in settled],
        records=[record for record in records if record],
    )
    if fault is not None:
        raise fault
    return holder


def find_fault(
    name: str, *, holder: str | None, existing: Sequence[str], records: Iterable[Decision]
) -> TrackingError | None:
    """Return the error about an alias that is not where the gate put it; None if there is no fault.

    Args:
        holder: version that the alias names; None if there is no alias.
        existing: versions that exist, without those that are still being judged.
        records: decisions that were carried out, about these versions and about versions that were deleted.
    """
    records = list(records)
    judged = {record.version for record in records}
    promoted = {record.version for record in records if record.promote}
    promoted |= {record.champion for record in records if record.champion}
    valid = _find_latest([record for record in records if record.version in existing], promoted & {*existing})
    if holder is None:
        return _explain_missing(name, existing, valid, promoted, _find_latest(records, promoted))
    if holder in valid or (holder in existing and not promoted and holder not in judged):
        return None
    place, expected = f"{name}@{CHAMPION}", _expect(valid)
    if holder not in existing:
        found = f"the alias names version {holder}, which does not exist"
        return TrackingError(place, found=found, expected=expected, remedy=_suggest(name, valid, existing))
    found = f"the alias is at version {holder}, but the gate did not put it there"
    if holder in promoted:
        found = f"the alias was moved back to version {holder}, which the gate had replaced"
    remedy = f"{_suggest(name, valid, existing)}; to use this version all the same, name it {name}/{holder}"
    return TrackingError(place, found=found, expected=expected, remedy=remedy)


def _explain_missing(
    name: str, existing: Sequence[str], valid: Sequence[str], promoted: set[str], latest: Sequence[str]
) -> TrackingError | None:
    """Return the error about an alias that is missing although the gate promoted a version."""
    if not promoted or not existing:
        return None
    gone = [number for number in latest if number not in existing]
    found = f"its champion, version {_join(gone)}, was deleted; {_name(existing)} remain{'s' * (len(existing) == 1)}"
    if not gone:
        found = f"the alias was removed by hand; the gate promoted {_name(latest)}"
    return TrackingError(
        f"{name}@{CHAMPION}", found=found, expected=_expect(valid), remedy=_suggest(name, valid, existing)
    )


def _find_latest(records: Iterable[Decision], promoted: set[str]) -> list[str]:
    """List the versions in `promoted` that no other one replaced, in ascending order.

    A version with other classes begins a line of its own; it replaces none. One whose classes were only renamed does.
    """
    replaced = {
        record.champion
        for record in records
        if record.promote and record.compared and record.champion != record.version
    }
    return sorted(promoted - replaced or promoted, key=int)


def _expect(valid: Sequence[str]) -> str:
    return f"the version that the gate promoted, {' or '.join(valid)}" if valid else "a version that the gate promoted"


def _suggest(name: str, valid: Sequence[str], existing: Sequence[str]) -> str:
    """Say which version should have the alias, and how it gets there."""
    page = f"on MLflow's page (`make up`, Models, {name})"
    if valid:
        return f"{page}, give the alias {CHAMPION} to version {valid[-1]}"
    if existing:
        return (
            f"the gate promoted none of the versions that exist: {page}, remove the alias {CHAMPION} if there is one, "
            f"and delete {_name(existing)}; the next training is then a first version"
        )
    return f"{page}, remove the alias {CHAMPION}; the next training is then a first version"


def _name(numbers: Sequence[str]) -> str:
    return f"version{'s' * (len(numbers) != 1)} {_join(numbers)}"


def _join(numbers: Sequence[str]) -> str:
    return ", ".join(sorted(numbers, key=int))


def _read_finished_runs(client: MlflowClient, name: str) -> dict[str, Mapping[str, Any]]:
    """Read the tags of the finished trainings of a model, by run id; their experiment has the model's name."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return {}
    wanted = f"tags.`{Tags.DECISION}` != ''"
    runs = client.search_runs([experiment.experiment_id], wanted, max_results=_MAX_RUNS)
    return {run.info.run_id: run.data.tags for run in runs}


def _is_settled(client: MlflowClient, run_id: str | None, finished: Mapping[str, Any]) -> bool:
    """Return whether the run of a version is finished, deleted or unknown: then the version is not being judged."""
    if not run_id or run_id in finished:
        return True
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == _MISSING:
            return True
        raise
    return run.info.lifecycle_stage == "deleted" or Tags.DECISION in run.data.tags


def _read(tags: Mapping[str, Any]) -> Decision | None:
    """Read the decision in the tags of a version or run; None if there is none, or one in another format."""
    try:
        return Decision.from_tag(tags.get(Tags.DECISION, ""))
    except ValueError:
        return None
