"""A server that answers as it is told to, and a project that downloads from it."""

import dataclasses
import hashlib
import http.server
import random
import re
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from segline.core.labels import label_map
from segline.data.download.download import SUMS, download
from segline.datasets.base import Archive, Dataset

TINY = Dataset(
    name="tiny",
    title="Tiny",
    terms="made by the tests",
    archives=(Archive(name="tiny.zip", url=None, folders=("images",)),),
    label_map=label_map([(0, "ground", (9, 9, 9))]),
    protocol="tiny/1",
    pairs=lambda raw: [],
)
PLACE = "/tiny/tiny.zip"


def draw_archive(path: Path, seed: int) -> bytes:
    """A zip of 100 KB that does not pack."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(4):
            info = zipfile.ZipInfo(f"images/{number}.png")
            archive.writestr(info, random.Random(seed + number).randbytes(25_000))
    return path.read_bytes()


class Server:
    """A loopback mirror that knows ranges and validators; a fault answers in its place.

    Args:
        content: of the archive.
        listed: what its SHA256SUMS is made from.
    """

    def __init__(self, content: bytes, listed: bytes | None = None) -> None:
        self.content = content
        self.sums = f"{hashlib.sha256(listed or content).hexdigest()}  tiny.zip\n".encode()
        self.etag: str | None = '"1"'
        self.modified: str | None = None
        self.ranges: list[str | None] = []
        self.logins: list[str | None] = []
        self.fault: Callable[[Server, Handler, int], bool | None] | None = None
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.served = self  # type: ignore[attr-defined]
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.send_error(405)

    def do_GET(self) -> None:
        server: Server = self.server.served  # type: ignore[attr-defined]
        server.logins.append(self.headers.get("Authorization"))
        if self.path == f"/tiny/{SUMS}":
            self.answer(server.sums)
            return
        server.ranges.append(self.headers.get("Range"))
        if server.fault is None or server.fault(server, self, len(server.ranges)) is False:
            self.rightly()

    def rightly(self, *, upto: int | None = None, conditional: bool = True) -> None:
        """Answer as a good server does, but break off after `upto` bytes."""
        server: Server = self.server.served  # type: ignore[attr-defined]
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        valid = not conditional or self.headers.get("If-Range") in (server.etag, server.modified)
        whole = server.content
        marks = {"ETag": server.etag, "Last-Modified": server.modified}
        headers = {name: value for name, value in marks.items() if value}
        if found is None or not valid:
            self.answer(whole, headers, upto=upto)
        elif int(found[1]) >= len(whole):
            self.answer(b"", headers | {"Content-Range": f"bytes */{len(whole)}"}, status=416)
        else:
            start = int(found[1])
            headers |= {"Content-Range": f"bytes {start}-{len(whole) - 1}/{len(whole)}"}
            self.answer(whole[start:], headers, status=206, upto=upto)

    def answer(
        self,
        content: bytes,
        headers: dict[str, str] | None = None,
        *,
        status: int = 200,
        upto: int | None = None,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[:upto])
        if upto is not None or length is not None:
            self.cut()

    def cut(self) -> None:
        self.wfile.flush()
        self.close_connection = True

    def stall(self) -> None:
        self.wfile.flush()
        time.sleep(0.6)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@dataclasses.dataclass
class Project:
    """Archives and raw data of an older version, and a server that has a newer one."""

    root: Path
    server: Server
    new: bytes

    @property
    def folder(self) -> Path:
        return self.root / "data" / "archives" / "tiny"

    @property
    def staging(self) -> Path:
        return self.folder.with_name(".tiny.partial")

    def bring(self, dataset: Dataset = TINY, source: str | None = None) -> list[str]:
        lines: list[str] = []
        download(dataset, source=source or self.server.address, root=self.root, folder=self.folder, report=lines.append)
        return lines

    def state(self) -> dict[str, bytes]:
        """Everything but what is kept to go on with."""
        data = self.root / "data"
        found = [path for path in sorted(data.rglob("*")) if path.is_file() and self.staging not in path.parents]
        return {path.relative_to(data).as_posix(): path.read_bytes() for path in found}

    def parts(self) -> list[str]:
        return [path.name for path in self.staging.rglob("*") if path.is_file()]


def at_first(count: int, fault: Callable[[Server, Handler], object]) -> Callable[[Server, Handler, int], object]:
    """Do so for the first answers only."""
    return lambda server, request, number: fault(server, request) if number <= count else False


def always(fault: Callable[[Server, Handler], object]) -> Callable[[Server, Handler, int], object]:
    return lambda server, request, number: fault(server, request)


def cut_then(fault: Callable[[Server, Handler], object]) -> Callable[[Server, Handler, int], object]:
    """Cut the first answer, and plant the fault in all that follow."""
    return lambda server, request, number: request.rightly(upto=40_000) if number == 1 else fault(server, request)


def cut_then_once(fault: Callable[[Server, Handler], object]) -> Callable[[Server, Handler, int], object]:
    faults = {1: lambda server, request: request.rightly(upto=40_000), 2: fault}
    return lambda server, request, number: faults[number](server, request) if number in faults else False


def published(project: Project, **facts: object) -> Dataset:
    archive = Archive(name="tiny.zip", url=project.server.address + PLACE, folders=("images",), **facts)
    return dataclasses.replace(TINY, archives=(archive,))
