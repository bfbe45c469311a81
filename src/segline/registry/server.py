"""Protect MLflow's server: only its own page and clients on this machine that are not browsers may use it.

MLflow refuses foreign hosts, but lets web pages from any port of loopback read and write. None of its options prevents
that. ``mlflow server --app-name segline`` runs this.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def create_app() -> App:
    """Make MLflow's own application, protected by `OwnPages`."""
    from mlflow.server.fastapi_app import app

    return OwnPages(app)


class OwnPages:
    """Refuse requests that a browser sends for another web page, with HTTP 403; refuse its websockets, too.

    Browsers send the page's address in ``Origin`` if the page could write or read the answer, and ``Sec-Fetch-Site``
    with all other requests. Clients that are not browsers send neither.

    Args:
        app: the ASGI application to protect; it must itself refuse foreign ``Host`` headers.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on to the application; start and end of the server are passed on, too."""
        if scope["type"] not in ("http", "websocket") or not _is_from_another_page(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send(
                {"type": "websocket.close", "code": 1008}
            )  # sent before the connection is accepted, it becomes HTTP 403
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": b"refused: this request comes from another page\n"})


def _is_from_another_page(scope: Scope) -> bool:
    sent = {name: _get_all(scope, name) for name in (b"origin", b"host", b"sec-fetch-site", b"sec-fetch-mode")}
    if sent[b"origin"]:
        # A websocket's page is http, too.
        scheme = str({"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"]))
        return sent[b"origin"] != [scheme.encode() + b"://" + host for host in sent[b"host"]]
    is_own = set(sent[b"sec-fetch-site"]) <= {b"same-origin", b"none"}
    is_link = scope.get("method") == "GET" and sent[b"sec-fetch-mode"] == [b"navigate"]
    return not is_own and not is_link


def _get_all(scope: Scope, name: bytes) -> list[bytes]:
    return [value for each, value in scope["headers"] if each == name]
