"""Nothing the other side sends is taken in whole before it is known to be small."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.auth.auth_kit import CREDENTIALS, access, pair
from tests.e2e.test_separate_worlds import WINDOW, opened
from tests.security.test_tls import CONNECTIONS
from tests.webex.kit import Connection, Request, head, media, recording, serving, transport, whole
from wxrec_async import aws_session
from wxrec_async.auth.endpoint import TokenEndpoint
from wxrec_async.errors import AuthError, HTTPStatusError, InvalidResponse, WxrecError
from wxrec_async.events import ignore
from wxrec_async.model import Recording
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import retry
from wxrec_async.rules.redact import redact_text
from wxrec_async.rules.retry import GiveUp
from wxrec_async.webex.media import WebexMedia
from wxrec_async.webex.parse import cut_words

pytestmark = pytest.mark.anyio

MIB = 1 << 20
BOMB = gzip.compress(bytes(60 * MIB))  # sixty kilobytes that stand for sixty megabytes
PACKED = "Content-Encoding: gzip"


@contextmanager
def memory_below(size: int) -> Iterator[None]:
    """Fail when more than ``size`` bytes are ever held at once by what the block does."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size, f"{peak / MIB:.1f} MiB"


async def read(source: WebexMedia, wanted: Recording) -> None:
    async with source.open(wanted) as stream:
        async for _ in stream:
            pass


async def ask_for_tokens(url: str) -> None:
    async with transport() as made, httpx.AsyncClient(transport=made) as client:
        await TokenEndpoint(CREDENTIALS, client, url, ignore).refresh(pair(1, 0.0))


@pytest.mark.fault("X19")
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
async def test_a_token_answer_that_unpacks_to_megabytes_is_not_unpacked(status: str) -> None:
    """Packed though identity was asked for: 64 KiB of it are looked at, which makes no sense as JSON."""
    async with serving(whole(BOMB, PACKED, status=status)) as server:
        with memory_below(8 * MIB), pytest.raises((InvalidResponse, AuthError)):
            await ask_for_tokens(server.url())


@pytest.mark.fault("X19", "T16")
async def test_a_packed_token_answer_is_read_all_the_same() -> None:
    """A rotated refresh token is not thrown away because a proxy packed it; one that is damaged is nonsense."""
    granted = json.dumps({"access_token": access(2), "refresh_token": "CANARY-RT-2", "expires_in": 60}).encode()
    packed = gzip.compress(granted)
    async with serving(
        whole(packed, PACKED), whole(packed[:20] + b"x" * 20, PACKED), whole(packed, "Content-Encoding: br")
    ) as server:
        await ask_for_tokens(server.url())
        for _ in range(2):
            with pytest.raises(InvalidResponse):
                await ask_for_tokens(server.url())


@pytest.mark.fault("X19", "W29")
@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "500 Oops"])
async def test_a_refusal_that_unpacks_to_megabytes_is_not_unpacked(status: str) -> None:
    """Every error body of the API is cut after unpacking, those the token's renewal looks into first of all."""
    async with serving(whole(BOMB, PACKED, status=status)) as server, opened(server.url("/v1")) as world:
        world.client._retrier._judge = lambda *_: GiveUp("enough")
        with memory_below(10 * MIB), pytest.raises((OperationFailed, WxrecError)):
            await world.client.tasks_page(WINDOW, from_ms=WINDOW.from_ms)


@pytest.mark.fault("X19")
async def test_a_packed_refusal_is_still_understood() -> None:
    """The words of a 403 that mean a bad token renew it, packed or not."""
    words = json.dumps({"error": {"message": [{"description": "Access token is expired"}]}}).encode()
    refused = whole(gzip.compress(words), PACKED, status="403 Forbidden")
    grant = json.dumps({"access_token": access(2), "refresh_token": "CANARY-RT-2", "expires_in": 3600}).encode()
    empty = whole(b'{"meta":{},"data":[]}')
    async with serving(refused, empty) as api, serving(whole(grant)) as idp:
        async with opened(api.url("/v1"), idp.url("/v1")) as world:
            await world.client.tasks_page(WINDOW, from_ms=WINDOW.from_ms)
        assert len(idp.requests) == 1


@pytest.mark.fault("X19")
async def test_an_answer_of_search_beyond_the_cap_is_given_up() -> None:
    """Search goes the same way as the other calls: one answer, too large, not asked again."""
    async with serving(whole(BOMB, PACKED)) as server, opened(server.url("/v1")) as world:
        assert world.search is not None
        world.search._calls._body_cap = MIB
        with memory_below(10 * MIB), pytest.raises(OperationFailed) as caught:
            await world.search.search_page(WINDOW)
        assert caught.value.decision == GiveUp("answer_too_large")
        assert len(server.requests) == 1


@pytest.mark.fault("X19", "X20")
async def test_an_error_of_the_media_host_is_not_read_to_its_end() -> None:
    """Its first 4 KiB say what it is; an endless one is left, and its connection closed."""
    sent = 0

    async def endless(connection: Connection, request: Request) -> None:
        nonlocal sent
        await connection.send(head("400 Bad Request", "Transfer-Encoding: chunked"))
        await connection.send(
            b"40\r\n" + b"<Error><Code>InvalidRequest</Code><Message>no</Message>".ljust(64) + b"\r\n"
        )
        try:
            while sent < 200 * MIB:
                await connection.send(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                sent += 0x10000
        except (ConnectionError, OSError):
            pass

    async with serving(endless) as server, transport() as made:
        source = media(made)
        with memory_below(8 * MIB), pytest.raises((OperationFailed, WxrecError)) as caught:
            await read(source, recording(server.url()))
    assert sent < 100 * MIB
    assert isinstance(getattr(caught.value, "trouble", None), HTTPStatusError)


@pytest.mark.fault("X19", "X20")
@pytest.mark.parametrize("status", ["200 OK", "503 Slow Down"])
@pytest.mark.parametrize("connection", ["s3", "secrets-manager"])
async def test_an_answer_of_aws_is_not_read_for_ever(
    connection: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK wants XML and JSON whole: so much of it, and then the connection is broken off."""
    monkeypatch.setattr(aws_session, "MAX_ANSWER", MIB)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "CANARY-SK-1")
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 1)
    sent = 0

    async def endless(other: Connection, request: Request) -> None:
        nonlocal sent
        try:
            await other.send(head(status, "Content-Type: application/xml", "Transfer-Encoding: chunked"))
            for _ in range(40):
                await other.send(b"100000\r\n" + bytes(MIB) + b"\r\n")
                sent += MIB
        except OSError:
            pass

    connect, _ = CONNECTIONS[connection]
    async with serving(endless) as server:
        with memory_below(24 * MIB), pytest.raises((OperationFailed, WxrecError)):
            await connect(server.url(""), None)
    assert sent < len(server.requests) * 30 * MIB


@pytest.mark.fault("X19")
async def test_a_body_of_media_is_never_unpacked() -> None:
    """A recording is its bytes as they came; one that is packed is refused before a byte of it is read."""
    async with serving(whole(BOMB, PACKED)) as server, transport() as made:
        with memory_below(4 * MIB), pytest.raises(OperationFailed) as caught:
            await read(media(made), recording(server.url()))
    assert "encoded" in str(caught.value)


@pytest.mark.fault("X03", "X07")
@pytest.mark.parametrize("joint", ["\x00", "\u200b", "\x1b", "\u202e"])
def test_halves_of_a_secret_are_not_joined_after_they_were_looked_at(joint: str) -> None:
    """What cannot be printed goes before the masking, so it cannot hide from it what it holds apart."""
    for text in (f"Bear{joint}er CANARY-AT-1234", f"acc{joint}ess_token=CANARY-AT-1234", f"+1555{joint}0100123"):
        assert "CANARY" not in cut_words(text)
        assert "15550100123" not in cut_words(text)
    assert redact_text("Bearer CANARY-AT-1234") == cut_words(f"Bea{joint}rer CANARY-AT-1234")
