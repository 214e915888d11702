"""What comes next, and nothing else: deterministic, replayed from its history after any crash.

Pages and outcomes pass through as JSON has them.  Reading a thousand tasks by their
types takes longer than Temporal lets a workflow think, on a busy machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from wxrec_async.rules.sources import cut_by_source
    from wxrec_async.temporal import contract
    from wxrec_async.temporal.activity_calls import UNTIL_IT_WORKS, is_long, ledger_call
    from wxrec_async.temporal.contract import BackfillAsk, Sizing, SummaryFigures, WindowAsk
    from wxrec_async.temporal.ledger_service import LATE
    from wxrec_async.temporal.messages import Span
    from wxrec_async.temporal.window_workflow import WindowFlow

# A backfill that was cancelled waits so long for a keeper to write its summary; without one the ledger has the facts.
LAST_WORD = timedelta(minutes=2)
# A window of a backfill before this one may still be aborting its uploads.
BUSY_S = 30.0
# Words of `BacklogReason`.  What failed comes last in the run, so that lasting failures do not fill its streak.
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
    async def run(self, ask: BackfillAsk) -> SummaryFigures:
        # A schedule names no run.  Nothing may be drawn by chance here: a replay must find the same name.
        ask = ask if ask.run else replace(ask, run=f"{workflow.info().workflow_id}/{workflow.info().run_id}")
        plan = await self._plan(ask)
        notes = ask.notes or plan.notes
        ask = replace(ask, span=plan.period, shape=plan.shape, filtered=plan.filtered, notes=notes)
        ended = contract.End(ask.run, plan.period, notes=notes)
        try:
            await self._all(ask, plan.period, plan.windows, begin=ask.left is None)
        except (ActivityError, ChildWorkflowError) as failure:
            # The run is over, and its end is written down like any other before the workflow fails by it.
            ended = _told(ended, failure)
        except asyncio.CancelledError:
            await ledger_call(
                ask.org, "end", replace(ended, error="cancelled", exit_code=6), SummaryFigures, within=LAST_WORD
            )
            # As cancelled, not as failed: whoever cancelled asked for that.
            raise
        report = await ledger_call(ask.org, "end", ended, SummaryFigures)
        if ended.error:
            raise ApplicationError(ended.error, ended.exit_code, type="Ended", non_retryable=True)
        return report

    async def _plan(self, ask: BackfillAsk) -> contract.WorkPlan:
        """Return what an earlier history of this backfill was told, else what the keeper of the ledger says."""
        if ask.span and ask.shape and ask.left is not None:
            return contract.WorkPlan(ask.span, ask.left, ask.shape, ask.filtered)
        # A schedule's period is that of its beginning, as the keeper's clock has it.
        asked = contract.PlanAsk(ask.run, None if ask.scheduled else ask.span, ask.trailing_s)
        told = await ledger_call(ask.org, "plan", asked, contract.WorkPlan)
        return replace(told, shape=ask.shape or told.shape)

    async def _all(self, ask: BackfillAsk, period: Span, windows: list[Span], *, begin: bool) -> None:
        # Oldest first, so before the windows; in a later history it was done by an earlier one.
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
                # Which list reaches it is asked now: it may have been planned days ago.
                (source, window), *rest = cut_by_source(left.pop(0).window(), shape.reach, _now_ms())
                left[:0] = [Span.of(each) for _, each in rest]
                whose = (ask.org, ask.queue, ask.run, period, shape)
                span = Span.of(window)
                asked = WindowAsk(*whose, span, scheduled=ask.scheduled, source=str(source))
                under_way.append(await _child(asked, contract.window_id(ask.org, span)))
            done, _ = await workflow.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            # A failure is raised here and ends the run; the close policy has the other children cancelled.
            for each in done:
                await each
            under_way = [each for each in under_way if not each.done()]
            # With none under way, for a new history cannot wait for the children of this one.
            if is_long() and left and not under_way:
                workflow.continue_as_new(replace(ask, span=period, left=left))

    async def _left_over(self, ask: BackfillAsk, period: Span, kinds: Sequence[str]) -> None:
        whose = (ask.org, ask.queue, ask.run, period, _shape(ask), period)
        asked = WindowAsk(*whose, list(kinds), scheduled=ask.scheduled)
        await (await _child(asked, contract.backlog_id(ask.org, kinds[0])))


def _now_ms() -> int:
    """Return the time of the workflow, which a replay sees again as it was."""
    return round(workflow.now().timestamp() * 1000)


def _shape(ask: BackfillAsk) -> Sizing:
    return ask.shape or Sizing()


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
        # The exit code goes along as the first detail (`activities._told`).
        code = cause.details[0] if cause.details and isinstance(cause.details[0], int) else 1
        return replace(end, error=cause.message, exit_code=code)
    return replace(end, error="a piece of work was cancelled or timed out", exit_code=1)
