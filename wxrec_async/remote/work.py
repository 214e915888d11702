"""One batch of a station once captures has answered: everything is stored, or comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup

from wxrec_async.model import Capture, Failed, Order, Recording
from wxrec_async.plumbing.groups import first_failure
from wxrec_async.plumbing.retrying import GivenUp
from wxrec_async.remote.earlier import left_of, named_before
from wxrec_async.remote.outcomes import Answer, BatchOutcome, Done, Found, LeftOpen, Progress
from wxrec_async.remote.records import Batch, Todo
from wxrec_async.remote.storing import Storing
from wxrec_async.rules import finality, selection
from wxrec_async.rules.finality import Silence
from wxrec_async.rules.identity import Changed, Identified, Times, identified, marked
from wxrec_async.rules.redact import redact_text
from wxrec_async.rules.selection import Ages

TELL_EVERY_S = 2.0
Tell = Callable[[Progress], None]


def now_ms() -> int:
    """Return the time in milliseconds since the epoch."""
    return round(time.time() * 1000)


class Work:
    """What is left of one batch once captures has answered."""

    def __init__(  # noqa: PLR0913 - one batch, what is known of it, and by which rules
        self,
        storing: Storing,
        batch: Batch,
        kept: Progress,
        tell: Tell,
        *,
        segments: bool,
        repeated: bool,
        ages: Ages,
        changed: Changed = Changed.BESIDE,
        now_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._storing, self._batch, self._tell = storing, batch, tell
        self._segments, self._repeated = segments, repeated
        self._ages, self._changed, self._now_ms = ages, changed, now_ms
        self._named: dict[str, Identified] = {}
        self._earlier = named_before(kept)
        self._goes_on: dict[str, list[Recording]] = {}
        self._kept = {(each.task_id, each.recording_id): each for each in kept.done}
        self._again: set[str] = set()
        self._expired: set[str] = set()
        self._denied: dict[str, dict[str, str]] = {}
        self._left_open: list[LeftOpen] = []

    async def done(self, captures: Mapping[str, Capture], asked_s: float) -> BatchOutcome:
        """Store everything; a task whose recordings cannot all be stored now comes back."""
        self._named = {todo.id: self._to_fetch(todo, captures[todo.id]) for todo in self._batch.todos}
        for todo in self._batch.todos:
            self._note_gone(todo, captures[todo.id])
        self.tell()
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
            self._answer(todo, captures[todo.id])
            for todo in self._batch.todos
            if self._named[todo.id].recordings or todo.id not in self._again
        ]
        again = [self._left_of(todo) for todo in self._batch.todos if todo.id in self._again]
        return BatchOutcome(
            answers, {}, list(self._kept.values()), again, asked_s=round(asked_s, 3), left_open=self._left_open
        )

    def _to_fetch(self, todo: Todo, capture: Capture) -> Identified:
        """Return what is to be fetched of an answer: nothing while the call may go on."""
        wanted = selection.wanted_recordings(capture, include_segments=self._segments)
        now = self._now_ms()
        seen = Silence(now if todo.first_seen_ms is None else todo.first_seen_ms)
        if wanted and selection.while_it_goes_on(todo.task(), wanted, seen, self._ages, now):
            self._goes_on[todo.id] = wanted
            return Identified(())
        stored = {name: Times(*times) for name, times in todo.times.items()}
        return identified(wanted, stored, self._changed)

    def _note_gone(self, todo: Todo, capture: Capture) -> None:
        """Call gone what the media host denied to have, now that captures was asked after that and may have its say."""
        there = [*(each.id for each in capture.recordings), *(each.id for each in capture.attachments)]
        for name, evidence in todo.denied.items():
            named = any(name == each or name.startswith(f"{each}-") for each in there)  # see `rules.identity`
            if finality.is_gone(evidence, named=named, sound=not capture.unsettled):
                self._kept.setdefault((todo.id, name), Done(todo.id, name, "gone", evidence=evidence))

    def _answer(self, todo: Todo, capture: Capture) -> Answer:
        goes_on = todo.id in self._goes_on
        return Answer(todo, self._all_named(todo.id), _beside(capture), capture.unsettled, goes_on)

    async def _task(self, todo: Todo, group: TaskGroup) -> None:
        named = self._named[todo.id]
        recordings = named.recordings
        self._left_open += await self._storing.close(todo)
        done = {name for task, name in self._kept if task == todo.id}
        at_rest = (set(todo.settled) - named.replacing) | done
        open_ones = [each for each in recordings if each.id not in at_rest]
        holder = self._holder_of(todo)
        try:
            if holder is None and len(recordings) > 1:
                holder = await self._storing.holder_in_bucket(todo.task(), recordings)
        except GivenUp as given_up:
            for each in open_ones:
                self._note(Done.of(each, Failed("bucket_unreadable", str(given_up))))
            return
        flags = (selection.NEVER_ENDED,) if selection.never_ended(todo.task(), self._ages, self._now_ms()) else ()
        for order in self._storing.orders(todo, recordings, holder):
            if order.recording in open_ones:
                group.start_soon(self._store, todo, marked(order, named, flags))

    async def _store(self, todo: Todo, order: Order) -> None:
        done = await self._storing.store(order, repeated=self._repeated, returns=todo.returns)
        self._left_open += self._storing.left_open(order)
        if done is not None:
            self._note(done)
            return
        if evidence := self._storing.denied(order):
            self._denied.setdefault(todo.id, {})[order.recording.id] = evidence
        self._again.add(todo.id)
        if not self._storing.draining:
            self._expired.add(todo.id)

    def _note(self, done: Done) -> None:
        self._kept[done.task_id, done.recording_id] = done
        self.tell()

    def tell(self) -> None:
        """Let the engine keep what is done."""
        done = list(self._kept.values())
        under_way = [each for named in self._named.values() for each in named.recordings]
        moved = sum(each.size for each in done) + self._storing.bytes_of(under_way)
        named = {task_id: self._all_named(task_id) for task_id in self._named}
        self._tell(Progress({}, done, len(under_way), moved, {task: found for task, found in named.items() if found}))

    def _all_named(self, task_id: str) -> list[Found]:
        """Return what this answer names of a task, and what only those of earlier attempts did."""
        now = self._goes_on.get(task_id) or self._named[task_id].recordings
        named = {each.id: Found.of(each) for each in now}
        for each in self._earlier.get(task_id, ()):
            named.setdefault(each.id, replace(each, earlier=True))
        return list(named.values())

    async def _tell_now_and_then(self) -> None:
        while True:
            await anyio.sleep(TELL_EVERY_S)
            self.tell()

    def _holder_of(self, todo: Todo) -> str | None:
        return left_of(todo, list(self._kept.values())).holder

    def _left_of(self, todo: Todo) -> Todo:
        left_open = [each for each in self._left_open if each.task_id == todo.id]
        return replace(
            left_of(todo, list(self._kept.values())),
            returns=todo.returns + (todo.id in self._expired),
            uploads=[(each.recording_id, each.key, each.upload_id) for each in left_open],
            denied=self._denied.get(todo.id, {}),
        )


def _beside(capture: Capture) -> list[tuple[str, str]]:
    return [(each.id, redact_text(each.kind)) for each in capture.attachments]
