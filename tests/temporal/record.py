"""By hand: the histories of a release, for ``released/``.  ``python .../record.py HOST:PORT MODULE FILE``

A real server (``temporal server start-dev --headless``) and the workflows of ``MODULE``, which has `WORKFLOWS` and
`RUNNER`: ``wxrec_async.temporal.worker`` here, ``wxrec_async.scaleout.worker`` in the first release, whose checkout is
then the one folder of ``PYTHONPATH``.  The pieces of work are stand-ins that speak plain JSON, as any release does, so
that nothing of ours but the workflows is in it.
"""

from __future__ import annotations

import importlib
import json
import lzma
import sys
from collections import Counter
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

QUEUE, DAY_MS, CALLS = "wxrec-recorded", 86_400_000, 8
PAGE = 4
Plain = dict[str, Any]
SHAPE = {
    "page_size": PAGE, "channel_types": ["telephony"], "other_channels": ["chat"], "windows": 2, "batches": 2,
    "heartbeat_s": 30.0,
}  # fmt: skip
# What is odd about a day: its list is too large once, or at any length; its rows are so long that its history is;
# it has one call.
WHOLE, REFUSED, TOO_LARGE, LONG, SINGLE = range(1, 6)


class StandIns:
    """An organisation whose days are odd in different ways; ``oddity`` is what happens to a first batch of calls."""

    def __init__(self, oddity: str = "") -> None:
        self.oddity, self.turns = oddity, Counter[str]()

    @activity.defn(name="wxrec-plan")
    async def plan(self, ask: Any) -> Plain:
        days = {"whole": [WHOLE, REFUSED, TOO_LARGE, SINGLE], "long": [LONG]}.get(self.oddity, [WHOLE])
        windows = [{"from_ms": day * DAY_MS, "to_ms": (day + 1) * DAY_MS} for day in days]
        period = {"from_ms": DAY_MS, "to_ms": 9 * DAY_MS}
        return {"period": period, "windows": windows, "shape": SHAPE, "filtered": self.oddity == "filtered"}

    @activity.defn(name="wxrec-page")
    async def page(self, ask: Any) -> Plain:
        span = ask["span"]
        day, length = span["from_ms"] // DAY_MS, span["to_ms"] - span["from_ms"]
        answer: Plain = {
            "tasks": [], "rows": 0, "next_link": None, "unreadable": 0, "asked_ms": 10 * DAY_MS, "refused": "",
            "detail": "",
        }  # fmt: skip
        if not ask["others"] and (day == TOO_LARGE or (day == REFUSED and length == DAY_MS)):
            return answer | {"refused": "answer_too_large" if day == TOO_LARGE else "http_400", "detail": "too much"}
        rows = [each for each in _rows(day, ask["others"]) if ask["from_ms"] <= each["created_ms"] < span["to_ms"]]
        return answer | {"tasks": rows[:PAGE], "rows": len(rows[:PAGE])}

    @activity.defn(name="wxrec-carry")
    async def carry(self, batch: Any) -> Plain:
        todos: list[Plain] = batch["todos"]
        self.turns["carry"] += 1
        first = self.turns["carry"] == 1
        if len(todos) == 10 and self.oddity == "filtered":
            await anyio.sleep(6)  # longer than the workflow waits for the rest to become a batch
        if first and self.oddity == "refused":
            raise ApplicationError("Webex refuses permission", 4, type="Ended", non_retryable=True)
        while first and self.oddity == "cancelled":
            activity.heartbeat()
            await anyio.sleep(0.1)
        outcome: Plain = {
            "answers": [], "failed": {}, "done": [], "again": [], "halves": [], "asked_s": 0.1, "left_open": [],
        }  # fmt: skip
        if first and self.oddity == "whole" and len(todos) > 1:
            return outcome | {"halves": [todos[:1], todos[1:]]}
        for todo in todos:
            if self.oddity == "whole" and todo["id"].endswith("3-telephony") and not todo.get("returns"):
                outcome["again"].append(todo | {"returns": 1})
                continue
            found = {"id": f"{todo['id']}-r", "call_type": "main", "start_ms": 1, "stop_ms": 2}
            outcome["answers"].append({"todo": todo, "recordings": [found], "beside": []})
            outcome["done"].append({"task_id": todo["id"], "recording_id": found["id"], "kind": "stored", "size": 1})
        return outcome

    @activity.defn(name="wxrec-take_in")
    async def take_in(self, ask: Any) -> list[Plain]:
        return [{"id": row["id"], "created_ms": row["created_ms"]} for row in ask["tasks"]]

    @activity.defn(name="wxrec-take_note")
    async def take_note(self, ask: Any) -> None:
        assert ask["tasks"] is not None

    @activity.defn(name="wxrec-backlog")
    async def backlog(self, ask: Any) -> Plain:
        pages = 2 if "listed" in ask["only"] else 0
        begun = ask["at"]["place_ms"] - DAY_MS
        todos = [{"id": f"left-{begun}-{n}"} for n in range(12 if begun < pages else 0)]
        return {"todos": todos, "at": ask["at"] | {"place_ms": DAY_MS + begun + 1} if begun < pages else None}

    @activity.defn(name="wxrec-record")
    async def record(self, ask: Any) -> None:
        assert ask["outcomes"]

    @activity.defn(name="wxrec-listed")
    async def listed(self, ask: Any) -> None:
        assert ask["window"]

    @activity.defn(name="wxrec-end")
    async def end(self, ask: Any) -> Plain:
        names = ("recordings", "stored", "already_stored", "failed", "owed", "bytes")
        return dict.fromkeys(names, 0) | {"exit_code": ask["exit_code"]}


def _rows(day: int, others: bool) -> list[Plain]:
    channel = "chat" if others else "telephony"
    more = {"queue_name": 300_000 * "q"} if day == LONG and not others else {}  # a page and its notes: 2.4 MB
    step = DAY_MS // CALLS
    return [
        {"id": f"{day}-{n}-{channel}", "channel_type": channel, "created_ms": day * DAY_MS + n * step, **more}
        for n in range(1 if day == SINGLE else CALLS)
    ]


async def record(address: str, module: str) -> dict[str, list[Plain]]:
    """Carry out a backfill of each kind; return their histories, those of their windows too."""
    release = importlib.import_module(module)
    # A name of its own: else every event says on which machine it was recorded.
    client = await Client.connect(address, identity="recorder")
    return {kind: await _histories(client, release, kind)
            for kind in ("whole", "filtered", "long", "refused", "cancelled")}  # fmt: skip


async def _histories(client: Client, release: Any, kind: str) -> list[Plain]:
    org, work = f"org-{kind}", StandIns(kind)
    notes: list[Any] = [work.plan, work.take_in, work.take_note, work.backlog, work.record, work.listed, work.end]
    more: Plain = {"build_id": "release", "use_worker_versioning": False, "debug_mode": True}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Worker(
            client, task_queue=QUEUE, workflows=release.WORKFLOWS, activities=[work.page, work.carry],
            workflow_runner=release.RUNNER, disable_eager_activity_execution=True, **more,
        ))  # fmt: skip
        queue = f"wxrec-ledger-{org}"
        await stack.enter_async_context(Worker(client, task_queue=queue, activities=notes, **more))
        ask = {"org": org, "queue": QUEUE, "span": {"from_ms": DAY_MS, "to_ms": 9 * DAY_MS}, "run": f"run-{kind}"}
        limit = timedelta(minutes=10)
        handle = await client.start_workflow("wxrec-backfill", ask, id=org, task_queue=QUEUE, run_timeout=limit)
        await _ended(handle, work, cancel=kind == "cancelled")
    ids = [each async for each in client.list_workflows() if org in each.id]
    found = [await client.get_workflow_handle(each.id, run_id=each.run_id).fetch_history() for each in ids]
    return [{"id": each.workflow_id, "history": _told(each.to_json_dict())} for each in found]


def _told(value: Any) -> Any:
    """Leave out where on this machine something was raised."""
    if isinstance(value, dict):
        return {name: _told(each) for name, each in value.items() if name != "stackTrace"}
    return [_told(each) for each in value] if isinstance(value, list) else value


async def _ended(handle: WorkflowHandle[Any, Any], work: StandIns, *, cancel: bool) -> None:
    while cancel and not work.turns["carry"]:
        await anyio.sleep(0.1)
    if cancel:
        await handle.cancel()
    with suppress(WorkflowFailureError):
        await handle.result()
    if cancel:
        await anyio.sleep(3)  # its children end a moment later


def main(address: str, module: str, file: Path) -> None:
    """Write the histories, the same bytes for the same histories."""
    found = anyio.run(record, address, module)
    file.write_bytes(lzma.compress(json.dumps(found, separators=(",", ":")).encode()))
    counts = {kind: [len(each["history"]["events"]) for each in kept] for kind, kept in found.items()}
    print(counts, file.stat().st_size)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
