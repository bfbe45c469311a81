import os
import threading
from functools import partial as bind

import httpx
import pytest
import tenacity

from segline.data.download import transfer
from segline.data.download.address import BrokenOffError, open_address, read_retry_after
from segline.errors import SourceError


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(os.urandom((3 << 20) + 7))
    return path


def copy(source, partial, *, blocks=None):
    """Copy, or be stopped after so many blocks; returns what was said and the digests."""
    stop, lines, came = threading.Event(), [], []

    def track(total, done):
        def advance(amount):
            came.append(amount)
            if len(came) == blocks:
                stop.set()

        assert total == source.stat().st_size
        came.clear()
        return advance

    opener = bind(open_address, str(source), shown="source")
    digests = transfer.copy(
        opener, partial, shown="source", track=track, check=lambda _: None, report=lines.append, stop=stop
    )
    return lines, digests


def test_a_copy_from_a_folder_goes_on(source, tmp_path):
    partial = tmp_path / "partial"
    with pytest.raises(InterruptedError):
        copy(source, partial, blocks=2)
    assert partial.stat().st_size == 2 << 20
    lines, digests = copy(source, partial)
    assert lines == ["source: resuming after 2.0 MiB"]
    assert digests == transfer.hash_file(source)
    assert partial.read_bytes() == source.read_bytes()


def test_a_copy_of_a_file_that_was_changed_starts_over(source, tmp_path):
    partial = tmp_path / "partial"
    with pytest.raises(InterruptedError):
        copy(source, partial, blocks=2)
    source.write_bytes(os.urandom(2 << 20))
    lines, digests = copy(source, partial)
    assert lines == []
    assert partial.read_bytes() == source.read_bytes()
    assert digests == transfer.hash_file(source)


def test_a_part_without_its_validator_is_not_gone_on_with(source, tmp_path):
    partial = tmp_path / "partial"
    partial.write_bytes(b"of an unknown file")
    lines, _ = copy(source, partial)
    assert lines == []
    assert partial.read_bytes() == source.read_bytes()


def failing(*waits):
    """An attempt that fails once for each of `waits`."""
    left = list(waits)

    def attempt():
        if left:
            raise BrokenOffError("broken off", wait=left.pop(0))
        return "whole"

    return attempt


def waits_of(monkeypatch, attempt, **options):
    lines = []
    monkeypatch.setattr(transfer, "WAIT", tenacity.wait_none())
    monkeypatch.setattr(tenacity, "sleep_using_event", lambda event: lambda seconds: lines.append(seconds))
    result = transfer.retry(attempt, shown="x", report=lambda line: None, **options)
    return result, lines


def test_a_wait_that_was_asked_for_is_kept_within_reason(monkeypatch):
    assert waits_of(monkeypatch, failing(7.0, 0.0, 9999.0)) == ("whole", [7.0, 0.0, transfer.LONGEST_WAIT])


def test_failures_in_a_row_are_bounded_and_counted_anew_where_bytes_came(monkeypatch):
    with pytest.raises(SourceError, match="in 4 attempts: broken off"):
        waits_of(monkeypatch, failing(0, 0, 0, 0))
    assert waits_of(monkeypatch, failing(*[0.0] * 50), made_progress=lambda: True)[0] == "whole"


@pytest.mark.parametrize(("text", "seconds"), [("12", 12.0), ("", 0.0), ("soon", 0.0), ("-3", 0.0)])
def test_retry_after(text, seconds):
    assert asked_wait(text) == seconds


def test_retry_after_a_date():
    assert asked_wait("Wed, 01 Jan 2020 00:00:00 GMT") == 0.0
    assert asked_wait("Wed, 01 Jan 2120 00:00:00 GMT") > 1e9


def asked_wait(text):
    return read_retry_after(httpx.Response(503, headers={"Retry-After": text}))
