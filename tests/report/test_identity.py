"""Whatever a ledger went through, the report counts as the ledger does: made by the program's own calls."""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledgers import captured
from tests.report.kit import Reader, counts_of, expected_totals, html_of, rows_of
from tests.report.ledgers import LAST_DAY_MS, NOW_MS
from wxrec_async.events import ignore
from wxrec_async.ledger import Identity, SqliteLedger, open_ledger
from wxrec_async.model import DAY_MS, Recording, StoredObject, Task, TaskState, Window

FATES = ("listed", "no_recording", "owed", "failed", "captured", "started", "stored", "already", "gone", "broken")
tasks = st.lists(st.tuples(st.integers(0, 3), st.lists(st.sampled_from(FATES), min_size=1, max_size=3)), max_size=9)


async def lived(ledger: SqliteLedger, plan: list[tuple[int, list[str]]]) -> None:
    """Take every task through its fates; the first one decides whether it has recordings."""
    await ledger.begin_run("run-1", NOW_MS, Window(LAST_DAY_MS - 3 * DAY_MS, NOW_MS))
    for number, (day, fates) in enumerate(plan):
        name = f"task-{number}"
        task = Task(name, created_ms=LAST_DAY_MS - day * DAY_MS, queue_name=f"q{number % 2}", direction="inbound")
        await ledger.add_tasks([task], listed_in=None, now_ms=NOW_MS)
        if fates[0] in {"no_recording", "owed", "failed"}:
            await ledger.settle_task(name, TaskState(fates[0]), "why", now_ms=NOW_MS, empty_answer=True)
        elif fates[0] != "listed":
            await recorded(ledger, name, fates)


async def recorded(ledger: SqliteLedger, task: str, fates: list[str]) -> None:
    names = [f"{task}-{place}" for place in range(len(fates))]
    await captured(ledger, task, [Recording(task, name) for name in names], NOW_MS)
    for place, (name, fate) in enumerate(zip(names, fates, strict=True)):
        if fate in {"stored", "already", "started"}:
            await ledger.started(task, name, name, NOW_MS)
        if fate in {"stored", "already"}:
            await ledger.stored(
                task, name, StoredObject(name, 1000 + place), run_id="run-1", already=fate == "already",
                main_place=False, now_ms=NOW_MS + place,
            )  # fmt: skip
        elif fate == "gone":
            await ledger.recording_gone(task, name, NOW_MS, evidence="captures_unnamed")
        elif fate == "broken":
            await ledger.recording_failed(task, name, "truncated", "cut", NOW_MS)


def made(path: Path, plan: list[tuple[int, list[str]]]) -> None:
    async def make() -> None:
        async with open_ledger(path, Identity("org", "bucket", "{task_id}"), mask=str, emit=ignore) as ledger:
            await lived(ledger, plan)

    anyio.run(make, backend="asyncio")


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


@settings(max_examples=25)
@given(tasks)
def test_the_page_counts_as_the_ledger_does(plan: list[tuple[int, list[str]]]) -> None:
    """Totals, days, queues and rows agree with `Counts`, and every task is in exactly one column."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wxrec.db"
        made(path, plan)
        page, counts = Reader(html_of(path)), counts_of(path)
        _, records = rows_of(path)
    assert page.totals == expected_totals(counts)
    for row in (row for row in page.rows["where"] if len(row) == 12 and row[1].isdigit()):
        assert number(row[1]) == sum(map(number, row[3:8]))
    days = [row for row in page.rows["days"][1:] if len(row) == 10]
    assert sum(number(row[2]) for row in days) == counts.tasks_listed
    assert sum(number(row[3]) for row in days) == counts.stored + counts.already_stored
    assert sum(number(row[6]) for row in days) == counts.failed + counts.failed_tasks
    assert len({record["task_id"] for record in records}) == counts.tasks_listed
    at_rest = ("stored", "failed", "gone")
    kept = [row for row in records if row["kind"] == "recording" and row["state"] in at_rest]
    assert len(kept) == counts.recordings
