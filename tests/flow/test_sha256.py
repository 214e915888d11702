"""The SHA-256 of a recording is that of the bytes that were stored, however they came."""

from __future__ import annotations

import hashlib

import pytest

from wxrec_async.flow.transfer import Transfer, TransferLimits
from wxrec_async.model import Stored
from wxrec_async.plumbing.pool import MemoryPool

from .kit import PART, Body, FakeSource, FakeStore, Log, cut, no_such_upload, order, wav

pytestmark = pytest.mark.anyio


class Bench:
    """A transfer that computes SHA-256, on a source that brings ``bodies`` one GET after the other."""

    def __init__(self, *bodies: Body, sha256: bool = True, overwrite: bool = False) -> None:
        self.store = FakeStore()
        limits = TransferLimits(part_size=PART, parts_in_flight=2, pipe=512, sha256=sha256, overwrite=overwrite)
        self.transfer = Transfer(FakeSource({"r1": bodies}), self.store, Log(), MemoryPool(64 * PART), limits)

    async def sha256(self) -> str | None:
        stored = await self.transfer.carry(order())
        assert isinstance(stored, Stored), stored
        return stored.object.sha256


@pytest.mark.parametrize("chunk", [1, 333, PART, PART + 1, 100_000])
@pytest.mark.parametrize("size", [45, PART - 1, PART, PART + 1, 3 * PART, 7 * PART + 5])
async def test_it_goes_across_chunks_and_parts(size: int, chunk: int) -> None:
    """In one piece or many, each byte counts once and in its place."""
    data = wav(size, seed=size)
    assert await Bench(Body(cut(data, chunk))).sha256() == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [700, 5 * PART + 7])
async def test_a_new_attempt_begins_anew(size: int) -> None:
    """Bytes of an attempt that was given up are not in the hash of the one that was stored."""
    first, second = wav(size, seed=1, stated=size + 10), wav(size, seed=2)
    bench = Bench(Body(cut(first, 500)), Body(cut(second, 300)))
    assert await bench.sha256() == hashlib.sha256(second).hexdigest()
    assert bench.store.contents() == {"c/t1/recording.wav": second}


async def test_an_upload_that_vanished_is_hashed_once() -> None:
    """The recording is read a second time; the hash is that of one reading."""
    data = wav(4 * PART)
    bench = Bench(Body(cut(data, 500)))
    bench.store.script["complete"] = [no_such_upload()]
    assert await bench.sha256() == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [700, 5 * PART + 7])
async def test_what_was_there_already_has_the_hash_of_what_was_read(size: int) -> None:
    """The object was found equal by its checksum, so the hash of the bytes that were read is its own."""
    data = wav(size)
    bench = Bench(Body(cut(data, 400)))
    bench.store.place("c/t1/recording.wav", data, {"wx-task-id": "t1", "wx-recording-id": "r1"})
    assert await bench.sha256() == hashlib.sha256(data).hexdigest()
    assert bench.store.count("upload_part") == 0


async def test_it_can_be_turned_off() -> None:
    """Then nobody computes it, and nothing claims one."""
    assert await Bench(Body(cut(wav(3 * PART), 500)), sha256=False).sha256() is None
