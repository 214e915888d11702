"""Group commit: how many commits, whose mistake, what cancellation does."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from wxrec_async.errors import LedgerError, LedgerFull
from wxrec_async.ledger import Everything, opening
from wxrec_async.ledger.group_commit import GroupCommit
from wxrec_async.ledger.sqlite_errors import explain
from wxrec_async.model import Task

from .contract import DAY, HOME, Opener, add, capture, store

pytestmark = pytest.mark.anyio

Group = GroupCommit[sqlite3.Connection]


@pytest.fixture
async def group(path: Path) -> AsyncIterator[Group]:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("CREATE TABLE rows (x UNIQUE)")
    group = GroupCommit(connection, lambda error: explain(error, path))
    yield group
    await group.close()


def insert(db: sqlite3.Connection, value: object) -> None:
    db.execute("INSERT INTO rows VALUES (?)", (value,))


async def values(group: Group) -> list[object]:
    return [x for (x,) in await group.run(lambda db: db.execute("SELECT x FROM rows ORDER BY x").fetchall())]


async def test_a_thousand_callers_share_a_few_commits(opener: Opener) -> None:
    """1,000 recordings stored at once cost a handful of syncs, not a thousand."""
    async with opener() as ledger:
        await ledger.begin_run("run-1", 1, DAY)
        names = [f"t{i}" for i in range(1000)]
        await add(ledger, *names)
        for name in names:
            await capture(ledger, name, "a")
        before = ledger.commits
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(store, ledger, name, "a")
        assert ledger.commits - before <= 5
        assert (await ledger.counts(Everything(), "run-1")).stored == 1000


async def test_one_failure_is_undone_alone(group: Group) -> None:
    """In one transaction, the work that fails leaves nothing, the others stay; each hears its own."""

    def half(db: sqlite3.Connection) -> None:
        insert(db, "half")
        raise ZeroDivisionError

    heard: list[str] = []

    async def expect(work: object, error: type[Exception]) -> None:
        with pytest.raises(error):
            await group.run(work)  # type: ignore[arg-type]
        heard.append(error.__name__)

    await group.run(lambda db: insert(db, 1))
    before = group.commits
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(group.run, lambda db: insert(db, 2))
        tasks.start_soon(expect, half, ZeroDivisionError)
        tasks.start_soon(expect, lambda db: insert(db, 1), LedgerError)
        tasks.start_soon(group.run, lambda db: insert(db, 3))
    assert group.commits - before <= 2
    assert sorted(heard) == ["LedgerError", "ZeroDivisionError"]
    assert await values(group) == [1, 2, 3]


async def test_cancelled_callers_harm_nobody(group: Group) -> None:
    """A cancelled scope: what was begun is carried through, and the ledger goes on."""
    entered, go_on = threading.Event(), threading.Event()

    def slow(db: sqlite3.Connection) -> None:
        insert(db, "slow")
        entered.set()
        go_on.wait(10)

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(group.run, slow)
            for number in range(5):
                tasks.start_soon(group.run, lambda db, number=number: insert(db, f"waiting-{number}"))
            await anyio.to_thread.run_sync(entered.wait)
            scope.cancel()
            go_on.set()
    assert scope.cancelled_caught
    assert await values(group) == ["slow", *(f"waiting-{number}" for number in range(5))]


async def test_a_native_cancellation_of_the_leader_keeps_the_thread_alone(
    group: Group,
) -> None:
    """`task.cancel()` goes through every shield: the next leader waits for the thread that still runs."""
    entered, go_on = threading.Event(), threading.Event()

    def slow(db: sqlite3.Connection) -> None:
        insert(db, "slow")
        entered.set()
        go_on.wait(10)

    async with asyncio.TaskGroup() as tasks:
        leader = tasks.create_task(group.run(slow))
        await anyio.to_thread.run_sync(entered.wait)
        waiting = tasks.create_task(group.run(lambda db: insert(db, "waiting")))
        await anyio.wait_all_tasks_blocked()
        leader.cancel()
        await anyio.wait_all_tasks_blocked()
        assert not waiting.done()
        go_on.set()
    assert leader.cancelled()
    assert await values(group) == ["slow", "waiting"]


async def test_a_native_cancellation_while_waiting_is_forgotten(group: Group) -> None:
    """A caller that is gone before its turn came is left out, those behind it are served."""
    entered, go_on = threading.Event(), threading.Event()

    def slow(db: sqlite3.Connection) -> None:
        entered.set()
        go_on.wait(10)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(group.run(slow))
        await anyio.to_thread.run_sync(entered.wait)
        lost = tasks.create_task(group.run(lambda db: insert(db, "lost")))
        kept = tasks.create_task(group.run(lambda db: insert(db, "kept")))
        await anyio.wait_all_tasks_blocked()
        lost.cancel()
        await anyio.wait_all_tasks_blocked()
        go_on.set()
    assert lost.cancelled()
    assert kept.done()
    assert await values(group) == ["kept"]


async def test_a_loop_that_only_reads_can_be_cancelled(opener: Opener) -> None:
    """Reading notices a cancelled scope, though writing is carried through."""
    async with opener() as ledger:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await add(ledger, "t1")
            await ledger.counts(Everything(), None)
        assert scope.cancelled_caught
        assert (await ledger.counts(Everything(), None)).tasks_listed == 1


async def test_closing_carries_out_what_is_queued(group: Group, path: Path) -> None:
    """What was accepted before close is durable after it."""
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(group.run, lambda db, number=number: insert(db, number))
        await anyio.lowlevel.checkpoint()
        await group.close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM rows").fetchone() == (20,)
    connection.close()
    with pytest.raises(LedgerError, match="closed"):
        await group.run(lambda _: None)


@pytest.mark.fault("L05")
async def test_a_full_disk_keeps_nothing_of_the_call_and_everything_before(path: Path, opener: Opener) -> None:
    """LedgerFull for every caller of the group, no half change, and the ledger opens and works again later."""
    async with opener() as ledger:
        await add(ledger, "t1")
        group = ledger._group  # only there can a page limit be set
        pages = await group.run(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
        await group.run(lambda db: db.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())

        async def fill(number: int) -> None:
            tasks = [Task(f"x-{number}-{i}", queue_name="q" * 500, created_ms=5) for i in range(50)]
            with pytest.raises(LedgerFull, match="disk full"):
                await ledger.add_tasks(tasks, listed_in=DAY, now_ms=1)

        async with anyio.create_task_group() as callers:
            for number in range(3):
                callers.start_soon(fill, number)
        assert (await ledger.counts(Everything(), None)).tasks_listed == 1
        await group.run(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())
        assert await add(ledger, "t2") == ["t2"]
    opened = opening.open_for_writing(path, HOME)
    opened.connection.close()
    opened.close()
