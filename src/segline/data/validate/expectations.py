"""The manifest, judged by Great Expectations: what must hold before anything is trained.

The only importer of Great Expectations, which takes seconds to import: import this module lazily.
"""

import json
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from great_expectations import expectations as gxe
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)

from segline.data.images import manifest
from segline.data.images.split import assign
from segline.data.images.thumbnails import Album
from segline.data.validate import (
    data_docs,
    findings_page,
    fingerprint,
    fingerprint_page,
    mask_checks,
    sample_statistics,
)
from segline.data.validate.build_manifest import build_manifest
from segline.data.validate.manifest_rules import COLUMNS, Finding, Row, Rule, Severity, flat, rules_of
from segline.datasets.base import SPLITS, Dataset, Pair
from segline.errors import LONGEST_LINE, DataError, ValidationError, shown
from segline.progress import Report, silent
from segline.project import Files
from segline.storage import atomic_folder, reporting_storage

_WORDS: dict[Severity, str] = {"stop": "", "quarantine": "cannot be used: ", "warn": "note: "}
_WARNED = 8  # notes spelt out on the terminal
_SHOWN = 20  # findings spelt out in the error; the JSON holds them all


@dataclass(frozen=True, kw_only=True)
class Check:
    """What became of one expectation.

    Args:
        expectation: of Great Expectations, or ``linter`` for what concerns the dataset as a whole.
        explained: name of the pattern that explains its findings; they are then not listed.
        samples: ids of samples that show it, where the findings name none.
        step: as `linter.Pattern.step`.
    """

    name: str
    expectation: str
    severity: Severity
    success: bool
    findings: tuple[Finding, ...]
    explained: str = ""
    samples: tuple[str, ...] = ()
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of all expectations.

    Args:
        summary: the dataset in figures.
        quarantined: ids of the samples that are left out.
    """

    summary: dict[str, Any]
    checks: tuple[Check, ...]
    quarantined: tuple[str, ...]

    @property
    def success(self) -> bool:
        """Whether the pipeline may go on."""
        return not self.findings("stop")

    def failed(self, severity: Severity) -> list[Check]:
        """Checks of one severity that were not met and are not explained by another."""
        return [check for check in self.checks if check.severity == severity and check.findings]

    def findings(self, severity: Severity) -> list[Finding]:
        """What is wrong, of one severity, in the order of the checks."""
        return [finding for check in self.failed(severity) for finding in check.findings]

    def to_json(self) -> str:
        """All of it; equal verdicts give equal text."""
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


def validate(
    dataset: Dataset,
    *,
    raw: Path,
    folder: Path,
    docs: Path,
    validation_share: float,
    quarantine_share: float,
    workers: int,
    report: Report = silent,
) -> None:
    """Build the manifest of `raw`, judge it, and write it and the verdict to `folder`.

    Samples that cannot be used are listed and left out of the manifest, up to `quarantine_share` of
    all; more of them stop the pipeline, as does whatever concerns the dataset as a whole. `docs` gets
    the Data Docs and the verdict in any case; `folder` only where nothing stops, and an older one is
    removed where something does, so that nobody prepares from it.

    Raises:
        ValidationError: something is wrong; it lists what, and names the Data Docs.
        DataError: the dataset's own lists are missing or malformed.
        StorageError: no room or no right to write.
    """
    if not raw.is_dir():
        raise DataError(
            raw,
            found=f"no such folder: {dataset.name} is not extracted",
            expected="what the extract stage leaves",
            remedy=f"dvc repro validate@{dataset.name} (it runs download and extract first)",
        )
    pairs = _pairs(dataset, raw)
    splits = assign(pairs, validation_share=validation_share)
    with sample_statistics.store() as store:
        table = build_manifest(dataset, pairs, raw=raw, splits=splits, workers=workers, measured=store, report=report)
        verdict, figures = judge(table, store, dataset=dataset, raw=raw, docs=docs, quarantine_share=quarantine_share)
    if not verdict.success:
        _remove(folder)
        raise _error(dataset, verdict, raw=raw, docs=docs)
    with atomic_folder(folder) as partial:
        manifest.write(usable(table, verdict), partial / Files.MANIFEST)
        (partial / Files.FINGERPRINT).write_text(fingerprint.to_json(figures), "utf-8")
        (partial / Files.VERDICT).write_text(verdict.to_json(), "utf-8")
    for line in _story(dataset, verdict, docs=docs):
        report(line)


def _story(dataset: Dataset, verdict: Verdict, *, docs: Path) -> list[str]:
    """What is told of data that pass."""
    lines = [f"left out: {finding}" for finding in verdict.findings("quarantine")]
    warnings = verdict.findings("warn")
    lines += [
        f"note: {shown(finding.file, limit=LONGEST_LINE)}: {shown(finding.found, limit=LONGEST_LINE)}"
        for finding in warnings[:_WARNED]
    ]
    if len(warnings) > _WARNED:
        lines.append(f"note: and {len(warnings) - _WARNED} more, with their pictures: {docs / Files.GALLERY_PAGE}")
    counts = ", ".join(f"{name} {count}" for name, count in verdict.summary["splits"].items())
    out = f", {len(verdict.quarantined)} left out" if verdict.quarantined else ""
    good = verdict.summary["samples"] - len(verdict.quarantined)
    return [
        *lines,
        f"{dataset.name}: {good} samples hold what they should ({counts}{out}); {docs / Files.RESULT_PAGE}",
    ]


def usable(table: pa.Table, verdict: Verdict) -> pa.Table:
    """The manifest without the samples that were put into quarantine."""
    return table.filter(pc.invert(pc.is_in(table["id"], pa.array(verdict.quarantined, pa.string()))))


def judge(
    table: pa.Table,
    store: sample_statistics.Store,
    *,
    dataset: Dataset,
    raw: Path,
    docs: Path,
    quarantine_share: float,
) -> tuple[Verdict, dict[str, Any]]:
    """Judge a manifest and write the pages and ``validation.json`` into `docs`.

    Args:
        table: of `build_manifest`.
        store: what it measured.

    Returns:
        The verdict, and the fingerprint of what is usable.

    Raises:
        StorageError: no room or no right to write.
    """
    rows = table.to_pylist()
    alike = mask_checks.near_duplicates(rows)
    rows = flat(rows, alike=alike)
    rules = rules_of(dataset)
    with tempfile.TemporaryDirectory() as scratch, atomic_folder(docs) as partial:
        handed = _handed(rows)
        results = _run(dataset.name, handed, rules, Path(scratch))
        by_id = {given["id"]: row for given, row in zip(reversed(handed), reversed(rows), strict=True)}
        checks = [_check(rule, result, by_id) for rule, result in zip(rules, results, strict=True)]
        verdict = _verdict(dataset, rows, checks, quarantine_share=quarantine_share)
        figures = fingerprint.fingerprint(table, store, dataset=dataset, alike=alike, left_out=set(verdict.quarantined))
        title = f"{dataset.title}: {len(rows)} samples, {_count(verdict)}"
        data_docs.write_pages(Path(scratch), partial, title=title, findings=_listing(verdict), passed=verdict.success)
        album = Album(raw, label_map=dataset.label_map, colours=dataset.colours)
        exhibits = _exhibits(verdict)
        shown = findings_page.gallery(
            exhibits, rows, dataset=dataset, album=album, alike=alike, title=title, passed=verdict.success
        )
        (partial / Files.GALLERY_PAGE).write_text(shown, "utf-8")
        portrayed = fingerprint_page.portrait(figures, rows, dataset=dataset, album=album, passed=verdict.success)
        (partial / Files.FINGERPRINT_PAGE).write_text(portrayed, "utf-8")
        (partial / Files.VERDICT).write_text(verdict.to_json(), "utf-8")
    return verdict, figures


def _exhibits(verdict: Verdict) -> list[findings_page.Exhibit]:
    """What the gallery shows, the gravest first."""
    severities: tuple[Severity, ...] = ("stop", "quarantine", "warn")
    return [
        findings_page.Exhibit(
            name=check.name, severity=severity, findings=check.findings, samples=check.samples, step=check.step
        )
        for severity in severities
        for check in verdict.failed(severity)
    ]


def _verdict(dataset: Dataset, rows: Sequence[Row], checks: Sequence[Check], *, quarantine_share: float) -> Verdict:
    patterns = mask_checks.patterns(rows, dataset)
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
        replace(_whole(pattern.name, "stop", [pattern.finding]), samples=pattern.samples, step=pattern.step)
        for pattern in patterns
    ]
    whole.append(_whole("quarantine_small", "stop", _too_many(dataset, rows, len(bad), quarantine_share)))
    whole.append(_whole("classes_in_every_split", "warn", mask_checks.class_findings(kept, dataset)))
    return Verdict(
        summary=_summary(dataset, kept, samples=len(rows)),
        checks=(*whole, *checks),
        quarantined=tuple(sorted(bad)),
    )


def _whole(name: str, severity: Severity, findings: Sequence[Finding]) -> Check:
    return Check(name=name, expectation="linter", severity=severity, success=not findings, findings=tuple(findings))


def _too_many(dataset: Dataset, rows: Sequence[Row], bad: int, share: float) -> list[Finding]:
    if bad <= share * len(rows):
        return []
    return [
        Finding(
            sample="",
            file=dataset.name,
            found=f"{bad} of {len(rows)} samples cannot be used",
            expected=f"at most {100 * share:g} % (validation.quarantine_share in params.yaml)",
            remedy="correct the samples listed below, or allow more to be left out",
        )
    ]


def _count(verdict: Verdict) -> str:
    stop, warn = (len(verdict.findings(severity)) for severity in ("stop", "warn"))
    return f"{stop} that stop, {len(verdict.quarantined)} left out, {warn} notes"


def _remove(folder: Path) -> None:
    if folder.exists():
        with reporting_storage(folder):
            shutil.rmtree(folder)


def _pairs(dataset: Dataset, raw: Path) -> list[Pair]:
    try:
        return dataset.pairs(raw)
    except OSError as error:
        raise DataError(
            error.filename or raw,
            found=f"cannot be read: {error.strerror}",
            expected=f"a file that says what belongs to {dataset.name}",
            remedy="run the extract stage again; if it comes back, the archive is not the publisher's",
        ) from error
    except (ValueError, IndexError) as error:
        raise DataError(
            raw,
            found=f"a file name or list line that is not {dataset.name}'s ({error})",
            expected=f"the layout of {dataset.title}",
            remedy="use the publisher's archives unchanged",
        ) from error


def _handed(rows: Sequence[Row]) -> list[Row]:
    """`COLUMNS` of `rows` as Great Expectations gets them: text of other people cut, and `datadocs.disguised`.

    Ids that differ stay different, however they are shown.
    """
    ids: dict[str, str] = {}
    taken: set[str] = set()
    alike: Counter[str] = Counter()
    for name in dict.fromkeys(row["id"] for row in rows):
        given = short = data_docs.disguised(shown(name))
        while given in taken:
            alike[short] += 1
            given = f"{short} ({alike[short] + 1})"
        ids[name] = given
        taken.add(given)
    return [{column: _given(row[column]) for column in COLUMNS} | {"id": ids[row["id"]]} for row in rows]


def _given(value: Any) -> Any:
    return data_docs.disguised(shown(value, limit=LONGEST_LINE)) if isinstance(value, str) else value


def _run(name: str, rows: Sequence[Row], rules: Sequence[Rule], site: Path) -> list[dict[str, Any]]:
    """Have Great Expectations judge `rows` and build its site; its results in the order of `rules`."""
    # It logs what it swallows while rendering; here that shows as a page that is not there.
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    context = gx.get_context(mode="ephemeral", project_config=_configuration(site))
    frame = pd.DataFrame([[row[column] for column in COLUMNS] for row in rows], columns=list(COLUMNS), dtype=object)
    batch = (
        context.data_sources.add_pandas("manifest")
        .add_dataframe_asset(name)
        .add_batch_definition_whole_dataframe("whole")
    )
    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=[_expectation(rule) for rule in rules]))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name=name,
            validation_definitions=[definition],
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]},
        )
    )
    (result,) = checkpoint.run(batch_parameters={"dataframe": frame}).run_results.values()
    context.build_data_docs()
    by_id = {entry.expectation_config.id: entry.to_json_dict() for entry in result.results}
    return [by_id[expectation.id] for expectation in suite.expectations]


def _expectation(rule: Rule) -> gxe.Expectation:
    kind: type[gxe.Expectation] = getattr(gxe, rule.expectation)
    return kind(description=rule.description, **rule.arguments)


def _configuration(site: Path) -> DataContextConfig:
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)}
    return DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        data_docs_sites={"docs": {"class_name": "SiteBuilder", "show_how_to_buttons": False, "store_backend": store}},
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )


def _check(rule: Rule, outcome: dict[str, Any], by_id: dict[str, Row]) -> Check:
    """Translate one Great Expectations result.

    Raises:
        RuntimeError: the expectation itself failed to run; that is a defect here, not in the data.
    """
    failure = outcome["exception_info"]
    if failure.get("raised_exception"):
        raise RuntimeError(f"expectation {rule.name} did not run: {failure}")
    result = outcome["result"]
    ids = list(dict.fromkeys(entry["id"] for entry in result.get("unexpected_index_list") or []))
    findings = sorted((rule.finding(by_id[name]) for name in ids), key=lambda finding: finding.sample)
    findings += [rule.finding({"id": "", "split": split}) for split in result.get("partial_missing_list") or []]
    return Check(
        name=rule.name,
        severity=rule.severity,
        expectation=outcome["expectation_config"]["type"],
        success=bool(outcome["success"]),
        findings=tuple(findings),
    )


def _summary(dataset: Dataset, rows: Sequence[Row], *, samples: int) -> dict[str, Any]:
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


def _listing(verdict: Verdict, severities: Sequence[Severity] = ("stop", "quarantine", "warn")) -> list[str]:
    """The first findings of every check in turn, the gravest first, and how many more there are."""
    lines = []
    for severity in severities:
        failed = verdict.failed(severity)
        each = max(1, _SHOWN // max(1, len(failed)))
        for check in failed:
            lines += [f"{_WORDS[severity]}{finding}" for finding in check.findings[:each]]
            if len(check.findings) > each:
                lines.append(f"and {len(check.findings) - each} more of {check.name} ({len(check.findings)} in all)")
    explained = [check for check in verdict.checks if check.explained]
    lines += [f"({check.name} fails too: that is {check.explained})" for check in explained]
    return lines


def _error(dataset: Dataset, verdict: Verdict, *, raw: Path, docs: Path) -> ValidationError:
    listing = "".join(f"\n  - {line}" for line in _listing(verdict, ("stop", "quarantine")))
    return ValidationError(
        raw,
        found=f"{_count(verdict)} in {verdict.summary['samples']} samples of {dataset.name}{listing}\n",
        remedy=f"correct what is listed, then run `dvc repro`; all of it: {docs / Files.RESULT_PAGE}, "
        f"its pictures: {docs / Files.GALLERY_PAGE}",
    )
