"""The side that remembers, without any engine: what is handed out, when, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ledgers import captured
from tests.temporal.desk import HOUR_MS, LEFT_OVER, NOON, PERIOD, desk, row
from wxrec_async.config import Settings
from wxrec_async.events import Clamped, SeenAndLeft, UploadLeftOpen, Warned
from wxrec_async.flow.job import Cursor
from wxrec_async.flow.summary import EXIT_AUTH, Ending
from wxrec_async.ledger.records import Everything
from wxrec_async.model import DAY_MS, Recording, Window
from wxrec_async.temporal.ledger_service import LATE
from wxrec_async.temporal.messages import TaskMessage, TaskToDo
from wxrec_async.temporal.results import AnswerRow, BatchOutcome, LeftOpen, NamedRecording, TransferResult

pytestmark = pytest.mark.anyio


async def test_a_schedule_asks_for_what_is_due_and_a_run_for_all_that_is_owed(tmp_path: Path) -> None:
    """As `run --scheduled` and `run` do, of pages as of what earlier runs left."""
    owed = row("owed", NOON - 10 * HOUR_MS)
    async with desk(tmp_path) as kept:
        assert await kept.page("first", owed) == ["owed"]
        await kept.answer("first", TaskToDo("owed", owed.created_ms, True))
        assert await kept.left("second", *LEFT_OVER, scheduled=True) == []
        assert await kept.page("second", owed, scheduled=True) == []
        assert await kept.left("third", *LEFT_OVER) == ["owed"]
        kept.now_ms += 3 * HOUR_MS
        assert await kept.left("fourth", *LEFT_OVER, scheduled=True) == ["owed"]


async def test_a_schedule_lists_the_trailing_days_again(tmp_path: Path) -> None:
    """What was listed to its end is left alone by a run, and by a schedule when it is old enough."""
    async with desk(tmp_path) as kept:
        old, young = Window(NOON - 30 * DAY_MS, NOON - 29 * DAY_MS), Window(NOON - 2 * DAY_MS, NOON - DAY_MS)
        for window in (old, young):
            await kept.books.listed("first", window, window, kept.now_ms, "")
            assert await kept.books.windows_left("second", window) == []
        assert await kept.books.windows_left("third", old, scheduled=True) == []
        again = await kept.books.windows_left("third", young, scheduled=True)
        assert (again[0].from_ms, again[-1].to_ms) == (young.from_ms, young.to_ms)


async def test_a_young_task_with_a_recording_gets_a_second_look(tmp_path: Path) -> None:
    """A consult leg may come later: once, when the task is a day old, and what is stored is not carried again."""
    young, old = row("young", NOON - 2 * HOUR_MS), row("old", NOON - 3 * DAY_MS)
    async with desk(tmp_path) as kept:
        assert await kept.page("first", young, old) == ["young", "old"]
        for task in (young, old):
            await kept.answer("first", TaskToDo(task.id, task.created_ms, True), "main")
        assert await kept.left("second", LATE) == []
        kept.now_ms += DAY_MS
        todos, _ = await kept.books.backlog("third", PERIOD, Cursor(PERIOD.from_ms), [LATE])
        assert [(todo.id, todo.settled) for todo in todos] == [("young", ["main"])]
        await kept.answer("third", todos[0], "main", "consult")
        assert await kept.left("fourth", LATE) == []
        assert set((await kept.ledger.known("young")).recordings) == {"main", "consult"}


async def test_what_is_purged_first_is_handed_out_first(tmp_path: Path) -> None:
    """By the age of tasks, not by when they were listed; each once."""
    ages = {"middle": 3, "young": 2, "old": 4}
    async with desk(tmp_path) as kept:
        await kept.page("first", *(row(name, NOON - days * DAY_MS) for name, days in ages.items()))
        assert await kept.left("second", *LEFT_OVER) == ["old", "middle", "young"]


async def test_what_is_not_moved_is_counted(tmp_path: Path) -> None:
    """Contacts of other channels and transcripts are in the ledger and told; trouble with the former is only said."""
    async with desk(tmp_path) as kept:
        task = row("task", NOON - 2 * DAY_MS)
        await kept.page("run", task)
        beside = [("t1", "transcript"), ("t2", "transcript"), ("s1", "screen")]
        answer = AnswerRow(TaskToDo("task", task.created_ms, True), [NamedRecording("main")], beside)
        await kept.books.record("run", PERIOD, [BatchOutcome([answer]), BatchOutcome([answer])])
        await kept.books.take_note("run", PERIOD, PERIOD, [TaskMessage("chat", "Chat", created_ms=NOON - DAY_MS)])
        await kept.books.listed("run", PERIOD, PERIOD, kept.now_ms, "", "http_403")
        assert await kept.ledger.left_alone(Everything()) == {"transcript": 2, "screen": 1, "chat": 1}
        assert SeenAndLeft("chat", 1) in kept.told
        assert [each.code for each in kept.told if isinstance(each, Warned)] == ["others_not_counted"]


@pytest.mark.fault("S19")
async def test_an_upload_that_a_worker_left_open_is_counted_and_handed_to_the_next_run(tmp_path: Path) -> None:
    """As after a plain run: in the summary and in the ledger, until somebody has aborted it."""
    task = row("task", NOON - 2 * DAY_MS)
    async with desk(tmp_path) as kept:
        await kept.page("first", task)
        failed = TransferResult("task", "main", "failed", reason="retries_exhausted")
        left = LeftOpen("task", "main", "task/main", "upload")
        told = BatchOutcome(
            [AnswerRow(TaskToDo("task", task.created_ms, True), [NamedRecording("main")])],
            {},
            [failed],
            left_open=[left],
        )
        for _ in range(2):  # an engine may repeat itself
            await kept.books.record("first", PERIOD, [told])
        summary = await kept.books.end("first", PERIOD, Ending())
        assert summary.as_json()["uploads_left_open"] == 1
        assert UploadLeftOpen("task/main", "upload") in kept.told
        assert [each.upload_id for each in await kept.ledger.open_uploads()] == ["upload"]

        todos, _ = await kept.books.backlog("second", PERIOD, Cursor(PERIOD.from_ms), ["failed"])
        assert [todo.uploads for todo in todos] == [[("main", "task/main", "upload")]]
        await kept.answer("second", todos[0], "main")
        assert await kept.ledger.open_uploads() == []
        assert (await kept.books.end("second", PERIOD, Ending())).as_json()["uploads_left_open"] == 0


@pytest.mark.fault("K12")
async def test_a_key_that_somebody_began_is_handed_out_with_its_task(tmp_path: Path) -> None:
    """Whether an upload was begun there nobody knows, so whoever takes the task up looks."""
    task = row("task", NOON - 2 * DAY_MS)
    async with desk(tmp_path) as kept:
        await kept.page("first", task)
        await captured(kept.ledger, "task", [Recording("task", "main")], kept.now_ms)
        await kept.ledger.started("task", "main", "task/main", kept.now_ms)
        todos, _ = await kept.books.backlog("second", PERIOD, Cursor(PERIOD.from_ms), LEFT_OVER)
        assert [todo.begun for todo in todos] == [[("main", "task/main")]]
        await kept.answer("second", todos[0], "main")
        assert await kept.ledger.started_keys() == []


async def test_a_day_that_webex_no_longer_lists_is_not_listed_for_a_call_that_went_on(tmp_path: Path) -> None:
    """As on one machine: asking for it would be refused, and the whole run would seem to have failed."""
    lookback_days = 100
    settings = Settings.model_validate({"webex": {"lookback_days": lookback_days, "search": "off"}})
    period = Window(NOON - 300 * DAY_MS, NOON)
    async with desk(tmp_path, settings) as kept:
        kept.now_ms -= 200 * DAY_MS
        going_on = row("open", kept.now_ms - DAY_MS, requested=None, status="connected")
        await kept.books.take_in("first", period, PERIOD, 1, [going_on])
        kept.now_ms = NOON
        await kept.ledger.close_window(period, kept.now_ms)
        assert await kept.books.windows_left("second", period) == []


async def test_the_summary_says_what_any_other_run_says(tmp_path: Path) -> None:
    """What was changed of the period, why access may be denied, and that a worker's token is not stored."""
    settings = Settings.model_validate({"s3": {"tags": {"kind": "call"}}})
    async with desk(tmp_path, settings) as kept:
        await kept.books.begin("run", PERIOD, ["beginning later"])
        unsaved = BatchOutcome([], worker="one", token_unsaved=True)
        await kept.books.record("run", PERIOD, [BatchOutcome.read(unsaved.plain())])
        denied = Ending(error="S3 403 AccessDenied", error_exit=EXIT_AUTH)
        summary = await kept.books.end("run", PERIOD, denied, ["beginning later", "joining it"])
        assert summary.notes == ("beginning later", "joining it")
        assert "s3:PutObjectTagging may be missing" in str(summary.ending.error)
        assert summary.ending.token_unsaved
        assert Clamped("beginning later") in kept.told


async def test_a_token_that_was_stored_after_all_is_no_trouble(tmp_path: Path) -> None:
    """The last word of each worker counts."""
    async with desk(tmp_path) as kept:
        for unsaved in (True, False):
            await kept.books.record("run", PERIOD, [BatchOutcome([], worker="one", token_unsaved=unsaved)])
        assert (await kept.books.end("run", PERIOD, Ending())).exit_code == 0
