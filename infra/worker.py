"""Wait for both servers, register the deployments of ``prefect.yaml``, then run the worker."""

import os
import subprocess
import sys

import httpx
from prefect.client.orchestration import get_client
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from flows import login
from flows.abandoned import AbandonedRuns
from segline.console import say
from segline.project import Project

POOL = "segline"


@retry(retry=retry_if_exception_type(httpx.HTTPError), wait=wait_fixed(0.5), stop=stop_after_delay(180), reraise=True)
def _wait_until_healthy(address: str) -> None:
    httpx.get(address, timeout=5).raise_for_status()


def _refuse_open_server(api: str) -> None:
    """Exit if Prefect answers requests without the login, because a worker runs every command that the server sends."""
    answer = httpx.get(f"{api}/admin/version", timeout=5)
    if answer.status_code != httpx.codes.UNAUTHORIZED:
        sys.exit(
            f"error: {api}: found HTTP {answer.status_code} for a request without login, "
            f"expected {httpx.codes.UNAUTHORIZED}\n"
            f"  remedy: unset the PREFECT_ variables in the shell and in .env here, which override {login.PLACE}"
        )


def _end_abandoned() -> None:
    """End runs of an earlier worker that was killed; otherwise the runs of this one would wait for them."""
    with get_client(sync_client=True) as client:
        for line in AbandonedRuns(Project.load(), own=True).end_after_two_looks(client):
            say(line)


def main() -> None:
    """Register the deployments, then replace this process by ``prefect worker``."""
    api = os.environ["PREFECT_API_URL"]
    mlflow = f"http://127.0.0.1:{os.environ['MLFLOW_PORT']}"
    _wait_until_healthy(f"{api}/health")
    _refuse_open_server(api)
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    subprocess.run([*prefect, "work-pool", "create", POOL, "--type", "process", "--overwrite"], check=True)
    subprocess.run([*prefect, "deploy", "--all"], check=True)
    _end_abandoned()
    _wait_until_healthy(f"{mlflow}/health")
    sys.stdout.write(
        "\n"
        f"  MLflow   {mlflow}\n"
        f"  Prefect  {api.removesuffix('/api')}\n"
        "           the page asks once for the login: the quoted text after\n"
        f"           PREFECT_API_AUTH_STRING in {login.PLACE}\n\n"
        "  in another terminal, in this folder:\n"
        f"    PREFECT_API_URL={api} .venv/bin/prefect deployment run 'training/local' -p dataset=kitti\n"
        f"    PREFECT_API_URL={api} .venv/bin/prefect deployment run 'data/local'\n\n"
        "  Ctrl-C stops all of it\n\n"
    )
    sys.stdout.flush()
    os.execv(sys.executable, [*prefect, "worker", "start", "--pool", POOL, "--type", "process", "--limit", "1"])  # noqa: S606


if __name__ == "__main__":
    main()
