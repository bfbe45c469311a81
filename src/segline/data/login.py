"""Archives behind the Cityscapes login, through the publisher's own downloader.

Credentials come from the environment (`Dataset.credentials`), never from ``params.yaml``, and are
kept nowhere.
"""

import contextlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any

from segline import datasets
from segline.data.progress import Report
from segline.datasets.base import Dataset
from segline.errors import ConfigError, SourceError

ADDRESS = "https://www.cityscapes-dataset.com/"

_MIRROR = "or put the archives, with a SHA256SUMS, into a mirror folder and name it as `source`"


def credentials(dataset: Dataset) -> tuple[str, str]:
    """User name and password from the environment.

    Raises:
        ConfigError: one is not set.
    """
    missing = [name for name in dataset.credentials if not os.environ.get(name)]
    if missing or len(dataset.credentials) != 2:
        raise ConfigError(
            f"{dataset.name} from the publisher",
            found=f"its archives are behind a login, and the environment lacks {' and '.join(missing)}",
            expected="the user name and password of an account at " + ADDRESS,
            remedy=f"set these variables, {_MIRROR}",
        )
    user, password = (os.environ[name] for name in dataset.credentials)
    return user, password


def fetch(name: str, destination: Path, *, report: Report) -> None:
    """Write the archive `name`; the downloader checks it against the publisher's MD5.

    Raises:
        ConfigError: no credentials, or wrong ones.
        SourceError: the downloader is not installed, or failed.
    """
    session = _session(datasets.load("cityscapes"))
    from cityscapesscripts.download import downloader

    report(f"{name}: from {ADDRESS}, as this account")
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".login-") as scratch:
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints; what is worth telling is reported
                downloader.download_packages(session=session, package_names=[name], destination_path=scratch)
        except OSError as error:
            if error.errno is not None:
                raise  # the disk, not the network: requests' errors have no number
            raise _failed(name, error) from error
        except Exception as error:  # it raises bare Exception for a package or a digest that is not there
            raise _failed(name, error) from error
        (Path(scratch) / name).replace(destination)


def _failed(name: str, error: Exception) -> SourceError:
    return SourceError(
        ADDRESS + name,
        found=f"the publisher's downloader failed: {error}",
        expected="the whole archive",
        remedy=f"run the same command again, {_MIRROR}",
    )


def _session(dataset: Dataset) -> Any:
    """A logged-in session, as `downloader.login` opens it, without its questions at the keyboard."""
    user, password = credentials(dataset)
    try:
        import cityscapesscripts.download.downloader  # noqa: F401
        import requests
    except ImportError as error:
        raise SourceError(
            f"{dataset.name} from the publisher",
            found=f"its downloader is not installed ({error})",
            expected="the package cityscapesscripts",
            remedy=f"pip install 'segline[cityscapes]', {_MIRROR}",
        ) from error
    session = requests.Session()
    try:
        session.get(ADDRESS + "login", allow_redirects=False, timeout=60).raise_for_status()
        form = {"username": user, "password": password, "submit": "Login"}
        answer = session.post(ADDRESS + "login", data=form, allow_redirects=False, timeout=60)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise _failed("login", error) from error
    if answer.status_code != requests.codes.found:  # the site redirects whom it lets in
        raise ConfigError(
            ADDRESS + "login",
            found="the user name or password was refused",
            expected="an account that may download",
            remedy=f"correct {' and '.join(dataset.credentials)}, {_MIRROR}",
        )
    return session
