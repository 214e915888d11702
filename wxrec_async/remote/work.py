"""One batch of a station once captures has answered: everything is stored, or comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup

from wxrec_async.model import Capture, Failed, Order, Recording, Task
from wxrec_async.plumbing.groups import first_failure
from wxrec_async.plumbing.retrying import GivenUp
from wxrec_async.remote.outcomes import Answer, BatchOutcome, Done, Found, LeftOpen, Progress
from wxrec_async.remote.records import Batch, Todo
from wxrec_async.remote.storing import Storing
from wxrec_async.rules.redact import redact_text

TELL_EVERY_S = 2.0
Tell = Callable[[Progress], None]


class Work:
    """What is left of one batch once captures has answered."""

    def __init__(
        self, storing: Storing, batch: Batch, kept: Progress, tell: Tell, *, segments: bool, repeated: bool
    ) -> None:
        self._storing, self._batch, self._tell = storing, batch, tell
        self._segments, self._repeated = segments, repeated
        self._found: dict[str, list[Recording]] = {}
        self._kept = {(each.task_id, each.recording_id): each for each in kept.done}
        self._again: set[str] = set()
        self._expired: set[str] = set()
        self._left_open: list[LeftOpen] = []

    def _wanted(self, capture: Capture) -> list[Recording]:
        return [each for each in capture.recordings if self._segments or not each.segment]

    async def done(self, captures: Mapping[str, Capture], asked_s: float) -> BatchOutcome:
        """Store everything; a task whose recordings cannot all be stored now comes back."""
        self._found = {todo.id: self._wanted(captures[todo.id]) for todo in self._batch.todos}
        try:
            async with anyio.create_task_group() as watch:
                watch.start_soon(self._tell_now_and_then)
                async with anyio.create_task_group() as group:
                    for todo in self._batch.todos:
                        group.start_soon(self._task, todo, group)
                watch.cancel_scope.cancel()
        except BaseExceptionGroup as failures:
            raise first_failure(failures) from None
        answers = [
            Answer(todo, [Found.of(each) for each in self._found[todo.id]], _beside(captures[todo.id]))
            for todo in self._batch.todos
            if self._found[todo.id] or todo.id not in self._again
        ]
        again = [self._left_of(todo) for todo in self._batch.todos if todo.id in self._again]
        return BatchOutcome(
            answers, {}, list(self._kept.values()), again, asked_s=round(asked_s, 3), left_open=self._left_open
        )

    async def _task(self, todo: Todo, group: TaskGroup) -> None:
        recordings = self._found[todo.id]
        self._left_open += await self._storing.close(todo)
        at_rest = set(todo.settled) | {name for task, name in self._kept if task == todo.id}
        open_ones = [each for each in recordings if each.id not in at_rest]
        holder = self._holder_of(todo)
        try:
            if holder is None and len(recordings) > 1:
                holder = await self._storing.holder_in_bucket(Task(todo.id, created_ms=todo.created_ms), recordings)
        except GivenUp as given_up:
            for each in open_ones:
                self._note(Done.of(each, Failed("bucket_unreadable", str(given_up))))
            return
        for order in self._storing.orders(todo, recordings, holder):
            if order.recording in open_ones:
                group.start_soon(self._store, todo, order)

    async def _store(self, todo: Todo, order: Order) -> None:
        done = await self._storing.store(order, repeated=self._repeated, returns=todo.returns)
        self._left_open += self._storing.left_open(order)
        if done is not None:
            self._note(done)
            return
        self._again.add(todo.id)
        if not self._storing.draining:
            self._expired.add(todo.id)

    def _note(self, done: Done) -> None:
        self._kept[done.task_id, done.recording_id] = done
        self.tell()

    def tell(self) -> None:
        """Let the engine keep what is done."""
        done = list(self._kept.values())
        under_way = [each for found in self._found.values() for each in found]
        moved = sum(each.size for each in done) + self._storing.bytes_of(under_way)
        self._tell(Progress({}, done, sum(map(len, self._found.values())), moved))

    async def _tell_now_and_then(self) -> None:
        while True:
            await anyio.sleep(TELL_EVERY_S)
            self.tell()

    def _holder_of(self, todo: Todo) -> str | None:
        holders = (each.recording_id for each in self._kept.values() if each.task_id == todo.id and each.holds)
        return todo.holder or next(holders, None)

    def _left_of(self, todo: Todo) -> Todo:
        mine = [done for done in self._kept.values() if done.task_id == todo.id]
        return replace(
            todo,
            settled=[*todo.settled, *(done.recording_id for done in mine)],
            holder=self._holder_of(todo),
            returns=todo.returns + (todo.id in self._expired),
            uploads=[
                (each.recording_id, each.key, each.upload_id) for each in self._left_open if each.task_id == todo.id
            ],
        )


def _beside(capture: Capture) -> list[tuple[str, str]]:
    return [(each.id, redact_text(each.kind)) for each in capture.attachments]
