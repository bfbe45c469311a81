"""MLflow's server, for the clients of this machine and its own page alone.

MLflow refuses foreign hosts, but lets a page from any port of loopback read and write; none of its options
stops that. ``mlflow server --app-name segline`` runs this.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def create_app() -> App:
    """Make MLflow's own application, behind `OwnPages`."""
    from mlflow.server.fastapi_app import app

    return OwnPages(app)


class OwnPages:
    """Refuse what a browser sends on behalf of another page: 403, and no websocket.

    Browsers name the page's address in ``Origin`` whenever it could write or read the answer, and
    ``Sec-Fetch-Site`` for everything else. Clients that are no browser send neither.

    Args:
        app: the ASGI application to protect; it must itself refuse foreign ``Host`` headers.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on to the application; what is no request (start, end) is passed on."""
        if scope["type"] not in ("http", "websocket") or not _is_from_another_page(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: HTTP 403
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": b"refused: this request comes from another page\n"})


def _is_from_another_page(scope: Scope) -> bool:
    sent = {name: _all(scope, name) for name in (b"origin", b"host", b"sec-fetch-site", b"sec-fetch-mode")}
    if sent[b"origin"]:
        # A websocket's page is http, too.
        scheme = str({"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"]))
        return sent[b"origin"] != [scheme.encode() + b"://" + host for host in sent[b"host"]]
    is_own = set(sent[b"sec-fetch-site"]) <= {b"same-origin", b"none"}
    is_link = scope.get("method") == "GET" and sent[b"sec-fetch-mode"] == [b"navigate"]
    return not is_own and not is_link


def _all(scope: Scope, name: bytes) -> list[bytes]:
    return [value for each, value in scope["headers"] if each == name]
