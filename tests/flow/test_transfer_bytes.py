"""One recording whose source and bucket behave: what is sent, in which pieces, with how much memory."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from itertools import product

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wxrec_async.events import Event
from wxrec_async.flow.transfer import Transfer, TransferLimits
from wxrec_async.model import Failed, Outcome, Stored
from wxrec_async.plumbing.pool import MemoryPool

from .kit import PART, Body, FakeSource, FakeStore, Log, cut, order, refused, wav

pytestmark = pytest.mark.anyio


class Bench:
    """A transfer with everything around it within reach."""

    def __init__(self, *bodies: Body, pool: int = 64 * PART, in_flight: int = 4, overwrite: bool = False) -> None:
        self.source, self.store, self.log = FakeSource({"r1": bodies}), FakeStore(), Log()
        self.pool, self.told = MemoryPool(pool), list[Event]()
        limits = TransferLimits(part_size=PART, parts_in_flight=in_flight, pipe=512, overwrite=overwrite)
        self.transfer = Transfer(self.source, self.store, self.log, self.pool, limits, self.told.append)

    async def carry(self) -> Outcome:
        with anyio.fail_after(30):
            return await self.transfer.carry(order())

    def check_tidy(self) -> None:
        """Nothing is held and nothing is open."""
        assert self.pool.free == self.pool.total
        assert not self.store.uploads
        assert self.source.live == 0


@pytest.mark.fault("R06", "C1")
async def test_small_recording_is_one_get_and_one_put() -> None:
    """A recording below one part costs one GET and one PutObject, and leaves no note of an upload."""
    data = wav(700)
    bench = Bench(Body(cut(data, 100)))
    stored = await bench.carry()
    assert isinstance(stored, Stored)
    assert bench.store.calls == [("put", "c/t1/recording.wav")]
    assert bench.store.contents() == {"c/t1/recording.wav": data}
    assert len(bench.source.opened) == 1
    assert (stored.already, stored.main_place, stored.upload_id, stored.flags) == (False, True, None, ())
    assert bench.log.notes == []
    bench.check_tidy()


SIZES = [45, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1, 3 * PART - 1, 7 * PART]
CHUNKS = [333, PART, PART + 1, 5 * PART, 100_000]


@pytest.mark.parametrize("known", [True, False], ids=["length known", "length unknown"])
@pytest.mark.parametrize(("size", "chunk"), [*product(SIZES, CHUNKS), (45, 1), (PART, 1), (PART + 1, 1)])
async def test_every_size_and_chunking_arrives_byte_for_byte(size: int, chunk: int, known: bool) -> None:
    """At every part border, in chunks from one byte to many parts, the object equals the source."""
    data = wav(size)
    bench = Bench(Body(cut(data, chunk), length=-1 if known else None))
    stored = await bench.carry()
    assert isinstance(stored, Stored)
    assert bench.store.contents() == {"c/t1/recording.wav": data}
    assert bench.store.count("put") == (1 if size <= PART else 0)
    assert bench.store.count("upload_part") == (0 if size <= PART else -(-size // PART))
    assert (stored.upload_id is None) == (size <= PART)
    assert stored.object.size == size
    bench.check_tidy()


async def test_empty_chunks_are_nothing() -> None:
    """Chunks without bytes, at the beginning, in the middle, at a part border and at the end, change nothing."""
    data = wav(2 * PART)
    chunks = [b"", data[:10], b"", b"", data[10:PART], b"", data[PART:], b"", b""]
    bench = Bench(Body(chunks))
    assert isinstance(await bench.carry(), Stored)
    assert bench.store.contents() == {"c/t1/recording.wav": data}
    bench.check_tidy()


async def test_intent_is_written_before_it_is_acted_on() -> None:
    """The ledger hears of key, upload and completion before the bucket does."""
    bench = Bench(Body(cut(wav(3 * PART), 500)))
    await bench.carry()
    assert [note[0] for note in bench.log.notes] == ["started", "upload_created", "completing"]
    assert bench.log.notes[2][1:3] == ("u1", 3 * PART)
    assert [op for op, _ in bench.store.calls] == ["head", "create", *["upload_part"] * 3, "complete"]


@pytest.mark.parametrize("in_flight", [1, 2, 4])
async def test_no_more_parts_in_flight_than_allowed(in_flight: int) -> None:
    """With parts that hang, exactly the allowed number is under way and the source is not read on."""
    bench = Bench(Body(cut(wav(20 * PART), 256)), in_flight=in_flight)
    bench.store.hold_parts = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.carry)
        for _ in range(400):
            await checkpoint()
        assert bench.store.parts_now == in_flight
        bench.store.hold_parts.set()
    assert bench.store.most_parts == in_flight
    bench.check_tidy()


@pytest.mark.fault("R01")
async def test_slow_bucket_holds_the_source_back() -> None:
    """While parts hang, no more is read than the parts in flight, the one being filled, the pipe and a chunk."""
    read: list[int] = []

    def chunks() -> Iterator[bytes]:
        for piece in cut(wav(40 * PART), 256):
            read.append(len(piece))
            yield piece

    bench = Bench(Body(chunks(), length=40 * PART), in_flight=3)
    bench.store.hold_parts = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.carry)
        for _ in range(600):
            await checkpoint()
        assert sum(read) <= 4 * PART + 512 + 2 * 256
        bench.store.hold_parts.set()
    bench.check_tidy()


async def test_pool_smaller_than_all_recordings_lets_each_through() -> None:
    """Eight recordings of many parts share room for two parts and all arrive."""
    bodies = [Body(cut(wav(5 * PART + 7), 300))]
    bench = Bench(*bodies, pool=2 * PART)
    bench.source.bodies = {f"r{n}": bodies for n in range(8)}
    outcomes: list[Outcome] = []

    async def carry(number: int) -> None:
        outcomes.append(await bench.transfer.carry(order(f"r{number}", task_id=f"t{number}")))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(carry, number)
    assert all(isinstance(outcome, Stored) for outcome in outcomes)
    assert len(bench.store.objects) == 8
    assert bench.pool.most_held <= bench.pool.total
    bench.check_tidy()


@pytest.mark.fault("R01")
async def test_a_part_keeps_its_room_until_it_has_been_sent() -> None:
    """With room for three parts and four that may be in flight, a bucket that hangs never holds more than three."""
    bench = Bench(Body(cut(wav(20 * PART), 256)), in_flight=4, pool=3 * PART)
    bench.store.hold_parts = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(bench.carry)
        for _ in range(400):
            await checkpoint()
        assert bench.store.parts_now == 3
        assert bench.pool.free == 0
        bench.store.hold_parts.set()
    bench.check_tidy()


async def test_part_larger_than_the_pool_still_passes() -> None:
    """A pool smaller than one part is cut to size, not waited for."""
    bench = Bench(Body(cut(wav(3 * PART), 300), length=None), pool=PART // 2)
    assert isinstance(await bench.carry(), Stored)
    bench.check_tidy()


@pytest.mark.fault("R03", "R01")
async def test_uploaded_part_is_let_go_before_its_room_is_used_again() -> None:
    """Memory is bounded by the pool only if nobody keeps a part whose room was given back."""
    watched: list[weakref.ref[memoryview]] = []

    def chunks() -> Iterator[memoryview]:
        for piece in cut(wav(12 * PART), PART):
            view = memoryview(piece)
            watched.append(weakref.ref(view))
            yield view
            del view

    bench = Bench(Body(chunks(), length=12 * PART), in_flight=1)
    alive: list[list[int]] = []

    def look() -> None:
        gc.collect()
        alive.append([number for number, chunk in enumerate(watched[:6]) if chunk() is not None])

    bench.store.script["upload_part"] = [None] * 8 + [look]
    assert isinstance(await bench.carry(), Stored)
    assert alive == [[]]


@pytest.mark.parametrize(
    "failing",
    [
        False,
        pytest.param(True),
    ],
    ids=["stored", "upload fails"],
)
async def test_nothing_is_left_for_the_loop_to_close(failing: bool) -> None:
    """An async generator that is dropped in the middle is closed by a loose task of the loop."""
    bench = Bench(Body(cut(wav(6 * PART), 300)))
    bench.store.script["upload_part"] = [refused()] if failing else []
    dropped: list[object] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=hooks.firstiter, finalizer=dropped.append)
    try:
        assert isinstance(await bench.carry(), Failed if failing else Stored)
        gc.collect()
    finally:
        sys.set_asyncgen_hooks(*hooks)
    assert dropped == []
