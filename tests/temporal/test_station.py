"""The worker's side, without any engine: what one call pays for, and what comes back."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from tests.canaries import found_in
from tests.temporal.bench import Engine, engine
from wxrec_async.errors import AuthError
from wxrec_async.model import ObjectTarget
from wxrec_async.temporal.call_budget import MAX_RETURNS
from wxrec_async.temporal.messages import Batch, Span, TaskToDo
from wxrec_async.temporal.results import BatchOutcome, BatchProgress, TransferResult

pytestmark = pytest.mark.anyio


def stored(outcomes: list[BatchOutcome]) -> list[str]:
    return [done.key for outcome in outcomes for done in outcome.done if done.kind == "stored"]


def week(bench: Engine) -> Span:
    times = [task.created_ms for task in bench.sandbox.organisation.tasks]
    return Span(min(times) - 1, max(times) + 1)


async def test_a_page_and_a_batch_cost_one_call_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every recording arrives byte for byte, and what was carried has no secret, URL or number in it."""
    async with engine(tmp_path, monkeypatch) as bench:
        page = await bench.page(week(bench))
        assert {row.id for row in page.tasks} >= {todo.id for todo in bench.todos()}
        outcomes = await bench.carry_all(bench.todos())
        assert sorted(stored(outcomes)) == sorted(item.key for item in bench.sandbox.truth())
        assert await bench.sandbox.differences() == []
        assert bench.calls == bench.begun == 1 + len(outcomes)
        assert bench.further == 0
        text = "\n".join(bench.carried)
        assert not found_in(text)
        assert "http" not in text


@pytest.mark.fault("D01")
async def test_a_url_that_expired_before_a_byte_goes_back_for_its_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expired URLs of a batch are renewed together by the next one, and the sum of calls is the sum of beginnings."""
    async with engine(tmp_path, monkeypatch) as bench:
        bench.sandbox.faults.add("media.get", "expired")
        outcomes = await bench.carry_all(bench.todos())
        assert await bench.sandbox.differences() == []
        assert len(outcomes) == 2 * -(-len(bench.todos()) // 10)
        assert bench.calls == bench.begun
        assert bench.further == 0


@pytest.mark.fault("D02")
async def test_a_url_that_expires_in_the_middle_is_renewed_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes in hand are not thrown away: a further call is waited for, and the recording goes on at the same byte."""
    async with engine(tmp_path, monkeypatch, seconds=(20.0, 30.0)) as bench:
        bench.sandbox.faults.add("media.get", "short_body", at="middle", attempts=(1,))
        bench.sandbox.faults.add("media.get", "expired", attempts=(2,))
        outcomes = await bench.carry_all(bench.todos())
        assert await bench.sandbox.differences() == []
        assert not any(outcome.again for outcome in outcomes)
        assert bench.further == len(bench.sandbox.truth())
        assert bench.calls == bench.begun + bench.further


async def test_urls_that_keep_expiring_end_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few returns the rule itself decides, in place, with the same word as on one machine."""
    async with engine(tmp_path, monkeypatch, tasks=3) as bench:
        bench.sandbox.faults.add("media.get", "expired", attempts=None)
        outcomes = await bench.carry_all(bench.todos())
        failed = [done for outcome in outcomes for done in outcome.done]
        assert {done.reason for done in failed} == {"url_keeps_expiring"}
        assert len(outcomes) == 1 + MAX_RETURNS
        assert bench.calls == bench.begun + bench.further


async def test_a_bad_body_keeps_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of HTML in the place of audio is not told as an expired URL."""
    async with engine(tmp_path, monkeypatch, tasks=2) as bench:
        bench.sandbox.faults.add("media.get", "html", attempts=None)
        outcomes = await bench.carry_all(bench.todos())
        assert {done.reason for outcome in outcomes for done in outcome.done} == {"not_media"}
        assert bench.calls == bench.begun + bench.further


async def test_retry_after_is_the_next_delay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that meets 429 comes back with the wait the server named, and the worker's own gate is shut."""
    async with engine(tmp_path, monkeypatch, tasks=5) as bench:
        bench.sandbox.faults.add("captures", "throttle", retry_after="1", limit=1)
        begun = time.monotonic()
        await bench.carry_all(bench.todos())
        assert len(bench.waits) == 1
        assert 1.0 <= bench.waits[0] <= 1.1
        assert time.monotonic() - begun >= 1.0  # this engine does not wait: the gate did
        assert bench.calls == bench.begun == 2


@pytest.mark.parametrize("kind", ["token_401", "token_403", "token_400"])
async def test_a_refused_token_is_renewed_once_and_the_call_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The replay is a call like any other."""
    async with engine(tmp_path, monkeypatch, tasks=5) as bench:
        bench.sandbox.faults.add("captures", kind, limit=1)
        await bench.carry_all(bench.todos())
        assert bench.sandbox.desk.refreshes == 1
        assert bench.calls == bench.begun == 2


async def test_calls_under_way_meet_the_end_of_a_token_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are, it is one token that was refused: no reason to end the run."""
    async with engine(tmp_path, monkeypatch, tasks=5, latency=0.05) as bench:
        span = week(bench)
        await bench.page(span)
        bench.sandbox.desk.expire_access()
        async with anyio.create_task_group() as group:
            for _ in range(12):
                group.start_soon(bench.page, span)
        assert bench.sandbox.desk.refreshes == 1
        assert [row.status for row in bench.sandbox.log.of("tasks")].count(401) == 12
        assert bench.calls == bench.begun == 25


@pytest.mark.fault("T07")
async def test_a_token_that_is_refused_although_it_is_fresh_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renewing again and again would not help."""
    async with engine(tmp_path, monkeypatch, tasks=2) as bench:
        bench.sandbox.faults.add("captures", "token_401", attempts=None)
        with pytest.raises(AuthError, match="just renewed"):
            await bench.carry_all(bench.todos())
        assert bench.sandbox.desk.refreshes <= 4


async def test_one_poisonous_id_does_not_take_its_batch_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that is refused as a whole is halved until the id at fault stands alone, one call for each half."""
    async with engine(tmp_path, monkeypatch) as bench:
        todos = bench.todos()[:10]
        bench.sandbox.faults.add("captures", "error", status=400, key=f"*{todos[3].id}*", attempts=None)
        outcomes = await bench.carry_all(todos)
        failed = {task: reason for outcome in outcomes for task, reason in outcome.failed.items()}
        assert failed == {todos[3].id: "http_400"}
        assert {done.task_id for outcome in outcomes for done in outcome.done} == {todo.id for todo in todos} - {
            *failed
        }
        assert bench.calls == bench.begun <= 9


async def test_a_server_error_is_waited_for_by_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts are counted over all beginnings, so that a call is given up after as many as on one machine."""
    async with engine(tmp_path, monkeypatch, tasks=5) as bench:
        bench.sandbox.faults.add("captures", "error", status=503, attempts=(1, 2))
        await bench.carry_all(bench.todos())
        assert await bench.sandbox.differences() == []
        assert len(bench.waits) == 2
        bench.sandbox.faults.add("tasks", "error", status=500, attempts=None)
        page = await bench.page(week(bench))
        assert page.refused == "retries_exhausted"
        assert bench.calls == bench.begun == 3 + 8


async def test_an_attempt_after_a_crash_repeats_nothing_that_was_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was told is not looked at; what was stored and not told is recognised by a HEAD; the rest is moved."""
    async with engine(tmp_path, monkeypatch) as bench:
        todos = bench.todos()[:5]
        first = await bench.carry(todos)
        moved = bench.sandbox.log.count("media.get")
        kept = BatchProgress(done=first.done[:1])
        again = await bench.carry(todos, kept=bench.through(kept), repeated=True)
        assert bench.sandbox.log.count("media.get") == moved
        assert sorted(done.key for done in again.done) == sorted(done.key for done in first.done)
        assert again.done[0] == first.done[0]
        assert all(done.already for done in again.done[1:])
        assert [_bytes(done) for done in _by_key(again)] == [_bytes(done) for done in _by_key(first)]
        assert all(done.sha256 for done in again.done)


def _bytes(done: TransferResult) -> tuple[int, int | None, str | None]:
    return done.size, done.crc32, done.sha256


def _by_key(outcome: BatchOutcome) -> list[TransferResult]:
    return sorted(outcome.done, key=lambda done: done.key)


@pytest.mark.fault("L01", "S20")
async def test_breaking_off_aborts_uploads_and_the_next_attempt_finds_what_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an abort nothing is open; an upload that a killed worker left is aborted by whoever takes over."""
    async with engine(tmp_path, monkeypatch, tasks=3, stations=2, large=True, seconds=(700.0, 900.0)) as bench:
        todos = bench.todos()[:3]
        async with anyio.create_task_group() as group:
            group.start_soon(_quietly, bench, todos)
            while not bench.sandbox.uploads():
                await anyio.sleep(0.005)
            bench.stations[0].abort()
            while bench.sandbox.uploads():
                await anyio.sleep(0.005)
            group.cancel_scope.cancel()
        left = next(iter(bench.sandbox.truth())).key
        bench.stations[1]._storing._store.uncertain_keys.clear()
        await bench.stations[1]._storing._store.create(ObjectTarget(left, "audio/wav"))  # what a kill -9 leaves behind
        assert bench.sandbox.uploads()
        for todo in todos:
            await bench.carry([todo], station=1, repeated=True)
        assert bench.sandbox.uploads() == []
        assert await bench.sandbox.differences() == []


@pytest.mark.fault("S19")
async def test_an_upload_that_stays_open_is_told_and_aborted_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever keeps the books hears of it, and what they hand out again says which upload to abort."""
    async with engine(tmp_path, monkeypatch, tasks=3, large=True, seconds=(700.0, 900.0)) as bench:
        todo = bench.todos()[0]
        bench.sandbox.faults.add("s3.CompleteMultipartUpload", "access_denied", attempts=None)
        bench.sandbox.faults.add("s3.AbortMultipartUpload", "access_denied", attempts=None)
        outcome = await bench.carry([todo])
        assert [done.kind for done in outcome.done] == ["failed"]
        (left,) = outcome.left_open
        assert [upload.id for upload in bench.sandbox.uploads()] == [left.upload_id]

        bench.sandbox.faults.clear()
        again = replace(todo, uploads=[(left.recording_id, left.key, left.upload_id)])
        done = await bench.carry([again])
        assert done.left_open == []
        assert bench.sandbox.uploads() == []


def last_recording(bench: Engine) -> tuple[TaskToDo, ObjectTarget, str]:
    """A task with one recording, where that goes, and its id."""
    item = bench.sandbox.truth()[-1]
    todo = next(todo for todo in bench.todos() if todo.id == item.task_id)
    return todo, ObjectTarget(item.key, "audio/wav"), item.recording_id


@pytest.mark.fault("K12")
async def test_a_key_that_may_carry_an_upload_is_swept_and_what_stays_open_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever takes the task up, once; the keeper of the ledger hears which upload could not be aborted."""
    async with engine(tmp_path, monkeypatch, tasks=3) as bench:
        todo, target, recording_id = last_recording(bench)
        store = bench.stations[0]._storing._store
        upload_id = await store.create(target)
        begun = replace(todo, begun=[(recording_id, target.key)])
        bench.sandbox.faults.add("s3.AbortMultipartUpload", "access_denied", attempts=None)
        told = await bench.carry([begun])
        assert [(each.recording_id, each.upload_id) for each in told.left_open] == [(recording_id, upload_id)]
        bench.sandbox.faults.clear()
        assert (await bench.carry([begun])).left_open == []
        assert bench.sandbox.uploads() == []


@pytest.mark.fault("L03")
async def test_what_was_open_before_a_run_is_aborted_with_the_recording_it_belongs_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed worker told nobody; the bucket is asked once a run, and uploads of other keys are let alone."""
    async with engine(tmp_path, monkeypatch, tasks=3) as bench:
        todo, target, _ = last_recording(bench)
        station = bench.stations[0]
        await station._storing._store.create(target)
        stranger = await station._storing._store.create(replace(target, key=f"{target.key}.other"))
        others = [each for each in bench.todos() if each.id != todo.id]
        for batch in ([todo], others):
            await station.carry(Batch(station.org_id, batch, run="second"), BatchProgress(), lambda _: None)
        assert [upload.id for upload in bench.sandbox.uploads()] == [stranger]
        assert bench.sandbox.log.count("s3.ListMultipartUploads") == 2
        assert await bench.sandbox.differences() == []


@pytest.mark.fault("K7")
async def test_an_upload_whose_id_never_arrived_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it could not be found at once, it is with the recording's end, or at the latest when the worker ends."""
    async with engine(tmp_path, monkeypatch, tasks=3) as bench:
        todo, target, _ = last_recording(bench)
        store = bench.stations[0]._storing._store
        await store.create(target)
        store.uncertain_keys.add(target.key)
        await bench.carry([todo])
        assert bench.sandbox.uploads() == []
        elsewhere = replace(target, key="call-detail/elsewhere.wav")
        await store.create(elsewhere)
        store.uncertain_keys.add(elsewhere.key)
        await bench.stations[0].__aexit__(None, None, None)
        assert bench.sandbox.uploads() == []


async def test_a_token_that_cannot_be_stored_is_told_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keeper of the ledger ends the run with it; who never had such trouble says nothing of it."""
    async with engine(tmp_path, monkeypatch, tasks=3) as bench:
        todo, refresher = bench.todos()[0], bench.stations[0]._webex.refresher
        assert (await bench.carry([todo])).worker == ""
        answers = [False, True]

        async def save_pending() -> bool:
            return answers.pop(0)

        monkeypatch.setattr(refresher, "save_pending", save_pending)
        told = [await bench.carry([todo]) for _ in range(2)]
        assert [each.token_unsaved for each in told] == [True, False]
        assert len({each.worker for each in told} - {""}) == 1
        answers.append(True)


async def _quietly(bench: Engine, todos: list[TaskToDo]) -> None:
    await bench.carry(todos)


async def test_a_draining_worker_gives_back_what_it_has_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in hand is finished, the rest comes back without a mark against it."""
    async with engine(tmp_path, monkeypatch, stations=2) as bench:
        bench.stations[0]._storing.room = anyio.Semaphore(1)
        todos = bench.todos()[:10]
        outcomes: list[BatchOutcome] = []

        async def work() -> None:
            outcomes.append(await bench.carry(todos))

        async with anyio.create_task_group() as group:
            group.start_soon(work)
            while not bench.sandbox.log.count("media.get"):
                await anyio.lowlevel.checkpoint()
            bench.stations[0].drain()
        assert outcomes[0].done
        assert outcomes[0].again
        assert not any(todo.returns for todo in outcomes[0].again)
        done = await bench.carry_all(outcomes[0].again, station=1)
        assert {each.recording_id for outcome in [*outcomes, *done] for each in outcome.done} == {
            item.recording_id for item in bench.sandbox.truth() if item.task_id in {todo.id for todo in todos}
        }


async def test_a_hundred_expiries_cost_two_workers_a_hundred_refreshes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers share one token store; each expiry is met by both at once."""
    async with engine(tmp_path, monkeypatch, tasks=5, stations=2) as bench:
        span = week(bench)
        for _ in range(100):
            bench.sandbox.desk.expire_access()
            async with anyio.create_task_group() as group:
                for station in (0, 1):
                    group.start_soon(bench.page, span, station)
        assert 100 <= bench.sandbox.desk.refreshes <= 200
        assert bench.calls == bench.begun
