"""Chunks into parts, and whether an object is whole."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Container

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.errors import InvalidMedia
from wxrec_async.model import Part, StoredObject
from wxrec_async.rules import parts as rules
from wxrec_async.rules.parts import (
    MAX_PART,
    MAX_PARTS,
    MIB,
    MIN_PART,
    PartAssembler,
    check_whole,
    crc32_text,
    part_size,
    same_object,
)
from wxrec_async.rules.wav import Sniffer

TIB = 1 << 40


@pytest.mark.fault("S08")
@given(st.integers(0, 5 * TIB), st.integers(5, 5120))
def test_a_known_length_fits_into_ten_thousand_parts_of_one_size(length: int, configured_mib: int) -> None:
    """Up to S3's 5 TiB: at most 10,000 parts, each at least 5 MiB and at most 5 GiB."""
    sizes = {part_size(number, length, configured_mib * MIB) for number in (1, 2, 5_000, 10_000)}
    (size,) = sizes
    assert max(MIN_PART, configured_mib * MIB) <= size <= MAX_PART
    assert size * MAX_PARTS >= length


@pytest.mark.fault("S08", "D28")
@given(st.integers(1, 5120))
def test_an_unknown_length_fits_as_well(configured_mib: int) -> None:
    """Sizes grow, so that 10,000 parts hold 5 TiB (4.8 with the smallest parts there are)."""
    sizes = [part_size(number, None, configured_mib * MIB) for number in range(1, MAX_PARTS + 1)]
    assert sizes == sorted(sizes)
    assert min(sizes) >= MIN_PART
    assert max(sizes) <= MAX_PART
    assert sum(sizes) >= (5 if configured_mib >= 8 else 4.8) * TIB


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let parts be a few bytes, so that every border is met."""
    monkeypatch.setattr(rules, "MIN_PART", 1)


def assembled(
    chunks: list[bytes], length: int | None, configured: int, known: Container[int] = ()
) -> tuple[list[Part], PartAssembler]:
    """Feed chunks, with their checksums where ``known`` has their number."""
    assembler = PartAssembler(length, configured)
    crcs = [zlib.crc32(chunk) if number in known else None for number, chunk in enumerate(chunks)]
    found = [part for chunk, crc in zip(chunks, crcs, strict=True) for part in assembler.feed(chunk, crc)]
    if assembler.held or not found:
        found.append(assembler.finish())
    return found, assembler


chunkings = st.lists(st.binary(max_size=12), max_size=20)


@given(chunkings, st.integers(1, 9), st.booleans(), st.sets(st.integers(0, 20)))
def test_any_chunking_gives_the_same_parts(chunks: list[bytes], size: int, views: bool, known: set[int]) -> None:
    """Whole, in order, with the checksums zlib gives; borders fall where the size says and nowhere else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "MIN_PART", 1)
        body = b"".join(chunks)
        fed = [memoryview(chunk) if views else chunk for chunk in chunks]
        found, assembler = assembled(fed, len(body), size, known)  # type: ignore[arg-type]
        expected = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
        assert [b"".join(part.chunks) for part in found] == expected
        assert [part.number for part in found] == list(range(1, len(found) + 1))
        assert [part.size for part in found] == [len(piece) for piece in expected]
        assert [part.crc32 for part in found] == [zlib.crc32(piece) for piece in expected]
        assert (assembler.size, assembler.crc32, assembler.held) == (len(body), zlib.crc32(body), 0)


@given(chunkings, st.integers(1, 9), st.sets(st.integers(0, 20)))
def test_the_checksum_is_right_at_every_moment_whatever_is_forgotten(
    chunks: list[bytes], size: int, forgotten: set[int]
) -> None:
    """`forget` drops bytes, never their share of the whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "MIN_PART", 1)
        assembler, fed = PartAssembler(None, size), b""
        for number, chunk in enumerate(chunks):
            fed += chunk
            list(assembler.feed(chunk))
            if number in forgotten:
                assembler.forget()
                assert assembler.held == 0
            assert (assembler.crc32, assembler.size) == (zlib.crc32(fed), len(fed))


def test_a_checksum_that_came_with_a_chunk_is_the_one_that_is_sent(small_parts: None) -> None:
    """Bytes that changed in memory since do not pass for the ones that came: S3 refuses them."""
    assembler = PartAssembler(None, 4)
    (part,) = (*assembler.feed(b"ab", zlib.crc32(b"Ab")), *assembler.feed(b"cd", zlib.crc32(b"cd")))
    assert part.crc32 == assembler.crc32 == zlib.crc32(b"Abcd")


def test_a_chunk_that_fits_is_not_copied(small_parts: None) -> None:
    """Bytes go through as the objects they came in."""
    assembler = PartAssembler(None, 4)
    whole, across = b"ab", b"cdef"
    first = next(iter([part for chunk in (whole, across) for part in assembler.feed(chunk)]))
    assert first.chunks[0] is whole
    assert isinstance(first.chunks[1], memoryview)
    assert first.chunks[1].obj is across
    assert assembler.held == 2


@pytest.mark.fault("S08")
def test_more_than_ten_thousand_parts_are_refused_before_anything_is_lost(small_parts: None) -> None:
    """A body longer than it was said to be ends in a failure, not in a cut object."""
    assembler = PartAssembler(MAX_PARTS, 1)
    assert len(list(assembler.feed(bytes(MAX_PARTS)))) == MAX_PARTS
    with pytest.raises(InvalidMedia) as failure:
        list(assembler.feed(b"x"))
    assert failure.value.reason == "too_large"


def wav(audio: bytes, *, stated: int | None = None) -> bytes:
    size = 36 + len(audio) if stated is None else stated
    return (
        b"RIFF"
        + struct.pack("<I", size)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 7, 1, 8000, 8000, 1, 8)
        + (b"data" + struct.pack("<I", len(audio)) + audio)
    )


def sniffed(body: bytes) -> Sniffer:
    sniffer = Sniffer()
    sniffer.feed(body)
    return sniffer


WAV = wav(b"\xd5" * 100)
RAW = bytes(range(256)) * 2


@pytest.mark.fault("D06", "D08", "D09", "D11", "D23")
@pytest.mark.parametrize(
    ("body", "proven", "length", "sent", "verdict"),
    [
        (WAV, True, len(WAV), len(WAV), True),
        (WAV, True, None, len(WAV), True),  # chunked, complete
        (WAV, False, None, len(WAV), True),  # no length at all, but RIFF agrees
        (RAW, True, len(RAW), len(RAW), True),
        (RAW, True, None, len(RAW), True),
        (RAW, False, None, len(RAW), "unprovable"),
        (WAV[:-1], False, None, len(WAV) - 1, "unprovable"),
        (wav(b"\xd5" * 100, stated=0), False, None, len(WAV), "unprovable"),
        (wav(b"\xd5" * 100, stated=0xFFFFFFFF), False, None, len(WAV), "unprovable"),
        (wav(b"\xd5" * 100, stated=0xFFFFFFFF), True, len(WAV), len(WAV), True),
        (wav(b"\xd5" * 100, stated=0), True, None, len(WAV), True),
        (WAV[:-1], True, len(WAV) - 1, len(WAV) - 1, False),  # Content-Length cut it: only RIFF disagrees
        (WAV + b"xx", True, len(WAV) + 2, len(WAV) + 2, False),
        (WAV[:-1], True, len(WAV), len(WAV) - 1, "length_mismatch"),
        (WAV + b"x", True, len(WAV), len(WAV) + 1, "length_mismatch"),
        (WAV, True, None, len(WAV) + 1, "length_mismatch"),  # lost between source and here
        (b"", True, 0, 0, "empty"),
        (b"", False, None, 0, "empty"),
        (wav(b""), True, 44, 44, "no_audio"),
    ],
)
def test_what_is_whole(body: bytes, proven: bool, length: int | None, sent: int, verdict: bool | str) -> None:
    """True: whole. False: only the RIFF size disagrees. A word: refused."""
    if isinstance(verdict, bool):
        assert check_whole(sniffed(body), proven=proven, length=length, sent=sent) is verdict
        return
    with pytest.raises(InvalidMedia) as failure:
        check_whole(sniffed(body), proven=proven, length=length, sent=sent)
    assert failure.value.reason == verdict


@pytest.mark.fault("D05", "D08")
@given(st.binary(min_size=1, max_size=200), st.integers(1, 100))
def test_a_cut_body_is_never_whole_without_a_proof(audio: bytes, cut: int) -> None:
    """Without a proven length every proper beginning of a WAV is refused."""
    body = wav(audio)
    with pytest.raises(InvalidMedia):
        check_whole(sniffed(body[:-cut]), proven=False, length=None, sent=max(0, len(body) - cut))


@pytest.mark.parametrize(
    ("size", "crc", "same"), [(10, 5, True), (10, 6, False), (11, 5, False), (10, None, None), (11, None, False)]
)
@pytest.mark.fault("S04", "S05", "S24")
def test_an_object_is_the_same_only_by_size_and_checksum(size: int, crc: int | None, same: bool | None) -> None:
    """Not by its ETag; and without a checksum nothing is claimed."""
    assert same_object(StoredObject("k", size, crc, etag="5d41402abc4b2a76b9719d911017c592"), size=10, crc=5) is same


@given(st.binary(max_size=50))
def test_a_checksum_is_written_as_s3_writes_it(body: bytes) -> None:
    """Base64 of four bytes, most significant first, leading zeros kept."""
    text = crc32_text(zlib.crc32(body))
    assert len(text) == 8
    assert int.from_bytes(base64.b64decode(text), "big") == zlib.crc32(body)
