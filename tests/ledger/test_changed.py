"""When a row says that it changed: a certified day is judged by it."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ledgers import captured
from wxrec_async.events import ignore
from wxrec_async.ledger import open_ledger
from wxrec_async.model import Recording, SearchRow, Task, TaskState

from .contract import DAY, HOME, masked

pytestmark = pytest.mark.anyio

TASK = Task("t", direction="inbound", created_ms=5, updated_ms=7, queue_name="Sales")


def changed_ms(path: Path) -> int:
    with sqlite3.connect(path) as look:
        return int(look.execute("SELECT changed_ms FROM tasks").fetchone()[0])


@pytest.mark.parametrize("again", [TASK, Task("t"), replace(TASK, updated_ms=9), replace(TASK, updated_ms=3)])
async def test_a_listing_that_says_nothing_new_changes_nothing(tmp_path: Path, again: Task) -> None:
    """A window that is listed every day must not make each of its days look changed every day."""
    path = tmp_path / "ledger.db"
    async with open_ledger(path, HOME, mask=masked, emit=ignore) as ledger:
        await ledger.add_tasks([TASK], listed_in=DAY, now_ms=10)
        await ledger.add_tasks([again], listed_in=DAY, now_ms=20)
        assert changed_ms(path) == 10


@pytest.mark.parametrize("again", [replace(TASK, queue_name="Support", updated_ms=9), Task("t", status="completed")])
async def test_a_listing_that_says_something_new_is_a_change(tmp_path: Path, again: Task) -> None:
    """A value that is another one, or that was missing before."""
    path = tmp_path / "ledger.db"
    async with open_ledger(path, HOME, mask=masked, emit=ignore) as ledger:
        await ledger.add_tasks([TASK], listed_in=DAY, now_ms=10)
        await ledger.add_tasks([again], listed_in=DAY, now_ms=20)
        assert changed_ms(path) == 20


async def test_a_second_look_that_finds_the_same_changes_nothing(tmp_path: Path) -> None:
    """Captures are asked again while a call is young; only a further recording, or a new state, is a change."""
    path = tmp_path / "ledger.db"
    async with open_ledger(path, HOME, mask=masked, emit=ignore) as ledger:
        await ledger.add_tasks([TASK], listed_in=DAY, now_ms=10)
        await ledger.settle_task("t", TaskState.OWED, now_ms=15, empty_answer=True)
        await captured(ledger, "t", [Recording("t", "r")], 20)
        await captured(ledger, "t", [Recording("t", "r")], 30)
        assert changed_ms(path) == 20


@pytest.mark.parametrize(("state", "changed"), [(TaskState.NO_RECORDING, 15), (TaskState.OWED, 20)])
async def test_another_silent_answer_is_a_change_only_when_it_changes_the_state(
    tmp_path: Path, state: TaskState, changed: int
) -> None:
    """Captures may be asked about a call without a recording as often as one likes."""
    path = tmp_path / "ledger.db"
    async with open_ledger(path, HOME, mask=masked, emit=ignore) as ledger:
        await ledger.add_tasks([TASK], listed_in=DAY, now_ms=10)
        await ledger.settle_task("t", TaskState.NO_RECORDING, now_ms=15, empty_answer=True)
        await ledger.settle_task("t", state, now_ms=20, empty_answer=True)
        assert changed_ms(path) == changed


async def test_lists_that_contradict_each_other_about_a_promise_change_nothing_every_time(tmp_path: Path) -> None:
    """One list says that no capture was requested, Search that one was; both are read for every reconciliation."""
    path = tmp_path / "ledger.db"
    denied, promised = replace(TASK, capture_requested=False), replace(TASK, capture_requested=True)
    async with open_ledger(path, HOME, mask=masked, emit=ignore) as ledger:
        await ledger.add_tasks([denied], listed_in=DAY, now_ms=10)
        await captured(ledger, "t", [Recording("t", "r")], 11)
        for now_ms in (20, 30):
            await ledger.witnessed([SearchRow(promised, recordings=1)], now_ms)
            await ledger.add_tasks([denied], listed_in=DAY, now_ms=now_ms + 1)
        assert changed_ms(path) == 11
