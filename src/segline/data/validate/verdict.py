"""Reach the verdict on a dataset: the findings of every check, and whether the pipeline continues."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypedDict

from segline.data.images.manifest import SampleRow
from segline.data.validate import mask_checks
from segline.data.validate.manifest_rules import Finding, Severity
from segline.datasets.base import SPLITS, Dataset
from segline.errors import LONGEST_LINE, shown

SEVERITIES: tuple[Severity, ...] = ("stop", "quarantine", "warn")
"""Most severe first."""

_PREFIXES: dict[Severity, str] = {"stop": "", "quarantine": "cannot be used: ", "warn": "note: "}
_MAX_NOTES_ON_TERMINAL = 8
_MAX_FINDINGS_LISTED = 20  # of each severity; the JSON holds them all


@dataclass(frozen=True, kw_only=True)
class Check:
    """The outcome of one check.

    Args:
        expectation: the type of Great Expectations' expectation, or ``linter`` for a check of the dataset as a whole.
        success: whether it found no problem.
        explained: name of the pattern that explains its findings; `findings` is then empty.
        samples: ids of the samples with the problem, if the findings name no sample.
        step: as `mask_checks.Pattern.step`.
        duplicates: as `manifest_rules.Rule.duplicates`.
    """

    name: str
    expectation: str
    severity: Severity
    success: bool
    findings: tuple[Finding, ...]
    explained: str = ""
    samples: tuple[str, ...] = ()
    step: int = 0
    duplicates: bool = False


class DataSummary(TypedDict):
    """Statistics of the usable samples; the first keys of ``validation.json``."""

    dataset: str
    protocol: str
    label_map: str
    samples: int  # including quarantined ones
    splits: dict[str, int]
    pixels: dict[str, int]  # by class
    notes: list[str]


@dataclass(frozen=True, kw_only=True)
class DataVerdict:
    """The outcome of all checks.

    Args:
        quarantined: ids of the samples that are left out.
    """

    summary: DataSummary
    checks: tuple[Check, ...]
    quarantined: tuple[str, ...]

    @property
    def success(self) -> bool:
        """Return whether the pipeline may continue."""
        return not self.findings("stop")

    def failed(self, *severities: Severity) -> list[Check]:
        """Return the checks of `severities` that have findings; checks that a pattern explains have none."""
        return [
            check for severity in severities for check in self.checks if check.severity == severity and check.findings
        ]

    def findings(self, severity: Severity) -> list[Finding]:
        """Return the findings of one severity, in the order of the checks."""
        return [finding for check in self.failed(severity) for finding in check.findings]

    def to_json(self) -> str:
        """Write everything as JSON; equal verdicts give equal text."""
        checks = [
            {
                "name": check.name,
                "expectation": check.expectation,
                "severity": check.severity,
                "success": check.success,
                "unexpected": len(check.findings),
                "explained_by": check.explained or None,
                "examples": [asdict(finding) for finding in check.findings],
            }
            for check in self.checks
        ]
        content = {
            **self.summary,
            "success": self.success,
            "quarantined": list(self.quarantined),
            "expectations": checks,
        }
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def reach_verdict(
    dataset: Dataset, rows: Sequence[SampleRow], checks: Sequence[Check], *, quarantine_share: float
) -> DataVerdict:
    """Combine the checks of single samples with checks of the whole dataset.

    Args:
        checks: the outcome of each rule.
        quarantine_share: share of the samples that may be left out, 0..1; more of them stop the pipeline.
    """
    patterns = mask_checks.find_patterns(rows, dataset)
    explained = {name: pattern.name for pattern in patterns for name in pattern.explains}
    checks = [
        replace(check, findings=(), explained=explained[check.name])
        if check.findings and check.name in explained
        else check
        for check in checks
    ]
    bad = {finding.sample for check in checks if check.severity == "quarantine" for finding in check.findings}
    kept = [row for row in rows if row["id"] not in bad]
    whole = [
        replace(_check_whole(pattern.name, "stop", [pattern.finding]), samples=pattern.samples, step=pattern.step)
        for pattern in patterns
    ]
    whole.append(_check_whole("quarantine_small", "stop", _find_excess(dataset, len(rows), len(bad), quarantine_share)))
    too_few = [] if patterns else mask_checks.find_too_few_classes(rows, dataset)  # a pattern would explain it
    whole.append(_check_whole("two_classes", "stop", too_few))
    whole.append(_check_whole("classes_in_every_split", "warn", mask_checks.find_missing_classes(kept, dataset)))
    by_colour = mask_checks.find_palettes_read_by_colour(rows, dataset)
    whole.append(_check_whole("palettes_equal", "warn", by_colour))
    return DataVerdict(
        summary=_summarise(dataset, kept, samples=len(rows)),
        checks=(*whole, *checks),
        quarantined=tuple(sorted(bad)),
    )


def list_findings(verdict: DataVerdict, *severities: Severity) -> list[str]:
    """List the first findings of each check, most severe first, and the number of further findings."""
    lines = []
    for severity in severities:
        failed = verdict.failed(severity)
        each = max(1, _MAX_FINDINGS_LISTED // max(1, len(failed)))
        for check in failed:
            lines += [f"{_PREFIXES[severity]}{finding}" for finding in check.findings[:each]]
            if len(check.findings) > each:
                lines.append(f"and {len(check.findings) - each} more of {check.name} ({len(check.findings)} in all)")
    explained = [check for check in verdict.checks if check.explained]
    return lines + [f"({check.name} also fails; {check.explained} explains its findings)" for check in explained]


def count_findings(verdict: DataVerdict) -> str:
    """Count the findings in words: ``1 blocking, 2 left out, 3 notes``."""
    stop, warn = (len(verdict.findings(severity)) for severity in ("stop", "warn"))
    return f"{stop} blocking, {len(verdict.quarantined)} left out, {warn} note{'' if warn == 1 else 's'}"


def report_success(verdict: DataVerdict, *, pictures: object, page: object) -> list[str]:
    """Write the terminal lines for a dataset that passes.

    Args:
        pictures: path of the gallery page.
        page: path of the result page.
    """
    lines = [f"left out: {finding}" for finding in verdict.findings("quarantine")]
    notes = [
        f"note: {shown(finding.file, limit=LONGEST_LINE)}: {shown(finding.found, limit=LONGEST_LINE)}"
        for finding in verdict.findings("warn")
    ]
    lines += notes[:_MAX_NOTES_ON_TERMINAL]
    if len(notes) > _MAX_NOTES_ON_TERMINAL:
        lines.append(f"note: and {len(notes) - _MAX_NOTES_ON_TERMINAL} more; all with images: {pictures}")
    counts = ", ".join(f"{name} {count}" for name, count in verdict.summary["splits"].items())
    left_out = f", {len(verdict.quarantined)} left out" if verdict.quarantined else ""
    good = verdict.summary["samples"] - len(verdict.quarantined)
    return [*lines, f"{verdict.summary['dataset']}: {good} samples passed ({counts}{left_out}); {page}"]


def _check_whole(name: str, severity: Severity, findings: Sequence[Finding]) -> Check:
    return Check(name=name, expectation="linter", severity=severity, success=not findings, findings=tuple(findings))


def _find_excess(dataset: Dataset, samples: int, bad: int, share: float) -> list[Finding]:
    """Return a finding if more than `share` of all samples are bad."""
    if bad <= share * samples:
        return []
    return [
        Finding(
            sample="",
            file=dataset.name,
            found=f"{bad} of {samples} samples cannot be used",
            expected=f"at most {100 * share:g} % (validation.quarantine_share in params.yaml)",
            remedy="correct the samples listed below, or raise validation.quarantine_share",
        )
    ]


def _summarise(dataset: Dataset, rows: Sequence[SampleRow], *, samples: int) -> DataSummary:
    splits = Counter(row["split"] for row in rows)
    counted = [row["pixels"] for row in rows if row["pixels"] is not None]
    pixels = [sum(row[place] for row in counted) for place in range(len(dataset.label_map))]
    return {
        "dataset": dataset.name,
        "protocol": dataset.protocol,
        "label_map": dataset.label_map.digest,
        "samples": samples,
        "splits": {name: splits[name] for name in SPLITS},
        "pixels": dict(zip(dataset.label_map.names, pixels, strict=True)),
        "notes": [f"{row['image']}: {note}" for row in rows for note in row["notes"]],
    }
