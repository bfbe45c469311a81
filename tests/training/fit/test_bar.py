"""A bar on a terminal says what is wanted of it, and is gone when its epoch is; elsewhere there is none."""

import io
import time

import pytest
from rich.console import Console

from segline.progress import duration
from segline.training.fit import bar
from segline.training.fit.bar import EpochBars


def screen(*, terminal: bool) -> tuple[io.StringIO, Console]:
    text = io.StringIO()
    return text, Console(file=text, force_terminal=terminal, width=120, color_system=None, legacy_windows=False)


def show(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(bar.time, "monotonic", lambda: now[0])
    with EpochBars(steps=10, batch=4, console=console) as bars:
        bars.begin("epoch 2/3", epochs_left=2, last=0.25)
        now[0] += 0.1
        bars.step(1, {"miou": 0.111})  # too soon after the last look
        now[0] += 1.9
        bars.step(5, {"miou": 0.5})
        time.sleep(0.3)  # it is drawn four times a second or more
        bars.validate()


def test_it_says_rate_mious_and_the_time_left_of_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    text, console = screen(terminal=True)
    show(console, monkeypatch)
    assert "epoch 2/3" in text.getvalue()
    # 5 steps of 4 images in 2 s, with 15 of this and the next epoch to come.
    assert "5/10 10.0 images/s, mIoU 0.500 (validation 0.250), 0m06s left" in text.getvalue()
    assert "0.111" not in text.getvalue()
    assert "10/10 validating" in text.getvalue()


def test_its_line_is_erased_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    text, console = screen(terminal=True)
    show(console, monkeypatch)
    assert text.getvalue().endswith("\x1b[1A\x1b[2K")


def test_elsewhere_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    text, console = screen(terminal=False)
    show(console, monkeypatch)
    assert not text.getvalue()


def test_durations_are_for_people() -> None:
    assert [duration(seconds) for seconds in (0.4, 59.6, 3599, 7325)] == ["0m00s", "1m00s", "59m59s", "2h02m"]
