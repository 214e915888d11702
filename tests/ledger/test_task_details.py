"""Tasks with all that is known of them, what is left to do by age, and what was seen on which list."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from wxrec_async.errors import LedgerError
from wxrec_async.events import ignore
from wxrec_async.ledger import (
    BacklogReason,
    Everything,
    Identity,
    InPeriod,
    SeenTask,
    SqliteLedger,
    open_ledger,
    open_seen_tasks,
)
from wxrec_async.model import Recording, RecordingState, SearchRow, StoredObject, Task, TaskState, Window

pytestmark = pytest.mark.anyio

HOME = Identity("org", "bucket", "c/{task_id}/recording{ext}")


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    async with open_ledger(tmp_path / "l.db", HOME, mask=str, emit=ignore) as ledger:
        yield ledger


async def add(ledger: SqliteLedger, *placed: tuple[str, int | None]) -> None:
    await ledger.add_tasks([Task(name, created_ms=at) for name, at in placed], listed_in=None, now_ms=1)


async def by_age(ledger: SqliteLedger, **options: Any) -> list[str]:
    found: list[str] = []
    asked: dict[str, Any] = {"scope": Everything(), "now_ms": 10, "limit": 2, "after": None} | options
    while page := await ledger.oldest_work(**asked):
        found += [each.task.id for each in page]
        asked["after"] = page[-1]
    return found


async def test_work_comes_by_age_whenever_it_was_listed(ledger: SqliteLedger) -> None:
    """What is purged first is first, whatever it waits for; what is done, or has no place, is in no page."""
    await add(ledger, ("late", 900), ("done", 100), ("middle", 500), ("none", 50), ("tie2", 500), ("unplaced", None))
    await add(ledger, ("early", 300), ("open", 200), ("owed", 400), ("failed", 600))
    recording = [Recording("x", "r")]
    await ledger.captured_many({"done": recording, "open": recording}, 2)
    await ledger.begin_run("r0", 2, None)
    await ledger.stored("done", "r", StoredObject("k", 1), run_id="r0", already=False, main_place=True, now_ms=3)
    await ledger.end_run("r0", 3, 0, {})
    await ledger.settle_task("none", TaskState.NO_RECORDING, now_ms=3, empty_answer=True)
    await ledger.settle_task("owed", TaskState.OWED, now_ms=3, empty_answer=True, next_ask_ms=99)
    await ledger.settle_task("failed", TaskState.FAILED, "missing", now_ms=3, empty_answer=True)
    everything = ["open", "early", "owed", "middle", "tie2", "failed", "late"]
    assert await by_age(ledger, due_only=False) == everything
    assert await by_age(ledger) == [name for name in everything if name != "owed"]
    assert await by_age(ledger, only={BacklogReason.UNFINISHED, BacklogReason.FAILED}) == ["open", "failed"]
    assert await by_age(ledger, scope=InPeriod(Window(300, 600)), due_only=False) == ["early", "owed", "middle", "tie2"]


async def test_work_by_age_is_handed_out_once(ledger: SqliteLedger) -> None:
    """Within a run no task comes again, by `backlog` either; that one still has what has no place."""
    await add(ledger, ("b", 2), ("a", 1), ("unplaced", None))
    await ledger.begin_run("r1", 2, None)
    assert await by_age(ledger) == ["a", "b"]
    assert await by_age(ledger) == []
    assert [each.task.id for each in await ledger.backlog(Everything(), now_ms=10)] == ["unplaced"]


async def test_pages_of_tasks_carry_recordings_and_the_witness(ledger: SqliteLedger) -> None:
    """Oldest first, each once, with what Search said and what every recording is."""
    await add(ledger, *((f"t{number}", 1000 - number // 2) for number in range(7)))
    await ledger.captured_many({"t3": [Recording("t3", "a"), Recording("t3", "b")]}, 2)
    await ledger.begin_run("r1", 2, None)
    stored = StoredObject("key", 7, crc32=5, etag="e")
    await ledger.stored("t3", "a", stored, run_id="r1", already=False, main_place=True, now_ms=3)
    await ledger.witnessed([SearchRow(Task("t3"), 2, 99, 0, deleted=False), SearchRow(Task("nobody"), 1)], 4)
    rows, last = [], None
    while page := await ledger.task_rows(Window(990, 1001), after=last, limit=2):
        rows += page
        last = page[-1]
    assert [row.task.id for row in rows] == ["t6", "t4", "t5", "t2", "t3", "t0", "t1"]
    (row,) = (row for row in rows if row.task.id == "t3")
    assert (row.witness_ms, row.witness_recordings, row.witness_bytes, row.witness_deleted) == (4, 2, 99, False)
    a, b = row.recordings
    assert (a.state, b.state, b.stored) == (RecordingState.STORED, RecordingState.LISTED, None)
    assert a.stored is not None
    assert (a.stored.key, a.stored.size, a.stored.crc32) == ("key", 7, 5)
    assert set(await ledger.rows_of(["t3", "nobody"])) == {"t3"}


async def test_a_capture_that_search_says_was_requested_is_a_promise(ledger: SqliteLedger) -> None:
    """A run then asks for it; what Search does not say changes nothing."""
    said = {"promised": True, "refused": False, "silent": None}
    tasks = [Task(name, created_ms=1, capture_requested=False) for name in said]
    await ledger.add_tasks(tasks, listed_in=None, now_ms=1)
    await ledger.witnessed([SearchRow(Task(name, capture_requested=value)) for name, value in said.items()], 2)
    rows = await ledger.rows_of(list(said))
    assert {name: row.task.capture_requested for name, row in rows.items()} == {
        "promised": True,
        "refused": False,
        "silent": False,
    }


async def test_what_webex_deleted_comes_to_rest_and_what_was_stored_stays(ledger: SqliteLedger) -> None:
    """A task without recordings gets one that is gone; open ones are gone; stored and lost ones are not excused."""
    await add(ledger, ("bare", 1), ("open", 2), ("stored", 3))
    await ledger.captured_many({"open": [Recording("open", "r")]}, 2)
    await ledger.captured_many({"stored": [Recording("stored", "kept"), Recording("stored", "lost")]}, 2)
    await ledger.begin_run("r1", 2, None)
    for name in ("kept", "lost"):
        found = StoredObject(name, 1)
        await ledger.stored("stored", name, found, run_id="r1", already=False, main_place=name == "kept", now_ms=3)
    lost = next(row for row in await ledger.stored_rows() if row.recording_id == "lost")
    await ledger.lost(lost, "missing_in_bucket", "", 4)
    for row in (await ledger.rows_of(["bare", "open", "stored"])).values():
        await ledger.deleted_at_webex(row, 5)
    rows = await ledger.rows_of(["bare", "open", "stored"])
    states = {name: {each.id: each.state.value for each in row.recordings} for name, row in rows.items()}
    assert states == {"bare": {"bare": "gone"}, "open": {"r": "gone"}, "stored": {"kept": "stored", "lost": "failed"}}
    assert {each.reason for each in rows["bare"].recordings} == {"deleted_at_webex"}
    counts = await ledger.counts(Everything(), "r1")
    assert (counts.gone, counts.tasks_listed, counts.tasks_with_recordings) == (2, 3, 3)
    assert counts.recordings == counts.stored + counts.failed + counts.gone


def modes_in(folder: Path) -> list[int]:
    return [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()]


async def test_sightings_add_up_and_leave_nothing(tmp_path: Path) -> None:
    """Seen on both lists is seen on both; the file is private while it is there, and gone after."""
    path = tmp_path / "l.db"
    async with open_seen_tasks(path) as sightings:
        assert modes_in(tmp_path) == [0o600]
        await sightings.note([("a", SeenTask(listed=True)), ("b", SeenTask(listed=True))])
        await sightings.note([("a", SeenTask(searched=True, requested=True, active=False))])
        found = await sightings.of(["a", "b", "c"])
        assert found == {"a": SeenTask(True, True, True, False), "b": SeenTask(listed=True), "c": SeenTask()}
        await sightings.clear()
        assert await sightings.of(["a"]) == {"a": SeenTask()}
    assert modes_in(tmp_path) == []


async def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    """The next one begins anew; where nothing can be written, it says so in one line."""
    (tmp_path / "l.db.sightings").write_text("rubbish")
    async with open_seen_tasks(tmp_path / "l.db") as sightings:
        assert await sightings.of(["a"]) == {"a": SeenTask()}
    with pytest.raises(LedgerError, match="cannot be opened"):
        async with open_seen_tasks(tmp_path / "nowhere" / "l.db"):
            pass
