"""What the ledger does with recordings that come from the bucket, and with stored ones that are lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ledgers import captured
from wxrec_async.events import ignore
from wxrec_async.ledger import (
    BacklogReason,
    Everything,
    FoundRecording,
    Identity,
    InPeriod,
    SqliteLedger,
    StoredRow,
    open_ledger,
)
from wxrec_async.model import Recording, StoredObject, Task, TaskState, Window

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    """A new ledger with one run begun."""
    identity = Identity("org", "bucket", "{task_id}{ext}")
    async with open_ledger(tmp_path / "wxrec.db", identity, mask=str, emit=ignore) as ledger:
        await ledger.begin_run("run", 1, None)
        yield ledger


def found(task_id: str, recording_id: str, *, main: bool = True, created: int | None = 50) -> FoundRecording:
    recording = Recording(task_id, recording_id, start_ms=70)
    stored = StoredObject(f"{task_id}/{recording_id}", 10, crc32=7, etag='"e"')
    return FoundRecording(Task(task_id, created_ms=created), recording, stored, main)


async def adopt(ledger: SqliteLedger, *recordings: FoundRecording) -> list[bool]:
    return [await ledger.adopt(each, run_id="run", now_ms=100) for each in recordings]


async def test_pages_of_stored_rows_are_the_whole(ledger: SqliteLedger) -> None:
    """Page after page of any size, each recording comes once, in one order; a period narrows them."""
    await adopt(ledger, *(found(f"t{n}", f"r{leg}", main=leg == 0) for n in range(7) for leg in range(3)))
    whole = await ledger.stored_rows(limit=100)
    assert len(whole) == len({(row.task_id, row.recording_id) for row in whole}) == 21
    for limit in (1, 2, 4, 21):
        pages: list[StoredRow] = []
        while page := await ledger.stored_rows(after=pages[-1] if pages else None, limit=limit):
            assert len(page) <= limit
            pages += page
        assert pages == whole
    assert await ledger.stored_rows(Window(50, 51)) == whole
    assert await ledger.stored_rows(Window(51, 99)) == []


async def test_an_adopted_task_is_work_until_it_was_asked(ledger: SqliteLedger) -> None:
    """It is in the backlog as listed; the captures answer brings it to rest without touching what is stored."""
    assert await adopt(ledger, found("t", "r"), found("t", "r")) == [True, False]
    assert [entry.task.id for entry in await ledger.backlog(Everything(), now_ms=200, only={BacklogReason.LISTED})] == [
        "t"
    ]
    known = await captured(ledger, "t", [Recording("t", "r"), Recording("t", "new")], 200)
    assert (known.holder, known.recordings["r"].value, known.recordings["new"].value) == ("r", "stored", "listed")


@pytest.mark.parametrize(
    ("state", "empty_answer", "kept"),
    [
        (TaskState.NO_RECORDING, False, TaskState.CAPTURED),
        (TaskState.OWED, True, TaskState.CAPTURED),
        (TaskState.FAILED, True, TaskState.CAPTURED),
        (TaskState.FAILED, False, TaskState.FAILED),
        (TaskState.OWED, False, TaskState.OWED),
    ],
)
async def test_an_adopted_task_rests_only_when_it_was_answered(
    ledger: SqliteLedger, state: TaskState, empty_answer: bool, kept: TaskState
) -> None:
    """What has a recording is never without one; but a question that failed, or was put off, is asked again."""
    await adopt(ledger, found("t", "r"))
    assert await ledger.settle_task("t", state, "why", now_ms=200, empty_answer=empty_answer) is kept
    left = await ledger.backlog(Everything(), now_ms=300, due_only=False, again=True)
    assert bool(left) is (kept is not TaskState.CAPTURED)


async def test_two_that_claim_the_main_place_share_it_not(ledger: SqliteLedger) -> None:
    """The first one found holds it; the second is stored all the same."""
    assert await adopt(ledger, found("t", "r1"), found("t", "r2")) == [True, True]
    known = await captured(ledger, "t", [Recording("t", "r1")], 200)
    assert known.holder == "r1"
    assert (await ledger.counts(Everything(), None)).already_stored == 2


async def test_without_a_creation_time_the_recordings_beginning_counts(ledger: SqliteLedger) -> None:
    """Older objects do not say when their call was created; a later listing puts it right."""
    await adopt(ledger, found("t", "r", created=None))
    assert (await ledger.counts(InPeriod(Window(70, 71)), None)).already_stored == 1
    await ledger.add_tasks([Task("t", created_ms=50)], listed_in=Window(0, 60), now_ms=200)
    assert (await ledger.counts(InPeriod(Window(50, 51)), None)).already_stored == 1


async def test_a_lost_recording_is_work_and_keeps_its_place(ledger: SqliteLedger) -> None:
    """It is failed with a reason, handed out again, and still the holder of the main place."""
    await adopt(ledger, found("t", "r"))
    await captured(ledger, "t", [Recording("t", "r")], 150)
    (row,) = await ledger.stored_rows()
    assert not await ledger.lost(replace(row, key="elsewhere"), "missing_in_bucket", "", 200)
    assert await ledger.lost(row, "missing_in_bucket", "there is no such object", 200)
    assert not await ledger.lost(row, "missing_in_bucket", "", 200)
    (failure,) = await ledger.failures(Everything())
    assert (failure.recording_id, failure.reason) == ("r", "missing_in_bucket")
    (entry,) = await ledger.backlog(Everything(), now_ms=300, only={BacklogReason.FAILED})
    assert entry.task.id == "t"
    assert (await captured(ledger, "t", [Recording("t", "r")], 300)).holder == "r"
    assert await ledger.stored_rows() == []
