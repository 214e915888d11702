"""One batch on a worker of a fleet, once captures has answered: everything is stored, or comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup

from wxrec_async.flow.batch import TaskAnswer, open_recordings, place, read_answer
from wxrec_async.model import Capture, TransferSpec
from wxrec_async.plumbing.groups import first_failure
from wxrec_async.rules import finality
from wxrec_async.rules.redact import redact_text
from wxrec_async.temporal.batch_worker import BatchWorker
from wxrec_async.temporal.earlier_attempts import left_of, named_before
from wxrec_async.temporal.messages import Batch, TaskToDo
from wxrec_async.temporal.results import (
    AnswerRow,
    BatchOutcome,
    BatchProgress,
    LeftOpen,
    NamedRecording,
    TransferResult,
)

# Only for the bytes; what is named or finished is told at once.
TELL_EVERY_S = 2.0
Tell = Callable[[BatchProgress], None]


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return round(time.time() * 1000)


class BatchRun:
    """What is left of one batch once captures has answered."""

    def __init__(
        self,
        storing: BatchWorker,
        batch: Batch,
        kept: BatchProgress,
        tell: Tell,
        *,
        repeated: bool,
        now_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._storing, self._batch, self._tell = storing, batch, tell
        self._repeated, self._now_ms = repeated, now_ms
        self._read: dict[str, TaskAnswer] = {}
        self._earlier = named_before(kept)
        # What earlier attempts brought to an end is not done again: it goes into this outcome as it was.
        self._kept = {(each.task_id, each.recording_id): each for each in kept.done}
        self._again: set[str] = set()
        self._expired: set[str] = set()
        self._denied: dict[str, dict[str, str]] = {}
        self._left_open: list[LeftOpen] = []

    async def done(self, captures: Mapping[str, Capture], asked_s: float) -> BatchOutcome:
        """Store everything; a task whose recordings cannot all be stored now comes back."""
        rules, now = self._storing.rules, self._now_ms()
        self._read = {
            todo.id: read_answer(todo.task(), captures[todo.id], todo.before(), rules, now)
            for todo in self._batch.todos
        }
        # Before the first upload of this batch is begun, or it would be found as one of before.
        await self._storing.look_for_uploads(self._batch.run)
        for todo in self._batch.todos:
            # Before anything is told or stored: what is gone is among the finished from the first heartbeat on.
            self._note_gone(todo, captures[todo.id])
        # The names go out before the first byte moves: a later attempt may hear less, and takes nothing back.
        self.tell()
        try:
            # Two groups: the inner one waits for the recordings, the outer one's ticker never ends by itself.
            async with anyio.create_task_group() as watch:
                watch.start_soon(self._tell_now_and_then)
                async with anyio.create_task_group() as group:
                    for todo in self._batch.todos:
                        group.start_soon(self._task, todo, group)
                watch.cancel_scope.cancel()
        except BaseExceptionGroup as failures:
            raise first_failure(failures) from None
        # A task that only comes back has no answer yet: captures is asked for it again.
        answers = [
            self._answer(todo)
            for todo in self._batch.todos
            if self._read[todo.id].named.recordings or todo.id not in self._again
        ]
        again = [self._left_of(todo) for todo in self._batch.todos if todo.id in self._again]
        return BatchOutcome(
            answers, {}, list(self._kept.values()), again, asked_s=round(asked_s, 3), left_open=self._left_open
        )

    def _note_gone(self, todo: TaskToDo, capture: Capture) -> None:
        """Call gone what the media host denied to have, now that captures was asked after that and may have its say."""
        there = [*(each.id for each in capture.recordings), *(each.id for each in capture.attachments)]
        for name, evidence in todo.denied.items():
            named = any(name == each or name.startswith(f"{each}-") for each in there)  # see `rules.identity`
            if finality.is_gone(evidence, named=named, sound=not capture.unsettled):
                # What an earlier attempt got hold of after all is not called gone.
                self._kept.setdefault((todo.id, name), TransferResult(todo.id, name, "gone", evidence=evidence))

    def _answer(self, todo: TaskToDo) -> AnswerRow:
        read = self._read[todo.id]
        beside = [(name, redact_text(kind)) for name, kind in read.beside]
        return AnswerRow(todo, self._all_named(todo.id), beside, read.unsettled, read.goes_on)

    async def _task(self, todo: TaskToDo, group: TaskGroup) -> None:
        # First of all, also of a call that goes on: what an earlier run left open has nothing to do with what is new.
        self._left_open += await self._storing.close(todo)
        answer, storing = self._read[todo.id], self._storing
        if answer.goes_on:
            return
        left = open_recordings(answer.named, todo.settled, {name for task, name in self._kept if task == todo.id})
        placed = await place(answer, left, self._holder_of(todo), storing.rules, storing.transfer, self._now_ms())
        for recording, failed in placed.unplaced:
            self._note(TransferResult.of(recording, failed))
        for order in placed.orders:
            group.start_soon(self._store, todo, order)

    async def _store(self, todo: TaskToDo, order: TransferSpec) -> None:
        done = await self._storing.store(order, repeated=self._repeated, returns=todo.returns, run=self._batch.run)
        self._left_open += self._storing.left_open(order)
        if done is not None:
            self._note(done)
            return
        if evidence := self._storing.denied(order):
            self._denied.setdefault(todo.id, {})[order.recording.id] = evidence
        self._again.add(todo.id)
        # A worker that is about to end gives back what it has not begun: no URL has expired by that.
        if not self._storing.draining:
            self._expired.add(todo.id)

    def _note(self, done: TransferResult) -> None:
        self._kept[done.task_id, done.recording_id] = done
        self.tell()

    def tell(self) -> None:
        """Let the engine keep what is done."""
        done = list(self._kept.values())
        under_way = [each for read in self._read.values() if not read.goes_on for each in read.named.recordings]
        moved = sum(each.size for each in done) + self._storing.bytes_of(under_way)
        named = {task_id: self._all_named(task_id) for task_id in self._read}
        self._tell(
            BatchProgress({}, done, len(under_way), moved, {task: found for task, found in named.items() if found})
        )

    def _all_named(self, task_id: str) -> list[NamedRecording]:
        """Return what this answer names of a task, and what only those of earlier attempts did."""
        named = {each.id: NamedRecording.of(each) for each in self._read[task_id].named.recordings}
        for each in self._earlier.get(task_id, ()):
            named.setdefault(each.id, replace(each, earlier=True))
        return list(named.values())

    async def _tell_now_and_then(self) -> None:
        while True:
            await anyio.sleep(TELL_EVERY_S)
            self.tell()

    def _holder_of(self, todo: TaskToDo) -> str | None:
        return left_of(todo, list(self._kept.values())).holder

    def _left_of(self, todo: TaskToDo) -> TaskToDo:
        left_open = [each for each in self._left_open if each.task_id == todo.id]
        return replace(
            left_of(todo, list(self._kept.values())),
            returns=todo.returns + (todo.id in self._expired),
            uploads=[(each.recording_id, each.key, each.upload_id) for each in left_open],
            denied=self._denied.get(todo.id, {}),
            # Swept by now (`BatchWorker.close`); what could not be aborted is among ``uploads``.
            begun=[],
        )
