"""A backfill by the fleet, as one program sees it: it begins or joins it, keeps the ledger, and waits for the end.

`FleetBackfill` can be used where a `wxrec_async.Backfill` can: it is entered, run,
stopped and aborted the same way, tells the same events and returns the same summary.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType

import anyio
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from wxrec_async.config import Settings
from wxrec_async.events import Draining, Emit, Event, Warned, ignore
from wxrec_async.flow.summary import EXIT_FAILED, Ending, Summary
from wxrec_async.model import Window
from wxrec_async.rules.windows import AskedPeriod
from wxrec_async.temporal import contract
from wxrec_async.temporal.activities import LedgerActivities
from wxrec_async.temporal.connecting import connect, is_away
from wxrec_async.temporal.contract import BackfillAsk, Sizing, SummaryFigures
from wxrec_async.temporal.ledger_opening import open_ledger_service, who
from wxrec_async.temporal.messages import Span
from wxrec_async.temporal.worker import ledger_worker
from wxrec_async.temporal.workflows import BackfillFlow

# While the server is away; everything goes on where it was when it is back.
ASK_AGAIN_S = 1.0
LOOK_EVERY_S = 30.0
DETACHED = "the backfill goes on without us; the same command again joins it"


class FleetBackfill:
    """One organisation's backfill on the workers of a Temporal server at ``address``.

    Entering opens the ledger and connects; raises as `Backfill` does.
    """

    def __init__(self, settings: Settings, address: str, *, on_event: Emit = ignore) -> None:
        self.settings = settings
        self._address, self._emit = address, on_event
        self._stack = AsyncExitStack()
        self._scope: anyio.CancelScope | None = None
        self._stopped: str | None = None
        self._summary: Summary | None = None

    async def __aenter__(self) -> FleetBackfill:
        async with AsyncExitStack() as stack:
            # Before the ledger is opened, and held alone: a wrong address must not get in the way of a run.
            self._client = await connect(self._address, self.settings.temporal.codec)
            self._queue = contract.queue_of((await who(self.settings))[1])
            self._books = await stack.enter_async_context(open_ledger_service(self.settings, on_event=self._tell))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _tell(self, event: Event) -> None:
        self._emit(event)

    def stop(self, reason: str) -> None:
        """Leave; the fleet goes on, and what it does meanwhile is written down when somebody joins again."""
        if self._stopped is None:
            self._stopped = reason
            self._emit(Draining(f"{reason}: {DETACHED}", 0.0))
        if self._scope is not None:
            self._scope.cancel()

    def abort(self) -> None:
        """Leave at once."""
        self.stop("aborted")

    async def run(self) -> Summary:
        """Begin the backfill of the settings' period, or join the one that is under way, and see it to its end."""
        handle, run, period, notes = await self._begin(self._books.period())
        # Before we take any work from the ledger's queue: the run has its notes and its period from the start.
        await self._books.begin(run, period, notes)
        ended = None
        with anyio.CancelScope() as self._scope:
            ended = await self._see_through(handle)
        # The summary is made by the keeper who is asked to end the run, mostly us.  When we leave, when it was ended
        # from outside, or when another keeper was asked, there is none here: then it is what the ledger says now.
        if self._stopped or ended or self._summary is None:
            ending = Ending(stopped=self._stopped, error=ended, error_exit=EXIT_FAILED if ended else 0)
            return await self._books.end(run, period, ending, notes)
        return self._summary

    async def _begin(
        self, asked: AskedPeriod
    ) -> tuple[WorkflowHandle[BackfillFlow, SummaryFigures], str, Window, list[str]]:
        """Begin or join; return what is under way, its name, its period, and what is to be said of that."""
        span, run = Span.of(asked.period), uuid.uuid4().hex
        handle = await self._client.start_workflow(
            BackfillFlow.run,
            BackfillAsk(
                self._books.org_id,
                self._queue,
                span,
                shape=Sizing.of(self.settings),
                run=run,
                notes=list(asked.clamped),
            ),
            id=contract.backfill_id(self._books.org_id),
            task_queue=self._queue,
            # One backfill an organisation: the second command joins, and learns from the memo what it has joined.
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            # `describe` brings the memo; what a workflow was begun with would have to be read from its history.
            memo={"run": run, "from_ms": span.from_ms, "to_ms": span.to_ms},
        )
        memo = await (await handle.describe()).memo()
        period = Window(int(memo["from_ms"]), int(memo["to_ms"]))
        notes = list(asked.clamped)
        # The server may have begun nothing: then the memo is that of the one under way.
        if memo["run"] != run:
            notes = [f"the backfill of {period} is under way; joining it instead of beginning another one"]
        return handle, str(memo["run"]), period, notes

    async def _see_through(self, handle: WorkflowHandle[BackfillFlow, SummaryFigures]) -> str | None:
        """Keep the ledger until the backfill is over; return what ended it when that was not itself."""
        notes = LedgerActivities(self._books, self._ended)
        # The keeper stays until the end is told: without one, every window would wait for its next word.
        async with ledger_worker(self._client, self._books.org_id, notes), self._watching():
            return await _ended_by(handle)

    def _ended(self, summary: Summary) -> None:
        self._summary = summary

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(self._look_for_workers)
            yield
            group.cancel_scope.cancel()

    async def _look_for_workers(self) -> None:
        """Say so when nobody works: everything waits then."""
        while True:
            if not await _is_polled(self._client, self._queue):
                start = f"wxrec-async worker --temporal {self._address}"
                self._emit(Warned("no_worker", f"no worker takes from queue {self._queue}; start one: {start}"))
            await anyio.sleep(LOOK_EVERY_S)


async def _ended_by(handle: WorkflowHandle[BackfillFlow, SummaryFigures]) -> str | None:
    """Wait for the end, through any outage of the server; return who made it end, None when it ended by itself."""
    while True:
        try:
            await handle.result()
        except RPCError as error:
            if not is_away(error):
                raise
            await anyio.sleep(ASK_AGAIN_S)
        except WorkflowFailureError as failure:
            ending = isinstance(failure.cause, ApplicationError)  # its own, and the summary has it
            return None if ending else f"the backfill was ended from outside: {type(failure.cause).__name__}"
        else:
            return None


async def _is_polled(client: Client, queue: str) -> bool:
    asked = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        return bool((await client.workflow_service.describe_task_queue(asked)).pollers)
    except RPCError:
        return True  # not known, so nothing to say
