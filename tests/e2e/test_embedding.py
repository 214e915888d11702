"""The package inside another asyncio program: nothing printed, nothing blocked, nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from tests.e2e.world import World, sandbox
from wxrec_async import Backfill, load_config
from wxrec_async.events import Event, RecordingStored

pytestmark = pytest.mark.anyio


@pytest.fixture
def no_blocking() -> Iterator[BlockBuster]:
    """Any blocking call made in the event loop while the run goes on raises."""
    with blockbuster_ctx() as buster:
        buster.deactivate()
        yield buster


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the directory itself must not stay open


async def archive(world: World, monkeypatch: pytest.MonkeyPatch, buster: BlockBuster | None = None) -> list[Event]:
    """Run the whole job in this process and return its events."""
    for name, value in world.told["environment"].items():
        monkeypatch.setenv(name, value)
    seen: list[Event] = []
    async with Backfill(load_config(world.config), on_event=seen.append) as backfill:
        if buster:
            buster.activate()
        try:
            summary = await backfill.run()
        finally:
            if buster:
                buster.deactivate()
    assert summary.exit_code == 0, summary
    return seen


@pytest.mark.fault("L14")
async def test_nothing_blocks_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking: BlockBuster
) -> None:
    """Files, SQLite and locks are used in threads only, from the first page to the last object."""
    with sandbox(tmp_path, "--tasks", "60", "--seconds", "1", "10") as world:
        seen = await archive(world, monkeypatch, no_blocking)
        stored = {event.key for event in seen if isinstance(event, RecordingStored)}
        assert stored == set(world.truth())


@pytest.mark.fault("R12")
async def test_a_run_leaves_no_task_and_no_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """After the context is left the process has the tasks and files it had, and nothing was printed."""
    with sandbox(tmp_path, "--tasks", "40", "--seconds", "1", "5") as world:
        await archive(world, monkeypatch)  # what is loaded once stays loaded
        gc.collect()
        tasks, files = len(asyncio.all_tasks()), open_files()
        world.ledger.unlink()
        await archive(world, monkeypatch)
        gc.collect()
        assert len(asyncio.all_tasks()) == tasks
        assert open_files() <= files
    assert capfd.readouterr() == ("", "")


async def test_cancelled_from_outside_it_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancels at random moments abort every upload; the run after them completes the bucket."""
    with sandbox(tmp_path, "--tasks", "40", "--seconds", "30", "700", "--media-rate", "30000000") as world:
        for name, value in world.told["environment"].items():
            monkeypatch.setenv(name, value)
        settings = load_config(world.config, overrides={"backfill.concurrency": 8})
        chance = random.Random(7)
        for _ in range(8):
            with anyio.move_on_after(chance.uniform(0.05, 1.0)):
                async with Backfill(settings) as backfill:
                    await backfill.run()
            assert world.uploads() == []
        async with Backfill(settings) as backfill:
            summary = await backfill.run()
        assert summary.exit_code == 0
        assert world.bucket() == world.truth()
        assert world.uploads() == []
