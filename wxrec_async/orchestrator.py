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
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import anyio

from wxrec_async import events
from wxrec_async.errors import AuthError, RunStopped
from wxrec_async.events import Emit
from wxrec_async.ledger.records import ALL_WORK, BacklogTask, KnownTask, NamedFor, Scope, Work
from wxrec_async.lister import Lister, PageSource
from wxrec_async.model import (
    Capture,
    Failed,
    Gone,
    Order,
    Outcome,
    Recording,
    RecordingState,
    Stored,
    Task,
    TaskPage,
    Window,
)
from wxrec_async.plumbing.batches import BatchQueue
from wxrec_async.plumbing.groups import first_failure
from wxrec_async.plumbing.retrying import GivenUp
from wxrec_async.plumbing.signal import Signal
from wxrec_async.rules import finality, keys, selection
from wxrec_async.rules.filters import NO_FILTERS, Filters
from wxrec_async.rules.identity import Changed, Identified, marked
from wxrec_async.rules.selection import Ages
from wxrec_async.settling import Settling

if TYPE_CHECKING:
    from wxrec_async.ledger.store import SqliteLedger

CAPTURES_BATCH = 10
NAMED_BATCH = 500
WINDOWS_AHEAD = 8  # listed at once: between two short windows there is little else than waiting for the next answer
BATCH_PATIENCE_S = 5.0  # while tasks come in slowly a call is worth more than the seconds until its batch is full


class CapturesAnswer(Protocol):
    """Every task asked for is in one of the two: what Webex has of it, or why it could not be asked."""

    @property
    def captures(self) -> Mapping[str, Capture]: ...

    @property
    def failed(self) -> Mapping[str, str]: ...


class TaskSource(PageSource, Protocol):
    """Webex, as far as tasks and their captures go."""

    async def captures(self, task_ids: Sequence[str]) -> CapturesAnswer:
        """Ask for one to ten tasks at once."""


class Carrier(Protocol):
    """Whoever stores one recording: `transfer.Transfer`."""

    async def carry(self, order: Order) -> Outcome: ...

    async def occupant(self, key: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Job:
    """What this run is to do.

    ``scope`` is what the ledger is asked about, ``windows`` what Webex is asked
    to list, ``task_ids`` are taken as they are.  ``only`` narrows the backlog,
    ``due_only`` leaves what is owed or failed alone until its time has come, and
    tasks placed in ``look_again`` get the second look that they deserve.
    ``other_channels`` are listed to be counted.  ``limit`` counts recordings begun.
    """

    run_id: str
    scope: Scope
    windows: tuple[Window, ...] = ()
    task_ids: Iterable[str] = ()
    only: frozenset[Work] = ALL_WORK
    due_only: bool = False
    look_again: Window | None = None
    other_channels: tuple[str, ...] = ()
    concurrency: int = 32
    page_size: int = 1000
    channel_types: tuple[str, ...] = ("telephony",)
    ages: Ages = field(default_factory=Ages)
    key_template: str = "call-detail/{task_id}/recording{ext}"
    metadata: Mapping[str, str] = field(default_factory=dict)
    include_segments: bool = False
    filters: Filters = NO_FILTERS
    changed: Changed = Changed.BESIDE
    limit: int | None = None
    max_failures_in_row: int = 100


AtRest = Callable[[str], Awaitable[None]]


class Orchestrator:
    """Runs one job once.

    ``others`` lists the contacts of other channels, if they are to be counted;
    ``at_rest`` is called with a task's id when nothing more is done for it in this run.
    """

    def __init__(  # noqa: PLR0913 - the outsides, each behind its Protocol, and one who listens
        self,
        job: Job,
        webex: TaskSource,
        ledger: SqliteLedger,
        carrier: Carrier,
        emit: Emit,
        now_ms: Callable[[], int],
        *,
        others: PageSource | None = None,
        at_rest: AtRest | None = None,
    ) -> None:
        self._others = others
        self._job, self._webex, self._ledger, self._carrier = job, webex, ledger, carrier
        self._emit, self._now_ms = emit, now_ms
        self._at_rest, self._left = at_rest, Counter[str]()
        self._lister = Lister(webex, job.page_size, job.channel_types)
        self._tasks: BatchQueue[Task] = BatchQueue(
            max(100, CAPTURES_BATCH * job.concurrency), linger_s=BATCH_PATIENCE_S
        )
        self._orders: deque[Order] = deque()
        self._changed = Signal()
        self._hungry = Signal()
        self._asking = self._idle = 0
        self._in_flight = 0
        self._begun = 0
        self._settling = Settling(
            job.run_id,
            ledger,
            emit,
            now_ms,
            ages=job.ages,
            filters=job.filters,
            max_failures_in_row=job.max_failures_in_row,
            changed=job.changed,
        )
        self._scope = anyio.CancelScope()
        self._intake: set[anyio.CancelScope] = set()
        self.incomplete: list[Window] = []
        self.stopped: str | None = None

    async def run(self) -> None:
        """Do the job, or as much of it as is done before `drain`.

        Raises `AuthError`, `RunStopped` or `LedgerError` when it cannot go on.
        """
        try:
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
        for scope in self._intake:
            scope.cancel()

    def abort(self) -> None:
        """Break off what is in flight, too; uploads are aborted on the way out."""
        self.drain("aborted")
        self._scope.cancel()

    @property
    def load(self) -> tuple[int, int, int]:
        """How many tasks are queued, recordings wait for a worker, and recordings are under way, now."""
        return len(self._tasks), len(self._orders), self._in_flight

    @contextmanager
    def _taking_in(self) -> Iterator[None]:
        """Run what looks for new work so that `drain` ends it."""
        with anyio.CancelScope() as scope:
            self._intake.add(scope)
            if self.stopped:
                scope.cancel()
            try:
                yield
            finally:
                self._intake.discard(scope)

    # The lister

    async def _feed(self) -> None:
        """Put every task with work left into the queue, then close it."""
        left, filtered = self._job.only - {Work.FAILED}, bool(self._job.filters)
        with self._taking_in():
            await self._feed_named()
            if not filtered:
                await self._feed_backlog(left)
            await self._feed_windows()
            if filtered:
                # Each task is handed out once: by a page, if one still lists it, for by now that may say what was
                # missing before, a queue or an agent.
                await self._feed_backlog(left)
            await self._feed_late()
            # What failed before comes last: lasting failures must not keep the run from new work.
            await self._feed_backlog(self._job.only & {Work.FAILED})
        self._tasks.close()
        self._changed.notify()
        self._hungry.notify()

    async def _feed_named(self) -> None:
        ids = iter(self._job.task_ids)
        while batch := [Task(task_id) for task_id in islice(ids, NAMED_BATCH)]:
            await self._take_up(batch, listed_in=None)

    async def _feed_backlog(self, only: frozenset[Work]) -> None:
        """Take up again what an earlier run left, what is purged first before the rest."""
        last: BacklogTask | None = None
        scope, due = self._job.scope, self._job.due_only
        while not isinstance(scope, NamedFor) and (
            oldest := await self._ledger.oldest_work(
                scope,
                now_ms=self._now_ms(),
                after=last,
                only=only,
                due_only=due,
                patient=due,
                open_since_ms=self._open_since_ms(),
            )
        ):
            last = oldest[-1]
            await self._resume(oldest, only)
        after = 0
        while rows := await self._ledger.backlog(
            self._job.scope,
            now_ms=self._now_ms(),
            after=after,
            only=only,
            due_only=due,
            patient=due,
            open_since_ms=self._open_since_ms(),
        ):
            after = rows[-1].row
            await self._resume(rows, only)

    def _open_since_ms(self) -> int:
        """Calls that were created since then and go on are listed again; older ones are asked for as they are."""
        return self._now_ms() - self._job.ages.missing_ms

    async def _resume(self, rows: Sequence[BacklogTask], only: frozenset[Work]) -> None:
        if Work.FAILED in only:
            self._settling.failed_before.update(row.task.id for row in rows)
        await self._consider([row.task for row in rows])

    async def _feed_late(self) -> None:
        """Ask once more for tasks that have recordings and may have got further ones since."""
        after, span = 0, self._job.look_again
        while span is not None and (
            rows := await self._ledger.late(span, now_ms=self._now_ms(), after=after, due_only=self._job.due_only)
        ):
            after = rows[-1].row
            await self._tasks.put(self._settling.wanted([row.task for row in rows], None))

    async def _feed_windows(self) -> None:
        """List some windows at once; their tasks are taken in one window after the other, as they are given."""
        room = anyio.Semaphore(WINDOWS_AHEAD)
        turn = anyio.Event()
        turn.set()
        async with anyio.create_task_group() as group:
            for window in self._job.windows:
                await room.acquire()
                turn, before = anyio.Event(), turn
                group.start_soon(self._feed_window, window, room, before, turn)

    async def _feed_window(self, window: Window, room: anyio.Semaphore, before: anyio.Event, done: anyio.Event) -> None:
        # A page proves what was there when it was read, however long the queue was full.  What time that was the
        # servers know, and say so with their first answer.
        asked_ms = self._now_ms()
        held: list[tuple[Window, TaskPage, Sequence[Task]]] = []

        async def take_held() -> None:
            await before.wait()
            while held:
                await self._take_in(*held.pop(0))

        async def hold(part: Window, page: TaskPage, new: Sequence[Task]) -> None:
            """Read on to the end of a short window before its turn comes; of a long one, a page's worth is held."""
            nonlocal asked_ms
            asked_ms = min(asked_ms, self._now_ms())
            held.append((part, page, new))
            if before.is_set() or sum(page.rows for _, page, _ in held) >= self._job.page_size:
                await take_held()

        trouble = await self._lister.read(window, hold)
        await take_held()
        done.set()
        await self._close_window(window, asked_ms, trouble)
        room.release()

    async def _close_window(self, window: Window, asked_ms: int, trouble: str | None) -> None:
        if trouble:
            self.incomplete.append(window)
            self._emit(events.WindowIncomplete(window, trouble))
            return
        await self._count_others(window)
        settle_ms = self._job.ages.settle_ms
        closed = finality.closes_window(window, sound=not trouble, settle_ms=settle_ms, asked_ms=asked_ms)
        if closed is not None:
            await self._ledger.close_window(closed, self._now_ms())
        self._emit(events.WindowListed(window, closed=closed == window))

    async def _count_others(self, window: Window) -> None:
        """Count the contacts of other channels; they are not what was asked for, so trouble is only said."""
        if self._others is None:
            return
        lister = Lister(self._others, self._job.page_size, self._job.other_channels, sure=False)
        try:
            trouble = await lister.read(window, self._take_note)
        except (AuthError, RunStopped) as refusal:
            trouble = str(refusal)
        if trouble:
            self._emit(events.Warned("others_not_counted", f"contacts of other channels in {window}: {trouble}"))

    async def _take_note(self, window: Window, _page: TaskPage, new: Sequence[Task]) -> None:
        await self._settling.other_contacts(new, window)

    async def _take_in(self, window: Window, page: TaskPage, new: Sequence[Task]) -> None:
        self._emit(events.PageListed(window, rows=page.rows, new=len(new)))
        await self._take_up(new, listed_in=window)

    async def _take_up(self, tasks: Sequence[Task], *, listed_in: Window | None) -> None:
        """Write tasks down, then see to those with work left."""
        named_for = None if listed_in else self._job.run_id
        todo = await self._ledger.add_tasks(
            tasks, listed_in=listed_in, now_ms=self._now_ms(), named_for=named_for, patient=self._job.due_only
        )
        await self._consider(todo, listed_in)

    async def _consider(self, tasks: Sequence[Task], listed_in: Window | None = None) -> None:
        """Leave out what is not wanted, settle what needs no captures call, queue the rest."""
        await self._tasks.put(await self._settling.to_ask(tasks, listed_in))

    # The workers

    async def _work(self) -> None:
        while order := await self._next_order():
            self._in_flight += 1
            try:
                await self._carry(order)
            finally:
                self._in_flight -= 1

    async def _next_order(self) -> Order | None:
        """Return a recording to carry; None when there is no more work, or none may be begun."""
        with self._taking_in():
            while not (self.stopped or self._is_over()):
                if self._orders:
                    return self._begin(self._orders.popleft())
                await self._wait_for_orders()
        return None

    async def _wait_for_orders(self) -> None:
        self._idle += 1
        self._hungry.notify()
        try:
            await self._changed.wait()
        finally:
            self._idle -= 1

    def _is_over(self) -> bool:
        return self._tasks.ended and not self._orders and not self._asking

    def _begin(self, order: Order) -> Order | None:
        if self._job.limit is not None and self._begun >= self._job.limit:
            self.drain("limit")
            return None
        self._begun += 1
        if self._may_ask():
            self._hungry.notify()
        return order

    # Those who ask captures

    async def _ask_ahead(self) -> None:
        """Have captures asked whenever the recordings at hand will not keep the workers busy."""
        with self._taking_in():
            async with anyio.create_task_group() as asking:
                while not (self.stopped or self._tasks.ended):
                    if self._may_ask():
                        self._asking += 1
                        asking.start_soon(self._ask_for_more)
                    else:
                        await self._hungry.wait()

    def _may_ask(self) -> bool:
        expected = len(self._orders) + self._asking * CAPTURES_BATCH
        return selection.may_ask(expected, idle=self._idle, workers=self._job.concurrency)

    async def _ask_for_more(self) -> None:
        """Take a batch of tasks and hand what captures has of them to whoever is idle."""
        try:
            if batch := await self._tasks.take(CAPTURES_BATCH):
                self._orders.extend(await self._ask(batch))
        finally:
            self._asking -= 1
            self._changed.notify()
            self._hungry.notify()

    async def _ask(self, batch: Sequence[Task]) -> list[Order]:
        begun = anyio.current_time()
        answer = await self._webex.captures([task.id for task in batch])
        await self._settling.beside([(task, _beside(answer.captures.get(task.id))) for task in batch])
        wanted = {task_id: self._wanted(capture) for task_id, capture in answer.captures.items()}
        found: Mapping[str, Sequence[Recording]] = {task_id: named for task_id, named in wanted.items() if named}
        count = sum(map(len, found.values()))
        self._emit(events.CapturesAsked(len(batch), count, anyio.current_time() - begun))
        tasks = {task.id: task for task in batch}
        await self._settling.named_none(tasks, answer.captures, found)
        await self._settling.refused(answer.failed)
        found = await self._settling.may_be_fetched(tasks, found)
        return await self._take_up_found(tasks, answer.captures, found) if found else []

    async def _take_up_found(
        self, tasks: Mapping[str, Task], captures: Mapping[str, Capture], found: Mapping[str, Sequence[Recording]]
    ) -> list[Order]:
        """Write down what was found of calls that are over, and make orders of what is not at rest."""
        named = await self._settling.identified(found)
        asked = [tasks[task_id] for task_id in found]
        known = await self._ledger.captured_many(
            {task_id: each.recordings for task_id, each in named.items()},
            self._now_ms(),
            self._settling.second_looks(asked),
            self._settling.never_ended(asked),
        )
        orders = []
        for task_id, each in named.items():
            if not captures[task_id].unsettled:
                await self._settling.missing(known[task_id], {one.id for one in each.recordings})
            orders += await self._orders_of(tasks[task_id], each, known[task_id])
        self._left.update(each.recording.task_id for each in orders)
        return orders

    def _wanted(self, capture: Capture) -> list[Recording]:
        return selection.wanted_recordings(capture, include_segments=self._job.include_segments)

    async def _orders_of(self, task: Task, named: Identified, known: KnownTask) -> list[Order]:
        """Give each recording of a task that is not at rest its place; who holds the main place keeps it."""
        open_ones = [each for each in named.recordings if each.id in named.replacing or not _is_stored(known, each.id)]
        holder = known.holder
        try:
            if holder is None and len(named.recordings) > 1:
                holder = await self._holder_in_bucket(task, named.recordings)
        except GivenUp as given_up:
            for each in open_ones:
                await self._settling.failed(each.task_id, each.id, Failed("bucket_unreadable", str(given_up)))
            return []
        template, base = self._job.key_template, self._job.metadata
        placed = keys.orders(task, named.recordings, template=template, holder=holder, base=base)
        flags = tuple(self._settling.never_ended([task]).values())
        return [marked(order, named, flags) for order in placed if order.recording in open_ones]

    async def _holder_in_bucket(self, task: Task, recordings: Sequence[Recording]) -> str | None:
        """Ask the bucket, for the ledger may have been lost and the first recording to come was another one."""
        by_encoded_id = {keys.encode_id(each.id): each.id for each in recordings}
        for key in keys.main_keys(task, recordings, template=self._job.key_template):
            if (occupant := await self._carrier.occupant(key)) in by_encoded_id:
                return by_encoded_id[occupant]
        return None

    # One recording

    async def _carry(self, order: Order) -> None:
        recording = order.recording
        self._emit(events.RecordingStarted(recording.task_id, recording.id))
        begun = anyio.current_time()
        if recording.url is None:
            outcome: Outcome = Failed(recording.problem or "no_url")
        else:
            outcome = await self._carrier.carry(order)
        match outcome:
            case Stored():
                seconds = anyio.current_time() - begun
                await self._settling.stored(recording, outcome, seconds, replaced=order.replaces)
            case Failed():
                await self._settling.failed(recording.task_id, recording.id, outcome)
            case Gone():
                await self._settling.gone(recording.task_id, recording.id, outcome)
        await self._perhaps_at_rest(recording.task_id)

    async def _perhaps_at_rest(self, task_id: str) -> None:
        self._left[task_id] -= 1
        if self._left[task_id] <= 0:
            del self._left[task_id]
            if self._at_rest is not None:
                await self._at_rest(task_id)


def _is_stored(known: KnownTask, recording_id: str) -> bool:
    """Say whether nothing is left to do; what was gone and is named again is not gone."""
    return known.recordings.get(recording_id) is RecordingState.STORED


def _beside(capture: Capture | None) -> list[tuple[str, str]]:
    return [(each.id, each.kind) for each in capture.attachments] if capture else []
