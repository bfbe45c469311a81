"""A check is added at one place: the terminal, the pages, validation.json and the exit code take it from there."""

import json
from dataclasses import replace

import pytest
import yaml
from drawing import draw_ids

from segline.data.validate import manifest_rules, mask_checks
from segline.data.validate.manifest_rules import NONE, Finding, Rule
from segline.data.validate.mask_checks import Pattern

pytestmark = pytest.mark.filterwarnings("ignore:module 'sre_:DeprecationWarning")

SHARES = {"stop": 0.0, "quarantine": 0.05, "warn": 0.0}
"""validation.quarantine_share with which each severity behaves as it says: 1 of 30 samples breaks the new rule."""


@pytest.fixture
def validated(project, tmp_path):
    """Runs the stages on sound data of the user's own; gives what they say, and the folder of the pages."""

    def run(*, fails, quarantine_share):
        draw_ids(tmp_path / "mine")
        table = {"classes": [{"id": place, "name": name} for place, name in enumerate(("background", "road", "car"))]}
        (tmp_path / "mine/classes.yaml").write_text(yaml.safe_dump(table))
        project.options(path=str(tmp_path / "mine"), images="images", masks="masks")
        params = project.params() | {"validation": {"quarantine_share": quarantine_share}}
        (project.root / "params.yaml").write_text(yaml.safe_dump(params))
        said = project.stages("download", "extract", "validate", fails=fails)
        return said, project.root / "reports/data" / project.name

    return run


def _section(page, name):
    """The part of the gallery about one check."""
    _, found, rest = page.partition(f'id="{name}"')
    assert found
    return rest.partition('<section class="exhibit"')[0]


def _failed(verdict):
    """Checks that found something; some of the drawn pictures look alike."""
    failed = [check for check in verdict["expectations"] if not check["success"]]
    return [check for check in failed if check["name"] != "image_looks_like_another"]


@pytest.mark.parametrize("severity", SHARES)
def test_a_rule_is_one_row(validated, monkeypatch, severity):
    def list_new_rules(dataset):
        rule = Rule(
            name="not_the_third",
            arguments={"column": "third", "value_set": [NONE]},
            values={"third": lambda row: "three" if row["id"].endswith("s03") else NONE},
            description="No sample is the third one.",
            severity=severity,
            file=lambda row: str(row["image"]),
            found=lambda row: f"is the third of {dataset.name}",
            expected="any other number",
            remedy="count again",
        )
        return [rule]

    monkeypatch.setattr(manifest_rules, "RULES", (*manifest_rules.RULES, list_new_rules))
    said, pages = validated(fails=severity == "stop", quarantine_share=SHARES[severity])
    words = "images/s03.jpg: is the third of mine"
    assert words in said
    verdict = json.loads((pages / "validation.json").read_text())
    failed = [(check["name"], check["severity"], check["unexpected"]) for check in _failed(verdict)]
    assert failed == [("not_the_third", severity, 1)]
    assert len(verdict["quarantined"]) == (severity == "quarantine")
    result = (pages / "index.html").read_text()
    assert words in result
    assert "No sample is the third one." in result
    assert "No sample is the third one." in (pages / "expectations.html").read_text()
    section = _section((pages / "gallery.html").read_text(), "not_the_third")
    assert "data:image/webp" in section
    assert "Remedy: count again" in section


def test_a_rule_without_great_expectations_tolerance_can_only_stop(validated, monkeypatch):
    """A note of an expectation that does not judge row by row would fail the data; it must not pass unseen."""

    def list_new_rules(dataset):
        (rule,) = (rule for rule in manifest_rules.rules_of(dataset) if rule.name == "splits_filled")
        return [replace(rule, severity="warn")]

    from segline.data.validate import expectations  # imports Great Expectations, which takes seconds

    monkeypatch.setattr(expectations, "rules_of", list_new_rules)
    with pytest.raises(Exception, match="mostly"):
        validated(fails=False, quarantine_share=0.0)


def test_a_pattern_is_one_row(validated, monkeypatch):
    def find_roads(rows, dataset):
        finding = Finding(
            sample="", file=dataset.name, found="every mask holds a road", expected="other things too", remedy="look"
        )
        samples = tuple(row["id"] for row in rows)
        return Pattern(name="masks_are_roads", finding=finding, explains=frozenset(), samples=samples)

    monkeypatch.setattr(mask_checks, "PAIRING_PATTERNS", (*mask_checks.PAIRING_PATTERNS, find_roads))
    said, pages = validated(fails=True, quarantine_share=0.0)
    assert "mine: every mask holds a road, expected other things too; remedy: look" in said
    verdict = json.loads((pages / "validation.json").read_text())
    assert [check["name"] for check in _failed(verdict)] == ["masks_are_roads"]
    assert "every mask holds a road" in (pages / "index.html").read_text()
    assert "data:image/webp" in _section((pages / "gallery.html").read_text(), "masks_are_roads")
