"""Render the gallery page: findings with their images, most severe first.

Images show problems that text cannot: a mask that belongs to another image, or two copies of one photograph. The page
also shows a fixed selection of samples without findings, so that a person can check that labels match the objects.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segline.data.images.manifest import SampleRow
from segline.data.images.thumbnails import Album, Thumbnail
from segline.data.validate import page_layout
from segline.data.validate.manifest_rules import Finding
from segline.data.validate.verdict import Check
from segline.datasets.base import SPLITS, Dataset
from segline.project import Files

MAX_PICTURED = 12
"""Maximum number of findings per check that are shown with images."""

_MAX_EXAMPLES_OF_PATTERN = 6
_MAX_FRAMES = 96  # for all checks together, so that the page has at most a few MiB
_MAX_DUPLICATES_BESIDE = 4
_MAX_GOOD_SAMPLES = 24  # shown if there are no findings; half as many otherwise


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Group of pictures with a title and a description."""

    title: str
    found: str
    pictures: Sequence[Thumbnail]


@dataclass(frozen=True, kw_only=True)
class _Section:
    """One check with findings, and its pictures.

    Args:
        advice: first finding; its `expected` and `remedy` are shown for all findings.
        more: number of samples without a frame.
    """

    check: Check
    advice: Finding | None
    frames: Sequence[Frame]
    more: int


def render_gallery(
    checks: Sequence[Check],
    rows: Sequence[SampleRow],
    *,
    dataset: Dataset,
    album: Album,
    alike: Mapping[str, Sequence[str]],
    title: str,
    passed: bool,
) -> str:
    """Render the page.

    Args:
        checks: checks with findings, most severe first.
        rows: the manifest, in its own order.
        alike: sample id -> ids of samples whose images look the same.
        passed: whether the pipeline continues.
    """
    framer = _Framer(rows, album=album, alike=alike)
    left = _MAX_FRAMES
    sections = []
    for check in checks:
        section = framer.make_section(check, most=min(MAX_PICTURED, left))
        left -= len(section.frames)
        sections.append(section)
    bad = {finding.sample for check in checks for finding in check.findings if check.severity != "warn"}
    good = _choose_good(rows, bad, most=_MAX_GOOD_SAMPLES if not sections else _MAX_GOOD_SAMPLES // 2)
    return page_layout.render(
        "gallery.html",
        name=Files.GALLERY_PAGE,
        title=title,
        passed=passed,
        sections=sections,
        max_words=MAX_PICTURED,
        sample=[framer.frame_sample(row) for row in good],
        classes=dataset.label_map.classes,
    )


class _Framer:
    """Create the frames with pictures for findings."""

    def __init__(self, rows: Sequence[SampleRow], *, album: Album, alike: Mapping[str, Sequence[str]]) -> None:
        self._rows, self._album, self._alike = rows, album, alike
        self._place = {row["id"]: place for place, row in enumerate(rows)}
        self._same: dict[str, list[str]] = {}
        for row in rows:
            self._same.setdefault(row["image_sha256"] or row["id"], []).append(row["id"])

    def make_section(self, check: Check, *, most: int) -> _Section:
        """Collect the content of one check for the template, with at most `most` frames."""
        findings = [finding for finding in check.findings if finding.sample in self._place]
        examples = check.samples[: min(most, _MAX_EXAMPLES_OF_PATTERN)]
        frames = [self._frame_shift(self._place[name], check.step) for name in examples]
        seen: set[str] = set(examples)
        for finding in findings:
            if len(frames) >= most:
                break
            if finding.sample in seen:
                continue
            duplicates = self._find_duplicates(finding.sample) if check.duplicates else []
            seen |= {finding.sample, *duplicates}
            frames.append(self._frame_finding(finding, duplicates))
        pictured = check.samples or sorted({finding.sample for finding in findings})
        return _Section(
            check=check,
            advice=findings[0] if findings else None,
            frames=frames,
            more=len([name for name in pictured if name not in seen]),
        )

    def frame_sample(self, row: SampleRow) -> Frame:
        """Frame a sample with nothing wrong."""
        return Frame(title=_caption(row), found="", pictures=self._draw(row))

    def _frame_finding(self, finding: Finding, duplicates: Sequence[str]) -> Frame:
        names = (finding.sample, *duplicates[:_MAX_DUPLICATES_BESIDE])
        rows = [self._rows[self._place[name]] for name in names]
        pictures = [picture for row in rows for picture in self._draw(row)]
        hidden = len(duplicates) - _MAX_DUPLICATES_BESIDE
        rest = f" (and {hidden} more like it)" if hidden > 0 else ""
        return Frame(title=_caption(rows[0]) + rest, found=finding.found, pictures=pictures)

    def _frame_shift(self, place: int, step: int) -> Frame:
        row = self._rows[place]
        pictures = self._draw(row)
        if step and 0 <= place + step < len(self._rows):
            other = self._rows[place + step]
            caption = f"with the mask of {other['id']}, which fits better"
            pictures = [
                *self._album.draw_pair(row["image"], row["mask"], caption=f"{row['id']} with its own mask"),
                *self._album.draw_pair(row["image"], other["mask"], caption=caption),
            ]
        return Frame(title=_caption(row), found="", pictures=pictures)

    def _draw(self, row: SampleRow) -> list[Thumbnail]:
        return self._album.draw_pair(row["image"], row["mask"], caption=_caption(row))

    def _find_duplicates(self, name: str) -> list[str]:
        row = self._rows[self._place[name]]
        same = self._same.get(row["image_sha256"] or "", [])
        return [other for other in dict.fromkeys([*same, *self._alike.get(name, ())]) if other != name]


def choose_some(rows: Sequence[SampleRow], *, most: int) -> list[SampleRow]:
    """Choose up to `most` rows by a hash of their ids: a pseudo-random choice that is always the same."""
    return sorted(rows, key=lambda row: hashlib.sha256(row["id"].encode()).hexdigest())[:most]


def _choose_good(rows: Sequence[SampleRow], bad: set[str], *, most: int) -> list[SampleRow]:
    good = [row for row in rows if row["id"] not in bad and not row["problems"]]
    shares = [choose_some([row for row in good if row["split"] == split], most=most // len(SPLITS)) for split in SPLITS]
    return [row for share in shares for row in share]


def _caption(row: SampleRow) -> str:
    return f"{row['id']} ({row['split'] or 'no split'})"
