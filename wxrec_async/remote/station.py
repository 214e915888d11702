"""The worker's side of a job that an engine hands out: Webex and the bucket, and no ledger.

::

    async with Station(settings, further=engine_has_a_call_to_spare) as station:
        page = await station.page(ask, Progress())
        outcome = await station.carry(batch, kept, heartbeat)

Both may be repeated with the same arguments, on any machine, whatever became of
an earlier attempt: nothing is stored twice, and what an earlier attempt left open
is aborted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from types import TracebackType

import anyio
from anyio.abc import TaskGroup

from wxrec_async import worlds
from wxrec_async.bandwidth import limited
from wxrec_async.config import Settings
from wxrec_async.errors import AuthError, Rejected
from wxrec_async.events import Emit, Retrying, ignore
from wxrec_async.model import Capture, Failed, Order, Outcome, Recording, Stored, StoredObject, Task
from wxrec_async.plumbing.groups import first_failure
from wxrec_async.plumbing.pool import BufferPool
from wxrec_async.plumbing.retrying import GivenUp
from wxrec_async.remote.records import (
    Answer,
    Batch,
    BatchOutcome,
    Done,
    Found,
    PageAsk,
    PageRow,
    Progress,
    TaskRow,
    Todo,
)
from wxrec_async.remote.terms import FRESH_URL, Allowance, BudgetSpent, ComeBack, EngineTerms, Further, allowed
from wxrec_async.rules import keys
from wxrec_async.rules.redact import redact_text
from wxrec_async.rules.retry import GiveUp
from wxrec_async.telling import telling_reach
from wxrec_async.transfer import Limits, Transfer

BATCH_PATIENCE = 3
MAX_REFUSALS = 3
TELL_EVERY_S = 2.0
Tell = Callable[[Progress], None]


class NoLog:
    """The log of uploads where there is no ledger: the next attempt looks at the bucket instead."""

    async def started(self, task_id: str, recording_id: str, key: str) -> None: ...

    async def upload_created(self, key: str, upload_id: str, task_id: str, recording_id: str) -> None: ...

    async def completing(self, upload_id: str, size: int, crc32: int) -> None: ...

    async def upload_gone(self, upload_id: str) -> None: ...


class Station:
    """One organisation and its bucket, open while the context lasts; any number of pieces of work at once.

    Entering raises `ConfigError`, `AuthError` or `RunStopped` as `Backfill` does.
    ``further`` returns when the engine has one more call to Webex to spare; see
    `remote.terms`.  ``on_event`` hears what `Backfill` tells of transfers.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        further: Further,
        on_event: Emit = ignore,
        given: worlds.Given = worlds.NOTHING_GIVEN,
    ) -> None:
        self.settings = settings
        self.draining = False
        self._emit = on_event
        self._terms = EngineTerms(further)
        self._given = replace(given, terms=self._terms)
        self._room = anyio.Semaphore(settings.backfill.concurrency)
        self._stack = AsyncExitStack()
        self._in_hand: set[anyio.CancelScope] = set()
        self._refusals = self._renewed_as = 0

    async def __aenter__(self) -> Station:
        async with AsyncExitStack() as stack:
            reach = telling_reach(self._emit)
            secrets = await worlds.load_secrets(self.settings, self._given, self._emit)
            tls = worlds.trusted(self.settings)
            bucket = worlds.open_bucket(self.settings, self._emit, reach, self._given)
            self._store = await stack.enter_async_context(bucket)
            webex = worlds.open_webex(self.settings, secrets, tls, self._emit, reach, time.time, self._given)
            self._webex = await stack.enter_async_context(webex)
            self._transfer = self._wired()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await self._webex.refresher.save_pending()
        finally:
            await self._stack.aclose()

    def _wired(self) -> Transfer:
        settings = self.settings
        plan = settings.memory
        limits = Limits(
            part_size=settings.s3.part_size_mib << 20,
            parts_in_flight=settings.s3.part_concurrency,
            pipe=plan.pipe,
            bodies=plan.bodies,
            overwrite=settings.s3.overwrite,
            sha256=settings.evidence.sha256,
        )
        source = self._terms.watched(limited(self._webex.media, settings.backfill.max_mib_per_second))
        return Transfer(source, self._store, NoLog(), BufferPool(plan.pool), limits, self._emit)

    @property
    def org_id(self) -> str:
        """The organisation all agree on."""
        return self._webex.org_id

    @property
    def calls(self) -> int:
        """How many requests went to Webex's API so far."""
        return self._webex.pacer.passed

    def drain(self) -> None:
        """Begin no recording any more; work in hand comes back with what is left of it."""
        self.draining = True

    def abort(self) -> None:
        """Break off what is in hand, too: its uploads are aborted, and it comes back as a whole."""
        self.drain()
        for scope in self._in_hand:
            scope.cancel()

    # One page

    async def page(self, ask: PageAsk, kept: Progress) -> PageRow:
        """Ask for one page of a window: one call.

        Raises `ComeBack`, `AuthError` or `RunStopped`.  A page that cannot be had is an answer: ``refused``.
        """
        asked_ms = round(time.time() * 1000)
        link = self.settings.webex.api_url + ask.next_link if ask.next_link else None
        client = self._webex.others if ask.others else self._webex.client
        if client is None:
            return PageRow(refused="not_configured", detail="this worker counts no other channels", asked_ms=asked_ms)
        with self._one_call(kept):
            try:
                page = await client.tasks_page(ask.span.window(), from_ms=ask.from_ms, next_link=link)
            except GivenUp as given_up:
                return PageRow(refused=_reason(given_up), detail=redact_text(str(given_up)), asked_ms=asked_ms)
        relative = page.next_link.removeprefix(self.settings.webex.api_url) if page.next_link else None
        rows = [_counted(task) if ask.others else TaskRow.of(task, names=self._names) for task in page.tasks]
        return PageRow(rows, page.rows, relative, page.unreadable, asked_ms)

    @property
    def _names(self) -> bool:
        """Whether names of people may travel: the engine keeps them, so only encrypted."""
        return bool(self.settings.temporal.codec)

    @contextmanager
    def _one_call(self, kept: Progress) -> Iterator[None]:
        """Make the call that was paid for; a refused token was renewed by now, and the call comes back."""
        tries = kept.history()
        try:
            with allowed(Allowance(tries=tries)):
                yield
        except BudgetSpent:
            self._count_refusal()
            raise ComeBack("the token was refused and is renewed", 0.0, tries) from None
        except ComeBack as back:
            self._emit(Retrying("webex", back.tries.attempts + back.tries.waits, back.after_s, str(back)))
            raise
        self._refusals = 0

    def _count_refusal(self) -> None:
        """Count tokens, not calls: any number of calls under way meet the end of the same one."""
        renewed_as = self._webex.refresher.generation
        self._refusals += renewed_as != self._renewed_as
        self._renewed_as = renewed_as
        if self._refusals > MAX_REFUSALS:
            raise AuthError("Webex refuses the token, one that was just renewed too") from None

    # One batch

    async def carry(self, batch: Batch, kept: Progress, tell: Tell, *, repeated: bool = False) -> BatchOutcome:
        """Ask captures for up to ten tasks and store what it has of them: one call, and see `remote.terms`.

        ``kept`` is what ``tell`` was told last by an earlier attempt; ``repeated``
        says that there was one, so that the bucket is looked at before anything is
        moved.  Raises `ComeBack`, `AuthError` or `RunStopped`; cancelling aborts
        what is being uploaded.
        """
        with anyio.CancelScope() as scope:
            self._in_hand.add(scope)
            try:
                return await self._carry(batch, kept, tell, repeated=repeated)
            finally:
                self._in_hand.discard(scope)
        raise _leaving(kept)

    async def _carry(self, batch: Batch, kept: Progress, tell: Tell, *, repeated: bool) -> BatchOutcome:
        if self.draining:
            raise _leaving(kept)
        begun = anyio.current_time()
        try:
            with self._one_call(kept):
                captures = await self._webex.client.captures_once([todo.id for todo in batch.todos])
        except ComeBack as back:
            if len(batch.todos) > 1 and back.tries.attempts >= (1 if batch.halved else BATCH_PATIENCE):
                return _halved(batch)
            raise
        except GivenUp as given_up:
            return _halved(batch) if len(batch.todos) > 1 and _may_halve(given_up) else _all_failed(batch, given_up)
        work = _Work(self, batch, kept, tell, repeated=repeated)
        return await work.done(captures, anyio.current_time() - begun)

    async def store(self, order: Order, *, repeated: bool, returns: int) -> Done | None:
        """Store one recording when there is room; None when it has to come back for a fresh URL or another worker."""
        recording = order.recording
        key = (recording.task_id, recording.id)
        async with self._room:
            if self.draining:
                return None
            begun = anyio.current_time()
            self._terms.returns[key] = returns
            try:
                outcome = await self._stored(order, repeated=repeated)
            finally:
                self._terms.returns.pop(key, None)
            if isinstance(outcome, Failed) and outcome.reason == FRESH_URL:
                return None
            return Done.of(recording, outcome, anyio.current_time() - begun)

    async def _stored(self, order: Order, *, repeated: bool) -> Outcome:
        recording = order.recording
        if repeated and (there := await self._there_already(order)):
            return there
        if recording.url is None:
            return Failed(recording.problem or "no_url")
        with allowed(Allowance(calls=0)):
            return await self._transfer.carry(order)

    async def _there_already(self, order: Order) -> Stored | None:
        """After an attempt that broke off: abort what it left open, and recognise what it finished.

        An object of ours appears only when all its bytes were checked, and says whose it is.
        """
        for target in filter(None, (order.target, order.fallback)):
            await self._transfer.sweep(target.key)
            try:
                found = await self._store.head(target.key)
            except (Rejected, GivenUp):
                continue  # not allowed to look: the conditional write tells
            mine = found is not None and _names(found.metadata, order.recording)
            if found is not None and mine and found.crc32 is not None and not self.settings.s3.overwrite:
                main_place = target is order.target and order.fallback is not None
                return Stored(await self._read_back(found), already=True, main_place=main_place)
        return None

    async def _read_back(self, found: StoredObject) -> StoredObject:
        """Compute the SHA-256 that the attempt which stored it took with it; without it when it cannot be read."""
        if not self.settings.evidence.sha256:
            return found
        try:
            read = await self._store.digest(found.key, found.size)
        except (Rejected, GivenUp):
            return found
        same = (read.size, read.crc32) == (found.size, found.crc32)
        return replace(found, sha256=read.sha256) if same else found

    async def holder_in_bucket(self, task: Task, recordings: Sequence[Recording]) -> str | None:
        """Return which of several recordings holds the task's main key; raises `GivenUp` when it cannot be seen."""
        by_encoded_id = {keys.encode_id(each.id): each.id for each in recordings}
        for key in keys.main_keys(task, recordings, template=self.settings.s3.key):
            if (occupant := await self._transfer.occupant(key)) in by_encoded_id:
                return by_encoded_id[occupant]
        return None

    def orders(self, todo: Todo, recordings: Sequence[Recording], holder: str | None) -> list[Order]:
        """Give each recording of a task its place."""
        base = {"wx-org-id": keys.encode_id(self.org_id)}
        task = Task(todo.id, created_ms=todo.created_ms)
        return keys.orders(task, recordings, template=self.settings.s3.key, holder=holder, base=base)

    def bytes_of(self, recordings: Sequence[Recording]) -> int:
        """Count the bytes read so far of what is under way."""
        streams = [self._terms.under_way.get((each.task_id, each.id)) for each in recordings]
        return sum(stream.offset for stream in streams if stream is not None)


class _Work:
    """What is left of one batch once captures has answered."""

    def __init__(
        self,
        station: Station,
        batch: Batch,
        kept: Progress,
        tell: Tell,
        *,
        repeated: bool,
    ) -> None:
        self._station, self._batch, self._tell, self._repeated = station, batch, tell, repeated
        self._found: dict[str, list[Recording]] = {}
        self._kept = {(each.task_id, each.recording_id): each for each in kept.done}
        self._again: set[str] = set()
        self._expired: set[str] = set()

    def _wanted(self, capture: Capture) -> list[Recording]:
        segments = self._station.settings.webex.include_segments
        return [each for each in capture.recordings if segments or not each.segment]

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
        return BatchOutcome(answers, {}, list(self._kept.values()), again, asked_s=round(asked_s, 3))

    async def _task(self, todo: Todo, group: TaskGroup) -> None:
        recordings = self._found[todo.id]
        at_rest = set(todo.settled) | {name for task, name in self._kept if task == todo.id}
        open_ones = [each for each in recordings if each.id not in at_rest]
        holder = self._holder_of(todo)
        try:
            if holder is None and len(recordings) > 1:
                holder = await self._station.holder_in_bucket(Task(todo.id, created_ms=todo.created_ms), recordings)
        except GivenUp as given_up:
            for each in open_ones:
                self._note(Done.of(each, Failed("bucket_unreadable", str(given_up))))
            return
        for order in self._station.orders(todo, recordings, holder):
            if order.recording in open_ones:
                group.start_soon(self._store, todo, order)

    async def _store(self, todo: Todo, order: Order) -> None:
        done = await self._station.store(order, repeated=self._repeated, returns=todo.returns)
        if done is not None:
            self._note(done)
            return
        self._again.add(todo.id)
        if not self._station.draining:
            self._expired.add(todo.id)

    def _note(self, done: Done) -> None:
        self._kept[done.task_id, done.recording_id] = done
        self.tell()

    def tell(self) -> None:
        """Let the engine keep what is done."""
        done = list(self._kept.values())
        under_way = [each for found in self._found.values() for each in found]
        moved = sum(each.size for each in done) + self._station.bytes_of(under_way)
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
        )


def _beside(capture: Capture) -> list[tuple[str, str]]:
    return [(each.id, redact_text(each.kind)) for each in capture.attachments]


def _counted(task: Task) -> TaskRow:
    return TaskRow(task.id, task.channel_type, created_ms=task.created_ms)


def _leaving(kept: Progress) -> ComeBack:
    return ComeBack("this worker is about to end", 0.0, kept.history())


def _halved(batch: Batch) -> BatchOutcome:
    middle = len(batch.todos) // 2
    return BatchOutcome(halves=[batch.todos[:middle], batch.todos[middle:]])


def _all_failed(batch: Batch, given_up: GivenUp) -> BatchOutcome:
    return BatchOutcome(failed={todo.id: _reason(given_up) for todo in batch.todos})


def _may_halve(given_up: GivenUp) -> bool:
    """Other ids may fare better when the server got the request and did not like it."""
    return isinstance(given_up.trouble, Rejected) and given_up.trouble.status != 429


def _reason(given_up: GivenUp) -> str:
    return given_up.decision.reason if isinstance(given_up.decision, GiveUp) else "error"


def _names(metadata: dict[str, str], recording: Recording) -> bool:
    ours = (keys.encode_id(recording.task_id), keys.encode_id(recording.id))
    return (metadata.get("wx-task-id"), metadata.get("wx-recording-id")) == ours
