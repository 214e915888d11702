"""The ledger's side of a job that an engine hands out: what is to be done, and what became of it.

Every method may be called again with the same arguments: an engine repeats a
call whose answer it did not get.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio

from wxrec_async import events
from wxrec_async.author import this_program
from wxrec_async.choices import ages_of, asked_period, filters_of
from wxrec_async.config import Settings
from wxrec_async.errors import RunStopped
from wxrec_async.events import Emit
from wxrec_async.ledger.records import AskedBefore, BacklogTask, InPeriod, KnownTask, Work
from wxrec_async.left_out import count_left_out
from wxrec_async.model import (
    DAY_MS,
    Capture,
    Failed,
    Gone,
    Period,
    Recording,
    RecordingState,
    Stored,
    Task,
    TaskState,
    Window,
)
from wxrec_async.plumbing.for_each import each_of
from wxrec_async.remote.earlier import with_done
from wxrec_async.remote.outcomes import Answer, BatchOutcome, Done, Found
from wxrec_async.remote.records import At, TaskRow, Todo
from wxrec_async.remote.refusals import Refusals
from wxrec_async.report import EXIT_AUTH, Ending, Summary
from wxrec_async.rules import finality, selection, windows
from wxrec_async.rules.identity import Changed
from wxrec_async.settling import Settling
from wxrec_async.sidecars import AT_ONCE, Sidecars

if TYPE_CHECKING:
    from wxrec_async.ledger.store import SqliteLedger

BACKLOG_PAGE = 500
LATE = "late"  # beside the words of `Work`: tasks at rest that deserve a second look


@dataclass(slots=True)
class _Run:
    """One run of the engine, as the ledger sees it from this process."""

    name: str
    id: str
    period: Period
    begun: float
    settling: Settling
    refusals: Refusals
    incomplete: list[Window] = field(default_factory=list)
    uploads: set[str] = field(default_factory=set)


class Books:
    """Keeps the one ledger of a job, and ``sidecars`` when there are to be any.  ``clock`` is epoch seconds.

    A run is named by the engine, and begun in the ledger when its name is heard for
    the first time: a process that takes over from one that died begins it anew.
    ``scheduled`` is said of runs that nobody waits for: what is owed or failed has
    its time in them, and the trailing days are listed again.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: SqliteLedger,
        org_id: str,
        emit: Emit,
        clock: Callable[[], float] = time.time,
        sidecars: Sidecars | None = None,
    ) -> None:
        self.settings, self.org_id = settings, org_id
        self._ledger, self._emit, self._clock, self._sidecars = ledger, emit, clock, sidecars
        self._run: _Run | None = None
        self._begin = anyio.Lock()
        self._ages = ages_of(settings)
        self._filters = filters_of(settings)

    @property
    def filtered(self) -> bool:
        """Whether a filter leaves tasks out."""
        return bool(self._filters)

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)

    def period(self) -> windows.Asked:
        """Return the period the settings ask for, as of now; raises `ConfigError` when it is none."""
        return asked_period(self.settings, self._now_ms())

    def trailing(self, seconds: float) -> Period:
        """Return the last so many seconds."""
        now = self._now_ms()
        asked = windows.clamp(
            Period(now - max(1, round(seconds * 1000)), now),
            lookback_days=self.settings.webex.lookback_days,
            now_ms=now,
        )
        return asked.period

    # What is to be done

    async def windows_left(self, run: str, period: Window, *, scheduled: bool = False) -> list[Window]:
        """Return the windows that are still to be listed, oldest first: what is purged first is saved first."""
        await self._of(run, period)
        return await self._left(period, scheduled=scheduled)

    async def _left(self, period: Window, *, scheduled: bool = False) -> list[Window]:
        closed = await self._ledger.closed_windows(period)
        if scheduled:
            closed = windows.reopened(closed, self._now_ms() - round(self.settings.follow.trailing_days * DAY_MS))
        left = [window for gap in windows.subtract(period, closed) for window in windows.cut(gap)]
        spans = await self._ledger.open_spans(InPeriod(period), now_ms=self._now_ms(), due_only=scheduled)
        return windows.with_spans(left, spans)

    async def take_in(
        self,
        run: str,
        period: Window,
        window: Window,
        rows: int,
        page: Sequence[TaskRow],
        *,
        scheduled: bool = False,
    ) -> list[Todo]:
        """Write a page's tasks down and return those to be asked for; the rest is settled here."""
        current = await self._of(run, period)
        self._emit(events.PageListed(window, rows=rows, new=len(page)))
        tasks = [row.task() for row in page]
        todo = await self._ledger.add_tasks(tasks, listed_in=window, now_ms=self._now_ms(), patient=scheduled)
        return await self._todos(await current.settling.to_ask(todo, window))

    async def take_note(self, run: str, period: Window, window: Window, page: Sequence[TaskRow]) -> None:
        """Note a page's contacts of other channels."""
        current = await self._of(run, period)
        await current.settling.other_contacts([row.task() for row in page], window)

    async def listed(
        self, run: str, period: Window, window: Window, asked_ms: int, trouble: str, not_counted: str = ""
    ) -> None:
        """Note that a window was listed to its end, or why it was not; ``asked_ms`` is when its listing began.

        ``not_counted`` is why contacts of other channels were not all counted; they
        are not what was asked for, so it is only said.
        """
        current = await self._of(run, period)
        if not_counted:
            words = f"contacts of other channels in {window}: {not_counted}"
            self._emit(events.Warned("others_not_counted", words))
        if trouble:
            if window not in current.incomplete:
                current.incomplete.append(window)
            self._emit(events.WindowIncomplete(window, trouble))
            return
        settle_ms = self._ages.settle_ms
        closed = finality.closes_window(window, sound=not trouble, settle_ms=settle_ms, asked_ms=asked_ms)
        if closed is not None:
            await self._ledger.close_window(closed, self._now_ms())
        self._emit(events.WindowListed(window, closed=closed == window))

    async def backlog(
        self, run: str, period: Window, at: At, only: Sequence[str], *, scheduled: bool = False
    ) -> tuple[list[Todo], At | None]:
        """Return tasks that earlier runs left, and where to go on; None: there are no more.

        ``only`` are words of `Work`, or `LATE` alone.  What is purged first comes first.
        """
        current = await self._of(run, period)
        if LATE in only:
            rows = await self._ledger.late(
                period, now_ms=self._now_ms(), after=at.row, limit=BACKLOG_PAGE, due_only=scheduled
            )
            return await self._todos(current.settling.wanted([row.task for row in rows], None)), _next(rows)
        kinds = frozenset(map(Work, only))
        rows = await self._work_left(InPeriod(period), at, kinds, scheduled=scheduled)
        if Work.FAILED in kinds:
            current.settling.failed_before.update(row.task.id for row in rows)
        return await self._todos(await current.settling.to_ask([row.task for row in rows])), _next(rows)

    async def _work_left(
        self, scope: InPeriod, at: At, kinds: frozenset[Work], *, scheduled: bool
    ) -> list[BacklogTask]:
        """Return a page by age as long as there is one, then what has no age."""
        now, row = self._now_ms(), at.row
        open_since = now - self._ages.missing_ms
        if at.place_ms is not None:
            last = BacklogTask(at.row, Task(""), AskedBefore(TaskState.LISTED, 0), at.place_ms)
            rows = await self._ledger.oldest_work(
                scope,
                now_ms=now,
                after=last,
                limit=BACKLOG_PAGE,
                only=kinds,
                due_only=scheduled,
                patient=scheduled,
                open_since_ms=open_since,
            )
            if rows:
                return rows
            row = 0
        return await self._ledger.backlog(
            scope,
            now_ms=now,
            after=row,
            limit=BACKLOG_PAGE,
            only=kinds,
            due_only=scheduled,
            patient=scheduled,
            open_since_ms=open_since,
        )

    async def _todos(self, tasks: Sequence[Task]) -> list[Todo]:
        if not tasks:
            return []
        asked = await self._ledger.asked([task.id for task in tasks])
        # One that is said to go on for ever has failed, and one whose answer proved nothing is owed, with recordings.
        heard = [task_id for task_id, before in asked.items() if before.named or before.state is TaskState.CAPTURED]
        known = await self._ledger.known_many(heard)
        open_uploads: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
        for each in await self._ledger.open_uploads():
            open_uploads[each.task_id].append((each.recording_id, each.key, each.upload_id))
        todos = [replace(_todo(task, known.get(task.id)), first_seen_ms=asked[task.id].first_seen_ms) for task in tasks]
        return [replace(todo, uploads=open_uploads[todo.id]) if todo.id in open_uploads else todo for todo in todos]

    # What became of it

    async def record(self, run: str, period: Window, outcomes: Sequence[BatchOutcome]) -> None:
        """Write outcomes down.  Raises `RunStopped` or `AuthError` when so much fails that the fault is everybody's."""
        current = await self._of(run, period)
        for outcome in outcomes:
            await self._record(current, outcome)

    async def _record(self, run: _Run, outcome: BatchOutcome) -> None:
        settling = run.settling
        answers = {each.todo.id: with_done(each, outcome.done) for each in outcome.answers}
        tasks = {task_id: each.todo.task() for task_id, each in answers.items()}
        await settling.beside([(tasks[task_id], each.beside) for task_id, each in answers.items()])
        count = sum(len(each.recordings) for each in outcome.answers)
        self._emit(events.CapturesAsked(len(outcome.answers) + len(outcome.failed), count, outcome.asked_s))
        named = {task_id: each for task_id, each in answers.items() if each.recordings}
        captures = {task_id: Capture(task_id, unsettled=each.unsettled) for task_id, each in answers.items()}
        await settling.named_none(tasks, captures, named)
        run.refusals.count(outcome, settling.failed_before)
        await settling.refused(outcome.failed)
        begun = {done.task_id for done in outcome.done}  # an earlier attempt took the call to be over
        found = {task_id: each for task_id, each in named.items() if not each.goes_on or task_id in begun}
        await self._owe(settling, {task_id: each for task_id, each in named.items() if task_id not in found})
        known = await self._known(run, found)
        for task_id, answer in found.items():
            if not answer.unsettled:
                offered = {each.id for each in answer.recordings if not each.earlier}
                kept = {done.recording_id for done in outcome.done if done.task_id == task_id}
                await settling.missing(known[task_id], offered | kept)
        for done in outcome.done:
            await _note(run.settling, done, answers.get(done.task_id))
        await self._note_uploads(run, outcome)
        if self._sidecars is not None:
            await each_of(found, self._sidecars.at_rest, AT_ONCE)

    async def _owe(self, settling: Settling, going_on: Mapping[str, Answer]) -> None:
        """Owe tasks of which a worker fetched nothing, for the call may go on; here it may be over by now."""
        tasks = {task_id: each.todo.task() for task_id, each in going_on.items()}
        named = {task_id: _recordings(each) for task_id, each in going_on.items()}
        over = await settling.may_be_fetched(tasks, named)
        verdict = selection.Verdict(TaskState.OWED, selection.MAY_GO_ON, self._now_ms() + selection.MINUTE_MS)
        await settling.goes_on({task_id: (verdict, len(found)) for task_id, found in over.items()})

    async def _note_uploads(self, run: _Run, outcome: BatchOutcome) -> None:
        """Write down what was left open, for the next run to abort, and forget what is so no longer."""
        left = {each.upload_id: each for each in outcome.left_open}
        for each in left.values():
            ids = (each.task_id, each.recording_id)
            await self._ledger.upload_created(each.key, each.upload_id, *ids, self._now_ms())
            self._emit(events.UploadLeftOpen(each.key, each.upload_id))
        known = {upload_id for answer in outcome.answers for _, _, upload_id in answer.todo.uploads}
        for upload_id in known - left.keys():
            await self._ledger.upload_gone(upload_id)
        run.uploads = (run.uploads | left.keys()) - (known - left.keys())

    async def _known(self, run: _Run, found: Mapping[str, Answer]) -> dict[str, KnownTask]:
        if not found:
            return {}
        named = {task_id: _recordings(answer) for task_id, answer in found.items()}
        tasks = [answer.todo.task() for answer in found.values()]
        looks, never = run.settling.second_looks(tasks), run.settling.never_ended(tasks)
        return await self._ledger.captured_many(named, self._now_ms(), looks, never)

    # A run

    async def begin(self, run: str, period: Window) -> None:
        """Begin the run in the ledger, unless it has begun here; every other call does so too."""
        await self._of(run, period)

    async def _of(self, name: str, period: Window) -> _Run:
        """Return the run of this name, begun in the ledger."""
        async with self._begin:
            if self._run is None or self._run.name != name:
                run = self._new(name, Period(period.from_ms, period.to_ms))
                await self._ledger.begin_run(run.id, self._now_ms(), run.period, author=this_program())
                self._run = run
                left, ceiling = len(await self._left(period)), self.settings.memory.ceiling_mib
                started = (run.id, run.period, left, self.settings.backfill.concurrency, ceiling)
                self._emit(events.RunStarted(*started))
            return self._run

    def _new(self, name: str, period: Period) -> _Run:
        run_id, most = uuid.uuid4().hex[:12], self.settings.backfill.max_failures_in_row
        settling = Settling(
            run_id,
            self._ledger,
            self._emit,
            self._now_ms,
            ages=self._ages,
            filters=self._filters,
            max_failures_in_row=most,
            changed=Changed(self.settings.backfill.changed),
        )
        return _Run(name, run_id, period, anyio.current_time(), settling, Refusals(most))

    async def end(self, run: str, period: Window, ending: Ending) -> Summary:
        """Count what the period holds now, and close the run."""
        current = await self._of(run, period)
        scope, now = InPeriod(current.period), self._now_ms()
        if current.refusals.of_everybody() and not ending.error:
            ending = replace(ending, error=str(current.refusals), error_exit=EXIT_AUTH)
        ending = await self._with_sidecars(scope, ending)
        left = await count_left_out(self._ledger, scope, self._filters, now)
        counts = left.out_of(await self._ledger.counts(scope, current.id))
        failures = left.wanted(await self._ledger.failures(scope, limit=left.failures_to_read))
        ending = replace(ending, incomplete=tuple(current.incomplete), uploads_left=len(current.uploads))
        seconds = anyio.current_time() - current.begun
        aside, flags = await self._ledger.left_alone(scope), await self._ledger.flag_counts(scope)
        summary = Summary(
            current.id, current.period, counts, ending, seconds, failures, (), left.reasons, aside, flags=flags
        )
        await self._ledger.end_run(current.id, self._now_ms(), summary.exit_code, summary.as_json())
        return summary

    async def _with_sidecars(self, scope: InPeriod, ending: Ending) -> Ending:
        """Write the sidecars that are still missing, unless the run ended before its time."""
        if self._sidecars is None or ending.stopped or ending.error:
            return ending
        refusal = await self._sidecars.catch_up(scope)
        if refusal is None:
            return ending
        code = refusal.exit_code if isinstance(refusal, RunStopped) else EXIT_AUTH
        return replace(ending, error=str(refusal), error_exit=code)


def _next(rows: Sequence[BacklogTask]) -> At | None:
    return At(rows[-1].place_ms, rows[-1].row) if rows else None


def _todo(task: Task, known: KnownTask | None) -> Todo:
    phase, bare = str(finality.phase(task)), finality.is_bare(task)
    todo = Todo(task.id, task.created_ms, task.capture_requested, phase=phase, bare=bare)
    if known is None:
        return todo
    stored = {name: it for name, it in known.known.items() if it.state is RecordingState.STORED}
    times = {name: [it.start_ms, it.stop_ms] for name, it in stored.items()}
    return replace(todo, settled=list(stored), holder=known.holder, times=times)


def _recordings(answer: Answer) -> list[Recording]:
    return [each.recording(answer.todo.id) for each in answer.recordings]


async def _note(settling: Settling, done: Done, answer: Answer | None) -> None:
    match done.kind:
        case "stored":
            named = {each.id: each for each in answer.recordings} if answer else {}
            found = named.get(done.recording_id, Found(done.recording_id))
            replaced = answer is not None and done.recording_id in answer.todo.times
            stored = Stored(done.object(), already=done.already, main_place=done.main_place, flags=tuple(done.flags))
            await settling.stored(found.recording(done.task_id), stored, done.seconds, replaced=replaced)
        case "gone" if not finality.is_gone(done.evidence, named=False, sound=True):
            # A worker of an earlier release took any 404 for a deletion.
            await settling.failed(done.task_id, done.recording_id, Failed("not_found", "a 404 from the media host"))
        case "gone":
            await settling.gone(done.task_id, done.recording_id, Gone(done.evidence))
        case _:
            await settling.failed(done.task_id, done.recording_id, Failed(done.reason, done.detail, done.evidence))
