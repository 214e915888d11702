"""The side that remembers on a ledger in a file, without any engine: a clock that stands still, and what was told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from wxrec_async.config import Settings
from wxrec_async.events import Event, ignore
from wxrec_async.flow.job import Cursor
from wxrec_async.ledger import Identity, SqliteLedger, open_ledger
from wxrec_async.model import DAY_MS, Window
from wxrec_async.temporal.ledger_service import LedgerService
from wxrec_async.temporal.messages import TaskMessage, TaskToDo
from wxrec_async.temporal.results import AnswerRow, BatchOutcome, NamedRecording, TransferResult

HOUR_MS = 3_600_000
NOON = 20_000 * DAY_MS + 12 * HOUR_MS
PERIOD = Window(NOON - 5 * DAY_MS, NOON + 5 * DAY_MS)
LEFT_OVER = ("listed", "owed", "unfinished")


class Desk:
    """Books on a ledger in a file, a clock that stands still, and what was told."""

    def __init__(self, ledger: SqliteLedger, settings: Settings | None = None) -> None:
        self.now_ms = NOON
        self.told: list[Event] = []
        self.ledger = ledger
        self.books = LedgerService(settings or Settings(), ledger, "org", self.told.append, lambda: self.now_ms / 1000)

    async def page(self, run: str, *tasks: TaskMessage, scheduled: bool = False) -> list[str]:
        """Hand a page in; return the ids that are to be asked for."""
        todos = await self.books.take_in(run, PERIOD, PERIOD, len(tasks), tasks, scheduled=scheduled)
        return [todo.id for todo in todos]

    async def answer(self, run: str, todo: TaskToDo, *recordings: str) -> None:
        """Write down what captures had of a task; its recordings were stored."""
        done = [
            TransferResult(todo.id, each, "stored", f"{todo.id}/{each}", 1, 1, main_place=False) for each in recordings
        ]
        outcome = BatchOutcome([AnswerRow(todo, [NamedRecording(each) for each in recordings])], done=done)
        await self.books.record(run, PERIOD, [outcome])

    async def left(self, run: str, *only: str, scheduled: bool = False) -> list[str]:
        """Go through all that earlier runs left."""
        found: list[str] = []
        at: Cursor | None = Cursor(PERIOD.from_ms)
        while at is not None:
            todos, at = await self.books.backlog(run, PERIOD, at, only, scheduled=scheduled)
            found += [todo.id for todo in todos]
        return found


@asynccontextmanager
async def desk(folder: Path, settings: Settings | None = None) -> AsyncIterator[Desk]:
    async with open_ledger(
        folder / "wxrec.db", Identity("org", "bucket", "{task_id}"), mask=str, emit=ignore
    ) as ledger:
        yield Desk(ledger, settings)


def row(name: str, created_ms: int, *, requested: bool | None = True, status: str | None = "completed") -> TaskMessage:
    return TaskMessage(name, "telephony", status, created_ms=created_ms, capture_requested=requested)
