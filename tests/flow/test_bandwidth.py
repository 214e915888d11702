"""A source that is held to a rate, in front of another one."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.plumbing.virtual import OPTIONS
from wxrec_async.errors import InvalidMedia
from wxrec_async.flow.rate_limited import LimitedSource, limited
from wxrec_async.model import Recording
from wxrec_async.plumbing.throttle import Throttle

from .kit import Body, FakeSource, cut, unfit, wav

pytestmark = pytest.mark.anyio

RATE = 1000


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run on a clock that jumps."""
    return "asyncio", OPTIONS


async def read(source: Any, recording_id: str, into: list[bytes] | None = None) -> bytes:
    chunks = [] if into is None else into
    async with source.open(Recording("t", recording_id)) as stream:
        async for chunk in stream:
            chunks.append(chunk)
    return b"".join(chunks)


async def test_everybody_shares_one_rate_and_every_byte_arrives() -> None:
    """Four recordings at once take as long as their sum, and come whole."""
    data = {f"r{n}": wav(2000 + n, seed=n) for n in range(4)}
    inner = FakeSource({name: [Body(cut(body, 700))] for name, body in data.items()})
    source, begun = LimitedSource(inner, Throttle(RATE)), anyio.current_time()
    got: dict[str, bytes] = {}

    async def fetch(name: str) -> None:
        got[name] = await read(source, name)

    async with anyio.create_task_group() as group:
        for name in data:
            group.start_soon(fetch, name)
    assert got == data
    assert anyio.current_time() - begun == pytest.approx(sum(map(len, data.values())) / RATE - 0.25)


async def test_what_the_stream_says_of_itself_passes_unchanged() -> None:
    """Length, ETag, type, offset and proof are the stream's own."""
    body = wav(900)
    inner = FakeSource({"r": [Body([body], etag='"e"', content_type="audio/wav")]})
    async with LimitedSource(inner, Throttle(RATE)).open(Recording("t", "r")) as stream:
        assert (stream.length, stream.etag, stream.content_type, stream.proven) == (900, '"e"', "audio/wav", False)
        assert b"".join([chunk async for chunk in stream]) == body
        assert (stream.offset, stream.proven) == (900, True)


async def test_a_failure_arrives_in_its_place_in_the_bytes() -> None:
    """What came before it is handed on first."""
    inner = FakeSource({"r": [Body(cut(wav(900), 300), fail_after=2, failure=unfit())]})
    got: list[bytes] = []
    with pytest.raises(InvalidMedia):
        await read(LimitedSource(inner, Throttle(RATE)), "r", got)
    assert b"".join(got) == wav(900)[:600]


async def test_cancelled_while_it_waits_it_closes_the_stream_beneath() -> None:
    """A reader that is broken off in the middle of a wait leaves nothing open."""
    inner = FakeSource({"r": [Body(cut(wav(9000), 300))]})
    with anyio.move_on_after(1.1) as scope:
        await read(LimitedSource(inner, Throttle(RATE)), "r")
    assert scope.cancelled_caught
    assert inner.live == 0


def test_no_limit_costs_nothing() -> None:
    """Without a limit the source is itself."""
    source = FakeSource({})
    assert limited(source, 0) is source
    assert isinstance(limited(source, 0.5), LimitedSource)
