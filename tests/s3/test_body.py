"""A part's body: one sequence of bytes, whatever the chunks."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import Part
from wxrec_async.s3.body import PartBody

chunk_lists = st.lists(st.binary(max_size=20), max_size=8)


def body_of(chunks: list[bytes]) -> PartBody:
    whole = b"".join(chunks)
    return PartBody(Part(1, [memoryview(chunk) for chunk in chunks], len(whole), zlib.crc32(whole)))


@given(chunk_lists, st.integers(1, 30))
def test_reading_gives_every_byte_in_order(chunks: list[bytes], size: int) -> None:
    """Reads of any size end with b"" and join to the whole; tell counts along."""
    body, got = body_of(chunks), b""
    while piece := body.read(size):
        assert len(piece) <= size
        got += bytes(piece)
        assert body.tell() == len(got)
    assert got == b"".join(chunks)
    assert len(body) == len(got)


@given(chunk_lists, st.integers(0, 200))
def test_seek_goes_to_the_byte_named(chunks: list[bytes], position: int) -> None:
    """After seek(n) the rest begins at byte n, or is empty beyond the end; seek to the end gives the length."""
    body, whole = body_of(chunks), b"".join(chunks)
    assert body.seek(position) == min(position, len(whole))
    rest = b""
    while piece := body.read():
        rest += bytes(piece)
    assert rest == whole[position:]
    assert body.seek(0, 2) == len(whole)
    assert body.seek(0) == 0


@pytest.mark.fault("A10")
@pytest.mark.anyio
async def test_every_iteration_hands_over_the_same_chunks() -> None:
    """Iterating gives the very chunks that came in, not copies, from the first one each time."""
    chunks = [memoryview(b"abc"), memoryview(b"defg")]
    body = PartBody(Part(1, chunks, 7, 0))
    for _ in range(2):
        got = [chunk async for chunk in body]
        assert [id(chunk) for chunk in got] == [id(chunk) for chunk in chunks]
