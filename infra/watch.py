"""While `make up` runs, end flow runs whose process is gone, and free the slots that they hold."""

import contextlib
import sys
import time

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError

from flows.abandoned import AbandonedRuns
from segline.project import Project

_SECONDS = 10.0  # between two looks; a run is ended after the second


def main() -> None:
    """Look every few seconds, until a signal ends this process."""
    runs = AbandonedRuns(Project.load(), own=True)
    with get_client(sync_client=True) as client:
        while True:
            time.sleep(_SECONDS)
            # A server that is busy or starts is asked again at the next look.
            with contextlib.suppress(httpx.HTTPError, PrefectHTTPStatusError):
                for line in runs.end(client):
                    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
