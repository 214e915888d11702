"""How a workflow asks for the pieces of work: on which queue, for how long, how often."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType

with workflow.unsafe.imports_passed_through():
    from wxrec_async.temporal import contract
    from wxrec_async.temporal.contract import Plain, WindowAsk
    from wxrec_async.temporal.messages import PageAsk

T = TypeVar("T")
A_CALL = timedelta(minutes=20)  # Webex may ask to wait for five minutes
A_BATCH = timedelta(hours=24)  # ten recordings of two hours over a slow line
A_NOTE = timedelta(minutes=20)
# No limit of attempts: how often to try is decided by `rules.retry`, whose history travels with the heartbeat.
UNTIL_IT_WORKS = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
# A server warns at 10 MB, ends a workflow at 50 MB, and suggests a new history at 4 MB.  A page of a thousand tasks
# takes 2.5 MB from listing to outcomes, and is taken as a whole: a history has two pages and 5 MB, not three and 7.5.
LONG_BYTES = 2 << 20


def is_long() -> bool:
    """Say whether what is left should go on in a new history."""
    info = workflow.info()
    return info.is_continue_as_new_suggested() or info.get_current_history_size() > LONG_BYTES


def of_run(ask: WindowAsk) -> Plain:
    return {"run": ask.run, "period": asdict(ask.period)}


async def ask_page(ask: WindowAsk, asked: PageAsk) -> Plain:
    """Ask some worker for a page; return a `messages.PageRow` as JSON has it."""
    row: Plain = await workflow.execute_activity(
        "wxrec-page",
        asked,
        result_type=dict,
        task_queue=ask.queue,
        start_to_close_timeout=A_CALL,
        heartbeat_timeout=timedelta(seconds=ask.shape.heartbeat_s),
        retry_policy=UNTIL_IT_WORKS,
    )
    return row


def carry(ask: WindowAsk, batch: Plain) -> workflow.ActivityHandle[Plain]:
    """Have some worker carry a `messages.Batch`; a `results.BatchOutcome` comes of it, both as JSON has them."""
    return workflow.start_activity(
        "wxrec-carry",
        batch,
        result_type=dict,
        task_queue=ask.queue,
        start_to_close_timeout=A_BATCH,
        heartbeat_timeout=timedelta(seconds=ask.shape.heartbeat_s),
        retry_policy=UNTIL_IT_WORKS,
        # A worker that is cancelled has uploads to abort first: the call is over when it has.
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )


def begin_ledger_call(
    org: str, name: str, asked: object, kind: type[T] | None = None, within: timedelta | None = None
) -> Any:
    """Begin asking whoever keeps the ledger."""
    return workflow.start_activity(
        f"wxrec-{name}",
        asked,
        result_type=kind,
        task_queue=contract.ledger_queue(org),
        start_to_close_timeout=A_NOTE,
        # None: until somebody keeps the ledger.  Work that is done waits in the history meanwhile, and is not lost.
        schedule_to_close_timeout=within,
        heartbeat_timeout=timedelta(seconds=30),
        retry_policy=UNTIL_IT_WORKS,
    )


async def ledger_call(org: str, name: str, asked: object, kind: type[T] | None, within: timedelta | None = None) -> T:
    """Ask whoever keeps the ledger; wait until there is one."""
    return await begin_ledger_call(org, name, asked, kind, within)  # type: ignore[no-any-return]
