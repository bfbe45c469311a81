import re

import pytest
import rich.console

from segline import progress
from segline.progress import Bars, FlowLines, Lines, showing
from segline.storage import size_text


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def terminal(monkeypatch):
    console = rich.console.Console
    watched = {"force_terminal": True, "width": 120}
    monkeypatch.setattr(rich.console, "Console", lambda **options: console(**watched | options))


def last_line(capsys):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err).splitlines()[-1]


def test_lines_tell_rate_and_time_left(clock):
    lines = []
    with showing(lines.append) as shown:
        advance = shown.start("a.zip", 40 << 20, unit="bytes")
        clock[0] += 5
        advance(5 << 20)
        assert lines == []
        clock[0] += 5
        advance(5 << 20)
    assert lines == ["a.zip: 10.0 MiB of 40.0 MiB (25 %), 1.0 MiB/s, 30 s left"]


def test_what_was_there_before_counts_for_the_share_and_not_for_the_rate(clock):
    lines = []
    with showing(lines.append) as shown:
        advance = shown.start("a.zip", 100 << 20, unit="bytes", done=60 << 20)
        clock[0] += 10
        advance(20 << 20)
    assert lines == ["a.zip: 80.0 MiB of 100.0 MiB (80 %), 2.0 MiB/s, 10 s left"]


def test_a_flow_has_a_line_each_quarter_whatever_the_clock_says():
    lines = []
    with FlowLines(lines.append) as shown:
        advance = shown.start("evaluate", 10, unit="images")
        for _ in range(10):
            advance(1)
    assert lines == [f"evaluate: {done} of 10 images" for done in (2, 4, 6, 8, 10)]


def test_the_door_is_chosen_by_the_terminal(terminal):
    assert isinstance(showing(print), Bars)
    assert isinstance(showing(print, console=rich.console.Console(force_terminal=False)), Lines)


def test_on_a_terminal_another_attempt_takes_up_the_same_bar(terminal, capsys):
    with showing(print) as shown:
        shown.start("a.zip", 100 << 20, unit="bytes")(30 << 20)
        advance = shown.start("a.zip", 100 << 20, unit="bytes", done=30 << 20)
        advance(70 << 20)
    line = last_line(capsys)
    assert line.split()[0] == "a.zip"
    assert "100.0 MiB of 100.0 MiB" in line


def test_a_door_opens_again(terminal, capsys):
    shown = showing(print)
    for name in ("first", "second"):
        with shown:
            shown.start(name, 3, unit="images")(3)
        line = last_line(capsys)
        assert line.split()[0] == name
        assert "3/3" in line


def test_sizes_are_for_people():
    assert [size_text(size) for size in (0, 1 << 19, 1 << 20, 1 << 30)] == ["0.0 MiB", "0.5 MiB", "1.0 MiB", "1.00 GiB"]
    assert size_text(1 << 29, unit="GiB") == "0.50 GiB"
