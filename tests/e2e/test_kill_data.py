"""Data stages killed at random moments and run again leave what an undisturbed run leaves, byte for byte."""

import hashlib
import http.server
import logging
import os
import random
import re
import shutil
import signal
import threading
import time

import pytest

from segline.datasets.sample import draw

LOG = logging.getLogger(__name__)
STAGES = ("download", "extract", "validate", "prepare")
FOLDERS = {"download": "archives", "extract": "raw", "validate": "manifest", "prepare": "prepared"}
DATASET = "oxford_pets"
RATE = 700_000  # bytes a second: the archives take some seconds, so that kills strike while they come


class SlowMirror(http.server.SimpleHTTPRequestHandler):
    """Sends files slowly, and from a byte on where that is asked for."""

    asked = []
    sent = 0

    def do_GET(self):
        with open(self.translate_path(self.path), "rb") as stream:  # noqa: PTH123
            content = stream.read()
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(found[1]) if found and self.headers.get("If-Range") == tag else 0
        self.asked.append(start)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        step = RATE // 20
        try:
            for place in range(start, len(content), step):
                self.wfile.write(content[place : place + step])
                SlowMirror.sent += step
                time.sleep(step / RATE)
        except OSError:
            self.close_connection = True  # who asked was killed

    def log_message(self, *_):
        pass


@pytest.fixture
def project(bare_project, tmp_path):
    """A project without data, whose source is a slow mirror."""
    draw(DATASET, tmp_path / "mirror" / DATASET)
    SlowMirror.asked, SlowMirror.sent = [], 0

    def handler(*arguments):
        return SlowMirror(*arguments, directory=str(tmp_path / "mirror"))

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    bare_project.set(source=f"http://127.0.0.1:{server.server_port}")
    yield bare_project
    server.shutdown()
    server.server_close()


def contents(project):
    """Digest of every file that the stages left, by path; what a kill leaves beside them would show."""
    return {
        path.relative_to(project.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for place in ("data", "reports")
        for path in sorted((project.root / place).rglob("*"))
        if path.is_file()
    }


def remove(project, stage):
    shutil.rmtree(project.root / "data" / FOLDERS[stage] / DATASET, ignore_errors=True)


@pytest.fixture
def undisturbed(project):
    """Seconds that each stage takes, and what they leave."""
    took = {}
    for stage in STAGES:
        start = time.monotonic()
        project.run("segline", "data", stage, DATASET)
        took[stage] = time.monotonic() - start
    expected = contents(project)
    assert {name.split("/")[1] for name in expected if name.startswith("data/")} == set(FOLDERS.values())
    return took, expected


def kill(project, stage, seconds):
    """Kill a stage and all its processes so many seconds after its start, or sooner where it is done by then."""
    while True:
        remove(project, stage)
        with project.start("segline", "data", stage, DATASET) as process:
            time.sleep(seconds)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return seconds
        seconds *= 0.8


def killed_and_rerun(project, stages, took, *, seed):
    """Kill each of `stages`, each time at a moment of another part of the time that it takes, and run it again.

    Yields what was done, in words, and what is then there.
    """
    generator = random.Random(seed)
    for number, stage in enumerate(stages):
        times, before = stages.count(stage), stages[:number].count(stage)
        moment = took[stage] * (before + generator.random()) / times
        struck = kill(project, stage, moment)
        project.run("segline", "data", stage, DATASET)
        said = f"{stage} killed after {struck:.2f} of {took[stage]:.2f} s (moment {number} of seed {seed})"
        LOG.info(said)
        yield said, contents(project)


def test_stages_killed_at_random_moments_are_done_again(project, undisturbed):
    took, expected = undisturbed
    for said, found in killed_and_rerun(project, ["download", "prepare"], took, seed=1):
        assert found == expected, said


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_stages_killed_at_20_random_moments_are_done_again(project, undisturbed):
    took, expected = undisturbed
    for said, found in killed_and_rerun(project, list(STAGES) * 5, took, seed=2):
        assert found == expected, said


def test_a_killed_download_goes_on_where_it_stopped(project, tmp_path):
    with project.start("segline", "data", "download", DATASET) as process:
        while SlowMirror.sent < 700_000:
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    SlowMirror.asked = []
    project.run("segline", "data", "download", DATASET)
    assert max(SlowMirror.asked) > 100_000
    for path in (project.root / "data" / "archives" / DATASET).glob("*.gz"):
        assert path.read_bytes() == (tmp_path / "mirror" / DATASET / path.name).read_bytes()


@pytest.mark.slow
def test_dvc_repro_killed_midway_goes_on(project_copy, prepared_project):
    expected = (prepared_project.root / "dvc.lock").read_text()
    for name in ("data", ".dvc/cache"):
        shutil.rmtree(project_copy.root / name)
    (project_copy.root / "dvc.lock").unlink()
    for seconds in (3.0, 8.0):
        project_copy.kill_after(seconds, "dvc", "repro")
    project_copy.run("dvc", "repro")
    assert (project_copy.root / "dvc.lock").read_text() == expected
