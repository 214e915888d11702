"""The ledger's side of a job that an engine hands out: what is to be done, and what became of it.

Every method may be called again with the same arguments: an engine repeats a
call whose answer it did not get.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio

from wxrec_async.config import Settings
from wxrec_async.events import Emit
from wxrec_async.flow.batch import TaskAnswer
from wxrec_async.flow.job import Cursor
from wxrec_async.flow.policies import asked_period, filters_of, job_of, reach_of
from wxrec_async.flow.recovery import InterruptedWork
from wxrec_async.flow.run_ledger import RunLedger
from wxrec_async.flow.run_log import RunLog
from wxrec_async.flow.sidecar_writer import Sidecars
from wxrec_async.flow.summary import EXIT_AUTH, Ending, Summary
from wxrec_async.ledger.records import BacklogReason, InPeriod
from wxrec_async.model import OpenUpload, Period, Recording, Task, Window
from wxrec_async.rules import windows
from wxrec_async.rules.ids import canonical
from wxrec_async.rules.sources import Source
from wxrec_async.s3.bucket_owner import denied_hints
from wxrec_async.temporal.earlier_attempts import read_answers
from wxrec_async.temporal.messages import TaskMessage, TaskToDo
from wxrec_async.temporal.refusals import Refusals
from wxrec_async.temporal.results import BatchOutcome, TransferResult

LATE = "late"  # beside the words of `BacklogReason`: tasks at rest that deserve a second look
NOTHING_LEFT = InterruptedWork()


@dataclass(slots=True)
class _Run:
    """One run of the engine, as the ledger sees it from this process; ``unsaved`` are workers with a token unsaved."""

    name: str
    log: RunLog
    refusals: Refusals
    interrupted: Mapping[str, InterruptedWork] = field(default_factory=dict)
    unsaved: set[str] = field(default_factory=set)


class LedgerService:
    """Keeps the one ledger of a job, and ``sidecars`` when there are to be any.  ``clock`` is epoch seconds.

    A run is named by the engine, and begun in the ledger when its name is heard for
    the first time: a process that takes over from one that died begins it anew.
    ``scheduled`` is said of runs that nobody waits for: what is owed or failed has
    its time in them, and the trailing days are listed again.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: RunLedger,
        org_id: str,
        emit: Emit,
        clock: Callable[[], float] = time.time,
        sidecars: Sidecars | None = None,
    ) -> None:
        self.settings, self.org_id = settings, org_id
        self._ledger, self._emit, self._clock, self._sidecars = ledger, emit, clock, sidecars
        self._run: _Run | None = None
        self._begin = anyio.Lock()

    @property
    def filtered(self) -> bool:
        """Whether a filter leaves tasks out."""
        return bool(filters_of(self.settings))

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)

    def period(self) -> windows.AskedPeriod:
        """Return the period the settings ask for, as of now; raises `ConfigError` when it is none."""
        return asked_period(self.settings, self._now_ms())

    def trailing(self, seconds: float) -> windows.AskedPeriod:
        """Return the last so many seconds."""
        now, lookback = self._now_ms(), reach_of(self.settings).days
        return windows.clamp(Period(now - max(1, round(seconds * 1000)), now), lookback_days=lookback, now_ms=now)

    # What is to be done

    async def windows_left(self, run: str, period: Window, *, scheduled: bool = False) -> list[Window]:
        """See `RunLog.windows_left`."""
        return await (await self._of(run, period)).log.windows_left(period, scheduled=scheduled)

    async def take_in(  # noqa: PLR0913 - a page, and where it belongs
        self,
        run: str,
        period: Window,
        window: Window,
        rows: int,
        page: Sequence[TaskMessage],
        *,
        scheduled: bool = False,
        source: Source = Source.TASKS,
    ) -> list[TaskToDo]:
        """See `RunLog.ingest_page`."""
        current = await self._of(run, period)
        tasks = [row.task() for row in page]
        return await _todos(
            current, await current.log.ingest_page(window, rows, tasks, due_only=scheduled, source=source)
        )

    async def take_note(self, run: str, period: Window, window: Window, page: Sequence[TaskMessage]) -> None:
        """Note a page's contacts of other channels."""
        await (await self._of(run, period)).log.ingest_other(window, [row.task() for row in page])

    async def listed(  # noqa: PLR0913 - likewise
        self,
        run: str,
        period: Window,
        window: Window,
        asked_ms: int,
        trouble: str,
        not_counted: str = "",
        *,
        source: Source = Source.TASKS,
    ) -> None:
        """See `RunLog.close_window`; ``not_counted`` is why contacts of other channels were not all counted."""
        log = (await self._of(run, period)).log
        if not_counted:
            log.others_not_counted(window, not_counted)
        await log.close_window(window, asked_ms, trouble, source)

    async def backlog(
        self, run: str, period: Window, at: Cursor, only: Sequence[str], *, scheduled: bool = False
    ) -> tuple[list[TaskToDo], Cursor | None]:
        """See `RunLog.backlog`; ``only`` are words of `BacklogReason`, or `LATE` alone (`RunLog.second_looks`)."""
        current = await self._of(run, period)
        # Tasks at rest are no backlog: nothing is left of them, they are only looked at once more.
        if LATE in only:
            tasks, cursor = await current.log.second_looks(period, at, due_only=scheduled)
        else:
            tasks, cursor = await current.log.backlog(frozenset(map(BacklogReason, only)), at, due_only=scheduled)
        return await _todos(current, tasks), cursor

    # What became of it

    async def record(self, run: str, period: Window, outcomes: Sequence[BatchOutcome]) -> None:
        """Write outcomes down.  Raises `RunStopped` or `AuthError` when so much fails that the fault is everybody's."""
        current = await self._of(run, period)
        for outcome in outcomes:
            await _record(current, outcome)

    # A run

    async def begin(self, run: str, period: Window, notes: Iterable[str] = ()) -> None:
        """Begin the run in the ledger, unless it has begun here; every other call does so too."""
        await self._of(run, period, tuple(notes))

    async def _of(self, name: str, period: Window, notes: tuple[str, ...] = ()) -> _Run:
        """Return the run of this name, begun in the ledger."""
        # Calls come in at once, and the first of each kind begins the run: without the lock it would be begun twice.
        async with self._begin:
            if self._run is None or self._run.name != name:
                # One at a time, as an organisation has one backfill at a time: a new name takes its place.
                log = self._log(Period(period.from_ms, period.to_ms), notes)
                await log.begin(len(await log.windows_left(period)))
                refusals = Refusals(log.job.settings.backfill.max_failures_in_row)
                self._run = _Run(name, log, refusals, log.interrupted.by_task())
            return self._run

    def _log(self, period: Period, notes: tuple[str, ...]) -> RunLog:
        return RunLog(
            job_of(self.settings, self.org_id, InPeriod(period), period=period, notes=notes, command="run --temporal"),
            self._ledger,
            self._emit,
            self._now_ms,
            sidecars=self._sidecars,
            denied_hint=denied_hints(self.settings.s3),
        )

    async def end(self, run: str, period: Window, ending: Ending, notes: Iterable[str] = ()) -> Summary:
        """See `RunLog.finish`."""
        current = await self._of(run, period)
        # Too few tasks to end the run by their number, and not one was answered: a permission is missing.
        if current.refusals.of_everybody() and not ending.error:
            ending = replace(ending, error=str(current.refusals), error_exit=EXIT_AUTH)
        return await current.log.finish(replace(ending, token_unsaved=bool(current.unsaved)), notes=notes)


async def _todos(run: _Run, tasks: Sequence[Task]) -> list[TaskToDo]:
    """Tell of tasks to be asked for what their workers must know."""
    if not tasks:
        return []
    before = await run.log.before([task.id for task in tasks])
    left = ((task, run.interrupted.get(canonical(task.id), NOTHING_LEFT)) for task in tasks)
    return [TaskToDo.of(task, before[task.id], interrupted) for task, interrupted in left]


async def _record(run: _Run, outcome: BatchOutcome) -> None:
    log, answers = run.log, read_answers(outcome)
    # In the order of a plain run: what captures named must be known before what became of it, sidecars come after
    # the outcomes that they tell of.
    found = await log.record_answers(answers, refused=len(outcome.failed), asked_s=outcome.asked_s)
    for done in outcome.done:
        answer = answers.get(done.task_id)
        replaced = done.recording_id in _times(outcome, done.task_id)
        await log.record_outcome(_recording(done, answer), done.outcome(), done.seconds, replaced=replaced)
    await _record_uploads(log, outcome)
    await log.task_finished(found)
    if outcome.worker:
        # The newest word of each worker counts: a token that could be stored later is no trouble any more.
        (run.unsaved.add if outcome.token_unsaved else run.unsaved.discard)(outcome.worker)
    # Before they are written down: when everybody is refused this raises, and no task is failed for it.
    run.refusals.count(outcome, log.failed_before)
    await log.record_refused(outcome.failed)


def _recording(done: TransferResult, answer: TaskAnswer | None) -> Recording:
    named = answer.named.recordings if answer else ()
    return next((each for each in named if each.id == done.recording_id), Recording(done.task_id, done.recording_id))


def _times(outcome: BatchOutcome, task_id: str) -> Mapping[str, object]:
    """Return what was stored of a task when it was handed out."""
    return next((each.todo.times for each in outcome.answers if each.todo.id == task_id), {})


async def _record_uploads(log: RunLog, outcome: BatchOutcome) -> None:
    left = [OpenUpload(each.key, each.upload_id, each.task_id, each.recording_id) for each in outcome.left_open]
    # Handed out to be aborted, and not told again as open: they are gone.
    known = {(key, upload_id) for answer in outcome.answers for _, key, upload_id in answer.todo.uploads}
    await log.record_uploads(left, known - {(each.key, each.upload_id) for each in left})
