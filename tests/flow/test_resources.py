"""Time, memory and turns: what one recording may take from the others, and what waiting costs."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint
from isal.isal_zlib import crc32

from wxrec_async.flow.transfer import Transfer, TransferLimits
from wxrec_async.model import (
    ObjectTarget,
    OpenUpload,
    Part,
    PartReceipt,
    Recording,
    Stored,
    StoredObject,
    Task,
    TaskPage,
    Window,
)
from wxrec_async.plumbing.pool import MemoryPool
from wxrec_async.rules import parts

from .bench import DAY, HOUR, NOON, YESTERDAY, Flow
from .kit import PART, FakeStore, Log, cut, order, wav

pytestmark = pytest.mark.anyio

MIB = 1 << 20


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return Flow(tmp_path)


class Dripping:
    """A source that brings a chunk every so often, and waits in between."""

    chunk_crc32 = None

    def __init__(self, data: bytes, every_s: float, size: int = 100) -> None:
        self.chunks, self.every_s = cut(data, size), every_s
        self.length: int | None = len(data)
        self.etag, self.content_type, self.proven, self.offset = '"e"', "audio/wav", False, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            await anyio.sleep(self.every_s)
            self.offset += len(chunk)
            yield chunk
        self.proven = True

    @asynccontextmanager
    async def open(self, recording: Recording) -> AsyncIterator[Dripping]:
        yield self


@pytest.mark.fault("R02")
async def test_slow_source_costs_no_work_and_no_request_ahead_of_its_bytes() -> None:
    """While bytes trickle in, the process sleeps, and nothing is asked of the bucket before there is a part to send."""
    source, store = Dripping(wav(2 * PART + 300), every_s=0.05), FakeStore()
    transfer = Transfer(source, store, Log(), MemoryPool(16 * PART), TransferLimits(PART, 2, 2048))
    begun, worked = time.monotonic(), time.thread_time()
    early: list[int] = []

    async def watch() -> None:
        while source.offset < PART:
            early.append(len(store.calls))
            await anyio.sleep(0.02)

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        assert isinstance(await transfer.carry(order()), Stored)
    assert max(early) == 0
    assert time.monotonic() - begun > 1
    assert time.thread_time() - worked < 0.5, "it turned round and round instead of waiting"
    assert [op for op, _ in store.calls] == ["head", "create", *["upload_part"] * 3, "complete"]


@pytest.mark.fault("R07")
async def test_one_huge_recording_does_not_hold_up_the_small_ones(flow: Flow) -> None:
    """Its parts hang in a slow bucket; everything else is stored meanwhile, through the same pool of memory."""
    flow.add("huge", ("h", wav(200 * PART)), created_ms=YESTERDAY.from_ms)
    flow.fill(60, start_ms=YESTERDAY.from_ms + 1, size=2 * PART // 3)
    flow.store.hold_parts = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: flow.run(concurrency=4))
        with anyio.fail_after(90):
            while len(flow.store.objects) < 60:
                await anyio.sleep(0.01)
        assert "c/huge/recording.wav" not in flow.store.objects
        assert flow.store.parts_now > 0, "the huge one is under way"
        flow.store.hold_parts.set()
    assert len(flow.store.objects) == 61


class Swallowing(FakeStore):
    """A bucket that checks every part and keeps none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    async def upload_part(self, key: str, upload_id: str, part: Part) -> PartReceipt:
        crc = 0
        for chunk in part.chunks:
            crc = crc32(chunk, crc)
        assert crc == part.crc32
        self.sizes.append(part.size)
        await checkpoint()
        return PartReceipt(part.number, f"e{part.number}", part.crc32, part.size)

    async def complete(self, target: ObjectTarget, upload_id: str, parts: object, **facts: object) -> StoredObject:
        self.uploads.clear()
        size, crc = facts["size"], facts["crc32"]
        assert isinstance(size, int)
        assert isinstance(crc, int)
        return StoredObject(target.key, size, crc)

    async def open_uploads(self, prefix: str) -> list[OpenUpload]:
        return []


class Generated:
    """A recording that is made as it is read: nobody holds it, so whoever grows by it keeps it."""

    chunk_crc32 = None

    def __init__(self, size: int, *, known: bool) -> None:
        self.size, self.length = size, size if known else None
        self.etag, self.content_type, self.proven, self.offset = '"e"', "audio/wav", False, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks():
            self.offset += len(chunk)
            yield chunk
            await checkpoint()
        self.proven = True

    def _chunks(self) -> Iterator[bytes]:
        yield b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(246)
        left = self.size - 256
        while left:
            piece = min(left, 256 << 10)
            yield bytes(piece)
            left -= piece

    @asynccontextmanager
    async def open(self, recording: Recording) -> AsyncIterator[Generated]:
        yield self


@pytest.mark.fault("D28", "R03", "C7")
@pytest.mark.parametrize("known", [True, False], ids=["length known", "length unknown"])
async def test_memory_does_not_follow_the_size_of_a_recording(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    """A gigabyte goes through while never more than the pool and the pipe is held; the parts would fit into 10,000."""
    monkeypatch.setattr(parts, "MIN_PART", 5 * MIB)
    size, store, pool = 1 << 30, Swallowing(), MemoryPool(24 * MIB)
    transfer = Transfer(Generated(size, known=known), store, Log(), pool, TransferLimits(5 * MIB, 4, MIB))
    gc.collect()
    tracemalloc.start()
    try:
        outcome = await transfer.carry(order())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(outcome, Stored)
    assert sum(store.sizes) == size
    assert len(store.sizes) <= 10_000
    assert peak < 24 * MIB + 4 * MIB
    assert pool.free == pool.total


@pytest.mark.fault("R04", "C7")
async def test_memory_does_not_follow_the_number_of_tasks(flow: Flow) -> None:
    """Thousands of tasks, made page by page: what the run holds after a quarter of them it holds at their end."""
    per_page, held = 80, list[int]()
    flow.told = deque(maxlen=10)  # type: ignore[assignment]  # a listener that remembers would be what grows

    def page(window: Window, from_ms: int) -> TaskPage:
        number = (from_ms - window.from_ms) // per_page
        if number == 0:
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
        first = window.from_ms + number * per_page
        rows = [
            Task(f"t{ms}", "telephony", "completed", created_ms=ms, capture_requested=False)
            for ms in range(first, min(first + per_page, window.to_ms))
        ]
        return TaskPage(tuple(rows), len(rows))

    flow.webex.on_page = page
    # Windows of five pages each: within one, the ids that were seen are remembered; beyond it nothing is.
    begin = YESTERDAY.from_ms
    windows = tuple(Window(at, at + 5 * per_page) for at in range(begin, begin + 3_200, 5 * per_page))
    tracemalloc.start()
    try:
        await flow.run(windows=windows, page_size=per_page, within_s=120)
    finally:
        tracemalloc.stop()
    assert (await flow.counts()).no_recording == 3_200
    # Eight windows are read ahead, with a page of each; one object more for every task would be twice as much.
    assert max(held) - held[2] < 256 << 10, f"it grew: {[each // 1024 for each in held]} KiB"


@pytest.mark.fault("L10", "P4")
@pytest.mark.parametrize("jump", [-3 * DAY, -HOUR, 400 * DAY], ids=["three days back", "an hour back", "a year on"])
async def test_clock_that_jumps_in_mid_run_loses_and_doubles_nothing(flow: Flow, jump: int) -> None:
    """Windows are closed by what was read when, not by what the clock says later; each recording is stored once."""
    flow.fill(40)
    period = Window(YESTERDAY.from_ms - DAY, NOON)
    flow.fill(5, start_ms=NOON - HOUR, prefix="new")
    real = flow.webex.on_page

    def jumping(window: Window, from_ms: int) -> TaskPage | None:
        if len(flow.webex.pages) == 2:
            flow.now_ms = NOON + jump
        return real(window, from_ms)

    flow.webex.on_page = jumping
    await flow.run(period)
    closed = await flow.closed(period)
    assert all(window.to_ms <= max(NOON, NOON + jump) for window in closed)
    flow.webex.on_page = real
    flow.now_ms = NOON + 2 * HOUR
    flow.fill(1, start_ms=NOON - HOUR // 4, prefix="late")
    await flow.run(period)
    if jump <= 0:
        assert "c/late0/recording.wav" in flow.store.objects
    assert {f"c/t{number}/recording.wav" for number in range(40)} <= set(flow.store.objects)
    assert set(flow.source.gets.values()) == {1}
