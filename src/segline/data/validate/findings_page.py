"""The gallery: each finding with the pictures that it is about, the gravest first.

A person sees at once what a line of text cannot say: that a mask belongs to another image, that two
photographs are one. Where nothing is wrong, a fixed choice of samples shows that labels lie where they should.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segline.data.images.thumbnails import Album, Thumbnail
from segline.data.validate import page_layout
from segline.data.validate.manifest_rules import Finding, Row, Severity
from segline.datasets.base import SPLITS, Dataset
from segline.project import Files

SHOWN = 12
"""Findings of one kind that get pictures."""

_ALIKE_SHOWN = 6  # samples that show one and the same mistake
_ALL_SHOWN = 96  # findings that get pictures, of all kinds together: the page stays at a few MiB
_TWINS = 4  # pictures beside a duplicate's own
_SAMPLE = 24  # good samples shown where nothing is wrong, half of them elsewhere
_TWINNED = {"image_looks_like_another", "image_in_one_split"}


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """Findings of one kind.

    Args:
        name: of the check.
        findings: what it found.
        samples: ids of the samples to show, where the findings name none.
        step: where a neighbour's mask fits better than the sample's own, the neighbour's place from it.
    """

    name: str
    severity: Severity
    findings: Sequence[Finding]
    samples: Sequence[str] = ()
    step: int = 0


@dataclass(frozen=True, kw_only=True)
class Frame:
    """Pictures that belong together, and the words for them."""

    title: str
    found: str
    pictures: Sequence[Thumbnail]


def gallery(
    exhibits: Sequence[Exhibit],
    rows: Sequence[Row],
    *,
    dataset: Dataset,
    album: Album,
    alike: Mapping[str, Sequence[str]],
    title: str,
    passed: bool,
) -> str:
    """The page.

    Args:
        exhibits: what was found, the gravest first.
        rows: the manifest, in its own order.
        alike: sample id -> ids of samples whose images look the same.
        passed: whether the pipeline goes on.
    """
    hall = _Hall(rows, album=album, alike=alike)
    left = _ALL_SHOWN
    sections = []
    for exhibit in exhibits:
        section = hall.section(exhibit, most=min(SHOWN, left))
        left -= len(section["frames"])
        sections.append(section)
    bad = {finding.sample for exhibit in exhibits for finding in exhibit.findings if exhibit.severity != "warn"}
    sample = _fixed_sample(rows, bad, most=_SAMPLE if not sections else _SAMPLE // 2)
    return page_layout.render(
        "gallery.html",
        name=Files.GALLERY_PAGE,
        title=title,
        passed=passed,
        sections=sections,
        sample=[hall.frame(row) for row in sample],
        classes=dataset.label_map.classes,
    )


class _Hall:
    """Finds the pictures to a finding."""

    def __init__(self, rows: Sequence[Row], *, album: Album, alike: Mapping[str, Sequence[str]]) -> None:
        self._rows, self._album, self._alike = rows, album, alike
        self._place = {row["id"]: place for place, row in enumerate(rows)}
        self._same: dict[str, list[str]] = {}
        for row in rows:
            self._same.setdefault(row["image_sha256"] or row["id"], []).append(row["id"])

    def section(self, exhibit: Exhibit, *, most: int) -> dict[str, Any]:
        """What the template shows of one exhibit, with at most `most` frames."""
        findings = [finding for finding in exhibit.findings if finding.sample in self._place]
        examples = exhibit.samples[: min(most, _ALIKE_SHOWN)]
        frames = [self._shift(self._place[name], exhibit.step) for name in examples]
        seen: set[str] = set(examples)
        for finding in findings:
            if len(frames) >= most:
                break
            if finding.sample in seen:
                continue
            twins = self._twins(finding.sample) if exhibit.name in _TWINNED else []
            seen |= {finding.sample, *twins}
            frames.append(self._frame(finding.sample, twins, finding.found))
        pictured = exhibit.samples or sorted({finding.sample for finding in findings})
        words = [finding for finding in exhibit.findings if not finding.sample]
        return {
            "name": exhibit.name,
            "severity": exhibit.severity,
            "count": len(exhibit.findings),
            "words": words[:SHOWN],
            "unsaid": len(words[SHOWN:]),
            "advice": findings[0] if findings else None,
            "frames": frames,
            "more": len([name for name in pictured if name not in seen]),
            "listed": not exhibit.samples,
        }

    def frame(self, row: Row) -> Frame:
        """A sample by itself."""
        return Frame(title=_name(row), found="", pictures=self._pictures(row))

    def _frame(self, name: str, twins: Sequence[str], found: str) -> Frame:
        rows = [self._rows[self._place[entry]] for entry in (name, *twins[:_TWINS])]
        pictures = [picture for row in rows for picture in self._pictures(row)]
        rest = f" (and {len(twins) - _TWINS} more like it)" if len(twins) > _TWINS else ""
        return Frame(title=_name(rows[0]) + rest, found=found, pictures=pictures)

    def _shift(self, place: int, step: int) -> Frame:
        row = self._rows[place]
        pictures = self._pictures(row)
        if step and 0 <= place + step < len(self._rows):
            other = self._rows[place + step]
            caption = f"with the mask of {other['id']}, which fits better"
            pictures = [
                *self._album.pictures(row["image"], row["mask"], caption=f"{row['id']} with its own mask"),
                *self._album.pictures(row["image"], other["mask"], caption=caption),
            ]
        return Frame(title=_name(row), found="", pictures=pictures)

    def _pictures(self, row: Row) -> list[Thumbnail]:
        return self._album.pictures(row["image"], row["mask"], caption=_name(row))

    def _twins(self, name: str) -> list[str]:
        row = self._rows[self._place[name]]
        same = self._same.get(row["image_sha256"] or "", [])
        return [other for other in dict.fromkeys([*same, *self._alike.get(name, ())]) if other != name]


def chosen(rows: Sequence[Row], *, most: int) -> list[Row]:
    """Up to `most` of the rows, as good as drawn by lot and yet always the same."""
    return sorted(rows, key=lambda row: hashlib.sha256(str(row["id"]).encode()).hexdigest())[:most]


def _fixed_sample(rows: Sequence[Row], bad: set[str], *, most: int) -> list[Row]:
    good = [row for row in rows if row["id"] not in bad and not row["problems"]]
    shares = [chosen([row for row in good if row["split"] == split], most=most // len(SPLITS)) for split in SPLITS]
    return [row for share in shares for row in share]


def _name(row: Row) -> str:
    return f"{row['id']} ({row['split'] or 'no split'})"
