"""What comes next, and nothing else: deterministic, replayed from its history after any crash.

Pages and outcomes pass through as JSON has them.  Reading a thousand tasks by their
types takes longer than Temporal lets a workflow think, on a busy machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ActivityCancellationType, ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from wxrec_async.errors import Nonsense
    from wxrec_async.model import Task, TaskPage, Window
    from wxrec_async.plumbing.retrying import GivenUp
    from wxrec_async.remote import LATE, At, Lister, PageAsk, Span
    from wxrec_async.rules.retry import GiveUp
    from wxrec_async.scaleout import contract
    from wxrec_async.scaleout.contract import BackfillAsk, Pile, Plain, Report, Shape, WindowAsk

T = TypeVar("T")
A_CALL = timedelta(minutes=20)  # Webex may ask to wait for five minutes
A_BATCH = timedelta(hours=24)  # ten recordings of two hours over a slow line
A_NOTE = timedelta(minutes=20)
LAST_WORD = timedelta(minutes=2)
GATHER_S = 5.0
OUTCOMES_AT_ONCE = 50
BUSY_S = 30.0
UNTIL_IT_WORKS = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
LEFT_OVER = ("listed", "owed", "unfinished")
SECOND_LOOKS = (LATE,)
FAILED_BEFORE = ("failed",)


@workflow.defn(name="wxrec-further")
class FurtherFlow:
    """Returns when the budget has one more call."""

    @workflow.run
    async def run(self, queue: str) -> None:
        await workflow.execute_activity(
            "wxrec-further",
            task_queue=contract.further_queue(queue),
            start_to_close_timeout=timedelta(seconds=30),
            retry_policy=UNTIL_IT_WORKS,
        )


@workflow.defn(name="wxrec-backfill")
class BackfillFlow:
    """What earlier runs left, the windows of a period, oldest first, a few at once; then what failed before."""

    @workflow.run
    async def run(self, ask: BackfillAsk) -> Report:
        ask = ask if ask.run else replace(ask, run=f"{workflow.info().workflow_id}/{workflow.info().run_id}")
        plan = await self._plan(ask)
        ask = replace(ask, span=plan.period, shape=plan.shape, filtered=plan.filtered)
        ended = contract.End(ask.run, plan.period)
        try:
            await self._all(ask, plan.period, plan.windows, begin=ask.left is None)
        except (ActivityError, ChildWorkflowError) as failure:
            ended = _told(ended, failure)
        except asyncio.CancelledError:
            await _note(ask.org, "end", replace(ended, error="cancelled", exit_code=6), Report, within=LAST_WORD)
            raise
        report = await _note(ask.org, "end", ended, Report)
        if ended.error:
            raise ApplicationError(ended.error, ended.exit_code, type="Ended", non_retryable=True)
        return report

    async def _plan(self, ask: BackfillAsk) -> contract.Plan:
        """Return what an earlier history of this backfill was told, else what the keeper of the ledger says."""
        if ask.span and ask.shape and ask.left is not None:
            return contract.Plan(ask.span, ask.left, ask.shape, ask.filtered)
        asked = contract.PlanAsk(ask.run, None if ask.scheduled else ask.span, ask.trailing_s)
        told = await _note(ask.org, "plan", asked, contract.Plan)
        return replace(told, shape=ask.shape or told.shape)

    async def _all(self, ask: BackfillAsk, period: Span, windows: list[Span], *, begin: bool) -> None:
        if begin and not ask.filtered:
            await self._left_over(ask, period, LEFT_OVER)
        await self._windows(ask, period, windows)
        if ask.filtered:  # by now a page may have said what was missing before, a queue or an agent
            await self._left_over(ask, period, LEFT_OVER)
        await self._left_over(ask, period, SECOND_LOOKS)
        await self._left_over(ask, period, FAILED_BEFORE)

    async def _windows(self, ask: BackfillAsk, period: Span, windows: list[Span]) -> None:
        left, shape = list(windows), _shape(ask)
        under_way: list[Any] = []
        while left or under_way:
            while left and len(under_way) < shape.windows:
                span = left.pop(0)
                asked = WindowAsk(ask.org, ask.queue, ask.run, period, shape, span, scheduled=ask.scheduled)
                under_way.append(await _child(asked, contract.window_id(ask.org, span)))
            done, _ = await workflow.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                await each
            under_way = [each for each in under_way if not each.done()]
            if workflow.info().is_continue_as_new_suggested() and left and not under_way:
                workflow.continue_as_new(replace(ask, span=period, left=left))

    async def _left_over(self, ask: BackfillAsk, period: Span, kinds: Sequence[str]) -> None:
        whose = (ask.org, ask.queue, ask.run, period, _shape(ask), period)
        asked = WindowAsk(*whose, list(kinds), scheduled=ask.scheduled)
        await (await _child(asked, contract.backlog_id(ask.org, kinds[0])))


@workflow.defn(name="wxrec-window")
class WindowFlow:
    """One window from its first page to its last recording; or what earlier runs left."""

    @workflow.run
    async def run(self, ask: WindowAsk) -> None:
        crew = Crew(ask)
        try:
            await (self._backlog(ask, crew) if ask.only else self._window(ask, crew))
            await crew.finish()
        except _Rest as rest:
            await crew.finish()
            workflow.continue_as_new(rest.ask)
        except ActivityError:
            await crew.write_down()
            raise

    async def _backlog(self, ask: WindowAsk, crew: Crew) -> None:
        at: Any = ask.at or At(ask.period.from_ms)
        while at is not None:
            asked = {**_of_run(ask), "at": _plain(at), "only": ask.only, "scheduled": ask.scheduled}
            found = await _note(ask.org, "backlog", asked, dict)
            await crew.take(found["todos"])
            at = found["at"]
            if at is not None and workflow.info().is_continue_as_new_suggested():
                raise _Rest(replace(ask, at=At(**at)))

    async def _window(self, ask: WindowAsk, crew: Crew) -> None:
        whole, asked_ms, trouble = ask.whole or ask.span, ask.asked_ms, ask.trouble
        if not ask.others:
            asked_ms, trouble = await self._list(ask, crew)
        not_counted = ""
        if ask.shape.other_channels and not trouble:
            rest = replace(ask, whole=whole, asked_ms=asked_ms, trouble=trouble, others=True)
            rest = rest if ask.others else replace(rest, span=whole)
            if not ask.others and workflow.info().is_continue_as_new_suggested():
                raise _Rest(rest)
            not_counted = await self._count_others(rest)
        ended = contract.Listed(ask.run, ask.period, whole, asked_ms, trouble, not_counted)
        await _note(ask.org, "listed", ended, None)

    async def _list(self, ask: WindowAsk, crew: Crew) -> tuple[int, str]:
        """List the window; return when that began, and why it is not whole."""
        pages = _Pages(ask)

        async def take_in(window: Window, page: TaskPage, new: Sequence[Task]) -> None:
            rows = [pages.rows[task.id] for task in new]
            asked = {**_of_run(ask), "window": asdict(Span.of(window)), "rows": page.rows, "tasks": rows}
            asked["scheduled"] = ask.scheduled
            await crew.take(await _note(ask.org, "take_in", asked, list))
            if page.unreadable:
                pages.trouble = f"{page.unreadable} of its tasks have no usable id"
            if workflow.info().is_continue_as_new_suggested() and (rest := _rest_of(ask, page)):
                raise _Rest(replace(rest, asked_ms=pages.asked_ms, trouble=pages.trouble))

        lister = Lister(pages, ask.shape.page_size, ask.shape.channel_types)
        trouble = await lister.read(ask.span.window(), take_in) or pages.trouble
        return pages.asked_ms, trouble

    async def _count_others(self, ask: WindowAsk) -> str:
        """Count the contacts of other channels; return why that did not succeed, which is only said."""
        pages = _Pages(ask)

        async def take_note(window: Window, page: TaskPage, new: Sequence[Task]) -> None:
            rows = [pages.rows[task.id] for task in new]
            asked = {**_of_run(ask), "window": asdict(Span.of(window)), "tasks": rows}
            await _note(ask.org, "take_note", asked, None)
            if workflow.info().is_continue_as_new_suggested() and (rest := _rest_of(ask, page)):
                raise _Rest(rest)

        lister = Lister(pages, ask.shape.page_size, ask.shape.other_channels)
        try:
            return await lister.read(ask.span.window(), take_note) or ""
        except _Refused as refused:
            return str(refused)


class Crew:
    """The batches of one window that are under way, and what became of them until it is written down."""

    def __init__(self, ask: WindowAsk) -> None:
        self._ask, self._pile = ask, Pile()
        self._under_way: list[workflow.ActivityHandle[Plain]] = []
        self._writing: workflow.ActivityHandle[None] | None = None
        self._unwritten: list[Plain] = []

    async def take(self, todos: list[Plain]) -> None:
        """Begin work on tasks; returns when less than a batch of them waits."""
        self._pile.add(todos)
        self._begin()
        while self._pile.full:
            await self._step(None)

    async def finish(self) -> None:
        """Return when everything is done and written down."""
        self._begin()
        while self._pile or self._under_way or self._unwritten or self._writing:
            if self._pile and not await self._step(GATHER_S):
                self._begin(partly=True)
            elif not self._pile:
                await self._step(None)

    async def write_down(self) -> None:
        """Write down what is finished, when the rest will not be."""
        while self._unwritten:
            self._write()
            if self._writing:
                await self._writing
                self._writing = None

    def _begin(self, *, partly: bool = False) -> None:
        while len(self._under_way) < self._ask.shape.batches and (self._pile.full or (partly and self._pile)):
            todos, halved = self._pile.next()
            self._under_way.append(_carry(self._ask, {"org": self._ask.org, "todos": todos, "halved": halved}))

    def _write(self) -> None:
        if self._unwritten and self._writing is None:
            told, self._unwritten = self._unwritten[:OUTCOMES_AT_ONCE], self._unwritten[OUTCOMES_AT_ONCE:]
            self._writing = _noting(self._ask.org, "record", {**_of_run(self._ask), "outcomes": told})

    async def _step(self, patience_s: float | None) -> bool:
        """Wait until something is finished; False when nothing was for so long, or nothing is under way."""
        waiting: list[Any] = [*self._under_way, *([self._writing] if self._writing else [])]
        if not waiting:
            return False
        done, _ = await workflow.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=patience_s)
        if self._writing and self._writing.done():
            writing, self._writing = self._writing, None
            await writing
        finished = [each for each in self._under_way if each.done()]
        self._under_way = [each for each in self._under_way if each not in finished]
        for each in finished:
            outcome = await each
            self._unwritten.append(outcome)
            self._pile.take_back(outcome)
        self._write()
        self._begin()
        return bool(done)


class _Rest(Exception):
    """The history is long enough: the rest of the window goes into a new one."""

    def __init__(self, ask: WindowAsk) -> None:
        super().__init__()
        self.ask = ask


class _Refused(Exception):
    """Contacts of other channels cannot be listed."""


class _Pages:
    """Webex, as far as listing goes; each page is asked for by some worker.

    A refusal of contacts that are only counted is `_Refused`, for they end no run.
    """

    def __init__(self, ask: WindowAsk) -> None:
        self._ask = ask
        self.asked_ms, self.trouble = ask.asked_ms, ask.trouble
        self.rows: dict[str, Plain] = {}

    async def tasks_page(self, window: Window, *, from_ms: int, next_link: str | None = None) -> TaskPage:
        """See `wxrec_async.lister.PageSource`."""
        row = await self._asked(PageAsk(self._ask.org, Span.of(window), from_ms, next_link, self._ask.others))
        self.asked_ms = min(self.asked_ms or row["asked_ms"], row["asked_ms"])
        if row["refused"]:
            raise GivenUp(GiveUp(row["refused"]), Nonsense(row["detail"]))
        self.rows = {each["id"]: each for each in row["tasks"]}
        tasks = (Task(r["id"], channel_type=r["channel_type"], created_ms=r["created_ms"]) for r in row["tasks"])
        return TaskPage(tuple(tasks), row["rows"], row["next_link"], None, row["unreadable"])

    async def _asked(self, asked: PageAsk) -> Plain:
        try:
            row: Plain = await workflow.execute_activity(
                "wxrec-page",
                asked,
                result_type=dict,
                task_queue=self._ask.queue,
                start_to_close_timeout=A_CALL,
                heartbeat_timeout=timedelta(seconds=self._ask.shape.heartbeat_s),
                retry_policy=UNTIL_IT_WORKS,
            )
        except ActivityError as failure:
            if asked.others and isinstance(failure.cause, ApplicationError):
                raise _Refused(failure.cause.message) from None
            raise
        return row


def _rest_of(ask: WindowAsk, page: TaskPage) -> WindowAsk | None:
    """Return the rest of a window behind a page; None when the page is no safe place to cut at."""
    times = [task.created_ms for task in page.tasks if task.created_ms is not None]
    if page.next_link or not times or times != sorted(times) or times[0] == times[-1]:
        return None
    begin = max(times[-1] - 1, ask.span.from_ms + 1)
    if begin >= ask.span.to_ms:
        return None
    return replace(ask, span=Span(begin, ask.span.to_ms), whole=ask.whole or ask.span)


def _of_run(ask: WindowAsk) -> Plain:
    return {"run": ask.run, "period": asdict(ask.period)}


def _shape(ask: BackfillAsk) -> Shape:
    return ask.shape or Shape()


def _plain(at: Any) -> Plain:
    return at if isinstance(at, dict) else asdict(at)


def _carry(ask: WindowAsk, batch: Plain) -> workflow.ActivityHandle[Plain]:
    return workflow.start_activity(
        "wxrec-carry",
        batch,
        result_type=dict,
        task_queue=ask.queue,
        start_to_close_timeout=A_BATCH,
        heartbeat_timeout=timedelta(seconds=ask.shape.heartbeat_s),
        retry_policy=UNTIL_IT_WORKS,
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


def _noting(org: str, name: str, asked: object, kind: type[T] | None = None, within: timedelta | None = None) -> Any:
    return workflow.start_activity(
        f"wxrec-{name}",
        asked,
        result_type=kind,
        task_queue=contract.ledger_queue(org),
        start_to_close_timeout=A_NOTE,
        schedule_to_close_timeout=within,
        heartbeat_timeout=timedelta(seconds=30),
        retry_policy=UNTIL_IT_WORKS,
    )


async def _note(org: str, name: str, asked: object, kind: type[T] | None, within: timedelta | None = None) -> T:
    """Ask whoever keeps the ledger; wait until there is one."""
    return await _noting(org, name, asked, kind, within)  # type: ignore[no-any-return]


async def _child(ask: WindowAsk, name: str) -> Any:
    """Begin work on a window; wait while somebody else is at it."""
    while True:
        try:
            return await workflow.start_child_workflow(
                WindowFlow.run, ask, id=name, parent_close_policy=ParentClosePolicy.REQUEST_CANCEL
            )
        except WorkflowAlreadyStartedError:
            await workflow.sleep(BUSY_S)


def _told(end: contract.End, failure: BaseException) -> contract.End:
    """Find what ended the run in the failures of failures."""
    cause: BaseException | None = failure
    while cause is not None and not isinstance(cause, ApplicationError):
        cause = cause.__cause__
    if isinstance(cause, ApplicationError):
        code = cause.details[0] if cause.details and isinstance(cause.details[0], int) else 1
        return replace(end, error=cause.message, exit_code=code)
    return replace(end, error="a piece of work was cancelled or timed out", exit_code=1)
