"""Stage `validate`: build the manifest, have Great Expectations judge it, and write the verdict and the pages.

Only this module imports Great Expectations, which takes seconds. Import this module lazily.
"""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import great_expectations as gx
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from great_expectations import expectations as gxe
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.render.renderer.page_renderer import ExpectationSuitePageRenderer, ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

from segline.data.images import manifest
from segline.data.images.split import assign
from segline.data.images.thumbnails import Album
from segline.data.validate import data_docs, fingerprint, mask_checks, sample_statistics
from segline.data.validate.build_manifest import build_manifest
from segline.data.validate.findings_page import render_gallery
from segline.data.validate.fingerprint_page import render_fingerprint
from segline.data.validate.fingerprint_schema import Fingerprint
from segline.data.validate.manifest_rules import JudgedRow, Rule, compare_rows, describe_missing_split, rules_of
from segline.data.validate.verdict import (
    SEVERITIES,
    Check,
    DataVerdict,
    count_findings,
    list_findings,
    reach_verdict,
    report_success,
)
from segline.datasets.base import Dataset, Pair
from segline.errors import LONGEST_LINE, DataError, ValidationError, shown
from segline.progress import Report, silent
from segline.project import Files
from segline.storage import atomic_folder, reporting_storage

_SHARE_TOLERANCE = 1e-9  # for floating-point error: 3 of 10 samples must not exceed the share 0.3


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

    Unusable samples are reported and left out of the manifest. The stage fails if their share exceeds
    `quarantine_share`, or if a check with severity ``stop`` has findings.

    The Data Docs and the verdict are always written to `docs`. `folder` is written only if the stage
    succeeds. If it fails, an older `folder` is deleted, so that no later stage uses outdated data.

    Raises:
        ValidationError: the stage failed; the message lists the findings and the path of the Data Docs.
        DataError: the dataset's own lists are missing or malformed.
        StorageError: the disk is full, or writing is not permitted.
    """
    if not raw.is_dir():
        raise DataError(
            raw,
            found=f"no such folder: {dataset.name} is not extracted",
            expected="the output of the extract stage",
            remedy=f"dvc repro validate@{dataset.name} (it runs download and extract first)",
        )
    pairs = _list_pairs(dataset, raw)
    splits = assign(pairs, validation_share=validation_share)
    with sample_statistics.open_store() as store:
        table = build_manifest(dataset, pairs, raw=raw, splits=splits, workers=workers, measured=store, report=report)
        verdict, figures = judge(table, store, dataset=dataset, raw=raw, docs=docs, quarantine_share=quarantine_share)
    if not verdict.success:
        _remove(folder)
        raise _make_error(dataset, verdict, raw=raw, docs=docs)
    with atomic_folder(folder) as partial:
        manifest.write(_drop_quarantined(table, verdict), partial / Files.MANIFEST)
        (partial / Files.FINGERPRINT).write_text(fingerprint.to_json(figures), "utf-8")
        (partial / Files.VERDICT).write_text(verdict.to_json(), "utf-8")
    for line in report_success(verdict, pictures=docs / Files.GALLERY_PAGE, page=docs / Files.RESULT_PAGE):
        report(line)


def judge(
    table: pa.Table,
    store: sample_statistics.Store,
    *,
    dataset: Dataset,
    raw: Path,
    docs: Path,
    quarantine_share: float,
) -> tuple[DataVerdict, Fingerprint]:
    """Judge a manifest and write the pages and ``validation.json`` into `docs`.

    Args:
        table: of `build_manifest`.
        store: the statistics that `build_manifest` measured.

    Returns:
        The verdict, and the fingerprint of the usable samples.

    Raises:
        StorageError: the disk is full, or writing is not permitted.
    """
    sample_rows: list[manifest.SampleRow] = table.to_pylist()
    alike = mask_checks.find_near_duplicates(sample_rows)
    rows = compare_rows(sample_rows, alike=alike)
    judged = _judge_rows(dataset, rows, quarantine_share=quarantine_share)
    verdict = reach_verdict(dataset, rows, judged.checks, quarantine_share=quarantine_share)
    figures = fingerprint.fingerprint(table, store, dataset=dataset, alike=alike, left_out=set(verdict.quarantined))
    title = f"{dataset.title}: {len(rows)} samples, {count_findings(verdict)}"
    album = Album(raw, label_map=dataset.label_map, colours=dataset.colours, levels=dataset.levels)
    failed, passed = verdict.failed(*SEVERITIES), verdict.success
    findings = list_findings(verdict, *SEVERITIES)
    pages = {
        Files.RESULT_PAGE: data_docs.filter_page(judged.results, title=title, findings=findings, passed=passed),
        Files.EXPECTATIONS_PAGE: data_docs.filter_page(judged.suite, title=title, findings=None),
        Files.GALLERY_PAGE: render_gallery(
            failed, rows, dataset=dataset, album=album, alike=alike, title=title, passed=passed
        ),
        Files.FINGERPRINT_PAGE: render_fingerprint(figures, rows, dataset=dataset, album=album, passed=passed),
        Files.VERDICT: verdict.to_json(),
    }
    with atomic_folder(docs) as partial:
        for name, text in pages.items():
            (partial / name).write_text(text, "utf-8")
    return verdict, figures


def _drop_quarantined(table: pa.Table, verdict: DataVerdict) -> pa.Table:
    return table.filter(pc.invert(pc.is_in(table["id"], pa.array(verdict.quarantined, pa.string()))))


def _remove(folder: Path) -> None:
    if folder.exists():
        with reporting_storage(folder):
            shutil.rmtree(folder)


def _list_pairs(dataset: Dataset, raw: Path) -> list[Pair]:
    try:
        return dataset.pairs(raw)
    except OSError as error:
        raise DataError(
            error.filename or raw,
            found=f"cannot be read: {error.strerror}",
            expected=f"a readable file that lists the samples of {dataset.name}",
            remedy="run the extract stage again; if the error persists, use the publisher's original archive",
        ) from error
    except (ValueError, IndexError) as error:
        raise DataError(
            raw,
            found=f"a file name or list line that {dataset.name} does not have ({error})",
            expected=f"the file layout of {dataset.title}",
            remedy="use the publisher's archives unchanged",
        ) from error


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """Outcome of every rule, and the HTML of Great Expectations' two pages (results and expectations)."""

    checks: list[Check]
    results: str
    suite: str


def _judge_rows(dataset: Dataset, rows: Sequence[JudgedRow], *, quarantine_share: float) -> _Judged:
    """Have Great Expectations judge each rule.

    A dataset that passes must also be shown as passed on Great Expectations' pages. So every expectation has the
    tolerance of the verdict: notes are allowed in all rows, quarantined samples up to `quarantine_share`. This is
    safe because a single rule never quarantines more samples than all rules together.
    """
    rules = rules_of(dataset)
    allowed = {"stop": 0.0, "quarantine": quarantine_share + _SHARE_TOLERANCE, "warn": 1.0}
    suite = gx.ExpectationSuite(
        name=dataset.name, expectations=[_make_expectation(rule, allowed=allowed[rule.severity]) for rule in rules]
    )
    shown_ids = _make_unique([row["id"] for row in rows])
    values = [{"id": name} | _select_values(row, rules) for name, row in zip(shown_ids, rows, strict=True)]
    columns = list(dict.fromkeys(["id", *(name for rule in rules for name in rule.columns)]))
    result = _run_suite(suite, pd.DataFrame(values, columns=columns, dtype=object))
    by_rule = {entry.expectation_config.meta["rule"]: entry for entry in result.results}
    by_id = dict(zip(reversed(shown_ids), reversed(rows), strict=True))  # a duplicate id: the first row
    view = DefaultJinjaPageView()
    return _Judged(
        checks=[_read_result(rule, by_rule[rule.name], by_id) for rule in rules],
        results=view.render(ValidationResultsPageRenderer(run_info_at_end=False).render(result)),
        suite=view.render(ExpectationSuitePageRenderer().render(suite)),
    )


def _make_expectation(rule: Rule, *, allowed: float) -> gxe.Expectation:
    """Make the expectation of `rule`; it passes if at most the share `allowed` (0..1) of the rows fails."""
    kind: type[gxe.Expectation] = getattr(gxe, rule.expectation)
    tolerance = {"mostly": max(0.0, 1 - allowed)} if allowed else {}
    return kind(description=rule.description, meta={"rule": rule.name}, **tolerance, **rule.arguments)


def _run_suite(suite: gx.ExpectationSuite, frame: pd.DataFrame) -> ExpectationSuiteValidationResult:
    context = gx.get_context(
        mode="ephemeral",
        project_config=DataContextConfig(
            store_backend_defaults=InMemoryStoreBackendDefaults(),
            data_docs_sites={},
            progress_bars=ProgressBarsConfig(globally=False),
            analytics_enabled=False,
        ),
    )
    asset = context.data_sources.add_pandas("segline").add_dataframe_asset(suite.name)
    batch = asset.add_batch_definition_whole_dataframe("manifest").get_batch({"dataframe": frame})
    result = batch.validate(suite, result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]})
    result.meta["batch_spec"] = {"data_asset_name": f"manifest of {suite.name}"}  # otherwise the page shows "None"
    return result


def _read_result(rule: Rule, result: ExpectationValidationResult, by_id: dict[str, JudgedRow]) -> Check:
    """Translate the result of one expectation.

    Raises:
        RuntimeError: the expectation could not be run; this is a bug in Segline, not a problem of the data.
    """
    if result.exception_info.get("raised_exception"):
        raise RuntimeError(f"expectation {rule.name} did not run: {result.exception_info}")
    found = result.result
    ids = dict.fromkeys(entry["id"] for entry in found.get("unexpected_index_list") or [])
    findings = sorted((rule.describe(by_id[name]) for name in ids), key=lambda finding: finding.sample)
    findings += [describe_missing_split(rule, split) for split in found.get("partial_missing_list") or []]
    return Check(
        name=rule.name,
        severity=rule.severity,
        expectation=result.expectation_config.type,
        success=bool(result.success) and not findings,
        findings=tuple(findings),
        duplicates=rule.duplicates,
    )


def _select_values(row: JudgedRow, rules: Sequence[Rule]) -> dict[str, object]:
    """Return the columns of `row` that `rules` judge; untrusted strings are shortened and passed to `disguise`."""
    values = {name: value for rule in rules for name, value in rule.select_values(row).items() if name != "id"}
    return {
        name: data_docs.disguise(shown(value, limit=LONGEST_LINE)) if isinstance(value, str) else value
        for name, value in values.items()
    }


def _make_unique(ids: Sequence[str]) -> list[str]:
    """Shorten and disguise ids for Great Expectations; a number keeps different ids different."""
    given: dict[str, str] = {}
    taken: set[str] = set()
    alike: Counter[str] = Counter()
    for name in dict.fromkeys(ids):
        unique = short = data_docs.disguise(shown(name))
        while unique in taken:
            alike[short] += 1
            unique = f"{short} ({alike[short] + 1})"
        given[name] = unique
        taken.add(unique)
    return [given[name] for name in ids]


def _make_error(dataset: Dataset, verdict: DataVerdict, *, raw: Path, docs: Path) -> ValidationError:
    listing = "".join(f"\n  - {line}" for line in list_findings(verdict, "stop", "quarantine"))
    return ValidationError(
        raw,
        found=f"{count_findings(verdict)} in {verdict.summary['samples']} samples of {dataset.name}{listing}\n",
        remedy=f"correct these samples, then run `dvc repro`; full list: {docs / Files.RESULT_PAGE}, "
        f"images of the findings: {docs / Files.GALLERY_PAGE}",
    )
