"""What leaves this machine, and to whom, on real sockets (faults.md sections 4, 7.4 to 7.6)."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import random
import socket
import ssl
from collections.abc import Callable

import anyio
import httpx
import pytest
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult

from wxrec_async.webex.errors import AddressRefused, CertificateRefused
from wxrec_async.webex.transport import AiohttpTransport, tls_context

from .kit import Connection, Request, chain_text, cut, drained, fetch, raw, serving, transport, whole

pytestmark = pytest.mark.anyio

NASTY = "/a%2Fb%3Dc+d~%7E/%C3%A4/%e4?X-Amz-Signature=x%2By%2F%3D&a=1&a=2&empty=&bare&s=%20+&p=(x)*'!,;:@$"


@pytest.mark.parametrize("target", [NASTY, "/plain", "/?q=%zz", "/a;b=c?x=/y?z", "/%2e%2e%2fa?%2E"])
async def test_request_target_arrives_byte_for_byte(target: str) -> None:
    """A signed URL that was quoted again is another URL: nothing of path and query may change."""
    async with serving(whole(b"")) as server, transport() as made:
        await fetch(made, server.url(target))
        assert server.requests[0].target == target


@pytest.mark.fault("X13")
async def test_only_the_headers_given_are_sent() -> None:
    """Neither aiohttp nor we add a header to those of the request, and a repeated name stays repeated."""
    async with serving(whole(b"")) as server, transport() as made:
        request = httpx.Request("GET", server.url(), headers=[("X-Two", "a"), ("X-Two", "b"), ("User-Agent", "u")])
        await drained(await made.handle_async_request(request))
        sent = server.requests[0]
        assert set(sent.headers) == {"host", "x-two", "user-agent"}
        assert sent.head.lower().count(b"x-two") == 2


async def test_body_is_sent_with_its_length() -> None:
    """A POST carries its bytes, plainly framed."""
    async with serving(whole(b"ok")) as server, transport() as made:
        request = httpx.Request("POST", server.url("/q"), content=b'{"a":1}')
        await drained(await made.handle_async_request(request))
        assert server.requests[0].body == b'{"a":1}'
        assert server.requests[0].headers["content-length"] == "7"


@pytest.mark.fault("D21", "X14")
async def test_redirects_are_handed_back() -> None:
    """A redirect is an answer like any other; nobody follows it."""
    away = whole(b"", "Location: http://169.254.169.254/latest/meta-data", status="302 Found")
    async with serving(away) as server, transport() as made:
        response, _ = await fetch(made, server.url())
        assert response.status_code == 302
        assert len(server.requests) == 1


@pytest.mark.fault("X13")
async def test_cookies_are_not_kept() -> None:
    """A cookie that was set does not come back with the next request."""
    async with serving(whole(b"", "Set-Cookie: a=CANARY")) as server, transport() as made:
        for _ in range(2):
            await fetch(made, f"http://localhost:{server.port}/")
        assert "cookie" not in server.requests[1].headers


@pytest.mark.fault("D26", "X15")
async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the configuration may name a proxy."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(whole(b"direct")) as server, transport() as made:
        assert (await fetch(made, server.url()))[1] == b"direct"


@pytest.mark.fault("D26")
async def test_configured_proxy_is_used_and_its_refusal_is_told() -> None:
    """A configured proxy gets the CONNECT, and its 407 comes out as its own failure."""
    refusal = raw(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "fin")
    async with serving(refusal) as proxy, transport(proxy=proxy.url("")) as made:
        with pytest.raises(httpx.ProxyError, match="407"):
            await fetch(made, "https://media.test/a?sig=CANARY")
        assert proxy.requests[0].target == "media.test:443"


@pytest.mark.fault("D25")
async def test_refused_connection_and_unknown_host_are_connect_errors() -> None:
    """No connection is told apart from a broken one, and its text has no URL."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with transport() as made:
            for url in (f"http://127.0.0.1:{port}/?s=CANARY", "http://no-such-host.invalid/?s=CANARY"):
                with pytest.raises(httpx.ConnectError) as caught:
                    await fetch(made, url)
                assert "CANARY" not in chain_text(caught.value)


class Flipping(AbstractResolver):
    """Resolves to another address each time, as a rebinding name server does."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        return [ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        pass


@pytest.mark.fault("D29", "X12")
@pytest.mark.parametrize("host", ["media.test", "127.0.0.1"], ids=["resolved", "literal"])
async def test_forbidden_address_is_not_connected_to(host: str) -> None:
    """The address a socket is about to connect to is judged, whether a name led to it or it stood in the URL."""
    async with serving(whole(b"never")) as server:
        asked: list[str] = []

        def allowed(ip: str) -> bool:
            asked.append(ip)
            return False

        async with transport(address_check=allowed, resolver=Flipping("127.0.0.1")) as made:
            with pytest.raises(AddressRefused):
                await fetch(made, f"http://{host}:{server.port}/")
        assert asked == ["127.0.0.1"]
        assert server.connections == 0


@pytest.mark.fault("D29", "X12")
async def test_name_that_flips_after_the_check_gets_nowhere() -> None:
    """DNS rebinding does not help: each connection's own address is judged, however the name resolves."""
    async with serving(whole(b"once", "Connection: close")) as server:
        resolver = Flipping("127.0.0.1", "127.0.0.2")
        async with transport(address_check=lambda ip: ip == "127.0.0.1", resolver=resolver) as made:
            assert (await fetch(made, f"http://media.test:{server.port}/"))[1] == b"once"
            made._session._connector.clear_dns_cache()  # type: ignore[union-attr]
            with pytest.raises(AddressRefused):
                await fetch(made, f"http://media.test:{server.port}/")
        assert server.connections == 1


def _server_context(ca: trustme.CA, *names: str, not_after: dt.datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names, not_after=not_after).configure_cert(context)
    return context


def _trusting(ca: trustme.CA) -> ssl.SSLContext:
    context = tls_context()
    ca.configure_trust(context)
    return context


LONG_AGO = dt.datetime(2021, 1, 1, tzinfo=dt.UTC)
CERTIFICATES: dict[str, Callable[[trustme.CA], ssl.SSLContext]] = {
    "unknown-ca": lambda _: _server_context(trustme.CA(), "localhost"),
    "wrong-name": lambda ca: _server_context(ca, "other.test"),
    "expired": lambda ca: _server_context(ca, "localhost", not_after=LONG_AGO),
}


@pytest.mark.fault("D20", "X16")
@pytest.mark.parametrize("kind", CERTIFICATES)
async def test_untrusted_certificates_are_refused(kind: str) -> None:
    """An unknown issuer, an expired certificate and another's name are refused as such, before a request is sent."""
    ca = trustme.CA()
    tls = CERTIFICATES[kind](ca)
    async with serving(whole(b"never"), tls=tls, host="localhost") as server, transport(tls=_trusting(ca)) as made:
        with pytest.raises(CertificateRefused) as caught:
            await fetch(made, server.url())
        assert server.requests == []
    assert "CANARY" not in chain_text(caught.value)


@pytest.mark.fault("D20", "X16")
async def test_trusted_certificate_is_accepted_and_old_tls_is_not() -> None:
    """The configured authority is trusted; a server that speaks TLS 1.1 at most is not spoken to."""
    ca = trustme.CA()
    tls = _server_context(ca, "localhost")
    async with serving(whole(b"fine"), tls=tls, host="localhost") as server, transport(tls=_trusting(ca)) as made:
        assert (await fetch(made, server.url()))[1] == b"fine"
    assert tls_context().minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls_context().verify_mode is ssl.CERT_REQUIRED


@pytest.mark.fault("D20")
@pytest.mark.parametrize("end", ["rst", "fin"])
async def test_tls_connection_cut_in_the_body_is_an_error(end: str) -> None:
    """A body cut under TLS, with or without close_notify, does not look whole."""
    ca = trustme.CA()
    tls = _server_context(ca, "localhost")
    script = cut(b"x" * 4096, 1000, end=end)
    async with serving(script, tls=tls, host="localhost") as server, transport(tls=_trusting(ca)) as made:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await fetch(made, server.url())


@pytest.mark.fault("D31", "A7")
@pytest.mark.parametrize("how", ["anyio", "asyncio"])
async def test_cancelled_requests_leave_no_connection_behind(how: str) -> None:
    """After 400 cancelled downloads over a pool of 5 every slot is free, and the next request is answered."""

    async def slow(connection: Connection, request: Request) -> None:
        await asyncio.sleep(0.003)
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + b"x" * 25_000)
        await asyncio.sleep(0.003)
        await connection.send(b"x" * 25_000)

    async def one(made: AiohttpTransport, url: str, seconds: float) -> None:
        if how == "anyio":
            with anyio.move_on_after(seconds):
                await fetch(made, url)
            return
        try:
            async with asyncio.timeout(seconds):
                await fetch(made, url)
        except TimeoutError:
            pass

    dice = random.Random(7)
    async with serving(slow) as server, transport(limit=5) as made:
        for _ in range(50):
            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(one, made, server.url(), dice.random() * 0.012)
        connector = made._session.connector  # type: ignore[union-attr]
        assert connector is not None
        assert not connector._acquired
        assert not connector._waiters
        assert len((await fetch(made, server.url()))[1]) == 50_000
    gc.collect()


async def test_session_is_closed_with_the_transport() -> None:
    """Closing twice is fine, and closing leaves no socket open."""
    async with serving(whole(b"ok")) as server:
        async with transport() as made:
            await fetch(made, server.url())
            session = made._session
        await made.aclose()
        assert session is not None
        assert session.closed
