"""Is the process as small as it says, when its source is faster than its bucket?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.memory.slope import line
from tests.memory.watching import watching
from wxrec_async.sandbox import Options, Organisation, Sandbox
from wxrec_async.sandbox.audio import MULAW, SAMPLE_RATE, Audio
from wxrec_async.sandbox.organisation import SandboxTask

MIB = 1 << 20
GIB = 1 << 30
SLOW_S3 = 1_500_000.0  # bytes per second and connection
PATIENCE_S = 400.0  # 64 MiB of memory hold six parts at a time, and 300 of them are waited for


@dataclass(frozen=True, slots=True)
class Load:
    """So many at once, of recordings of so many MiB, with a budget and parts of so many MiB."""

    concurrency: int
    recording_mib: float
    memory_mib: int = 256
    part_size_mib: int = 8

    def __str__(self) -> str:
        return (
            f"{self.concurrency} at once, {self.recording_mib:g} MiB each, {self.memory_mib}/{self.part_size_mib} MiB"
        )


LOADS = (
    Load(1, 200), Load(16, 40), Load(64, 12), Load(64, 40), Load(200, 3), Load(200, 20),
    Load(32, 40, memory_mib=64), Load(8, 100, memory_mib=1024, part_size_mib=64), Load(500, 1),
)  # fmt: skip
# The budget's table: how many at once, how large, and how much memory they are given.
WORKERS, SIZES_MIB = (1, 32, 128, 500), (0.1, 5, 64)
BUDGETS = (
    *(Load(workers, size) for workers in WORKERS for size in SIZES_MIB),
    *(Load(workers, size, memory_mib=mib) for mib in (64, 1024) for workers in (32, 500) for size in SIZES_MIB[1:]),
)
MOST_BODIES = 300  # sent to the bucket before the peak is read: many times what any pool holds
QUICK = (Load(64, 20), Load(16, 20, memory_mib=64, part_size_mib=5))


@dataclass(frozen=True, slots=True)
class Peak:
    """What a load took at most, and what the program had said it would; ``pressed``: it got as far as its peak."""

    load: Load
    peak_mib: float
    ceiling_mib: int
    said: str
    pressed: bool = True

    @property
    def kept(self) -> bool:
        return self.pressed and 0 < self.peak_mib < self.ceiling_mib


class Equal(Organisation):
    """Calls whose recordings are all of one size, in bytes."""

    def __init__(self, count: int, size: int) -> None:
        self._size = size
        super().__init__(0, 1, large=False, odd_names=False)
        for number in range(count):
            self.add(self._oldest_ms + number * 1000)

    def _audio(self, task: SandboxTask, leg: int) -> Audio:
        return Audio(self.seed, f"sandbox task {task.id} leg {leg}", self._size // MULAW.frame, MULAW)

    @property
    def hours(self) -> float:
        return self._size / MULAW.frame / SAMPLE_RATE / 3600


async def press(folder: Path, load: Load) -> Peak:
    """Let every worker fill its buffers against a slow bucket, a few times over, and look at the peak."""
    enough = min(2 * load.concurrency, MOST_BODIES)
    organisation = Equal(2 * load.concurrency + 4, int(load.recording_mib * MIB))
    options = Options(organisation=organisation, discard=True, requests_per_minute=0, s3_rate=SLOW_S3)
    async with Sandbox(options) as sandbox:

        def bodies() -> int:
            return sandbox.log.count("s3.UploadPart") + sandbox.log.count("s3.PutObject")

        arguments = ("--concurrency", str(load.concurrency), "--grace", "0")
        sections = {
            "s3": {"part_size_mib": load.part_size_mib},
            "backfill": {"memory_mib": load.memory_mib, "days_back": organisation.days},
        }
        async with watching(sandbox, folder, bodies, arguments, **sections) as watched:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    while bodies() < enough and watched.process.returncode is None:
                        await asyncio.sleep(0.2)
            await asyncio.sleep(1)
        return Peak(load, watched.peak_mib, watched.ceiling_mib, watched.said, pressed=bodies() >= enough)


@dataclass(frozen=True, slots=True)
class Large:
    """One huge recording: how much memory it took along the way."""

    gib: float
    code: int
    curve: tuple[tuple[int, float], ...]
    peak_mib: float
    ceiling_mib: int
    said: str

    @property
    def mib_per_gib(self) -> float:
        """The line through the curve once the first tenth has passed."""
        return GIB / MIB * line([point for point in self.curve if point[0] > self.gib * 1024 / 10])

    def steps(self) -> Iterator[tuple[int, float]]:
        """Yield the size at each tenth."""
        for tenth in range(11):
            at = [mib for done, mib in self.curve if done <= tenth * self.gib * 1024 / 10]
            yield tenth * 10, at[-1] if at else 0.0


async def carry(folder: Path, gib: float, *, memory_mib: int = 256, part_size_mib: int = 8) -> Large:
    """Store one recording of ``gib`` GiB, made up as it is read and thrown away as it is checked."""
    options = Options(organisation=Equal(1, int(gib * GIB)), discard=True, requests_per_minute=0)
    async with Sandbox(options) as sandbox:

        def sent_mib() -> int:
            return sum(entry.received for entry in sandbox.log.of("s3.UploadPart")) // MIB

        backfill = {"max_recording_gib": gib + 1, "memory_mib": memory_mib}
        async with watching(
            sandbox, folder, sent_mib, backfill=backfill, s3={"part_size_mib": part_size_mib}
        ) as watched:
            code = await watched.process.wait()
        return Large(gib, code, tuple(watched.curve), watched.peak_mib, watched.ceiling_mib, watched.said)
