"""The sizes of parts to the byte, the assembler's counters, and what is said of a body that is not whole."""

from __future__ import annotations

import struct
import zlib

import pytest

from wxrec_async.errors import InvalidMedia
from wxrec_async.model import Part, StoredObject
from wxrec_async.rules import parts as rules
from wxrec_async.rules.parts import PartAssembler, check_whole, crc32_text, part_size, same_object
from wxrec_async.rules.wav import Sniffer

MIB, GIB = 1024**2, 1024**3


def test_the_figures_are_those_of_s3() -> None:
    """Amazon S3 multipart upload limits: 10,000 parts of 5 MiB to 5 GiB; sizes grow every thousand parts."""
    assert (rules.MIB, rules.MAX_PARTS, rules.MIN_PART, rules.MAX_PART) == (MIB, 10_000, 5 * MIB, 5 * GIB)
    assert rules.GROW_EVERY == 1_000


@pytest.mark.fault("S08")
@pytest.mark.parametrize(
    ("number", "length", "configured", "size"),
    [
        (1, 0, 0, 5 * MIB),
        (1, 1, 8 * MIB, 8 * MIB),
        (1, 80_000 * MIB, 8 * MIB, 8 * MIB),
        (1, 80_000 * MIB + 1, 8 * MIB, 8 * MIB + 1),
        (9_999, 80_000 * MIB + 1, 8 * MIB, 8 * MIB + 1),
        (1, 100_000 * GIB, 8 * MIB, 5 * GIB),
        (1, None, 0, 5 * MIB),
        (1, None, 8 * MIB, 8 * MIB),
        (1_000, None, 8 * MIB, 8 * MIB),
        (1_001, None, 8 * MIB, 16 * MIB),
        (2_000, None, 8 * MIB, 16 * MIB),
        (2_001, None, 8 * MIB, 32 * MIB),
        (9_001, None, 8 * MIB, 4 * GIB),
        (10_001, None, 8 * MIB, 5 * GIB),
    ],
)
def test_a_part_has_this_size(number: int, length: int | None, configured: int, size: int) -> None:
    """The configured one, unless 10,000 of them are too few."""
    assert part_size(number, length, configured) == size


@pytest.fixture
def assembler(monkeypatch: pytest.MonkeyPatch) -> PartAssembler:
    """Parts of four bytes."""
    monkeypatch.setattr(rules, "MIN_PART", 1)
    return PartAssembler(None, 4)


def fed(assembler: PartAssembler, chunk: bytes) -> list[Part]:
    return list(assembler.feed(chunk))


def test_nothing_was_fed_to_an_assembler_that_begins(assembler: PartAssembler) -> None:
    """And the part that is left of nothing is empty."""
    assert (assembler.size, assembler.held, assembler.crc32, assembler.goal) == (0, 0, 0, 4)
    assert assembler.finish() == Part(1, (), 0, 0)


def test_what_is_fed_is_counted_and_cut(assembler: PartAssembler) -> None:
    """A chunk across a border is split, one that ends there leaves nothing."""
    assert fed(assembler, b"abc") == []
    assert (assembler.size, assembler.held, assembler.crc32) == (3, 3, zlib.crc32(b"abc"))
    assert fed(assembler, b"defghij") == [
        Part(1, (b"abc", b"d"), 4, zlib.crc32(b"abcd")),
        Part(2, (b"efgh",), 4, zlib.crc32(b"efgh")),
    ]
    assert (assembler.size, assembler.held, assembler.crc32) == (10, 2, zlib.crc32(b"abcdefghij"))
    assert assembler.finish() == Part(3, (b"ij",), 2, zlib.crc32(b"ij"))
    assert (assembler.size, assembler.held, assembler.crc32) == (10, 0, zlib.crc32(b"abcdefghij"))
    assert fed(assembler, b"klmn") == [Part(4, (b"klmn",), 4, zlib.crc32(b"klmn"))]


def test_what_is_forgotten_is_in_no_part_but_in_the_checksum(assembler: PartAssembler) -> None:
    """The next part begins with the next byte."""
    fed(assembler, b"abcdef")
    assembler.forget()
    assert (assembler.size, assembler.held, assembler.crc32) == (6, 0, zlib.crc32(b"abcdef"))
    assert fed(assembler, b"ghij") == [Part(2, (b"ghij",), 4, zlib.crc32(b"ghij"))]
    assert assembler.crc32 == zlib.crc32(b"abcdefghij")


def test_parts_of_unknown_length_grow_as_they_are_counted(
    monkeypatch: pytest.MonkeyPatch, assembler: PartAssembler
) -> None:
    """The goal is that of the part being filled."""
    monkeypatch.setattr(rules, "GROW_EVERY", 2)
    assert [part.size for part in fed(assembler, bytes(40))] == [4, 4, 8, 8, 16]
    assert assembler.goal == 16


def test_the_last_part_there_may_be_is_cut_and_no_other(
    monkeypatch: pytest.MonkeyPatch, assembler: PartAssembler
) -> None:
    """One more is refused with a word and a sentence."""
    monkeypatch.setattr(rules, "MAX_PARTS", 2)
    assert len(fed(assembler, bytes(8))) == 2
    with pytest.raises(InvalidMedia) as refused:
        assembler.finish()
    assert (refused.value.reason, str(refused.value)) == ("too_large", "more than 2 parts")


def sniffed(body: bytes) -> Sniffer:
    sniffer = Sniffer()
    sniffer.feed(body)
    return sniffer


WAV = b"RIFF" + struct.pack("<I", 14) + b"WAVEdata" + bytes(4) + b"\xd5\xd5" * 5
WHOLE = WAV[:22]


@pytest.mark.parametrize(
    ("body", "proven", "length", "sent", "reason", "words"),
    [
        (b"abc", True, 4, 3, "length_mismatch", "3 bytes arrived of 4"),
        (b"abc", True, 4, 4, "length_mismatch", "3 bytes arrived of 4"),
        (b"abc", True, None, 5, "length_mismatch", "3 bytes arrived of 5"),
        (b"abc", True, 0, 3, "length_mismatch", "3 bytes arrived of 0"),
        (b"abc", False, 3, 3, "unprovable", "nothing proves that the body is whole"),
        (WAV, False, None, len(WAV), "unprovable", "nothing proves that the body is whole"),
        (b"", True, 0, 0, "empty", "the body is empty"),
    ],
)
def test_what_is_not_whole_is_told(
    body: bytes, proven: bool, length: int | None, sent: int, reason: str, words: str
) -> None:
    """How much came of how much."""
    with pytest.raises(InvalidMedia) as refused:
        check_whole(sniffed(body), proven=proven, length=length, sent=sent)
    assert (refused.value.reason, str(refused.value)) == (reason, words)


def test_a_riff_size_that_disagrees_is_told_apart_from_one_that_is_not_there() -> None:
    """True when there is nothing to say against it."""
    assert check_whole(sniffed(WHOLE), proven=False, length=None, sent=22) is True
    assert check_whole(sniffed(WHOLE), proven=True, length=22, sent=22) is True
    assert check_whole(sniffed(WAV), proven=True, length=None, sent=len(WAV)) is False
    assert check_whole(sniffed(b"abc"), proven=True, length=3, sent=3) is True


@pytest.mark.parametrize(
    ("size", "crc", "same"),
    [(3, 5, True), (3, 6, False), (3, 0, False), (3, None, None), (4, 5, False), (4, None, False)],
)
def test_an_object_is_ours_by_size_and_checksum(size: int, crc: int | None, same: bool | None) -> None:
    """A checksum of zero is one."""
    assert same_object(StoredObject("k", size, crc), size=3, crc=5) is same
    assert same_object(StoredObject("k", 3, 0), size=3, crc=0) is True


@pytest.mark.parametrize(("value", "text"), [(0, "AAAAAA=="), (1, "AAAAAQ=="), (0xFFFFFFFF, "/////w==")])
def test_a_checksum_is_four_bytes_in_base64(value: int, text: str) -> None:
    """The most significant one first."""
    assert crc32_text(value) == text
