"""Download archives that need a login at a website that lists its packages.

The requests are those of ``cityscapesscripts.download.downloader``: log in with a form, keep the session's cookies,
look up the number of the package, then read its MD5 digest and its bytes. Credentials come from the environment
(`Login.credentials`), never from ``params.yaml``, and are not stored.
"""

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from segline.data.download import transfer
from segline.data.download.address import (
    Body,
    BrokenOffError,
    describe,
    is_busy,
    new_client,
    read_answer,
    read_retry_after,
)
from segline.data.download.transfer import Digests
from segline.datasets.base import Login
from segline.errors import ChecksumError, ConfigError, SourceError
from segline.progress import Advance, Report

_MIRROR = "or put the archives and a SHA256SUMS file into a mirror folder and set `source` to it"


def read_credentials(login: Login) -> tuple[str, str]:
    """Return user name and password from the environment.

    Raises:
        ConfigError: a variable is not set.
    """
    missing = [name for name in login.credentials if not os.environ.get(name)]
    if missing:
        raise ConfigError(
            login.site,
            found=f"its archives are behind a login, and the environment lacks {' and '.join(missing)}",
            expected="the user name and password of an account there",
            remedy=f"set these variables, {_MIRROR}",
        )
    user, password = (os.environ[name] for name in login.credentials)
    return user, password


def fetch(
    login: Login,
    partial: Path,
    *,
    track: Callable[[int | None, int], Advance],
    check: Callable[[Digests], None],
    report: Report,
    stop: threading.Event,
) -> Digests:
    """Download an archive into the file `partial`; resume an earlier download.

    Args:
        partial: file to fill; its name is the name of the archive.
        track, check, report, stop: as for `segline.data.download.transfer.copy`.

    Raises:
        ConfigError: no credentials, or wrong ones.
        SourceError: the publisher cannot be reached, or does not send the archive.
        ChecksumError: the archive differs from the publisher's MD5, or `check` raises it.
    """
    shown, account = login.site + partial.name, read_credentials(login)
    published = ""

    @contextmanager
    def open_archive(*, start: int, validator: str) -> Iterator[Body]:  # noqa: ARG001 (the MD5 is compared instead)
        nonlocal published
        with _translating_errors(shown), new_client() as client:
            _log_in(client, login, *account)
            package = _find_package(client, login.site, partial.name)
            published = _read_md5(client, login.site, package, shown=shown)
            with _open_package(client, login.site, package, start=start, shown=shown) as body:
                yield body

    def check_both(digests: Digests) -> None:
        _check_md5(shown, digests, published)
        check(digests)

    report(f"{shown}: downloading with the account in {login.credentials[0]}")
    return transfer.copy(
        open_archive, partial, shown=shown, track=track, check=check_both, held=True, report=report, stop=stop
    )


def _log_in(client: httpx.Client, login: Login, user: str, password: str) -> None:
    _check_status(client.get(login.site + "login"))  # sets the cookies that the form is sent with
    form = {"username": user, "password": password, "submit": "Login"}
    answer = client.post(login.site + "login", data=form)
    _check_status(answer)
    if answer.status_code != httpx.codes.FOUND:  # the site redirects after a successful login
        raise ConfigError(
            login.site + "login",
            found="the user name or password was refused",
            expected="an account that may download",
            remedy=f"correct {' and '.join(login.credentials)}, {_MIRROR}",
        )


def _find_package(client: httpx.Client, site: str, name: str) -> str:
    answer = client.get(site + "downloads/?list")
    _check_status(answer)
    try:
        packages = {str(item["name"]): str(item["packageID"]) for item in answer.json()}
    except (ValueError, KeyError, TypeError) as error:
        raise _failure(site + name, f"HTTP {answer.status_code} without a list of packages ({error!r})") from error
    if name not in packages:
        raise _failure(site + name, f"no package {name} in the list of this account")
    return packages[name]


def _read_md5(client: httpx.Client, site: str, package: str, *, shown: str) -> str:
    answer = client.get(site + "md5-sum/", params={"packageID": package})
    _check_status(answer)
    digest = (answer.text.split() or [""])[0].lower()
    if not re.fullmatch(r"[0-9a-f]{32}", digest):
        raise _failure(shown, f"{answer.text[:80]!r} instead of its MD5 digest")
    return digest


@contextmanager
def _open_package(client: httpx.Client, site: str, package: str, *, start: int, shown: str) -> Iterator[Body]:
    headers = {"Range": f"bytes={start}-"} if start else {}
    with client.stream("GET", site + "file-handling/", params={"packageID": package}, headers=headers) as answer:
        if answer.status_code < 400 and answer.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            raise _failure(shown, f"HTTP {answer.status_code} instead of the file: is this account's licence accepted?")
        yield read_answer(answer, start=start, validator=None)


def _check_status(answer: httpx.Response) -> None:
    if answer.is_error:  # `raise_for_status` alone would refuse redirects, too
        answer.raise_for_status()


def _check_md5(shown: str, digests: Digests, published: str) -> None:
    if digests.md5 != published:
        raise ChecksumError(
            shown,
            found=f"md5 {digests.md5}",
            expected=f"md5 {published}, as published",
            remedy=f"run the same command again; if the error persists, report it to the publisher, {_MIRROR}",
        )


@contextmanager
def _translating_errors(shown: str) -> Iterator[None]:
    try:
        yield
    except httpx.HTTPStatusError as error:
        reason = f"HTTP {error.response.status_code}"
        if is_busy(error.response.status_code):
            raise BrokenOffError(reason, wait=read_retry_after(error.response)) from error
        raise _failure(shown, f"{reason} at {error.request.url.path}") from error
    except httpx.RequestError as error:
        raise BrokenOffError(describe(error)) from error


def _failure(shown: str, reason: str) -> SourceError:
    return SourceError(
        shown,
        found=f"the publisher does not send it: {reason}",
        expected="the complete archive",
        remedy="check with a browser that this account may download it, then run the same command again, " + _MIRROR,
    )
