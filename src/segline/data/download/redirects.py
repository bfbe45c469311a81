"""Follow redirects safely: never to another protocol, and never from a public host into a private network.

Each redirect is compared with the request before it. Credentials are sent only with the first request.
"""

import ipaddress
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

MAX_REDIRECTS = 20

_PROTOCOLS = {"http", "https"}
# `ipaddress` calls these global: a site's own NAT64 (RFC 8215), the old site-local and IPv4-compatible addresses.
_LOCAL_NETWORKS = [ipaddress.ip_network(each) for each in ("64:ff9b:1::/48", "fec0::/10", "::/96")]


class RefusedRedirectError(Exception):
    """A redirect leads to another protocol, to an invalid address, or into a private network."""


@contextmanager
def send_following(
    client: httpx.Client, request: httpx.Request, *, auth: httpx.Auth | None
) -> Iterator[httpx.Response]:
    """Send `request` and follow redirects; yield the last answer with unread body.

    Raises:
        RefusedRedirectError: a redirect leads to another protocol, or from a public host to a private one.
        httpx.TooManyRedirects: there are more than `MAX_REDIRECTS`.
    """
    # Use a hook: httpx itself fails on some values of Location, and its error does not name the host.
    client.event_hooks = {"response": [_check_location]}
    for _ in range(MAX_REDIRECTS + 1):
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
    raise httpx.TooManyRedirects(f"more than {MAX_REDIRECTS} redirects", request=request)


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
        raise RefusedRedirectError(f"{host} redirects to an address that is not valid") from error


def _check_network(origin: httpx.URL, target: httpx.URL) -> None:
    if is_private(target.host) and not is_private(origin.host):
        raise RefusedRedirectError(f"{origin.host}, a public host, redirects to {target.host} in a private network")


def is_private(host: str) -> bool:
    """Return whether a host is this machine, or in a network that is not part of the internet.

    The system resolves the name, so unusual spellings such as 0x7f.1 are recognised too. A name that cannot be
    resolved counts as public, because behind a proxy public names cannot be resolved.
    """
    return any(not _is_public(each) for each in resolve(host))


def resolve(host: str) -> list[str]:
    """Return the IP addresses of a host; none if there is no such name."""
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return []


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or _embedded_by_nat64(address)
        if embedded is not None:
            return embedded.is_global
    return address.is_global and not address.is_multicast and not any(address in each for each in _LOCAL_NETWORKS)


def _embedded_by_nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a NAT64 gateway translates `address` to (RFC 6052); None if it does not."""
    return ipaddress.IPv4Address(address.packed[-4:]) if address in ipaddress.IPv6Network("64:ff9b::/96") else None
