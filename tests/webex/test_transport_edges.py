"""What the transport makes of connections, heads and names that go wrong (faults.md sections 7.1, 7.3 and 7.5)."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult

from wxrec_async.errors import ConnectError, ConnectionLost, InvalidMedia, RemoteError, RunStopped, TimedOut, TLSError
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import GiveUp
from wxrec_async.webex.errors import FOREIGN, CertificateRefused, remote_error_from
from wxrec_async.webex.transport import Timeouts

from .kit import (
    Connection,
    Request,
    Told,
    chain_text,
    cut,
    fetch,
    head,
    media,
    raw,
    recording,
    serving,
    transport,
    whole,
)

pytestmark = pytest.mark.anyio

QUERY = "/rec?X-Amz-Signature=CANARY-SIG-1"


async def failure_of(url: str, **knobs: object) -> httpx.HTTPError:
    """Fetch what cannot be fetched; return how it failed, having looked for secrets in it and behind it."""
    async with transport(**knobs) as made:
        with pytest.raises(FOREIGN) as caught:
            await fetch(made, url)
    assert isinstance(caught.value, httpx.HTTPError)
    assert "CANARY" not in chain_text(caught.value)
    return caught.value


@contextmanager
def refusing_port() -> Iterator[int]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


@contextmanager
def deaf_port() -> Iterator[int]:
    """Listen with a full backlog: further connections are neither taken nor refused."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = []
        try:
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(deaf.getsockname())
                fillers.append(filler)
            yield deaf.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


@pytest.mark.fault("A5", "D25", "W10")
async def test_no_connection_is_told_apart_from_a_late_one() -> None:
    """Refused and unknown are ConnectError, unanswered is ConnectTimeout; all of them mean unreachable."""
    with refusing_port() as port:
        refused = await failure_of(f"http://127.0.0.1:{port}{QUERY}")
    unknown = await failure_of(f"http://no-such-host.invalid{QUERY}")
    with deaf_port() as port:
        late = await failure_of(f"http://127.0.0.1:{port}{QUERY}", timeouts=Timeouts(0.3, 2.0, 0.3))
    assert [type(each) for each in (refused, unknown, late)] == [
        httpx.ConnectError,
        httpx.ConnectError,
        httpx.ConnectTimeout,
    ]
    assert all(isinstance(remote_error_from(each, "h"), ConnectError) for each in (refused, unknown, late))


@pytest.mark.fault("A5", "D20")
async def test_certificate_is_not_worth_another_try_and_a_broken_handshake_is() -> None:
    """An unknown issuer stays unknown; a handshake that breaks off or never comes may come the next time."""
    ca = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(server_side)
    async with serving(whole(b""), tls=server_side, host="localhost") as server:
        untrusted = await failure_of(server.url())
    async with serving(raw(b"", "fin")) as plain:
        plain.scheme = "https"
        broken = await failure_of(plain.url())
    with socket.socket() as mute:  # takes the connection and says nothing on it
        mute.bind(("127.0.0.1", 0))
        mute.listen(5)
        port = mute.getsockname()[1]
        late = await failure_of(f"https://127.0.0.1:{port}{QUERY}", timeouts=Timeouts(0.3, 2.0, 0.3))
    assert isinstance(untrusted, CertificateRefused)
    assert isinstance(remote_error_from(untrusted, "h"), TLSError)
    assert isinstance(late, httpx.ConnectTimeout)
    assert not isinstance(remote_error_from(late, "h"), TLSError)
    assert isinstance(broken, httpx.TransportError)


@pytest.mark.fault("A5", "W10")
@pytest.mark.parametrize(
    ("data", "end", "kind"),
    [
        (b"", "fin", ConnectionLost),
        (b"", "rst", ConnectionLost),
        (b"", "stall", TimedOut),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "fin", ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "stall", TimedOut),
        (b"rubbish\r\n\r\n", "fin", InvalidMedia),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "fin", InvalidMedia),
        (head(length=100) + b"some", "fin", ConnectionLost),
        (head(length=100) + b"some", "rst", ConnectionLost),
        (head(length=100) + b"some", "stall", TimedOut),
    ],
    ids=[
        "closed", "reset", "mute", "half a head", "slow head", "no http", "bad length", "short", "cut", "stalled",
    ],
)  # fmt: skip
async def test_each_way_to_break_off_has_its_own_name(data: bytes, end: str, kind: type[RemoteError]) -> None:
    """A retry rule is only as good as what it is told: never "no connection" for an answer that broke off."""
    async with serving(raw(data, end)) as server:
        failure = await failure_of(server.url(), timeouts=Timeouts(2.0, 0.4, 0.3))
        assert len(server.requests) == 1
    assert type(remote_error_from(failure, "h")) is kind


@pytest.mark.fault("A5")
async def test_waiting_for_a_connection_of_a_full_pool_ends_as_no_connection() -> None:
    """One connection, held by a body that stalls: the second request is told within the time to connect."""
    async with serving(cut(b"x" * 1000, 10, end="stall")) as server, transport(limit=1) as made:
        made._timeouts = Timeouts(0.3, 5.0, 5.0)
        held = await made.handle_async_request(httpx.Request("GET", server.url()))
        with pytest.raises(httpx.ConnectTimeout):
            await fetch(made, server.url())
        await held.aclose()
        server.scripts = [whole(b"free")]
        assert (await fetch(made, server.url()))[1] == b"free"


@pytest.mark.fault("A5", "D29")
@pytest.mark.parametrize("url", ["http://user:CANARY-AT-1@127.0.0.1/", "gopher://127.0.0.1/?s=CANARY-SIG-1"])
async def test_url_that_cannot_be_sent_is_no_server_to_be_tried_again(url: str) -> None:
    """User names and foreign schemes: a bad URL, whatever the transport calls it, and nothing of it in the failure."""
    failure = await failure_of(url)
    assert isinstance(remote_error_from(failure, "h"), InvalidMedia | ConnectError)


@pytest.mark.fault("A8", "X19")
@pytest.mark.parametrize(
    "lines",
    [["X-Long: " + "y" * 70_000], [f"X-{number}: y" for number in range(10_000)]],
    ids=["one line", "many lines"],
)
async def test_head_without_measure_is_a_plain_failure(lines: list[str]) -> None:
    """Beyond what any server of ours sends, a head is not collected: it fails, and the next request is served."""
    async with serving(whole(b"", *lines), whole(b"next")) as server, transport() as made:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)) as caught:
            await fetch(made, server.url())
        assert isinstance(remote_error_from(caught.value, "h"), ConnectionLost | InvalidMedia)
        assert (await fetch(made, server.url()))[1] == b"next"


BODY = b"x" * 100


@pytest.mark.fault("A5", "A6")
@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Content-Length: 100", "Content-Length: 100"], "200 OK"),
        (["Content-Length: 100", "Transfer-Encoding: identity"], "200 OK"),
        (["Content-Length: 100", "X-Odd : 1"], "200 OK"),
        (["Content-Length: 100", "X-Nul: a\x00b"], "200 OK"),
        (["Content-Length: 0x64"], "200 OK"),
        (["Content-Length: 100", "Server: A", "Server: B"], "200 OK"),
        (["Content-Length: 100"], "203 Non-Authoritative Information"),
        (["Content-Length: 100"], "200"),
    ],
)
async def test_a_head_is_read_or_refused_by_name_and_soon(lines: list[str], status: str) -> None:
    """Two more tries for the connection's sake, not minutes of them, and the failure says that it is the head."""
    told, failure = Told(), None
    async with serving(raw(head(status, *lines) + BODY, "fin")) as server, transport() as made:
        try:
            async with media(made, told=told).open(recording(server.url())) as stream:
                assert b"".join([chunk async for chunk in stream]) == BODY
        except OperationFailed as given_up:
            failure = given_up
        requests = len(server.requests)
    if failure is None:
        assert requests == 1
        return
    assert failure.decision == GiveUp("bad_head")
    assert "answered with a head that is not HTTP" in str(failure)
    assert [retry[1] for retry in told.retries] == [1, 2]


@pytest.mark.fault("A3")
async def test_stray_answer_in_one_piece_with_the_end_of_a_body_goes_to_nobody() -> None:
    """A response glued to the last byte of another one is not the answer to what is asked next."""

    async def glued(connection: Connection, request: Request) -> None:
        await connection.send(head(length=5) + b"hell")
        await asyncio.sleep(0.05)
        await connection.send(b"o" + head(length=4) + b"EVIL")

    async with serving(glued, whole(b"right")) as server, transport() as made:
        assert (await fetch(made, server.url()))[1] == b"hello"
        assert (await fetch(made, server.url()))[1] == b"right"
        await anyio.sleep(0.1)
        assert (await fetch(made, server.url()))[1] == b"right"


class Naming(AbstractResolver):
    """Resolves every name to these addresses, or fails as a broken name server does."""

    def __init__(self, *addresses: str, failure: OSError | None = None) -> None:
        self.addresses, self.failure = addresses, failure

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if self.failure is not None:
            raise self.failure
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


@pytest.mark.fault("D25")
async def test_address_that_swallows_everything_does_not_hide_the_one_that_answers() -> None:
    """A black hole first, as IPv6 often is, then an address that works: connected in a moment, not after a timeout."""
    with deaf_port() as port, socket.socket() as answering:
        answering.bind(("127.0.0.2", port))
        answering.listen(5)
        answering.setblocking(False)
        failure = await failure_of(
            f"http://media.test:{port}{QUERY}",
            resolver=Naming("127.0.0.1", "127.0.0.2"),
            timeouts=Timeouts(20.0, 1.5, 0.3),
        )
        answering.accept()[0].close()  # raises when nobody came
    assert isinstance(remote_error_from(failure, "h"), TimedOut), "it was connected, and then nothing was said"


@pytest.mark.fault("D25", "S26")
@pytest.mark.parametrize("code", [socket.EAI_AGAIN, socket.EAI_NONAME, socket.EAI_FAIL])
async def test_name_server_that_fails_is_no_connection(code: int) -> None:
    """SERVFAIL and NXDOMAIN alike: no connection, which the network watch counts."""
    failing = Naming(failure=socket.gaierror(code, "CANARY-SIG"))
    failure = await failure_of(f"http://media.test{QUERY}", resolver=failing)
    assert isinstance(remote_error_from(failure, "h"), ConnectError)


@pytest.mark.fault("X12", "D29")
async def test_only_addresses_that_may_be_are_connected_to_of_those_a_name_has() -> None:
    """One forbidden address among the answers is not connected to, even when it comes first."""
    asked: list[str] = []

    def allowed(ip: str) -> bool:
        asked.append(ip)
        return ip == "127.0.0.1"

    async with serving(whole(b"fine")) as server:
        resolver = Naming("127.0.0.2", "127.0.0.1")
        async with transport(address_check=allowed, resolver=resolver) as made:
            try:
                assert (await fetch(made, f"http://media.test:{server.port}/"))[1] == b"fine"
            except httpx.ConnectError:
                assert server.connections == 0
    assert asked[0] == "127.0.0.2"


@pytest.mark.fault("R05")
async def test_want_of_file_descriptors_passes_like_any_failure_to_connect() -> None:
    """EMFILE is no fault of the recording: no connection now, and one as soon as there is room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving(whole(b"room")) as server, transport() as made:
        await fetch(made, server.url())
        await made.aclose()
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers, not paths
        spare = [os.open("/dev/null", os.O_RDONLY) for _ in range(2)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(highest, *spare), hard))
        try:
            with pytest.raises(FOREIGN) as caught:
                await fetch(made, server.url())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for each in spare:
                os.close(each)
        assert isinstance(remote_error_from(caught.value, "h"), ConnectError)
        assert (await fetch(made, server.url()))[1] == b"room"


@pytest.mark.fault("D26", "X15")
async def test_proxy_that_wants_credentials_ends_the_run() -> None:
    """407 will be said to every recording, so the first one ends it, with words that name no URL."""
    refusal = raw(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "fin")
    async with serving(refusal) as proxy, transport(proxy=proxy.url("")) as made:
        source = media(made)
        source._hosts = ("media.test",)
        with pytest.raises(RunStopped, match="407") as stopped:
            async with source.open(recording("https://media.test/a?s=CANARY-SIG-1")):
                pytest.fail("nothing can be opened")
    assert "CANARY" not in chain_text(stopped.value)


@pytest.mark.fault("X15")
async def test_netrc_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for a host that lie in the home folder go to nobody."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password CANARY-PW\nmachine localhost login me password CANARY-PW\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    async with serving(whole(b"")) as server, transport() as made:
        for name in ("127.0.0.1", "localhost"):
            await fetch(made, f"http://{name}:{server.port}/")
        assert not [request for request in server.requests if "authorization" in request.headers]
