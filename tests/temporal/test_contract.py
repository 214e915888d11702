"""What is carried between machines: plain, the same on arrival, and given again when an answer got lost."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from wxrec_async.model import Failed, Recording, Stored, StoredObject, Task
from wxrec_async.rules.retry import Attempts
from wxrec_async.temporal import contract
from wxrec_async.temporal.activities import LedgerActivities, WorkerActivities
from wxrec_async.temporal.call_budget import Requeue
from wxrec_async.temporal.messages import Batch, PageAsk, PageRow, Span, TaskMessage, TaskToDo, fields_of
from wxrec_async.temporal.results import (
    AnswerRow,
    BatchOutcome,
    BatchProgress,
    LeftOpen,
    NamedRecording,
    TransferResult,
)

TODOS = st.lists(st.builds(TaskToDo, id=st.uuids().map(str)), max_size=60, unique_by=lambda todo: todo.id)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def test_an_outcome_and_its_progress_arrive_as_they_left() -> None:
    """Nothing is lost on the way through JSON, and sentences are redacted before they go."""
    recording = Recording("task", "rec", call_type="main", start_ms=1, segment=True, tracking_id="ROUTERGW_1")
    known = StoredObject("key", 5, 7, etag='"e"', version_id="v", sha256=64 * "a", content_type="audio/wav")
    stored = Stored(known, flags=("riff_size",))
    done = [
        TransferResult.of(recording, stored, 0.5),
        TransferResult.of(recording, Failed("odd", "see https://host/x?X-Amz-Signature=CANARY-SIG-1 of +15550100123")),
    ]
    outcome = BatchOutcome(
        [AnswerRow(TaskToDo("task", 3), [NamedRecording.of(recording)], [("t", "transcript")])],
        {"other": "http_400"},
        done,
        asked_s=0.1,
        left_open=[LeftOpen("task", "rec", "key", "upload")],
    )
    assert BatchOutcome.read(through_json(outcome.plain())) == outcome
    assert outcome.answers[0].recordings[0].recording("task") == recording
    assert done[0].object() == known
    assert "X-Amz" not in done[1].detail
    assert "0100123" not in done[1].detail
    named = {"task": [NamedRecording("rec", start_ms=1), NamedRecording("other", earlier=True)]}
    progress = BatchProgress(done=done, recordings=2, bytes=9, named=named).after(Attempts(attempts=2, waits=1))
    kept = BatchProgress.read(through_json(progress.plain()))
    assert kept == progress
    assert kept.history() == Attempts(attempts=2, waits=1)


def test_what_a_later_attempt_and_the_keeper_judge_by_arrives_as_it_left() -> None:
    """Why an answer settles nothing, that a call goes on, what a deletion rests on, and whether a call is over."""
    todo = TaskToDo(
        "a", 3, phase="untold", first_seen_ms=4, times={"r": [1, None]}, denied={"r": "http_410"}, bare=True
    )
    todo = replace(todo, begun=[("r", "key")])
    answers = [
        AnswerRow(todo, [NamedRecording("r", earlier=True)], unsettled="entry_missing"),
        AnswerRow(TaskToDo("b"), goes_on=True),
    ]
    done = [TransferResult("a", "r", "gone", evidence="no_such_key")]
    outcome = BatchOutcome(answers, done=done, asked_s=0.1, worker="one", token_unsaved=True)
    assert BatchOutcome.read(through_json(outcome.plain())) == outcome
    row = TaskMessage("a", active=False)
    assert row.task().active is False
    assert TaskMessage(**through_json(fields_of(row))) == row


def test_a_worker_of_the_release_before_is_understood() -> None:
    """It does not say what is new here, and then nothing is held against anybody."""
    kept = BatchProgress.read({"tries": {"attempts": 1}, "done": [], "recordings": 1, "bytes": 2})
    assert (kept.named, kept.history().attempts) == ({}, 1)
    answer = {"todo": {"id": "a"}, "recordings": [{"id": "r"}], "beside": []}
    old = {"answers": [answer], "failed": {}, "done": [], "asked_s": 0.1, "left_open": []}
    assert BatchOutcome.read(old).answers == [AnswerRow(TaskToDo("a"), [NamedRecording("r")])]
    assert TaskToDo("a").task().active is False
    assert TaskMessage(id="a").active is None


def test_a_history_of_the_release_before_goes_on() -> None:
    """Its messages lack what is new here."""
    assert Batch.read({"org": "org", "todos": [{"id": "a"}], "halved": False}) == Batch("org", [TaskToDo("a")])
    assert contract.End("run", Span(1, 2), "error", 3).notes == []
    assert contract.BackfillAsk("org", "queue", Span(1, 2)).notes == []
    plan = {"period": Span(1, 2), "windows": [], "shape": contract.Sizing(), "filtered": False}
    assert contract.WorkPlan(**plan).notes == []  # type: ignore[arg-type]


def test_what_is_asked_and_listed_arrives_as_it_left() -> None:
    """A page, a batch and what asks for a page survive JSON; what is as by default is not sent along."""
    ask = PageAsk("org", Span(1, 9), 3, "/v1/tasks?cursor=x", others=True)
    assert PageAsk.read(through_json(asdict(ask))) == ask
    todos = [TaskToDo("a", 3, False, ["r"], "r", 1, [("r", "key", "upload")]), TaskToDo("b")]
    batch = {"org": "org", "todos": [todo.plain() for todo in todos], "halved": True, "run": "r"}
    assert Batch.read(through_json(batch)) == Batch("org", todos, halved=True, run="r")
    assert todos[1].plain() == {"id": "b"}
    rows = [TaskMessage("a", "telephony", created_ms=0, capture_requested=False), TaskMessage("b")]
    plain = through_json(PageRow(rows, 2, asked_ms=7).plain())
    assert PageRow(**{**plain, "tasks": [TaskMessage(**row) for row in plain["tasks"]]}) == PageRow(rows, 2, asked_ms=7)
    assert plain["tasks"][1] == {"id": "b"}


@given(sizes=st.lists(st.integers(0, 700), max_size=40))
def test_what_is_written_down_at_once_has_a_bound(sizes: list[int]) -> None:
    """In order, each once, and never so much that the server refuses it, but for a single batch that is larger."""
    left = [{"number": n, "failed": {}, "answers": [], "done": [{}] * size} for n, size in enumerate(sizes)]
    told: list[int] = []
    while left:
        now, left = contract.first_of(left)
        assert now
        assert len(now) == 1 or sum(2 * len(each["done"]) for each in now) <= contract.ROWS_AT_ONCE
        told += [each["number"] for each in now]
    assert told == list(range(len(sizes)))


def test_a_task_travels_with_masked_numbers_and_without_names_of_people() -> None:
    """Numbers look as the ledger writes them; a name goes along only when what is kept is encrypted."""
    task = Task(
        "id", origin="+15550100123", destination="+15550100124", agent_name="A. Person", agent_id="a", queue_name="q"
    )
    masked = Task("id", origin="***23", destination="***24", agent_id="a", queue_name="q")
    assert TaskMessage.of(task).task() == masked
    assert TaskMessage.of(task, names=True).task() == replace(masked, agent_name="A. Person")


@given(per_minute=st.floats(1, 10_000))
def test_the_two_queues_are_one_budget(per_minute: float) -> None:
    """What begins with a call and what is kept for the middle of recordings add up to what is allowed."""
    together = contract.calls_per_second(per_minute) + contract.further_per_second(per_minute)
    assert together == pytest.approx(per_minute / 60)


@given(todos=TODOS, halved=st.integers(0, 3))
def test_a_pile_gives_each_task_once_in_batches_of_ten(todos: list[TaskToDo], halved: int) -> None:
    """Pieces of a failed batch come first and alone; everything else in full batches, the rest last."""
    pile = contract.PendingTasks()
    rows = [{"id": todo.id} for todo in todos]
    pieces = [[{"id": f"piece {n}"}] for n in range(halved)]
    pile.add(rows)
    pile.take_back({"again": [], "halves": pieces})
    given_out = []
    while pile:
        full = pile.full
        batch, piece = pile.next()
        assert full == (piece or len(batch) == contract.BATCH)
        given_out.append((batch, piece))
    assert [batch for batch, piece in given_out if piece] == pieces
    assert [row for batch, piece in given_out if not piece for row in batch] == rows


class ForgetfulBooks:
    """Hands tasks out once a run, as the ledger does."""

    def __init__(self) -> None:
        self.handed: set[str] = set()

    async def take_in(
        self, _run: str, _period: Any, _window: Any, _rows: int, tasks: list[TaskMessage], *, scheduled: bool, **_: Any
    ) -> list[TaskToDo]:
        assert not scheduled
        new = [TaskToDo(row.id) for row in tasks if row.id not in self.handed]
        self.handed.update(todo.id for todo in new)
        return new


@pytest.mark.anyio
async def test_an_answer_that_got_lost_is_given_again() -> None:
    """The server may die between our writing a page down and hearing of it; its tasks are not lost for that."""
    notes = LedgerActivities(ForgetfulBooks(), lambda _summary: None)  # type: ignore[arg-type]
    ask = contract.IngestPage("run", Span(0, 9), Span(0, 9), 1, [{"id": "task"}])
    first = await ActivityEnvironment().run(notes.take_in, ask)
    assert first == [{"id": "task"}]
    assert await ActivityEnvironment().run(notes.take_in, ask) == first


class RefusedStation:
    """Meets a token that has ended at every call."""

    async def page(self, _ask: PageAsk, _kept: BatchProgress) -> PageRow:
        raise Requeue("the token was refused and is renewed", 0.0, Attempts())


@pytest.mark.anyio
async def test_work_that_comes_back_for_its_next_call_waits_for_its_turn_alone() -> None:
    """The engine doubles a delay that nobody named: after ten expiries a batch would have waited for five minutes."""
    calls = WorkerActivities({"org": RefusedStation()})  # type: ignore[dict-item]
    ask = through_json(asdict(PageAsk("org", Span(0, 9), 0)))
    for attempt in (1, 9):
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, attempt=attempt)
        with pytest.raises(ApplicationError) as failure:
            await environment.run(calls.page, ask)
        assert failure.value.next_retry_delay == timedelta(seconds=0.1)


class BusyStation:
    """Tells of bytes all the time, of one recording that was named, and that it is finished."""

    async def carry(self, batch: Batch, _kept: BatchProgress, tell: Any, *, repeated: bool) -> BatchOutcome:
        assert not repeated
        name = batch.todos[0].id
        done, named = TransferResult(name, "rec", "stored"), {name: [NamedRecording("rec")]}
        for number in range(80):
            await anyio.sleep(0.05)
            tell(BatchProgress(done=[done] if number > 39 else [], bytes=number, named=named if number > 9 else {}))
        return BatchOutcome()


@pytest.mark.anyio
async def test_only_what_is_named_or_finished_is_worth_a_heartbeat_of_its_own() -> None:
    """A worker with 32 batches under way would otherwise beat 16 times a second, for bytes that nobody needs."""
    calls = WorkerActivities({"org": BusyStation()})  # type: ignore[dict-item]
    environment = ActivityEnvironment()
    beats: list[BatchProgress] = []
    environment.on_heartbeat = lambda *details: beats.append(BatchProgress.read(details[0]))
    await environment.run(calls.carry, {"org": "org", "todos": [{"id": "task"}], "halved": False})
    assert [(len(beat.named), len(beat.done)) for beat in beats] == [(0, 0), (1, 0), (1, 1)]


def test_names_are_the_same_on_every_machine() -> None:
    """Workers and runs find each other by them; a client id is not readable from its queue."""
    queue = contract.queue_of("C0ffee")
    assert queue == contract.queue_of("C0ffee") != contract.queue_of("other")
    assert "C0ffee" not in queue
    assert contract.window_id("org", Span(1, 2)) == "wxrec/org/1-2"


def test_a_hash_travels_beside_the_masked_number() -> None:
    """Made where the number is known; the number stays there, and so does whatever else was said."""
    task = Task("t", origin="+15550100123", said='{"mood":"fine"}', reason_code="call +15550100123")
    message = TaskMessage.of(task, hashed=lambda text: f"id:{len(text)}" if text else None)
    assert (message.origin, message.origin_hash, message.destination_hash) == ("***23", "id:12", None)
    assert (message.said, message.reason_code) == (None, "call ***")
    assert TaskMessage.of(task).origin_hash is None
