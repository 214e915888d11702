"""A later attempt at a batch, on the worker's side: what is kept of the ones before it, and what a worker can prove."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.temporal.bench import Engine, engine
from wxrec_async.flow.policies import rules_of
from wxrec_async.rules.retry import Attempts
from wxrec_async.temporal.call_budget import Requeue
from wxrec_async.temporal.messages import Batch, TaskToDo
from wxrec_async.temporal.results import BatchOutcome, BatchProgress, NamedRecording, TransferResult

pytestmark = pytest.mark.anyio


async def heard(bench: Engine, todos: list[TaskToDo]) -> tuple[BatchOutcome, BatchProgress]:
    """Carry a batch, and return what was told of it last."""
    told: list[BatchProgress] = []
    outcome = await bench.stations[0].carry(Batch(bench.stations[0].org_id, todos), BatchProgress(), told.append)
    return outcome, bench.through(told[-1])


def decided(bench: Engine, **backfill: object) -> None:
    """Let the station have other settings of [backfill]."""
    settings = bench.stations[0].settings
    changed = settings.backfill.model_copy(update=backfill)
    station = bench.stations[0]
    station.settings = settings.model_copy(update={"backfill": changed})
    station._storing.rules = rules_of(station.settings, station.org_id)


@pytest.mark.parametrize("kind", ["not_ready", "missing_entry", "null_lists", "no_lists"])
async def test_what_the_first_attempt_heard_is_in_the_answer_of_the_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Marked as heard before; what was stored then is told as stored."""
    async with engine(tmp_path, monkeypatch, tasks=5) as bench:
        todos = bench.todos()
        first, kept = await heard(bench, todos)
        bench.sandbox.faults.add("captures", kind, attempts=None)
        again = await bench.carry(todos, kept=kept, repeated=True)
        assert again.done == first.done
        for before, now in zip(first.answers, again.answers, strict=True):
            assert now.recordings == [replace(each, earlier=True) for each in before.recordings]
            assert bool(now.unsettled) == (kind != "not_ready")


@pytest.mark.parametrize("kind", ["error", "reset_before"])
async def test_a_batch_that_is_halved_or_given_up_tells_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Its pieces do not do it again, and know who holds the main place; nothing of it fails as a task."""
    async with engine(tmp_path, monkeypatch, tasks=5) as bench:
        todos = bench.todos()
        first, kept = await heard(bench, todos)
        bench.sandbox.faults.add("captures", kind, attempts=None, **({"status": 400} if kind == "error" else {}))
        kept = kept.after(Attempts(attempts=3))
        halved = await bench.carry(todos, kept=kept, repeated=True)
        assert halved.done == first.done
        assert {each.todo.id for each in halved.answers} == {todo.id for todo in todos}
        assert all(each.unsettled for each in halved.answers)
        pieces = [todo for half in halved.halves for todo in half]
        assert sorted(name for todo in pieces for name in todo.settled) == sorted(d.recording_id for d in first.done)
        assert all(todo.holder for todo in pieces)


async def test_what_an_attempt_that_is_given_up_did_not_finish_fails_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the task itself has not failed: there are recordings of it."""
    async with engine(tmp_path, monkeypatch, tasks=5) as bench:
        todo = bench.todos()[0]
        kept = BatchProgress(
            done=[TransferResult(todo.id, "a", "stored")], named={todo.id: [NamedRecording("a"), NamedRecording("b")]}
        )
        bench.sandbox.faults.add("captures", "error", status=400, attempts=None)
        outcome = await bench.carry([todo], kept=bench.through(kept), repeated=True)
        assert outcome.failed == {}
        ends = {done.recording_id: (done.kind, done.reason) for done in outcome.done}
        assert ends == {"a": ("stored", ""), "b": ("failed", "http_400")}


async def test_a_deletion_is_proven_over_two_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The media host denies it, the work goes back for a fresh URL, and captures names it no longer."""
    async with engine(tmp_path, monkeypatch, tasks=3) as bench:
        bench.sandbox.faults.add("media.get", "deleted", attempts=None)
        outcomes = await bench.carry_all(bench.todos())
        done = [each for outcome in outcomes for each in outcome.done]
        assert {(each.kind, each.evidence) for each in done} == {("gone", "no_such_key")}
        assert bench.calls == bench.begun
        assert bench.further == 0


async def test_what_only_the_media_host_denies_fails_with_its_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as captures names it, nothing is gone."""
    async with engine(tmp_path, monkeypatch, tasks=3) as bench:
        bench.sandbox.faults.add("media.get", "missing", attempts=None)
        outcomes = await bench.carry_all(bench.todos())
        done = [each for outcome in outcomes for each in outcome.done]
        assert {(each.kind, each.reason, each.evidence) for each in done} == {("failed", "not_found", "no_such_key")}


async def test_nothing_is_fetched_of_a_call_that_may_go_on_and_that_it_was_named_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row does not say that it is over, and its last sign of life is young."""
    async with engine(tmp_path, monkeypatch, tasks=5) as bench:
        untold = [replace(todo, phase="untold", first_seen_ms=todo.created_ms) for todo in bench.todos()]
        decided(bench, assume_over_hours=24 * 365 * 10)
        outcome, kept = await heard(bench, untold)
        assert outcome.done == []
        assert all(each.goes_on and each.recordings for each in outcome.answers)
        assert kept.named == {each.todo.id: each.recordings for each in outcome.answers}
        assert bench.sandbox.log.count("media.get") == 0


async def test_what_is_replaced_is_not_taken_for_what_a_killed_attempt_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object that is there says whose it is; it is the earlier state of the recording all the same."""
    async with engine(tmp_path, monkeypatch, tasks=3) as bench:
        decided(bench, changed="replace")
        todo = bench.todos()[0]
        first, _ = await heard(bench, [todo])
        names = [done.recording_id for done in first.done]
        moved = bench.sandbox.log.count("media.get")
        times = {each.id: [each.start_ms, (each.stop_ms or 0) - 60_000] for each in first.answers[0].recordings}
        changed = replace(todo, settled=names, holder=names[0], times=times)
        again = await bench.carry([changed], repeated=True)
        assert bench.sandbox.log.count("media.get") == moved + len(names)
        assert all("changed_at_source" in done.flags for done in again.done)


async def test_a_forbidden_task_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few refusals are for whoever sees all of them to judge."""
    async with engine(tmp_path, monkeypatch, tasks=5) as bench:
        bench.sandbox.faults.add("captures", "error", status=403, message="not yours", attempts=None)
        outcomes = await bench.carry_all(bench.todos())
        failed = {task: reason for outcome in outcomes for task, reason in outcome.failed.items()}
        assert failed == dict.fromkeys((todo.id for todo in bench.todos()), "http_403")


async def test_a_draining_worker_keeps_what_it_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next attempt, on another machine, begins with it."""
    async with engine(tmp_path, monkeypatch, tasks=2) as bench:
        kept = BatchProgress(named={"task": [NamedRecording("a")]})
        bench.stations[0].drain()
        with pytest.raises(Requeue) as back:
            await bench.stations[0].carry(Batch(bench.stations[0].org_id, bench.todos()), kept, lambda _: None)
        assert kept.after(back.value.tries).named == kept.named
