"""A login goes to its mirror alone, and no redirect leads to another protocol or into a private network."""

from collections.abc import Callable

import pytest
from faulty_server import PLACE, Handler, Project, Server, always, at_first, published

from segline.data.download import redirects
from segline.errors import ConfigError, SourceError


def _redirected(location: str) -> Callable[[Server, Handler, int], object]:
    return at_first(1, lambda server, request: request.answer(b"", {"Location": location}, status=302))


LOGINS = {
    "a token": ({"SEGLINE_SOURCE_TOKEN": "t0ken"}, "Bearer t0ken"),
    "a password": ({"SEGLINE_SOURCE_USER": "ann", "SEGLINE_SOURCE_PASSWORD": "secret"}, "Basic YW5uOnNlY3JldA=="),
}


@pytest.mark.parametrize("name", LOGINS)
def test_a_mirror_gets_its_login_and_nobody_else_does(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """There was no way but ~/.netrc, or the address itself."""
    variables, login = LOGINS[name]
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    other = Server(project.new)
    project.server.fault = _redirected(other.address + PLACE)
    lines = project.bring()
    assert set(project.server.logins) == {login}
    assert set(other.logins) == {None}
    assert (project.folder / "tiny.zip").read_bytes() == project.new
    assert not {*variables.values()} & {"secret", "t0ken"} & {*" ".join(lines).split()}
    other.close()


def test_a_login_is_not_sent_again_after_a_redirect_to_the_same_host(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGLINE_SOURCE_TOKEN", "t0ken")
    project.server.fault = _redirected(PLACE + "?again")
    project.bring()
    assert project.server.logins == ["Bearer t0ken", "Bearer t0ken", None]


def test_a_publisher_is_not_sent_the_login_of_a_mirror(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGLINE_SOURCE_TOKEN", "t0ken")
    project.bring(published(project), "official")
    assert set(project.server.logins) == {None}


def test_half_a_login_is_told_before_anything_is_asked(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGLINE_SOURCE_USER", "ann")
    before = project.state()
    with pytest.raises(ConfigError, match=r"SEGLINE_SOURCE_PASSWORD: .*\n.*remedy: correct these variables"):
        project.bring()
    assert project.server.logins == []
    assert project.state() == before


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "FILE://localhost/etc/passwd", "ftp://h/x", "data:,x", "gopher://h/", "s3://b/k"]
)
def test_a_redirect_to_another_protocol_is_refused_by_name(project: Project, location: str) -> None:
    """httpx refused them, as an UnsupportedProtocol; of file:///x it told the host that had sent it."""
    project.server.fault = always(lambda server, request: request.answer(b"", {"Location": location}, status=302))
    with pytest.raises(SourceError, match=rf"redirects to a {location.partition(':')[0].lower()}: address") as caught:
        project.bring()
    assert "set `source` to the address that it leads to" in caught.value.remedy
    assert project.server.ranges == [None]  # it is not tried again


INSIDE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.1",
    "localhost",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fd00::1]",
    "[64:ff9b:1::7f00:1]",
    "[fec0::1]",
    "[::7f00:1]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "inside.example.org",
]


def test_a_redirect_to_no_address_is_refused(project: Project) -> None:
    project.server.fault = _redirected(f"http://0177.0.0.1{PLACE}")
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 redirects to an address that is not valid"):
        project.bring()


def _as_public(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Let names, and addresses of this machine, be taken for those of public hosts."""
    real = redirects.resolve
    told = {host: ["93.184.216.34"] for host in hosts} | {"inside.example.org": ["93.184.216.34", "10.0.0.1"]}
    monkeypatch.setattr(redirects, "resolve", lambda host: told.get(host) or real(host))


@pytest.mark.parametrize("host", INSIDE)
def test_a_public_host_may_not_redirect_into_a_private_network(
    project: Project, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Each was followed: a mirror could have this machine ask its own services, or a cloud's for its keys."""
    port = project.server.address.rpartition(":")[2]
    _as_public(monkeypatch, "mirror.localhost")
    _resolving_to_here(monkeypatch)
    location = f"http://{host}:{port}{PLACE}?inside"
    project.server.fault = always(lambda server, request: request.answer(b"", {"Location": location}, status=302))
    with pytest.raises(SourceError, match=r"mirror\.localhost, a public host, redirects to .* in a private network"):
        project.bring(source=f"http://mirror.localhost:{port}")
    assert project.server.ranges == [None]


def _resolving_to_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the name of the public host be found, though there is no network."""
    import socket

    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **options: real(
            "127.0.0.1" if str(host).endswith("mirror.localhost") else host, *rest, **options
        ),
    )


def test_each_hop_is_judged_by_the_one_before(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """private -> public -> private: the second one is refused, though the source itself is private."""
    port = project.server.address.rpartition(":")[2]
    _as_public(monkeypatch, "mirror.localhost")
    _resolving_to_here(monkeypatch)
    hops = {1: f"http://mirror.localhost:{port}{PLACE}", 2: project.server.address + PLACE}
    project.server.fault = lambda server, request, number: request.answer(b"", {"Location": hops[number]}, status=302)
    with pytest.raises(SourceError, match=r"mirror\.localhost, a public host, redirects to 127\.0\.0\.1"):
        project.bring()
    assert len(project.server.ranges) == 2


def test_a_private_mirror_may_redirect_within_its_network(project: Project) -> None:
    other = Server(project.new)
    project.server.fault = _redirected(other.address + PLACE)
    project.bring()
    assert other.ranges == [None]
    other.close()


@pytest.mark.parametrize("host", ["93.184.216.34", "[2606:2800:220:1::1]", "[::ffff:8.8.8.8]", "nowhere.invalid"])
def test_public_hosts_are_none_of_a_private_network(host: str) -> None:
    assert not redirects.is_private(host.strip("[]"))
