"""Stations against a sandbox in this process, and an engine of a few lines that counts what it lets begin."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import pytest

from wxrec_async import load_config
from wxrec_async.sandbox import Sandbox
from wxrec_async.sandbox.options import Options
from wxrec_async.sandbox.organisation import Organisation
from wxrec_async.temporal.call_budget import Requeue
from wxrec_async.temporal.messages import Batch, PageAsk, PageRow, Span, TaskToDo
from wxrec_async.temporal.results import BatchOutcome, BatchProgress
from wxrec_async.temporal.worker_service import WorkerService

T = TypeVar("T")
CALLS = ("tasks", "captures")
PATIENCE = 60


class Engine:
    """Begins a piece of work again as long as it comes back; waits for nothing, but remembers how long it should have.

    Whatever it carries goes through JSON, as it would between machines.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.stations: list[WorkerService] = []
        self.begun = self.further = 0
        self.waits: list[float] = []
        self.carried: list[str] = []

    async def pay(self) -> None:
        """Let a station make one further call."""
        self.further += 1

    @property
    def calls(self) -> int:
        """How many calls the sandbox saw."""
        return sum(self.sandbox.log.count(name) for name in CALLS)

    async def _until_done(self, work: Callable[[BatchProgress], Awaitable[T]], kept: BatchProgress) -> T:
        for _ in range(PATIENCE):
            self.begun += 1
            try:
                done = await work(kept)
            except Requeue as back:
                self.waits.append(back.after_s)
                kept = self.through(kept.after(back.tries))
            else:
                self.carried.append(json.dumps(asdict(done)))  # type: ignore[call-overload]
                return done
        raise AssertionError("it never ends")

    def through(self, progress: BatchProgress) -> BatchProgress:
        """Carry progress as the engine does."""
        self.carried.append(json.dumps(asdict(progress)))
        return BatchProgress.read(json.loads(self.carried[-1]))

    async def page(self, span: Span, station: int = 0) -> PageRow:
        ask = PageAsk(self.stations[station].org_id, span, span.from_ms)
        return await self._until_done(lambda kept: self.stations[station].page(ask, kept), BatchProgress())

    async def carry(
        self, todos: list[TaskToDo], station: int = 0, kept: BatchProgress | None = None, *, repeated: bool = False
    ) -> BatchOutcome:
        """Carry one batch, once."""
        batch = Batch(self.stations[station].org_id, todos)
        told: list[BatchProgress] = []

        def work(progress: BatchProgress) -> Awaitable[BatchOutcome]:
            return self.stations[station].carry(batch, progress, told.append, repeated=repeated)

        done = await self._until_done(work, kept or BatchProgress())
        self.carried += [json.dumps(asdict(each)) for each in told]
        return done

    async def carry_all(self, todos: list[TaskToDo], station: int = 0) -> list[BatchOutcome]:
        """Carry tasks until none comes back."""
        outcomes, left = [], [todos[n : n + 10] for n in range(0, len(todos), 10)]
        while left:
            outcome = await self.carry(left.pop(0), station)
            outcomes.append(outcome)
            left += outcome.halves
            left += [outcome.again] if outcome.again else []
        return outcomes

    def todos(self) -> list[TaskToDo]:
        """Every task of the organisation that has a recording."""
        ids = dict.fromkeys(each.task_id for each in self.sandbox.truth())
        return [TaskToDo(task_id, self.sandbox.organisation.get(task_id).created_ms, True) for task_id in ids]  # type: ignore[union-attr]


@asynccontextmanager
async def engine(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, tasks: int = 20, stations: int = 1, **options: object
) -> AsyncIterator[Engine]:
    """Open a sandbox and so many stations that share its token file."""
    seconds = options.pop("seconds", (0.5, 2.0))
    organisation = Organisation(tasks, 1, seconds=seconds, large=bool(options.pop("large", False)))  # type: ignore[arg-type]
    async with Sandbox(Options(organisation=organisation, **{"requests_per_minute": 0} | options)) as sandbox:  # type: ignore[arg-type]
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        config = sandbox.write_config(folder)
        made = Engine(sandbox)
        async with AsyncExitStack() as stack:
            for _ in range(stations):
                station = WorkerService(load_config(config), further=made.pay)
                made.stations.append(await stack.enter_async_context(station))
            yield made
