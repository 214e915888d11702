"""The batches of a window that are under way."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from wxrec_async.temporal.activity_calls import begin_ledger_call, carry, of_run
    from wxrec_async.temporal.contract import PendingTasks, Plain, WindowAsk, first_of

# What comes back comes one by one, and a captures call costs the same for one task as for ten.
GATHER_S = 5.0


class BatchRunner:
    """The batches of one window that are under way, and what became of them until it is written down."""

    def __init__(self, ask: WindowAsk) -> None:
        self._ask, self._pile = ask, PendingTasks()
        self._under_way: list[workflow.ActivityHandle[Plain]] = []
        self._writing: workflow.ActivityHandle[None] | None = None
        self._unwritten: list[Plain] = []

    async def take(self, todos: list[Plain]) -> None:
        """Begin work on tasks; returns when less than a batch of them waits."""
        self._pile.add(todos)
        self._begin()
        # Listing waits here: tasks that nobody works at yet stay in pages that were not asked for.
        while self._pile.full:
            await self._step(None)

    async def finish(self) -> None:
        """Return when everything is done and written down."""
        self._begin()
        while self._pile or self._under_way or self._unwritten or self._writing:
            # Less than a batch waits while others may still give something back; only when nothing came for a
            # while does a call go out for so few.
            if self._pile and not await self._step(GATHER_S):
                self._begin(partly=True)
            elif not self._pile:
                await self._step(None)

    async def write_down(self) -> None:
        """Write down what is finished, when the rest will not be."""
        # What was stored is in the bucket, and the next run would fetch it again if the ledger did not know.
        while self._unwritten or self._writing:
            self._write()
            if self._writing:
                await self._writing
                self._writing = None

    def _begin(self, *, partly: bool = False) -> None:
        while len(self._under_way) < self._ask.shape.batches and (self._pile.full or (partly and self._pile)):
            todos, halved = self._pile.next()
            batch = {"org": self._ask.org, "todos": todos, "halved": halved, "run": self._ask.run}
            self._under_way.append(carry(self._ask, batch))

    def _write(self) -> None:
        # One after the other: meanwhile outcomes gather, and the next call takes all of them.
        if self._unwritten and self._writing is None:
            told, self._unwritten = first_of(self._unwritten)
            self._writing = begin_ledger_call(self._ask.org, "record", {**of_run(self._ask), "outcomes": told})

    async def _step(self, patience_s: float | None) -> bool:
        """Wait until something is finished; False when nothing was for so long, or nothing is under way."""
        waiting: list[Any] = [*self._under_way, *([self._writing] if self._writing else [])]
        if not waiting:
            return False
        done, _ = await workflow.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=patience_s)
        if self._writing and self._writing.done():
            writing, self._writing = self._writing, None
            await writing
        finished = [each for each in self._under_way if each.done()]
        self._under_way = [each for each in self._under_way if each not in finished]
        # All of them before any failure is raised: what the others brought is to be written down.
        failures = [failure for each in finished if (failure := await self._take_over(each))]
        if failures:
            raise failures[0]
        self._write()
        self._begin()
        return bool(done)

    async def _take_over(self, finished: workflow.ActivityHandle[Plain]) -> ActivityError | None:
        """Take what a batch brought; return its failure when it brought none."""
        try:
            outcome = await finished
        except ActivityError as failure:
            return failure
        self._unwritten.append(outcome)
        self._pile.take_back(outcome)
        return None
