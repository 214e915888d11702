"""Nothing that captures named is lost, whatever later attempts hear: what the keeper of the ledger makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.temporal.desk import HOUR_MS, LEFT_OVER, NOON, PERIOD, Desk, desk, row
from wxrec_async.config import Settings
from wxrec_async.errors import AuthError
from wxrec_async.flow.job import Cursor
from wxrec_async.flow.summary import EXIT_AUTH, EXIT_FAILED, Ending
from wxrec_async.ledger.records import Counts
from wxrec_async.model import DAY_MS, RecordingState, TaskState, Window
from wxrec_async.temporal.ledger_service import LATE
from wxrec_async.temporal.messages import TaskMessage, TaskToDo
from wxrec_async.temporal.results import AnswerRow, BatchOutcome, NamedRecording, TransferResult

pytestmark = pytest.mark.anyio

OLD = NOON - 3 * DAY_MS
REPLACE = Settings.model_validate({"backfill": {"changed": "replace"}})


def stored(task: str, name: str, **facts: Any) -> TransferResult:
    return TransferResult(task, name, "stored", f"{task}/{name}", 1, 1, main_place=False, **facts)


async def handed(kept: Desk, run: str, *tasks: TaskMessage) -> list[TaskToDo]:
    return await kept.books.take_in(run, PERIOD, PERIOD, len(tasks), tasks)


async def told(kept: Desk, run: str, answer: AnswerRow, *done: TransferResult, **more: Any) -> None:
    """Write it down twice, as an engine may."""
    outcome = BatchOutcome([answer], done=list(done), **more)
    for _ in range(2):
        await kept.books.record(run, PERIOD, [BatchOutcome.read(outcome.plain())])


async def states(kept: Desk, task: str) -> dict[str, str]:
    known = (await kept.ledger.known(task)).known
    return {name: f"{it.state} {it.reason}".strip() for name, it in known.items()}


async def counts(kept: Desk, run: str) -> Counts:
    return (await kept.books.end(run, PERIOD, Ending())).counts


LATER = {
    "empty": ([], ""),
    "only the other one": (["b"], ""),
    "unsettled": ([], "error_beside"),
    "no entry": ([], "entry_missing"),
    "half and unsettled": (["b"], "list_missing"),
}


@pytest.mark.parametrize(("now", "why"), LATER.values(), ids=list(LATER))
@pytest.mark.parametrize("release", ["this", "the one before"])
async def test_an_attempt_that_hears_less_takes_nothing_back(
    tmp_path: Path, now: Sequence[str], why: str, release: str
) -> None:
    """What the first attempt stored is stored, what it only heard of is there by name, and the run goes on."""
    async with desk(tmp_path) as kept:
        (todo,) = await handed(kept, "run", row("task", OLD, requested=None))
        # A worker of the release before does not say what its first attempt heard of.
        earlier = [NamedRecording(name, earlier=True) for name in ("a", "b") if name not in now and release == "this"]
        await told(kept, "run", AnswerRow(todo, [*map(NamedRecording, now), *earlier], [], why), stored("task", "a"))
        found = await states(kept, "task")
        assert found.pop("a") == "stored"
        assert set(found.values()) <= {"failed missing", "listed"}
        assert (release == "this") <= ("b" in found)
        summary = await counts(kept, "run")
        assert (summary.no_recording, summary.stored) == (0, 1)


async def test_a_call_that_may_go_on_is_owed_and_remembered(tmp_path: Path) -> None:
    """A later empty entry is not the last word, although the call is old enough for it."""
    async with desk(tmp_path) as kept:
        (todo,) = await handed(kept, "run", row("task", NOON - 30 * HOUR_MS, requested=None, status=None))
        assert todo.phase == "untold"
        young = NamedRecording("a", start_ms=NOON - 2 * HOUR_MS, stop_ms=NOON - HOUR_MS)
        await told(kept, "run", AnswerRow(todo, [young], goes_on=True))
        assert await states(kept, "task") == {}
        before = (await kept.ledger.asked(["task"]))["task"]
        assert (before.state, before.named) == (TaskState.OWED, 1)
        kept.now_ms += 3 * DAY_MS
        assert await kept.left("second", *LEFT_OVER) == ["task"]
        await told(kept, "second", AnswerRow(todo))
        assert (await kept.ledger.asked(["task"]))["task"].state is TaskState.OWED


async def test_a_call_that_is_over_by_the_keepers_clock_is_remembered_all_the_same(tmp_path: Path) -> None:
    """The worker's clock is behind ours, and it fetched nothing."""
    async with desk(tmp_path) as kept:
        (todo,) = await handed(kept, "run", row("task", OLD, requested=None, status=None))
        await told(
            kept, "run", AnswerRow(todo, [NamedRecording("a", start_ms=OLD, stop_ms=OLD + HOUR_MS)], goes_on=True)
        )
        before = (await kept.ledger.asked(["task"]))["task"]
        assert (before.state, before.named) == (TaskState.OWED, 1)


async def test_what_was_stored_before_the_call_turned_out_to_go_on_is_written_down(tmp_path: Path) -> None:
    """The second attempt hears of a younger recording: the first one is stored, the other one there by name."""
    async with desk(tmp_path) as kept:
        (todo,) = await handed(kept, "run", row("task", OLD, requested=None, status=None))
        found = [NamedRecording("b", stop_ms=NOON - HOUR_MS), NamedRecording("a", earlier=True)]
        await told(kept, "run", AnswerRow(todo, found, goes_on=True), stored("task", "a"))
        assert await states(kept, "task") == {"a": "stored", "b": "listed"}


async def test_a_call_that_never_ends_is_fetched_under_a_flag_and_failed_by_name(tmp_path: Path) -> None:
    """And when it is asked for again, whoever does that knows what is stored of it, and until when."""
    async with desk(tmp_path) as kept:
        kept.now_ms += 8 * DAY_MS
        (todo,) = await handed(kept, "run", row("task", OLD, status="connected"))
        assert todo.phase == "open"
        answer = AnswerRow(todo, [NamedRecording("a", start_ms=OLD, stop_ms=OLD + HOUR_MS)])
        await told(kept, "run", answer, stored("task", "a", flags=["never_ended"]))
        assert (await kept.ledger.asked(["task"]))["task"].state is TaskState.FAILED
        summary = await kept.books.end("run", PERIOD, Ending())
        assert (summary.exit_code, summary.counts.failed_tasks) == (EXIT_FAILED, 1)
        assert dict(summary.flags) == {"never_ended": 1}
        assert [failure.reason for failure in summary.failures] == ["never_ended"]
        todos, _ = await kept.books.backlog("second", PERIOD, Cursor(PERIOD.from_ms), ["failed"])
        assert [(each.settled, each.times) for each in todos] == [(["a"], {"a": [OLD, OLD + HOUR_MS]})]


@pytest.mark.parametrize("already", [False, True])
async def test_the_later_state_of_a_recording_takes_its_place_with_its_times(tmp_path: Path, already: bool) -> None:
    """Else every later look would find it changed again, also when its bytes are the same."""
    async with desk(tmp_path, REPLACE) as kept:
        (todo,) = await handed(kept, "run", row("task", NOON - 2 * HOUR_MS))
        await told(kept, "run", AnswerRow(todo, [NamedRecording("a", start_ms=1, stop_ms=60_001)]), stored("task", "a"))
        kept.now_ms += DAY_MS
        (todo,), _ = await kept.books.backlog("second", PERIOD, Cursor(PERIOD.from_ms), [LATE])
        assert todo.times == {"a": [1, 60_001]}
        whole = AnswerRow(todo, [NamedRecording("a", start_ms=1, stop_ms=180_001)])
        await told(kept, "second", whole, stored("task", "a", already=already, flags=["changed_at_source"]))
        it = (await kept.ledger.known("task")).known["a"]
        assert (it.stop_ms, it.flags) == (180_001, ("changed_at_source",))


async def test_the_later_state_of_a_recording_lies_beside_the_earlier_one(tmp_path: Path) -> None:
    """Both are in the ledger, each with its own times."""
    async with desk(tmp_path) as kept:
        (todo,) = await handed(kept, "run", row("task", OLD))
        await told(kept, "run", AnswerRow(todo, [NamedRecording("a", start_ms=1, stop_ms=60_001)]), stored("task", "a"))
        todo = replace(todo, settled=["a"], times={"a": [1, 60_001]})
        later = NamedRecording("a-180001", start_ms=1, stop_ms=180_001)
        await told(kept, "run", AnswerRow(todo, [later], [], "entry_missing"), stored("task", "a-180001"))
        known = (await kept.ledger.known("task")).known
        assert {name: it.stop_ms for name, it in known.items()} == {"a": 60_001, "a-180001": 180_001}


@pytest.mark.parametrize("evidence", ["no_such_key", "http_410"])
async def test_the_evidence_of_a_deletion_travels(tmp_path: Path, evidence: str) -> None:
    """And is written down with what it proves; what fails with it is gone when captures names it no longer."""
    async with desk(tmp_path) as kept:
        a, b = await handed(kept, "run", row("a", OLD), row("b", OLD + 1))
        await told(
            kept,
            "run",
            AnswerRow(a, [NamedRecording("x", earlier=True)]),
            TransferResult("a", "x", "gone", evidence=evidence),
        )
        failed = TransferResult("b", "x", "failed", reason="not_found", evidence=evidence)
        await told(kept, "run", AnswerRow(b, [NamedRecording("x")]), failed)
        gone, missed = [(await kept.ledger.known(task)).known["x"] for task in "ab"]
        assert (gone.state, gone.evidence) == (RecordingState.GONE, evidence)
        assert (missed.state, missed.evidence) == (RecordingState.FAILED, evidence)
        await told(kept, "second", AnswerRow(b))
        assert (await kept.ledger.known("b")).known["x"].state is RecordingState.GONE


async def test_a_worker_of_the_release_before_cannot_call_anything_gone(tmp_path: Path) -> None:
    """Any 404 was a deletion to it; here it is a failure, by name, and asked for again."""
    old = {
        "answers": [{"todo": {"id": "task", "created_ms": OLD}, "recordings": [{"id": "x"}], "beside": []}],
        "failed": {},
        "done": [{"task_id": "task", "recording_id": "x", "kind": "gone"}],
        "again": [],
        "halves": [],
        "asked_s": 0.1,
        "left_open": [],
    }
    async with desk(tmp_path) as kept:
        await handed(kept, "run", row("task", OLD))
        await kept.books.record("run", PERIOD, [BatchOutcome.read(old)])
        assert await states(kept, "task") == {"x": "failed not_found"}


async def test_the_days_of_calls_that_go_on_are_listed_again(tmp_path: Path) -> None:
    """By a run at once, by a schedule when they are due: only the list says whether they are over."""
    day = Window(NOON - 3 * DAY_MS, NOON - 2 * DAY_MS)
    async with desk(tmp_path) as kept:
        created = day.from_ms + HOUR_MS
        assert await kept.page("first", row("task", created, status="connected")) == []
        await kept.books.listed("first", PERIOD, day, kept.now_ms, "")
        for run, scheduled in (("second", False), ("third", True)):
            again = await kept.books.windows_left(run, day, scheduled=scheduled)
            assert any(each.from_ms <= created < each.to_ms for each in again), run
            kept.now_ms += 2 * DAY_MS
        assert await kept.page("third", row("task", created, status="completed")) == ["task"]


async def test_a_row_without_a_time_is_no_bare_id(tmp_path: Path) -> None:
    """Its silence proves as much here as on one machine."""
    async with desk(tmp_path) as kept:
        untimed = TaskMessage("task", "telephony", "completed")
        (todo,) = await handed(kept, "run", untimed)
        assert not todo.bare
        kept.now_ms += 2 * DAY_MS
        await told(kept, "run", AnswerRow(todo))
        assert (await kept.ledger.asked(["task"]))["task"].state is TaskState.NO_RECORDING


# 403


def forbidden(*tasks: str) -> BatchOutcome:
    return BatchOutcome(failed=dict.fromkeys(tasks, "http_403"))


async def test_one_forbidden_task_fails_by_name(tmp_path: Path) -> None:
    """Others were answered, before or after it."""
    async with desk(tmp_path) as kept:
        bad, good = await handed(kept, "run", row("bad", OLD), row("good", OLD + 1))
        await kept.books.record("run", PERIOD, [forbidden(bad.id)])
        await told(kept, "run", AnswerRow(good, [NamedRecording("a")]), stored("good", "a"))
        summary = await kept.books.end("run", PERIOD, Ending())
        assert summary.exit_code == EXIT_FAILED
        assert [failure.reason for failure in summary.failures] == ["http_403"]


async def test_a_run_of_which_every_task_is_forbidden_ends_as_one_without_permission(tmp_path: Path) -> None:
    """As on a single machine: in the end, however few they are, and at once when they are many."""
    async with desk(tmp_path) as kept:
        names = [f"t{n:02d}" for n in range(13)]
        await handed(kept, "run", *(row(name, OLD + n) for n, name in enumerate(names)))
        await kept.books.record("run", PERIOD, [forbidden(*names[:5])])
        few = await kept.books.end("run", PERIOD, Ending())
        assert few.exit_code == EXIT_AUTH
        assert "refuses permission" in str(few.ending.error)
        with pytest.raises(AuthError, match="refuses permission"):
            await kept.books.record("run", PERIOD, [forbidden(*names)])
