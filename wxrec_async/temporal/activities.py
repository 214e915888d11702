"""The pieces of work as Temporal's activities: what is kept between attempts, and which failure means what."""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import TypeVar

import anyio
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from wxrec_async.errors import AuthError, ConfigError, LedgerError, RunStopped
from wxrec_async.flow.summary import EXIT_AUTH, EXIT_ERROR, EXIT_LEDGER, EXIT_USAGE, Ending, Summary
from wxrec_async.model import Period
from wxrec_async.rules.sources import Source
from wxrec_async.rules.windows import AskedPeriod
from wxrec_async.temporal import contract
from wxrec_async.temporal.call_budget import Requeue
from wxrec_async.temporal.ledger_service import LedgerService
from wxrec_async.temporal.messages import Batch, PageAsk, Span, TaskMessage, TaskToDo
from wxrec_async.temporal.results import BatchOutcome, BatchProgress
from wxrec_async.temporal.worker_service import WorkerService

T = TypeVar("T")
log = logging.getLogger(__name__)
BEATS = 4  # in the time after which a silent worker is given up
# Answers that are remembered: many times what can be under way with one keeper at once.
KEPT = 1000
# The SDK sends what it is told once a second at most (`worker.BEAT`): more often is for nothing.
NEWS_S = 1.0
# Time for another worker of the queue, one that has the organisation, to take it.
ELSEWHERE_S = 5.0
IN_TURN_S = (
    0.1  # the queue says when a call is due; without a delay of ours the engine would wait twice as long each time
)


# For workers
class WorkerActivities:
    """The activities of a client id's queue; ``stations`` are its organisations, by id."""

    def __init__(self, stations: Mapping[str, WorkerService]) -> None:
        self._stations = stations

    @activity.defn(name="wxrec-page")
    async def page(self, asked: contract.Plain) -> contract.Plain:
        """See `WorkerService.page`."""
        ask = PageAsk.read(asked)
        async with _beating(_kept()) as beat:
            row = await self._station(ask.org).page(ask, beat.progress)
        return row.plain()

    @activity.defn(name="wxrec-carry")
    async def carry(self, asked: contract.Plain) -> contract.Plain:
        """See `WorkerService.carry`."""
        batch = Batch.read(asked)
        async with _beating(_kept()) as beat:
            # Also when the attempt before kept nothing: a process that was killed told nobody what it had begun.
            repeated = activity.info().attempt > 1
            outcome = await self._station(batch.org).carry(batch, beat.progress, beat, repeated=repeated)
        return outcome.plain()

    def _station(self, org: str) -> WorkerService:
        station = self._stations.get(org)
        if station is None:
            raise Requeue(f"this worker has no configuration of organisation {org}", ELSEWHERE_S, _kept().history())
        return station


@activity.defn(name="wxrec-further")
async def further() -> None:
    """Pay for one further call by having begun."""


# For the keeper of a ledger
class LedgerActivities:
    """The activities of whoever keeps an organisation's ledger; ``ended`` hears each run's summary.

    An answer that got lost on its way is given again as it was: a task is handed out once a run.
    """

    def __init__(self, books: LedgerService, ended: Callable[[Summary], None]) -> None:
        self._books, self._ended = books, ended
        self._answers: OrderedDict[tuple[str, str], object] = OrderedDict()

    def all(self) -> list[Callable[..., Awaitable[object]]]:
        """Return all of them."""
        return [self.plan, self.take_in, self.take_note, self.backlog, self.record, self.listed, self.end]

    @activity.defn(name="wxrec-plan")
    async def plan(self, ask: contract.PlanAsk) -> contract.WorkPlan:
        async def answer() -> contract.WorkPlan:
            asked = _asked(ask.span) if ask.span else self._books.trailing(ask.trailing_s)
            # Begun here, with its notes: the next call would begin it without.
            await self._books.begin(ask.run, asked.period, asked.clamped)
            windows = await self._books.windows_left(ask.run, asked.period, scheduled=ask.span is None)
            left, shape = [Span.of(window) for window in windows], contract.Sizing.of(self._books.settings)
            return contract.WorkPlan(Span.of(asked.period), left, shape, self._books.filtered, list(asked.clamped))

        return await self._once(answer)

    @activity.defn(name="wxrec-take_in")
    async def take_in(self, ask: contract.IngestPage) -> list[contract.Plain]:
        async def answer() -> list[contract.Plain]:
            page = (ask.period.window(), ask.window.window(), ask.rows, [TaskMessage(**row) for row in ask.tasks])
            source = Source(ask.source)
            return _plain(await self._books.take_in(ask.run, *page, scheduled=ask.scheduled, source=source))

        return await self._once(answer)

    @activity.defn(name="wxrec-take_note")
    async def take_note(self, ask: contract.IngestOther) -> None:
        page = (ask.period.window(), ask.window.window(), [TaskMessage(**row) for row in ask.tasks])
        await self._once(lambda: self._books.take_note(ask.run, *page))

    @activity.defn(name="wxrec-backlog")
    async def backlog(self, ask: contract.BacklogAsk) -> contract.Backlog:
        async def answer() -> contract.Backlog:
            where = (ask.period.window(), ask.at, ask.only)
            todos, at = await self._books.backlog(ask.run, *where, scheduled=ask.scheduled)
            return contract.Backlog(_plain(todos), at)

        return await self._once(answer)

    @activity.defn(name="wxrec-record")
    async def record(self, ask: contract.Record) -> None:
        outcomes = [BatchOutcome.read(row) for row in ask.outcomes]
        await self._once(lambda: self._books.record(ask.run, ask.period.window(), outcomes))

    @activity.defn(name="wxrec-listed")
    async def listed(self, ask: contract.Listed) -> None:
        told = (ask.window.window(), ask.asked_ms, ask.trouble, ask.not_counted)
        await self._once(lambda: self._books.listed(ask.run, ask.period.window(), *told, source=Source(ask.source)))

    @activity.defn(name="wxrec-end")
    async def end(self, ask: contract.End) -> contract.SummaryFigures:
        async def answer() -> contract.SummaryFigures:
            ending = Ending(error=ask.error or None, error_exit=ask.exit_code)
            summary = await self._books.end(ask.run, ask.period.window(), ending, ask.notes)
            self._ended(summary)
            counts = summary.counts
            return contract.SummaryFigures(
                summary.exit_code, counts.recordings, counts.stored, counts.already_stored, counts.failed, counts.owed,
                counts.bytes,
            )  # fmt: skip

        return await self._once(answer)

    async def _once(self, answer: Callable[[], Awaitable[T]]) -> T:
        info = activity.info()
        # The same for every attempt at one call, and for no other call of any run.
        key = (info.workflow_run_id or "", info.activity_id)
        async with _beating(BatchProgress()):
            # Only what succeeded is kept: an attempt that failed has given no answer, and is made again.
            if key not in self._answers:
                self._answers[key] = await answer()
                while len(self._answers) > KEPT:
                    self._answers.popitem(last=False)
            return self._answers[key]  # type: ignore[return-value]


def _asked(span: Span) -> AskedPeriod:
    return AskedPeriod(Period(span.from_ms, span.to_ms))


def _plain(todos: Iterable[TaskToDo]) -> list[contract.Plain]:
    return [todo.plain() for todo in todos]


class _Heartbeat:
    """The heartbeat: what is told last is kept by the server, and given to the next attempt.

    It beats when there is news, something named or finished, at most once in `NEWS_S`; bytes
    are no news, and go along with the beats that say no more than that we live.
    """

    def __init__(self, progress: BatchProgress) -> None:
        self.progress, self._sent = progress, -math.inf
        self._news = False

    def __call__(self, progress: BatchProgress) -> None:
        known = self.progress
        self._news = self._news or len(progress.done) != len(known.done) or progress.named.keys() != known.named.keys()
        self.progress = progress

    def send(self) -> None:
        """Tell the server now."""
        self._news, self._sent = False, anyio.current_time()
        activity.heartbeat(self.progress.plain())

    async def go_on(self, every_s: float) -> None:
        while True:
            if self._news or anyio.current_time() - self._sent >= every_s:
                self.send()
            await anyio.sleep(NEWS_S)


@asynccontextmanager
async def _beating(kept: BatchProgress) -> AsyncIterator[_Heartbeat]:
    # Whoever asked said how long a silence may be; else as `contract.Sizing` has it.
    timeout = activity.info().heartbeat_timeout or timedelta(seconds=30)
    beat = _Heartbeat(kept)
    # Outside of the task group, which wraps every failure of its body into a group.
    with _as_failures(beat):
        async with anyio.create_task_group() as group:
            group.start_soon(beat.go_on, timeout.total_seconds() / BEATS)
            yield beat
            # What still runs is the heartbeat alone.
            group.cancel_scope.cancel()


def _kept() -> BatchProgress:
    details = activity.info().heartbeat_details
    return BatchProgress.read(details[0]) if details else BatchProgress()


@contextmanager
def _as_failures(beat: _Heartbeat) -> Iterator[None]:
    """Say to the engine what a failure means: begin again, end the run, or a fault of the program.

    Nothing of the original goes along, because the engine keeps what it is told.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        failure: BaseException = _first(group)
    except Exception as exc:  # noqa: BLE001 - told below, whatever it is
        failure = exc
    else:
        return
    # Cancellation must reach the SDK as it came: told as a failure, the piece would be tried again.
    if not isinstance(failure, Exception):
        raise failure
    raise _told(failure, beat)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _told(failure: Exception, beat: _Heartbeat) -> ApplicationError:
    # Three kinds: the work comes back, the run ends with the exit code of a plain run, or the program is at
    # fault.  Only the first is tried again: `UNTIL_IT_WORKS` has no limit of attempts, and the others would
    # meet the same for ever.
    match failure:
        case Requeue():
            # Told before it fails: the next attempt gets the last heartbeat, and counts its tries on from there.
            beat(beat.progress.after(failure.tries))
            beat.send()
            delay = timedelta(seconds=max(failure.after_s, IN_TURN_S))
            # Expected: the engine's own log would have forty lines of an exception for it.
            benign = ApplicationErrorCategory.BENIGN
            return ApplicationError(str(failure), type="ComeBack", next_retry_delay=delay, category=benign)
        case RunStopped():
            return _ending(failure, failure.exit_code)
        case AuthError():
            return _ending(failure, EXIT_AUTH)
        case LedgerError():
            return _ending(failure, EXIT_LEDGER)
        case ConfigError():
            return _ending(failure, EXIT_USAGE)
        case _:
            # The traceback stays on the worker: the engine keeps what it is told, and gets the name of the class.
            log.error("a piece of work failed: %s", type(failure).__name__, exc_info=failure)
            words = f"{type(failure).__name__} in a worker, whose log says more: a fault of the program"
            return ApplicationError(words, EXIT_ERROR, type="Fault", non_retryable=True)


def _ending(failure: Exception, exit_code: int) -> ApplicationError:
    return ApplicationError(str(failure), exit_code, type=type(failure).__name__, non_retryable=True)
