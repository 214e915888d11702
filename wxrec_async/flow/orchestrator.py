"""The backfill: windows -> task pages -> bounded queue -> N workers -> ledger.

One lister reads what is left to do (first from the ledger, then from Webex) and
puts tasks, never URLs, into a bounded queue; it waits while the queue is full.
Captures is asked ahead, for ten tasks at once and for several batches at once
when workers stand idle; the recordings found are put where every idle worker
sees them, and N workers carry them.  So no batch sits with one worker, no worker
waits for an answer while there is something to carry, and no pre-signed URL
waits longer than it must.

What became of a recording is written to the ledger first and told to listeners
after.  A failed recording is a row; what leaves `Orchestrator.run` as an
exception ends the run.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Protocol

import anyio

from wxrec_async import events
from wxrec_async.events import Emit
from wxrec_async.flow import batch
from wxrec_async.flow.batch import CAPTURES_BATCH, CapturesResult, TaskAnswer
from wxrec_async.flow.job import Cursor, Job
from wxrec_async.flow.named_tasks import NAMED_BATCH, NamedTasks, OlderTasks
from wxrec_async.flow.recovery import EarlierUploads
from wxrec_async.flow.run_log import RunLog
from wxrec_async.flow.task_lister import PageSource
from wxrec_async.flow.window_reader import WindowReader
from wxrec_async.ledger.records import BacklogReason, KnownTask
from wxrec_async.model import Capture, RecordingState, Task, TransferSpec
from wxrec_async.plumbing.batches import BatchQueue
from wxrec_async.plumbing.groups import first_failure
from wxrec_async.plumbing.signal import ChangeNotifier
from wxrec_async.rules import selection

BATCH_PATIENCE_S = 5.0  # while tasks come in slowly a call is worth more than the seconds until its batch is full


class TaskSource(PageSource, Protocol):
    """Webex, as far as tasks and their captures go."""

    async def captures(self, task_ids: Sequence[str]) -> CapturesResult:
        """Ask for one to ten tasks at once."""


class Uploader(batch.RecordingUploader, batch.KeyOwners, Protocol):
    """Whoever stores one recording and sees the bucket: `transfer.Transfer`."""


class Orchestrator:
    """Runs a job once.

    ``others`` lists the contacts of other channels, if they are to be counted;
    ``earlier`` knows which uploads were open before; ``older`` lists what ``webex``
    does not reach back to, and knows more of an id than that it is one.
    """

    def __init__(  # noqa: PLR0913 - the outsides, each behind its Protocol, and one who listens
        self,
        job: Job,
        webex: TaskSource,
        log: RunLog,
        carrier: Uploader,
        emit: Emit,
        *,
        others: PageSource | None = None,
        earlier: EarlierUploads | None = None,
        older: OlderTasks | None = None,
    ) -> None:
        self._job, self._webex, self._log, self._carrier = job, webex, log, carrier
        self._emit, self._earlier = emit, earlier
        self._left = Counter[str]()
        # A batch of captures for each worker, no more: what does not fit waits in the ledger or at
        # Webex, not in memory.
        self._tasks: BatchQueue[Task] = BatchQueue(
            max(100, CAPTURES_BATCH * job.concurrency), linger_s=BATCH_PATIENCE_S
        )
        self._windows = WindowReader(job, webex, log, self._tasks.put, others=others, search=older)
        self._named = NamedTasks(older, job.reach, log.judged_ms, emit)
        self._orders: deque[TransferSpec] = deque()
        self._work_changed = ChangeNotifier()
        self._need_captures = ChangeNotifier()
        self._captures_in_flight = self._idle = 0
        self._transfers_in_flight = 0
        self._begun = 0
        self._scope = anyio.CancelScope()
        self._intake: set[anyio.CancelScope] = set()
        self.stopped: str | None = None

    async def run(self) -> None:
        """Do the job, or as much of it as is done before `drain`.

        Raises `AuthError`, `RunStopped` or `LedgerError` when it cannot go on.
        """
        try:
            # Cancelled by `abort`, it ends here in silence: what stopped the run the summary says.
            with self._scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._feed)
                    group.start_soon(self._ask_ahead)
                    for _ in range(self._job.concurrency):
                        group.start_soon(self._work)
        except BaseExceptionGroup as failures:
            raise first_failure(failures) from None

    def drain(self, reason: str) -> None:
        """Take no new work; what is in flight may finish.  The first reason stays."""
        self.stopped = self.stopped or reason
        # Only of those who look for work: a transfer under way runs in none of these scopes.
        for scope in self._intake:
            scope.cancel()

    def abort(self) -> None:
        """Break off what is in flight, too; uploads are aborted on the way out."""
        self.drain("aborted")
        self._scope.cancel()

    @property
    def load(self) -> tuple[int, int, int]:
        """How many tasks are queued, recordings wait for a worker, and recordings are under way, now."""
        return len(self._tasks), len(self._orders), self._transfers_in_flight

    @contextmanager
    def _taking_in(self) -> Iterator[None]:
        """Run what looks for new work so that `drain` ends it."""
        with anyio.CancelScope() as scope:
            self._intake.add(scope)
            # A scope that is opened after the drain must not wait for another one.
            if self.stopped:
                scope.cancel()
            try:
                yield
            finally:
                self._intake.discard(scope)

    # The lister

    async def _feed(self) -> None:
        """Put every task with work left into the queue, then close it."""
        left, filtered = self._job.only - {BacklogReason.FAILED}, bool(self._job.filters)
        with self._taking_in():
            await self._feed_named()
            # Before anything is listed: what earlier runs left is mostly older, and purged first.
            if not filtered:
                await self._feed_backlog(left)
            await self._windows.run()
            if filtered:
                # Each task is handed out once: by a page, if one still lists it, for by now that may say what was
                # missing before, a queue or an agent.
                await self._feed_backlog(left)
            await self._feed_late()
            # What failed before comes last: lasting failures must not keep the run from new work.
            await self._feed_backlog(self._job.only & {BacklogReason.FAILED})
        # Drained or done: those who wait must learn that nothing comes any more.
        self._tasks.close()
        self._work_changed.notify()
        self._need_captures.notify()

    async def _feed_named(self) -> None:
        ids = iter(self._job.task_ids)
        while named := list(islice(ids, NAMED_BATCH)):
            await self._tasks.put(await self._log.ingest_named(await self._named.known(named)))

    async def _feed_backlog(self, kinds: frozenset[BacklogReason]) -> None:
        """Take up again what an earlier run left."""
        await self._feed_pages(lambda cursor: self._log.backlog(kinds, cursor, due_only=self._job.due_only))

    async def _feed_late(self) -> None:
        """Ask once more for tasks that have recordings and may have got further ones since."""
        if span := self._job.look_again:
            await self._feed_pages(lambda cursor: self._log.second_looks(span, cursor, due_only=self._job.due_only))

    async def _feed_pages(
        self, read: Callable[[Cursor | None], Awaitable[tuple[Sequence[Task], Cursor | None]]]
    ) -> None:
        tasks, cursor = await read(None)
        # The cursor tells the end, not the page: all tasks of a page may have been settled or left out.
        while cursor is not None:
            await self._tasks.put(tasks)
            tasks, cursor = await read(cursor)

    # The workers

    async def _work(self) -> None:
        while order := await self._next_order():
            self._transfers_in_flight += 1
            try:
                # Outside of `_taking_in`: what was begun may finish, whatever is drained.
                await self._carry(order)
            finally:
                self._transfers_in_flight -= 1

    async def _next_order(self) -> TransferSpec | None:
        """Return a recording to carry; None when there is no more work, or none may be begun."""
        with self._taking_in():
            while not (self.stopped or self._is_over()):
                if self._orders:
                    return self._begin(self._orders.popleft())
                await self._wait_for_orders()
        return None

    async def _wait_for_orders(self) -> None:
        self._idle += 1
        self._need_captures.notify()
        try:
            await self._work_changed.wait()
        finally:
            self._idle -= 1

    def _is_over(self) -> bool:
        # An answer on its way may still bring recordings.
        return self._tasks.ended and not self._orders and not self._captures_in_flight

    def _begin(self, order: TransferSpec) -> TransferSpec | None:
        if self._job.limit is not None and self._begun >= self._job.limit:
            # The order at hand is dropped: its recording stands in the ledger, and the next run takes it up.
            self.drain("limit")
            return None
        self._begun += 1
        if self._should_prefetch():
            self._need_captures.notify()
        return order

    # Those who ask captures

    async def _ask_ahead(self) -> None:
        """Have captures asked whenever the recordings at hand will not keep the workers busy."""
        with self._taking_in():
            async with anyio.create_task_group() as asking:
                while not (self.stopped or self._tasks.ended):
                    if self._should_prefetch():
                        # Counted here and not in the task, which runs only after the next look at
                        # `_should_prefetch`.
                        self._captures_in_flight += 1
                        asking.start_soon(self._ask_for_more)
                    else:
                        await self._need_captures.wait()

    def _should_prefetch(self) -> bool:
        # A recording for each task that is asked for is a guess; when it is too high, the next
        # question comes a little later.
        expected = len(self._orders) + self._captures_in_flight * CAPTURES_BATCH
        return selection.should_prefetch(expected, idle=self._idle, workers=self._job.concurrency)

    async def _ask_for_more(self) -> None:
        """Take a batch of tasks and hand what captures has of them to whoever is idle."""
        try:
            if tasks := await self._tasks.take(CAPTURES_BATCH):
                self._orders.extend(await self._ask(tasks))
        finally:
            self._captures_in_flight -= 1
            self._work_changed.notify()
            self._need_captures.notify()

    async def _ask(self, tasks: Sequence[Task]) -> list[TransferSpec]:
        begun = anyio.current_time()
        # A drain may cut this off anywhere: what is not in the ledger by then is asked for again by the next run.
        answer = await self._webex.captures([task.id for task in tasks])
        asked_s = anyio.current_time() - begun
        answers = await self._read(tasks, answer.captures)
        # Noted before a byte is fetched: after a crash the next run finds these recordings in its backlog.
        known = await self._log.record_answers(answers, refused=len(answer.failed), asked_s=asked_s)
        # After the answers, because too many refusals in a row end the run here.
        await self._log.record_refused(answer.failed)
        orders = [order for name, each in known.items() for order in await self._placed(answers[name], each)]
        # How many of each task are still to come: after the last of them it gets its sidecar.
        self._left.update(order.recording.task_id for order in orders)
        return orders

    async def _read(self, tasks: Sequence[Task], captures: Mapping[str, Capture]) -> dict[str, TaskAnswer]:
        """Read an answer by what is known of the tasks for which it names a recording."""
        before = await self._log.before([name for name, each in captures.items() if each.recordings])
        now, job = self._log.judged_ms(), self._job
        return {
            task.id: batch.read_answer(task, captures[task.id], before.get(task.id, batch.Before()), job, now)
            for task in tasks
            if task.id in captures
        }

    async def _placed(self, answer: TaskAnswer, known: KnownTask) -> list[TransferSpec]:
        """Give each recording of a task that is not stored its place; what was gone and is named again is not gone."""
        stored = [name for name, state in known.recordings.items() if state is RecordingState.STORED]
        left, now = batch.open_recordings(answer.named, stored), self._log.judged_ms()
        placed = await batch.place(answer, left, known.holder, self._job, self._carrier, now)
        for recording, failed in placed.unplaced:
            await self._log.record_outcome(recording, failed)
        return list(placed.orders)

    # One recording

    async def _carry(self, order: TransferSpec) -> None:
        recording = order.recording
        self._emit(events.RecordingStarted(recording.task_id, recording.id))
        begun = anyio.current_time()
        # Before ours is begun: a sweep by key, afterwards, could not tell the two apart.
        if self._earlier is not None:
            await self._earlier.abort(order)
        outcome = await batch.carry(order, self._carrier)
        seconds = anyio.current_time() - begun
        await self._log.record_outcome(recording, outcome, seconds, replaced=order.replaces)
        await self._perhaps_finished(recording.task_id)

    async def _perhaps_finished(self, task_id: str) -> None:
        self._left[task_id] -= 1
        if self._left[task_id] <= 0:
            # Or the counter would keep every id of a run of millions.
            del self._left[task_id]
            await self._log.task_finished([task_id])
