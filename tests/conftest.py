"""What all tests share."""

import os
import sys
from pathlib import Path

import pytest

# Modules that tests share, and programs that they start in processes of their own.
sys.path.insert(0, str(Path(__file__).parent / "helpers"))
from slow_tests import SLOW

# Before anything imports NumPy: OpenBLAS keeps every core spinning for small products, and two tests run at a time.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

# What `make` exports, or a developer has set, must not decide what a test sees.
OURS = ("SEGLINE_ROOT", "SEGLINE_WORKERS", "MLFLOW_TRACKING_URI", "PREFECT_API_URL", "PREFECT_PROFILE")
LIMITS = ("SEGLINE_IMAGE_PIXELS", "SEGLINE_IMAGE_BYTES")
LOGINS = ("SEGLINE_SOURCE_TOKEN", "SEGLINE_SOURCE_USER", "SEGLINE_SOURCE_PASSWORD")
for name in OURS + LOGINS + LIMITS:
    os.environ.pop(name, None)


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory):
    """A real Prefect server, as the variables its clients need; flows would take longer to start one each."""
    from serving import prefect_server

    with prefect_server(tmp_path_factory.mktemp("prefect")) as variables:
        yield variables


# A long file at the end would be waited for. The second needs no prepared project, which the first makes meanwhile.
FIRST = (
    "tests/e2e/test_main_job.py",
    "tests/training/test_resume.py",
    "tests/e2e/test_faults.py",
    "tests/training/fit/test_fit.py",
    "tests/e2e/",
    "tests/training/",
)


def pytest_collection_modifyitems(config, items):
    """Mark the slow tests; long files first, as far as they are known, the others as they come."""
    if config.args == config.getini("testpaths"):
        ids = [item.nodeid for item in items]
        stale = [name for name in SLOW if not any(each.startswith(name) for each in ids)]
        if stale:
            raise pytest.UsageError(f"tests/helpers/slow_tests.py names tests that there are none of: {stale}")

    def place(item):
        return next((number for number, name in enumerate(FIRST) if item.nodeid.startswith(name)), len(FIRST))

    for item in items:
        if item.nodeid.startswith(SLOW):
            item.add_marker("slow")
    items.sort(key=place)
