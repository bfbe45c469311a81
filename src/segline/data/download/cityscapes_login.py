"""Archives behind the Cityscapes login, through the publisher's own downloader.

Credentials come from the environment (`Dataset.credentials`), never from ``params.yaml``, and are
kept nowhere. The downloader goes on with a part of a file and compares the publisher's MD5; what it
lacks is here: time limits, further attempts, progress, and care for what the server answers.
"""

import functools
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import requests

from segline.data.download import transfer
from segline.data.download.address import BrokenOffError, RefusedRangeError, busy, retry_after
from segline.data.download.transfer import Digests
from segline.datasets.base import Dataset
from segline.errors import ChecksumError, ConfigError, SourceError
from segline.progress import Advance, Report

ADDRESS = "https://www.cityscapes-dataset.com/"

TIMEOUT = (30.0, 60.0)
"""Seconds to connect, and of silence."""

_BLOCK = 1 << 16
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


def fetch(
    dataset: Dataset,
    partial: Path,
    *,
    track: Callable[[int | None, int], Advance],
    check: Callable[[Digests], None],
    report: Report,
    stop: threading.Event,
) -> Digests:
    """Write the archive that `partial` is named after, going on with what an earlier run left of it.

    Args:
        partial: its file name is the archive's.
        track, check, report, stop: as for `segline.data.download.transfer.copy`.

    Raises:
        ConfigError: no credentials, or wrong ones.
        SourceError: the downloader is not installed, or failed.
        ChecksumError: the archive is not what the publisher's MD5, or `check`, says.
    """
    shown, account, downloader = ADDRESS + partial.name, credentials(dataset), _downloader(dataset)
    published = ""

    def bring() -> tuple[Digests, bool]:
        nonlocal published
        reach = transfer.Reach(partial)

        def attempt() -> _Session:
            session = _Session(partial, track=track, stop=stop, reach=reach)
            session.log_in(*account, dataset=dataset)
            _bring(downloader, session, partial)
            return session

        session = transfer.patiently(attempt, shown=shown, report=report, got_on=reach.got_on, stop=stop)
        published = session.md5
        return transfer.digest(partial), session.pieced

    def checked(digests: Digests) -> None:
        _check_md5(shown, digests, published)
        check(digests)

    report(f"{shown}: as the account of {dataset.credentials[0]}")
    return transfer.until_right(bring, partial, shown=shown, check=checked, report=report)


def _bring(downloader: Any, session: "_Session", partial: Path) -> None:
    """Let the downloader go on, and turn what it raises into errors of ours."""
    try:
        downloader.download_packages(
            session=session, package_names=[partial.name], destination_path=str(partial.parent), resume=True
        )
    except RefusedRangeError:
        if transfer.digest(partial).md5 == session.md5:
            return  # a kill came after the last byte
        transfer.forget(partial)
        raise
    except (BrokenOffError, SourceError, InterruptedError):
        raise
    except requests.RequestException as error:
        raise _told(partial.name, error) from error
    except OSError:
        raise  # the disk's: those of the network are all above
    except Exception as error:  # it raises bare Exception for a package or a digest that is not there
        if session.md5 and session.brought:
            return  # it compared digests; so does `fetch`, which tells both
        raise _failed(partial.name, str(error) or type(error).__name__) from error


def _check_md5(shown: str, digests: Digests, published: str) -> None:
    if digests.md5 != published:
        raise ChecksumError(
            shown,
            found=f"md5 {digests.md5}",
            expected=f"md5 {published}, as the publisher says",
            remedy=f"run the same command again; if it stays, tell the publisher, {_MIRROR}",
        )


def _told(name: str, error: requests.RequestException) -> Exception:
    status = None if error.response is None else error.response.status_code
    if status is None and not isinstance(error, requests.exceptions.JSONDecodeError):
        return BrokenOffError(f"{type(error).__name__}: {error}")
    if status is not None and busy(status):
        assert error.response is not None
        return BrokenOffError(f"HTTP {status}", wait=retry_after(error.response.headers.get("Retry-After", "")))
    return _failed(name, f"HTTP {status}" if status is not None else str(error))


def _failed(name: str, said: str) -> SourceError:
    return SourceError(
        ADDRESS + name,
        found=f"the publisher's downloader failed: {said}",
        expected="the whole archive",
        remedy=f"see with a browser that this account may download it, then run the same command again, {_MIRROR}",
    )


def _downloader(dataset: Dataset) -> Any:
    try:
        from cityscapesscripts.download import downloader
    except ImportError as error:
        raise SourceError(
            f"{dataset.name} from the publisher",
            found=f"its downloader is not installed ({error})",
            expected="the package cityscapesscripts",
            remedy=f"pip install 'segline[cityscapes]', {_MIRROR}",
        ) from error
    # It prints, and draws a bar of its own; `_Session` tells of progress in our way.
    downloader.print = lambda *_: None
    downloader.tqdm = functools.partial(downloader.tqdm, disable=True)
    return downloader


class _Session(requests.Session):
    """A session of the downloader that looks at what it is answered.

    Args:
        partial: the file that the downloader appends to.
    """

    def __init__(
        self,
        partial: Path,
        *,
        track: Callable[[int | None, int], Advance],
        stop: threading.Event,
        reach: transfer.Reach,
    ) -> None:
        super().__init__()
        self.headers["Accept-Encoding"] = "identity"
        self._partial, self._track, self._stop, self._reach = partial, track, stop, reach
        self.md5 = ""
        self.pieced = self.brought = False

    def log_in(self, user: str, password: str, *, dataset: Dataset) -> None:
        """Do as `downloader.login` does, without its questions at the keyboard."""
        form = {"username": user, "password": password, "submit": "Login"}
        try:
            self.get(ADDRESS + "login", allow_redirects=False).raise_for_status()
            answer = self.post(ADDRESS + "login", data=form, allow_redirects=False)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise _told("login", error) from error
        if answer.status_code != requests.codes.found:  # the site redirects whom it lets in
            raise ConfigError(
                ADDRESS + "login",
                found="the user name or password was refused",
                expected="an account that may download",
                remedy=f"correct {' and '.join(dataset.credentials)}, {_MIRROR}",
            )

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Ask, with a time limit; what the downloader asks for is remembered on the way."""
        answer = super().send(request, **options | {"timeout": TIMEOUT})
        if "/md5-sum/" in str(request.url) and answer.ok:
            self.md5 = (answer.text.split() or [""])[0].lower()
        if "/file-handling/" in str(request.url):
            self._look_at(answer)
        return answer

    def _look_at(self, answer: requests.Response) -> None:
        """See that the answer goes on where the file ends, and follow its progress."""
        have = self._partial.stat().st_size
        status = answer.status_code
        if status == requests.codes.requested_range_not_satisfiable:
            raise RefusedRangeError(f"HTTP {status}")
        if status == requests.codes.partial:
            found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != have:
                raise RefusedRangeError(f"asked for byte {have}, was sent {answer.headers.get('Content-Range')!r}")
        elif status == requests.codes.ok:
            os.truncate(self._partial, 0)  # it sends the whole file, and the downloader appends
            have = 0
        elif answer.ok:
            raise _failed(self._partial.name, f"HTTP {status} instead of the file: is this account's licence accepted?")
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        self.pieced = have > 0 or total is None
        self._reach.total = total
        if answer.ok:
            self._follow(answer, self._track(total, have))

    def _follow(self, answer: requests.Response, advance: Advance) -> None:
        content = answer.iter_content

        def followed(chunk_size: int | None = None, decode_unicode: bool = False) -> Iterator[bytes]:  # noqa: ARG001
            pace = transfer.Pace()
            for block in content(_BLOCK):  # the downloader's 1 KiB at a time is slow
                transfer.heed(self._stop, self._partial.name)
                yield block
                advance(len(block))
                pace.see(len(block))
            self.brought = True

        answer.iter_content = followed  # type: ignore[method-assign]
