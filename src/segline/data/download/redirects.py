"""Where a server may send us on to: never to another protocol, nor from a public host into a private network.

Each hop is judged by the one before it. Of a login nothing is sent after the first one.
"""

import ipaddress
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

MOST_HOPS = 20

_PROTOCOLS = {"http", "https"}
# What `ipaddress` takes for global: a site's own NAT64 (RFC 8215), the old site-local and IPv4-compatible addresses.
_LOCAL = [ipaddress.ip_network(each) for each in ("64:ff9b:1::/48", "fec0::/10", "::/96")]


class RefusedRedirectError(Exception):
    """A server sends us where it has no business to."""


@contextmanager
def following(client: httpx.Client, request: httpx.Request, *, auth: httpx.Auth | None) -> Iterator[httpx.Response]:
    """The answer to `request` behind all redirects, its body unread.

    Raises:
        RefusedRedirectError: one leads to another protocol, or from a public host to one that is not.
        httpx.TooManyRedirects: there are more than `MOST_HOPS`.
    """
    client.event_hooks = {"response": [_check_location]}  # httpx itself would fail at some of them, without a name
    for _ in range(MOST_HOPS + 1):
        answer = client.send(request, stream=True, auth=auth)
        try:
            if answer.next_request is None:
                yield answer
                return
            _check_network(request.url, answer.next_request.url)
        finally:
            answer.close()
        request, auth = answer.next_request, None
        request.headers.pop("Authorization", None)
    raise httpx.TooManyRedirects(f"more than {MOST_HOPS} redirects", request=request)


def _check_location(answer: httpx.Response) -> None:
    if not answer.has_redirect_location:
        return
    location, host = answer.headers["Location"].strip(), answer.request.url.host
    scheme = re.match(r"([a-z][a-z0-9+.-]*):", location, re.IGNORECASE)
    if scheme and scheme[1].lower() not in _PROTOCOLS:
        raise RefusedRedirectError(f"{host} redirects to a {scheme[1].lower()}: address")
    try:
        httpx.URL(location)
    except httpx.InvalidURL as error:
        raise RefusedRedirectError(f"{host} redirects to what is no address") from error


def _check_network(origin: httpx.URL, target: httpx.URL) -> None:
    if is_private(target.host) and not is_private(origin.host):
        raise RefusedRedirectError(f"{origin.host}, a public host, redirects to {target.host} in a private network")


def is_private(host: str) -> bool:
    """Whether a host is this machine, or in a network that is no part of the internet.

    Whatever spelling the system understands is understood, such as 0x7f.1. A name that cannot be
    resolved counts as public: through a proxy, that is what public names look like.
    """
    return any(not _is_public(each) for each in resolved(host))


def resolved(host: str) -> list[str]:
    """The IP addresses of a host; none where there is no such name."""
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return []


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or _translated(address)
        if embedded is not None:
            return embedded.is_global
    return address.is_global and not address.is_multicast and not any(address in each for each in _LOCAL)


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a NAT64 gateway makes of it (RFC 6052)."""
    return ipaddress.IPv4Address(address.packed[-4:]) if address in ipaddress.IPv6Network("64:ff9b::/96") else None
