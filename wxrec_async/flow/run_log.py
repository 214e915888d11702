"""One run in the ledger, whoever works: what is to be done, what became of it, and what it comes to in the end.

The orchestrator of one machine and the keeper of a fleet's ledger tell a `RunLog`
the same things in the same order, so that a task, a recording and a summary come out
alike.  It decides nothing by itself: verdicts are those of `verdicts`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import anyio

from wxrec_async import events
from wxrec_async.events import Emit, Event, UploadLeftOpen
from wxrec_async.flow.batch import Before, TaskAnswer
from wxrec_async.flow.filtered_out import count_left_out
from wxrec_async.flow.job import Cursor, Job
from wxrec_async.flow.operator import current_operator
from wxrec_async.flow.recovery import InterruptedWork
from wxrec_async.flow.run_ledger import RunLedger
from wxrec_async.flow.sidecar_writer import AT_ONCE, Sidecars
from wxrec_async.flow.summary import EXIT_AUTH, Ending, Summary
from wxrec_async.flow.verdicts import TaskVerdicts
from wxrec_async.ledger.records import (
    AskedBefore,
    BacklogReason,
    BacklogTask,
    Everything,
    InPeriod,
    KnownTask,
    NamedFor,
    Scope,
)
from wxrec_async.model import (
    FINAL_STATES,
    Failed,
    Gone,
    OpenUpload,
    Outcome,
    Recording,
    RecordingState,
    Stored,
    Task,
    TaskState,
    Window,
)
from wxrec_async.plumbing.for_each import each_of
from wxrec_async.rules import finality, windows
from wxrec_async.rules.sources import Source, parts_of

PAGE = 500
TELEPHONY = "telephony"


class RunLog:
    """One run of ``job``; `begin` comes first, `finish` last.

    ``now_ms`` is this machine's clock, epoch milliseconds, ``judged_ms`` that by which
    ages are judged.  ``denied_hint`` says why access may be denied, for the summary.
    Raises `LedgerError` everywhere, and where so much fails that the fault must be
    everybody's, `RunStopped` or `AuthError`.
    """

    def __init__(  # noqa: PLR0913 - the ledger, two clocks, and who listens
        self,
        job: Job,
        ledger: RunLedger,
        emit: Emit,
        now_ms: Callable[[], int],
        *,
        judged_ms: Callable[[], int] | None = None,
        sidecars: Sidecars | None = None,
        denied_hint: str = "",
    ) -> None:
        self.job, self.interrupted = job, InterruptedWork()
        self.incomplete: list[Window] = []
        self._ledger, self._emit, self._now_ms = ledger, emit, now_ms
        self.judged_ms = judged_ms or now_ms
        self._sidecars, self._denied_hint = sidecars, denied_hint
        # By key and id, because one upload may be told of twice: as an event and in a worker's report.
        self._uploads: set[tuple[str, str]] = set()
        self._begun_s, self._begun_ms = anyio.current_time(), self.judged_ms()
        self._verdicts = TaskVerdicts(job, ledger, emit, self.judged_ms)

    # What is to be done

    async def begin(self, windows: int) -> None:
        """Say that the run begins with so many windows to list, and find out what earlier ones left open."""
        job = self.job
        for note in job.notes:
            self._emit(events.Clamped(note))
        ceiling_mib = job.settings.memory.ceiling_mib
        self._emit(events.RunStarted(job.run_id, job.period, windows, job.concurrency, ceiling_mib))
        await self._ledger.begin_run(
            job.run_id, self._now_ms(), job.period, author=current_operator(), command=job.command
        )
        await self._want_what_was_left()
        # Read before any work begins: from then on what is open may be this run's own.
        self.interrupted = InterruptedWork(await self._ledger.open_uploads(), await self._ledger.started_keys())

    async def _want_what_was_left(self) -> None:
        """Take up what earlier runs left alone and this one is to take; there is more to it than audio of calls."""
        job = self.job
        if job.kinds or _further(job.channel_types):
            await self._ledger.want(sorted(job.kinds), _further(job.channel_types), self.judged_ms())

    async def windows_left(self, period: Window, *, scheduled: bool = False) -> list[Window]:
        """Return the windows of a period that are still to be listed, oldest first: what is purged first comes first.

        Among them are the days of calls that went on, and with ``scheduled`` the trailing days; none is of two lists.
        """
        closed = await self._ledger.closed_windows(period)
        # Webex lists late and changes what it listed, so on a schedule the trailing days count as open.
        if scheduled:
            closed = windows.reopened(closed, self._now_ms() - self.job.trailing_ms)
        going_on = await self.going_on(InPeriod(period), due_only=scheduled)
        left = windows.with_spans(windows.left(period, closed), going_on)
        # Their days may be closed: they were listed, as contacts to be counted.
        if channels := _further(self.job.channel_types):
            found = [self.listable(span) for span in await self._ledger.left_spans(period, channels)]
            left = windows.with_spans(left, [span for span in found if span is not None])
        return [window for _, window in parts_of(left, self.job.reach, self._now_ms())]

    async def windows_of_round(self, period: Window, again: Window) -> list[Window]:
        """Return what a follower lists in a round: ``again``, closed or not, and what is left of the whole period."""
        left: list[Window] = []
        if (listable := self.listable(period)) is not None:
            # Without ``again``, which comes last: what is left of the whole period is older, and purged first.
            left = windows.left(listable, [*await self._ledger.closed_windows(listable), again])
        covered = windows.with_spans(left, [again])
        spans = await self.going_on(Everything())
        going_on = [piece for span in spans for piece in windows.subtract(span, covered)]
        return [*windows.with_spans(left, going_on), *windows.cut(again)]

    async def going_on(self, scope: Scope, *, due_only: bool = True) -> list[Window]:
        """Return the spans that are listed again to learn whether a call is over, as far as Webex lists them."""
        spans = await self._ledger.open_spans(scope, now_ms=self._now_ms(), due_only=due_only)
        seen = (self.listable(span) for span in spans)
        return [span for span in seen if span is not None]

    def listable(self, span: Window) -> Window | None:
        """Return what of a span Webex still lists."""
        return windows.listable(span, lookback_days=self.job.reach.days, now_ms=self._now_ms())

    async def ingest_page(
        self,
        window: Window,
        rows: int,
        tasks: Sequence[Task],
        *,
        due_only: bool = False,
        source: Source = Source.TASKS,
    ) -> Sequence[Task]:
        """Write a page's tasks down and return those to be asked for; the rest is settled here."""
        self._emit(events.PageListed(window, rows=rows, new=len(tasks)))
        todo = await self._ledger.add_tasks(
            tasks, listed_in=window, now_ms=self.judged_ms(), patient=due_only, source=source
        )
        return await self._verdicts.needing_captures(todo, window)

    async def ingest_named(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Write tasks down that are named by id, with what is known of them, and return those to be asked for."""
        whose, patient = self.job.run_id, self.job.due_only
        todo = await self._ledger.add_tasks(
            tasks, listed_in=None, now_ms=self.judged_ms(), named_for=whose, patient=patient
        )
        return await self._verdicts.needing_captures(todo)

    async def ingest_other(self, window: Window, contacts: Sequence[Task]) -> None:
        """Count a page's contacts of other channels."""
        await self._verdicts.other_contacts(contacts, window)

    async def backlog(
        self, kinds: Collection[BacklogReason], cursor: Cursor | None = None, *, due_only: bool = False
    ) -> tuple[Sequence[Task], Cursor | None]:
        """Return tasks to ask for that earlier runs left, and where to go on; None: there are no more.

        What is purged first comes first; tasks without a place come by row after that.
        """
        rows = await self._left_behind(kinds, cursor, due_only=due_only)
        # What failed before this run is no sign that something new is wrong with everybody, so no
        # streak counts it.
        if BacklogReason.FAILED in kinds:
            self._verdicts.failed_before.update(row.task.id for row in rows)
        return await self._verdicts.needing_captures([row.task for row in rows]), Cursor.behind(rows)

    async def _left_behind(
        self, kinds: Collection[BacklogReason], cursor: Cursor | None, *, due_only: bool
    ) -> list[BacklogTask]:
        scope, now = self.job.scope, self.judged_ms()
        # Calls that were created since then and go on are listed again; older ones are asked for as they are.
        open_since = now - self.job.ages.missing_ms
        # Two walks, one behind the other: by place, oldest first, then by row for tasks that have
        # none.  A cursor without a place is in the second.  Of what was named by id a place is
        # mostly not known, and only the second is walked.
        if not isinstance(scope, NamedFor) and (cursor is None or cursor.place_ms is not None):
            rows = await self._ledger.oldest_work(
                scope,
                now_ms=now,
                after=cursor.last if cursor else None,
                limit=PAGE,
                only=kinds,
                due_only=due_only,
                patient=due_only,
                open_since_ms=open_since,
            )
            if rows:
                return rows
            # The second walk begins at its first row: what the first handed out the ledger hands out no more.
            cursor = None
        return await self._ledger.backlog(
            scope,
            now_ms=now,
            after=cursor.row if cursor else 0,
            limit=PAGE,
            only=kinds,
            due_only=due_only,
            patient=due_only,
            open_since_ms=open_since,
        )

    async def second_looks(
        self, span: Window, cursor: Cursor | None = None, *, due_only: bool = False
    ) -> tuple[Sequence[Task], Cursor | None]:
        """Return tasks at rest that may have got further recordings since, as `backlog` does."""
        after = cursor.row if cursor else 0
        rows = await self._ledger.late(span, now_ms=self.judged_ms(), after=after, limit=PAGE, due_only=due_only)
        return self._verdicts.matching_filters([row.task for row in rows], None), Cursor.behind(rows)

    async def close_window(
        self, window: Window, asked_ms: int, trouble: str | None, source: Source = Source.TASKS
    ) -> None:
        """Note that a window was listed to its end by ``source``, or why it was not.

        ``asked_ms`` is the servers' time at which its listing began.  May be called twice.
        """
        if trouble:
            # A fleet tells it again when the answer to the first time was lost.
            if window not in self.incomplete:
                self.incomplete.append(window)
            self._emit(events.WindowIncomplete(window, trouble))
            return
        settle_ms = self.job.ages.settle_ms
        # Maybe only the older part: in what was younger than ``settle`` when it was asked for calls
        # can still appear.
        closed = finality.closes_window(window, sound=True, settle_ms=settle_ms, asked_ms=asked_ms)
        if closed is not None:
            await self._ledger.close_window(closed, self.judged_ms(), source)
        self._emit(events.WindowListed(window, closed=closed == window))

    def others_not_counted(self, window: Window, why: str) -> None:
        """Say that contacts of other channels could not be counted; they are not what was asked for."""
        self._emit(events.Warned("others_not_counted", f"contacts of other channels in {window}: {why}"))

    # What became of it

    async def before(self, task_ids: Sequence[str]) -> dict[str, Before]:
        """Return what is known of tasks before captures is asked."""
        asked = await self._ledger.asked(task_ids)
        # What is listed for the first time has no recordings yet.
        heard = [name for name, each in asked.items() if _may_have_some(each, self._begun_ms)]
        known = await self._ledger.known_many(heard) if heard else {}
        return {name: _before(each.first_seen_ms, known.get(name)) for name, each in asked.items()}

    async def record_answers(
        self, answers: Mapping[str, TaskAnswer], *, refused: int = 0, asked_s: float = 0.0
    ) -> dict[str, KnownTask]:
        """Write down what captures said of tasks; return those with recordings to fetch as they are known now.

        ``refused`` tasks were asked for together with these, see `record_refused`;
        ``asked_s`` is how long the answer took, in seconds.
        """
        verdicts = self._verdicts
        beside = [(each.task, each.beside) for each in answers.values()]
        fetched = {name: count for name, each in answers.items() if (count := each.transcripts)}
        await verdicts.record_attachments(beside, fetched)
        named = {name: each for name, each in answers.items() if each.named.recordings}
        count = sum(len(each.named.recordings) for each in named.values())
        self._emit(events.CapturesAsked(len(answers) + refused, count, asked_s))
        silent = {name: each for name, each in answers.items() if name not in named}
        await verdicts.record_nothing_named(_tasks(silent), {name: each.unsettled for name, each in silent.items()})
        going_on = {name: each for name, each in named.items() if each.goes_on}
        await verdicts.goes_on(_tasks(going_on), {name: each.named.recordings for name, each in going_on.items()})
        return await self._record_found({name: each for name, each in named.items() if not each.goes_on})

    async def _record_found(self, found: Mapping[str, TaskAnswer]) -> dict[str, KnownTask]:
        if not found:
            return {}
        tasks = list(_tasks(found).values())
        silent = self._verdicts.without_audio(
            {name: (each.task, each.named.recordings) for name, each in found.items()}
        )
        # All in one change: a commit costs a sync of the disk, for ten tasks as for one.
        known = await self._ledger.captured_many(
            {name: each.named.recordings for name, each in found.items()},
            self.judged_ms(),
            self._verdicts.second_looks(tasks),
            self._verdicts.never_ended(tasks),
            silent,
        )
        for name, each in found.items():
            # An answer that proves nothing about what it leaves out makes no recording gone.
            if not each.unsettled:
                await self._verdicts.record_unlisted(known[name], each.offered)
        return known

    async def record_refused(self, failed: Mapping[str, str]) -> None:
        """Write down which tasks could not be asked for, and why."""
        await self._verdicts.record_refused(failed)

    async def record_outcome(
        self, recording: Recording, outcome: Outcome, seconds: float = 0.0, *, replaced: bool = False
    ) -> None:
        """Write down what became of a recording; ``replaced`` when it took the place of an earlier state of it."""
        match outcome:
            case Stored():
                await self._verdicts.stored(recording, outcome, seconds, replaced=replaced)
            case Failed():
                await self._verdicts.failed(recording, outcome)
            case Gone():
                await self._verdicts.gone(recording.task_id, recording.id, outcome, recording.kind)

    async def task_finished(self, task_ids: Iterable[str]) -> None:
        """Write the sidecars of tasks for which nothing more is done now."""
        if self._sidecars is not None:
            await each_of(task_ids, self._sidecars.task_finished, AT_ONCE)

    async def record_uploads(self, left_open: Sequence[OpenUpload], aborted: Collection[tuple[str, str]]) -> None:
        """Write down uploads that others left open, and forget those, by key and id, that they aborted."""
        for each in left_open:
            ids = (each.task_id, each.recording_id)
            await self._ledger.upload_created(each.key, each.upload_id, *ids, self.judged_ms())
            self._emit(UploadLeftOpen(each.key, each.upload_id))
            self._uploads.add((each.key, each.upload_id))
        for key, upload_id in aborted:
            await self._ledger.upload_gone(upload_id)
            self._uploads.discard((key, upload_id))

    def hear(self, event: Event) -> None:
        """Listen to those who work on this machine: what they leave open is counted."""
        if isinstance(event, UploadLeftOpen):
            self._uploads.add((event.key, event.upload_id))

    @property
    def failed_before(self) -> Collection[str]:
        """Tasks whose failures are no news to this run."""
        return self._verdicts.failed_before

    # The end

    async def finish(
        self, ending: Ending, shape: Callable[[Summary], Summary] = lambda summary: summary, notes: Iterable[str] = ()
    ) -> Summary:
        """Count what the scope holds now, and close the run; ``shape`` completes the summary before it is written."""
        job, ledger, scope = self.job, self._ledger, self.job.scope
        # Sidecars before anything is counted: what forbids them belongs into the ending, and so
        # into the exit code.
        ending = await self._with_sidecars(self._explained(ending))
        ending = replace(ending, incomplete=tuple(self.incomplete), uploads_left=len(self._uploads))
        left = await count_left_out(ledger, scope, job.filters, self._now_ms())
        counts = left.without(await ledger.counts(scope, job.run_id))
        failures = left.wanted(await ledger.failures(scope, limit=left.failures_to_read))
        if channels := _further(job.channel_types):
            await ledger.want((), channels, self.judged_ms())
        aside, flags = await ledger.left_alone(scope), await ledger.flag_counts(scope)
        seconds, notes = anyio.current_time() - self._begun_s, tuple(dict.fromkeys((*job.notes, *notes)))
        summary = shape(
            Summary(job.run_id, job.period, counts, ending, seconds, failures, notes, left.reasons, aside, flags=flags)
        )
        # Last of all: a run without an end is one that was killed, or could not even be counted.
        await ledger.end_run(job.run_id, self._now_ms(), summary.exit_code, summary.as_json())
        return summary

    def _explained(self, ending: Ending) -> Ending:
        denied = ending.error and ending.error_exit == EXIT_AUTH and "AccessDenied" in ending.error
        return replace(ending, error=f"{ending.error}; {self._denied_hint}") if denied and self._denied_hint else ending

    async def _with_sidecars(self, ending: Ending) -> Ending:
        """Write the sidecars that are still missing, unless the run ended before its time."""
        # Who was told to stop does not begin with what the next run will do as well.  A limit stops
        # only the fetching.
        if self._sidecars is None or ending.error or ending.stopped not in {None, "limit"}:
            return ending
        return self._explained(ending.or_refused(await self._sidecars.catch_up(self.job.scope)))


def _further(channel_types: Sequence[str]) -> list[str]:
    """Return the channels besides calls."""
    return [each for each in channel_types if each.lower() != TELEPHONY]


def _tasks(answers: Mapping[str, TaskAnswer]) -> dict[str, Task]:
    return {name: each.task for name, each in answers.items()}


def _may_have_some(asked: AskedBefore, begun_ms: int) -> bool:
    """Say whether recordings of a task may be known: it was heard of before, or found in the bucket."""
    return bool(asked.named) or asked.state is TaskState.CAPTURED or asked.first_seen_ms <= begun_ms


def _before(first_seen_ms: int, known: KnownTask | None) -> Before:
    if known is None:
        return Before(first_seen_ms)
    stored = {name: it for name, it in known.known.items() if it.state is RecordingState.STORED}
    # What is gone stays so under its name; what comes now under an id is another one.
    unstored = {name: it for name, it in known.known.items() if it.state not in FINAL_STATES}
    return Before(first_seen_ms, stored, known.holder, unstored)
