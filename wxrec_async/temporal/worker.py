"""One worker process: one event loop, the organisations of its configuration files, one queue per client id."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import anyio
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from wxrec_async._version import __version__
from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError
from wxrec_async.events import Emit, ignore
from wxrec_async.flow.summary import Summary
from wxrec_async.temporal import contract
from wxrec_async.temporal.activities import LedgerActivities, WorkerActivities, further
from wxrec_async.temporal.connecting import connect, is_away
from wxrec_async.temporal.ledger_opening import open_ledger_service, who
from wxrec_async.temporal.window_workflow import WindowFlow
from wxrec_async.temporal.worker_service import WorkerService
from wxrec_async.temporal.workflows import BackfillFlow, FurtherFlow

WORKFLOWS = (BackfillFlow, WindowFlow, FurtherFlow)
BUILD = f"wxrec-async {__version__}"  # otherwise every module there is would be hashed for a name, for two seconds
BEAT = timedelta(seconds=1)  # finished work is kept by the server that soon
ASK_AGAIN_S = 1.0
NOTES_AT_ONCE = 20
FURTHER_AT_ONCE = 20
# The sandbox guards against workflows that read a clock or a file.  Ours are modules that do neither, which a test
# shows by replaying whole histories; the sandbox would cost a fifth of what storing a small recording costs.
RUNNER = UnsandboxedWorkflowRunner()


@dataclass(frozen=True, slots=True)
class Fleet:
    """What one worker does: the client id's queue, its organisations, and the calls a second of all workers."""

    queue: str
    organisations: tuple[str, ...]
    per_minute: float

    def __str__(self) -> str:
        calls, more = contract.calls_per_second(self.per_minute), contract.further_per_second(self.per_minute)
        return (
            f"queue {self.queue}: {', '.join(self.organisations)}; all workers together {calls:.3g} + {more:.2g} "
            f"= {self.per_minute / 60:.3g} calls to Webex a second"
        )


async def serve(  # noqa: PLR0913 - what a program decides
    settings: Sequence[Settings],
    address: str,
    *,
    stop: anyio.Event,
    abort: anyio.Event,
    keeps_ledger: bool = False,
    on_event: Emit = ignore,
    on_ready: Callable[[Fleet], None] = lambda _fleet: None,
    on_summary: Callable[[Summary], None] = lambda _summary: None,
) -> None:
    """Work until ``stop`` is set, then finish what is in hand within the grace period, or break it off at ``abort``.

    What is not finished comes back to the queue, with what is done of it.

    Raises `ConfigError`, `AuthError`, `RunStopped` or `LedgerError` when it cannot begin.
    """
    async with anyio.create_task_group() as group, AsyncExitStack() as stack:
        # Last to go: ``abort`` counts until everything is closed, and after that nobody may wait for it any more.
        stack.callback(group.cancel_scope.cancel)
        client = await connect(address, _codec_of(settings))
        # Before the workers that use them, so closed after: what is in hand at the end still needs its clients.
        stations = await _open(stack, client, settings, on_event)
        fleets = [await stack.enter_async_context(_fleet(client, queue, mine)) for queue, mine in stations.items()]
        if keeps_ledger:
            for each in settings:
                books = await stack.enter_async_context(open_ledger_service(each, on_event=on_event))
                notes = LedgerActivities(books, on_summary)
                await stack.enter_async_context(ledger_worker(client, books.org_id, notes))
        for fleet in fleets:
            on_ready(fleet)
        await stop.wait()
        for station in (station for mine in stations.values() for station in mine):
            # Before the workers are closed, which stop taking work and wait for what they have within the grace.
            station.drain()
            group.start_soon(_break_off, station, abort)


async def _break_off(station: WorkerService, abort: anyio.Event) -> None:
    await abort.wait()
    station.abort()


def _codec_of(settings: Sequence[Settings]) -> str:
    names = {each.temporal.codec for each in settings}
    # One client, and so one converter, for all organisations of a process.
    if len(names) != 1:
        raise ConfigError("[temporal] codec must be the same in all configuration files of a worker")
    return names.pop()


async def _open(
    stack: AsyncExitStack, client: Client, settings: Sequence[Settings], on_event: Emit
) -> dict[str, list[WorkerService]]:
    """Open every organisation, by queue."""
    stations: dict[str, list[WorkerService]] = {}
    for each in settings:
        org, client_id = await who(each)
        queue = contract.queue_of(client_id)
        # Work names its organisation only: with two configurations nobody could say which one is meant.
        if org in {station.org_id for mine in stations.values() for station in mine}:
            raise ConfigError(f"two configuration files name organisation {org}")
        station = WorkerService(each, further=_Further(client, queue), on_event=on_event)
        stations.setdefault(queue, []).append(await stack.enter_async_context(station))
    return stations


@asynccontextmanager
async def _fleet(client: Client, queue: str, stations: Sequence[WorkerService]) -> AsyncIterator[Fleet]:
    """Take work from a client id's queue; when the context ends, finish what is in hand."""
    # The budget belongs to the client id, and one of its files may know that it is smaller.
    per_minute = min(station.settings.webex.requests_per_minute for station in stations)
    backfills = [station.settings.backfill for station in stations]
    calls = WorkerActivities({station.org_id: station for station in stations})
    worker = Worker(
        client,
        task_queue=queue,
        build_id=BUILD,
        workflows=WORKFLOWS,
        activities=[calls.page, calls.carry],
        workflow_runner=RUNNER,
        max_concurrent_activities=sum(backfill.concurrency for backfill in backfills),
        # Counted by the server over all workers of the queue: this is the budget.
        max_task_queue_activities_per_second=contract.calls_per_second(per_minute),
        disable_eager_activity_execution=True,  # what does not pass the queue is not counted
        # Behind that the SDK cancels what is in hand, whose uploads are aborted then.
        graceful_shutdown_timeout=timedelta(seconds=max(backfill.grace_seconds for backfill in backfills)),
        max_heartbeat_throttle_interval=BEAT,
        default_heartbeat_throttle_interval=BEAT,
    )
    more = Worker(
        client,
        task_queue=contract.further_queue(queue),
        build_id=BUILD,
        activities=[further],
        max_concurrent_activities=FURTHER_AT_ONCE,
        max_task_queue_activities_per_second=contract.further_per_second(per_minute),
        disable_eager_activity_execution=True,
    )
    # Who asked for a further call waits inside the first one: the second one must end last.
    async with more, worker:
        yield Fleet(queue, tuple(station.org_id for station in stations), per_minute)


@asynccontextmanager
async def ledger_worker(client: Client, org: str, notes: LedgerActivities) -> AsyncIterator[None]:
    """Keep an organisation's ledger while the context lasts."""
    worker = Worker(
        client,
        task_queue=contract.ledger_queue(org),
        build_id=BUILD,
        activities=notes.all(),
        max_concurrent_activities=NOTES_AT_ONCE,
        max_heartbeat_throttle_interval=BEAT,
        default_heartbeat_throttle_interval=BEAT,
    )
    async with worker:
        yield


class _Further:
    """Asks the engine for one more call of the budget, for as long as it takes."""

    def __init__(self, client: Client, queue: str) -> None:
        self._client, self._queue = client, queue

    async def __call__(self) -> None:
        name = f"{self._queue}/{uuid.uuid4()}"
        while True:
            try:
                await self._client.execute_workflow(FurtherFlow.run, self._queue, id=name, task_queue=self._queue)
            except RPCError as error:
                if not is_away(error):
                    raise
                await anyio.sleep(ASK_AGAIN_S)
            else:
                return
