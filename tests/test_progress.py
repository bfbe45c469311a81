import re

import pytest
import rich.console

from segline import progress
from segline.progress import tracking


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_tell_rate_and_time_left(clock):
    lines = []
    with tracking(unit="bytes", report=lines.append) as track:
        advance = track("a.zip", 40 << 20)
        clock[0] += 5
        advance(5 << 20)
        assert lines == []
        clock[0] += 5
        advance(5 << 20)
    assert lines == ["a.zip: 10.0 MiB of 40.0 MiB (25 %), 1.0 MiB/s, 30 s left"]


def test_what_was_there_before_counts_for_the_share_and_not_for_the_rate(clock):
    lines = []
    with tracking(unit="bytes", report=lines.append) as track:
        advance = track("a.zip", 100 << 20, 60 << 20)
        clock[0] += 10
        advance(20 << 20)
    assert lines == ["a.zip: 80.0 MiB of 100.0 MiB (80 %), 2.0 MiB/s, 10 s left"]


def test_on_a_terminal_another_attempt_takes_up_the_same_bar(monkeypatch, capsys):
    console = rich.console.Console
    monkeypatch.setattr(rich.console, "Console", lambda **options: console(**options, force_terminal=True, width=120))
    with tracking(unit="bytes", report=print) as track:
        track("a.zip", 100)(30)
        advance = track("a.zip", 100, 30)
        advance(70)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err).splitlines()
    assert [line.split()[0] for line in shown[-1:]] == ["a.zip"]
    assert "100/100 bytes" in shown[-1]
