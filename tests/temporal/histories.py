"""By hand: how long histories get.  ``python -m tests.temporal.histories 100000``

The real server and the real workflows; the pieces of work are stand-ins that answer
at once, one window of so many tasks with 1.2 recordings each.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from tests.temporal.kit import temporal
from wxrec_async.temporal import contract
from wxrec_async.temporal.messages import Batch, PageAsk, PageRow, Span, TaskMessage, TaskToDo
from wxrec_async.temporal.results import AnswerRow, BatchOutcome, NamedRecording, TransferResult
from wxrec_async.temporal.worker import RUNNER, WORKFLOWS

ORG, QUEUE = "00000000-0000-4000-8000-000000000000", "wxrec-histories"
DAY_MS = 86_400_000


def name(number: int) -> str:
    return f"{number:08d}-0000-4000-8000-000000000000"


TRACKING = "ROUTERGW_00000000-0000-4000-8000-000000000000"


class StandIns:
    """One window of ``tasks`` tasks, evenly over a day."""

    def __init__(self, tasks: int) -> None:
        self.tasks, self.asked, self.recorded = tasks, 0, 0
        self.noted: set[str] = set()

    def _row(self, n: int) -> TaskMessage:
        at = DAY_MS + n * DAY_MS // self.tasks
        return TaskMessage(
            name(n),
            "telephony",
            "ended",
            "inbound",
            "***23",
            "***24",
            at,
            at + 60_000,
            at + 61_000,
            name(1),
            "Support queue",
            name(2),
            duration_ms=60_000,
            capture_requested=True,
        )

    def _other(self, n: int) -> TaskMessage:
        return TaskMessage(name(n), "chat", created_ms=DAY_MS + n * DAY_MS // self.tasks)

    @activity.defn(name="wxrec-page")
    async def page(self, ask: PageAsk) -> contract.Plain:
        first = max(0, -((DAY_MS - ask.from_ms) * self.tasks // DAY_MS))
        numbers = range(first, min(first + 1000, self.tasks))
        rows = [self._other(n) if ask.others else self._row(n) for n in numbers]
        return PageRow(rows, len(rows), asked_ms=10 * DAY_MS).plain()

    @activity.defn(name="wxrec-carry")
    async def carry(self, asked: contract.Plain) -> contract.Plain:
        batch = Batch.read(asked)
        self.asked += len(batch.todos)
        answers, done = [], []
        for todo in batch.todos:
            found = [
                NamedRecording(todo.id, "main", 1, 2, tracking_id=TRACKING),
                NamedRecording(name(3), "consult", 1, 2, tracking_id=TRACKING),
            ][: 2 if todo.id[7] in "37" else 1]
            answers.append(AnswerRow(todo, found))
            for each in found:
                key = f"call-detail/{todo.id}/recording.wav"
                done.append(
                    TransferResult(
                        todo.id, each.id, "stored", key, 960_044, 2**31, 64 * "0", '"' + 32 * "0" + '"', seconds=0.123
                    )
                )
        return BatchOutcome(answers, {}, done, asked_s=0.05).plain()

    @activity.defn(name="wxrec-plan")
    async def plan(self, ask: contract.PlanAsk) -> contract.WorkPlan:
        assert ask.span
        return contract.WorkPlan(ask.span, [ask.span], contract.Sizing(other_channels=["chat"]), filtered=False)

    @activity.defn(name="wxrec-take_in")
    async def take_in(self, ask: contract.IngestPage) -> list[contract.Plain]:
        return [TaskToDo(row["id"], row["created_ms"], row["capture_requested"]).plain() for row in ask.tasks]

    @activity.defn(name="wxrec-take_note")
    async def take_note(self, ask: contract.IngestOther) -> None:
        self.noted.update(row["id"] for row in ask.tasks)

    @activity.defn(name="wxrec-backlog")
    async def backlog(self, ask: contract.BacklogAsk) -> contract.Backlog:
        return contract.Backlog([], None)

    @activity.defn(name="wxrec-record")
    async def record(self, ask: contract.Record) -> None:
        self.recorded += sum(len(outcome["answers"]) for outcome in ask.outcomes)

    @activity.defn(name="wxrec-listed")
    async def listed(self, ask: contract.Listed) -> None:
        assert ask.window == Span(DAY_MS, 2 * DAY_MS), ask

    @activity.defn(name="wxrec-end")
    async def end(self, ask: contract.End) -> contract.SummaryFigures:
        return contract.SummaryFigures(0, self.recorded, self.recorded, 0, 0, 0, 0)


async def measure(address: str, tasks: int) -> None:
    """Run one window and print its histories."""
    client = await Client.connect(address)
    work = StandIns(tasks)
    async with AsyncExitStack() as stack:
        calls = Worker(
            client, task_queue=QUEUE, workflows=WORKFLOWS, activities=[work.page, work.carry], workflow_runner=RUNNER,
            disable_eager_activity_execution=True, debug_mode=True,  # a busy machine may let a workflow wait for long
        )  # fmt: skip
        notes: list[Any] = [work.plan, work.take_in, work.take_note, work.backlog, work.record, work.listed, work.end]
        await stack.enter_async_context(calls)
        await stack.enter_async_context(Worker(client, task_queue=contract.ledger_queue(ORG), activities=notes))
        ask = contract.BackfillAsk(ORG, QUEUE, Span(DAY_MS, 2 * DAY_MS))
        await client.execute_workflow("wxrec-backfill", ask, id="histories", task_queue=QUEUE)
    found = []
    async for each in client.list_workflows("WorkflowType = 'wxrec-window'"):
        described = await client.get_workflow_handle(each.id, run_id=each.run_id).describe()
        info = described.raw_description.workflow_execution_info
        found.append((info.history_length, info.history_size_bytes))
    print(f"{work.asked} tasks asked for, {work.recorded} recorded; {len(found)} histories")  # noqa: T201
    print(f"most events {max(f[0] for f in found)}, most bytes {max(f[1] for f in found)}")  # noqa: T201
    assert work.recorded == work.asked >= tasks == len(work.noted)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, temporal(Path(folder)) as server:
        anyio.run(measure, server.address, int(sys.argv[1]))
