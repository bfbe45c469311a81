"""Names in logs and artifacts of flows: text, too."""

import logging

import pytest
import quiet_prefect  # noqa: F401  # before the flows
from hostile_names import SIGHTED, Page
from markdown_it import MarkdownIt

from flows import reporting


def test_a_log_of_a_flow_gets_escapes(caplog, monkeypatch):
    """Before, it got what was printed."""
    reporting.without_tracebacks()
    logger = logging.getLogger("prefect.flow_runs")
    monkeypatch.setattr(logger, "handlers", [caplog.handler])  # not Prefect's, which wants a flow to be running
    logger.info("registered %s\nsecond line", "a\x1b[31m\u202e")
    assert caplog.records[-1].getMessage() == "registered a\\x1b[31m\\u202e\nsecond line"


@pytest.mark.parametrize("name", [*SIGHTED, "## head", "*b* __b__ ~~s~~"])
def test_a_markdown_artifact_takes_a_name_for_text(name):
    """Before, it was a link, a picture or one column more."""
    html = MarkdownIt("gfm-like", {"linkify": False}).render(reporting.markdown([("run", name)]))
    page = Page(html)
    assert page.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert name in page.text


def test_a_markdown_artifact_has_no_address_to_make_a_link_of():
    """The parser above makes no links of bare addresses; Prefect's page does."""
    text = reporting.markdown([("run", "https://x.example WWW.x.example a@x.example")])
    assert not any(start in text for start in ("//", "WWW.", "@"))
