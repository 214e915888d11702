"""From windows to stored recordings: who is asked, how often, and what becomes of every task."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wxrec_async.errors import AuthError, RunStopped
from wxrec_async.events import (
    CapturesAsked,
    RecordingFailed,
    RecordingGone,
    RecordingStarted,
    RecordingStored,
    TaskSettled,
)
from wxrec_async.flow.orchestrator import BATCH_PATIENCE_S
from wxrec_async.flow.summary import Ending, exit_code
from wxrec_async.ledger import BacklogReason, Everything, Incomplete, InPeriod, NamedFor
from wxrec_async.ledger.migrations import seal
from wxrec_async.model import Attachment, Recording, TaskPage, Window
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import retry

from .bench import DAY, HOUR, NOON, YESTERDAY, Flow
from .kit import PART, Body, hang, refused, wav

pytestmark = pytest.mark.anyio


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return Flow(tmp_path)


def asked_ids(flow: Flow) -> Counter[str]:
    return Counter(task_id for batch in flow.webex.asked for task_id in batch)


async def test_thousand_tasks_cost_few_captures_calls_and_one_get_and_put_each(flow: Flow) -> None:
    """At most one captures call for nine tasks, one GET and one PUT for each recording, and the counts add up."""
    flow.fill(1000)
    await flow.run(concurrency=8)
    counts = await flow.counts()
    assert (counts.tasks_listed, counts.tasks_with_recordings, counts.stored) == (1000, 1000, 1000)
    assert len(flow.webex.asked) <= 1000 / 9
    assert set(flow.source.gets.values()) == {1}
    assert flow.store.count("put") == len(flow.store.objects) == 1000
    assert set(asked_ids(flow).values()) == {1}
    assert sum(event.tasks for event in flow.of(CapturesAsked)) == 1000


@pytest.mark.fault("R09")
@pytest.mark.parametrize("workers", [1, 2, 200])
async def test_any_number_of_workers_stores_everything(flow: Flow, workers: int) -> None:
    """One worker and two hundred end alike: everything stored once, everybody home."""
    flow.fill(137)
    flow.add("big", ("b1", wav(9 * PART)), ("b2", wav(3 * PART)), created_ms=YESTERDAY.from_ms)
    await flow.run(concurrency=workers)
    counts = await flow.counts()
    assert (counts.stored, counts.unfinished_recordings, counts.failed) == (139, 0, 0)
    assert len(flow.store.objects) == 139
    assert flow.source.live == 0
    assert not flow.store.uploads
    assert flow.pool.free == flow.pool.total


async def test_last_partial_batch_is_not_kept_waiting(flow: Flow) -> None:
    """When nothing more is to come, three tasks are asked for at once."""
    flow.fill(13)
    begun = time.monotonic()
    await flow.run()
    assert sorted(map(len, flow.webex.asked)) == [3, 10]
    assert time.monotonic() - begun < BATCH_PATIENCE_S - 1


@pytest.mark.fault("R04")
async def test_lister_waits_while_the_queue_is_full(tmp_path: Path) -> None:
    """With captures that hang, only a queue's worth of tasks is listed ahead, of three thousand."""
    flow = Flow(tmp_path, page_size=50)
    flow.fill(3000)
    release = anyio.Event()
    flow.webex.on_captures = lambda _ids: release.wait()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: flow.run(concurrency=2, limit=1))
        while not flow.webex.asked:
            await anyio.sleep(0.01)
        before = -1
        while before != len(flow.webex.pages):
            before = len(flow.webex.pages)
            await anyio.sleep(0.2)
        assert len(flow.webex.pages) * 49 <= 100 + 2 * 10 + 2 * 50
        release.set()


async def test_one_batch_of_long_recordings_is_spread_over_all_workers(flow: Flow) -> None:
    """Ten recordings of one captures answer are under way at once with ten workers."""
    flow.fill(10)
    flow.source.hold = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: flow.run(concurrency=10))
        with anyio.fail_after(30):
            while flow.source.live < 10:
                await anyio.sleep(0.005)
        assert len(flow.webex.asked) == 1
        flow.source.hold.set()
    assert flow.source.most_live == 10


async def test_urls_are_not_asked_for_long_before_they_are_used(flow: Flow) -> None:
    """While recordings hang, no more captures are asked than keep the workers busy and one batch in reserve."""
    flow.fill(500)
    flow.source.hold = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: flow.run(concurrency=4))
        with anyio.fail_after(30):
            while flow.source.live < 4:
                await anyio.sleep(0.005)
        await anyio.sleep(0.05)
        assert sum(map(len, flow.webex.asked)) <= 4 + 20
        flow.source.hold.set()


@pytest.mark.fault("W16", "W19")
async def test_task_on_several_pages_is_asked_and_stored_once(tmp_path: Path) -> None:
    """Overlapping pages and ties hand the same task over again and again; it is worked on once."""
    flow = Flow(tmp_path, page_size=7)
    flow.fill(40)
    for n in range(5):  # ties
        flow.add(f"tie{n}", (f"x{n}", wav(60)), created_ms=YESTERDAY.from_ms + 20_000)
    await flow.run()
    assert set(asked_ids(flow).values()) == {1}
    assert set(flow.source.gets.values()) == {1}
    assert (await flow.counts()).stored == 45


AGE_CASES = [
    # age in hours, requested, state, asked
    (0.2, True, "owed", False),
    (0.2, False, "owed", False),
    (0.2, None, "owed", False),
    (2, False, "no_recording", False),
    (2, None, "owed", True),
    (2, True, "owed", True),
    (23, None, "owed", True),
    (25, None, "no_recording", True),
    (25, True, "owed", True),
    (24 * 8, True, "owed", True),
]


@pytest.mark.fault("W14", "W22", "W23")
@pytest.mark.parametrize(("hours", "requested", "state", "asked"), AGE_CASES)
async def test_task_without_recordings_is_settled_by_its_age(
    flow: Flow, hours: float, requested: bool | None, state: str, asked: bool
) -> None:
    """No recording is final only when Webex said so or the call is old; nobody is asked in vain."""
    flow.add("t", created_ms=round(NOON - hours * HOUR), requested=requested)
    period = Window(NOON - 10 * DAY, NOON)
    await flow.run(period)
    assert [event.state for event in flow.of(TaskSettled)] == [state]
    assert bool(flow.webex.asked) == asked
    counts = await flow.counts(period)
    assert counts.owed + counts.no_recording == counts.tasks_listed == 1


@pytest.mark.fault("W23")
async def test_promised_recording_that_never_comes_fails_by_name_after_a_week_and_two_answers(flow: Flow) -> None:
    """Owed while young, owed at the first empty answer however old, failed(missing) when a day later it is still so."""
    flow.add("t", created_ms=NOON - 8 * DAY)
    period = Window(NOON - 10 * DAY, NOON)
    states = []
    for hours in (0, 20, 25):
        flow.now_ms = NOON + hours * HOUR
        await flow.run(period)
        states.append(flow.of(TaskSettled)[-1].state)
    assert states == ["owed", "owed", "failed"]
    assert [failure.reason for failure in await flow.failures(period)] == ["missing"]


@pytest.mark.fault("W23")
async def test_owed_recording_is_stored_when_it_comes(flow: Flow) -> None:
    """What was owed is asked for again by the next run, in a window that is closed."""
    flow.add("t", created_ms=YESTERDAY.from_ms)
    await flow.run()
    assert (await flow.counts()).owed == 1
    flow.webex.give("t", "r")
    flow.source.bodies["r"] = [Body([wav(60)])]
    pages = len(flow.webex.pages)
    await flow.run()
    assert len(flow.webex.pages) == pages
    counts = await flow.counts()
    assert (counts.owed, counts.stored) == (0, 1)


@pytest.mark.fault("W23", "P4")
async def test_naming_a_task_does_not_make_webex_forget_its_promise(flow: Flow) -> None:
    """A task known to have a capture coming is not `no_recording` because its bare id was handed in."""
    flow.add("t", created_ms=YESTERDAY.from_ms, requested=True)
    await flow.run()
    flow.now_ms += 2 * DAY
    await flow.run(scope=NamedFor("run2"), task_ids=["t"])
    counts = await flow.counts()
    assert (counts.owed, counts.no_recording) == (1, 0)


async def test_named_tasks_are_asked_for_once_each(flow: Flow) -> None:
    """Ids handed in twice, known or not, are asked for once; their recordings are stored and counted."""
    flow.fill(3)
    await flow.run(scope=NamedFor("run1"), task_ids=iter(["t0", "t1", "t0", "unknown", "t1"]))
    assert asked_ids(flow) == {"t0": 1, "t1": 1, "unknown": 1}
    assert flow.webex.pages == []
    async with flow.ledger() as ledger:
        counts = await ledger.counts(NamedFor("run1"), "run1")
    assert (counts.tasks_listed, counts.stored, counts.owed) == (3, 2, 1)


async def test_failed_captures_are_failures_of_their_tasks_only(flow: Flow) -> None:
    """A poisoned id fails by name, its neighbours are stored, and the next run asks for it again."""
    flow.fill(12)
    flow.webex.failing = {"t3": "http_500"}
    await flow.run()
    counts = await flow.counts()
    assert (counts.failed_tasks, counts.stored) == (1, 11)
    assert [(each.task_id, each.reason) for each in await flow.failures()] == [("t3", "http_500")]
    flow.webex.failing = {}
    await flow.run()
    assert asked_ids(flow)["t3"] == 2
    assert asked_ids(flow)["t4"] == 1
    counts = await flow.counts()
    assert (counts.failed_tasks, counts.stored, counts.already_stored) == (0, 1, 11)


@pytest.mark.fault("W15")
async def test_recording_without_a_url_fails_with_its_reason_and_is_not_fetched(flow: Flow) -> None:
    """Webex names a recording and no usable URL: that is a failure with a name."""
    flow.fill(2)
    flow.webex.recordings["t0"] = [Recording("t0", "r-t0", url=None, problem="bad_url")]
    flow.webex.recordings["t1"] = [Recording("t1", "r-t1", url=None)]
    await flow.run()
    assert [each.reason for each in await flow.failures()] == ["bad_url", "no_url"]
    assert flow.source.opened == []


@pytest.mark.fault("D03")
async def test_gone_recording_is_final_and_no_failure(flow: Flow) -> None:
    """What Webex deleted is told, counted and never fetched again."""
    flow.fill(1)
    flow.source.bodies["r-t0"] = [
        Body([], refuse=OperationFailed(retry.DeletedAtSource("no_such_key"), refused().trouble))
    ]
    await flow.run()
    await flow.run()
    counts = await flow.counts()
    assert (counts.gone, counts.failed, counts.recordings) == (1, 0, 1)
    assert len(flow.source.opened) == 1


async def test_second_run_touches_nothing_that_is_done(flow: Flow) -> None:
    """Closed windows are not listed, stored recordings neither asked for nor fetched nor looked at."""
    flow.fill(25)
    await flow.run()
    assert await flow.closed() == [YESTERDAY]
    pages, asked, gets, calls = (len(each) for each in _touched(flow))
    await flow.run()
    assert [len(each) for each in _touched(flow)] == [pages, asked, gets, calls]
    counts = await flow.counts()
    assert (counts.stored, counts.already_stored) == (0, 25)


def _touched(flow: Flow) -> list[Sequence[object]]:
    return [flow.webex.pages, flow.webex.asked, flow.source.opened, flow.store.calls]


async def test_second_run_takes_up_what_failed(flow: Flow) -> None:
    """Only the failed recording of a task is fetched again."""
    flow.add("t", ("a", wav(60)), ("b", wav(70)), created_ms=YESTERDAY.from_ms)
    flow.source.bodies["b"] = [Body([], refuse=refused("http_500")), Body([wav(70)])]
    await flow.run()
    assert (await flow.counts()).failed == 1
    await flow.run()
    assert flow.source.gets == {"a": 1, "b": 2}
    counts = await flow.counts()
    assert (counts.stored, counts.already_stored, counts.failed) == (1, 1, 0)


async def test_lost_ledger_is_found_again_in_the_bucket(flow: Flow) -> None:
    """Without its ledger a second run overwrites nothing and counts everything as already stored."""
    flow.fill(12)
    flow.add("two", ("two", wav(3 * PART)), ("leg", wav(2 * PART)), created_ms=YESTERDAY.from_ms)
    await flow.run()
    before = flow.store.contents()
    flow.path.unlink()
    flow.store.calls.clear()
    await flow.run()
    assert flow.store.contents() == before
    assert flow.store.count("create") == 0
    counts = await flow.counts()
    assert (counts.stored, counts.already_stored, counts.failed) == (0, 14, 0)


async def test_first_recording_to_come_keeps_the_main_place(flow: Flow) -> None:
    """A consult leg that was stored first stays where it is, with the ledger and without it."""
    flow.add("t", ("leg", wav(60)), created_ms=YESTERDAY.from_ms)
    await flow.run()
    flow.add("t", ("t", wav(80)), ("leg", wav(60)), created_ms=YESTERDAY.from_ms)
    flow.path.unlink()
    await flow.run()
    assert flow.store.contents() == {"c/t/recording.wav": wav(60), "c/t/recording-t.wav": wav(80)}
    await flow.run()
    assert len(flow.store.objects) == 2


@pytest.mark.fault("P3")
async def test_look_at_the_main_place_that_fails_stores_no_recording_twice(flow: Flow) -> None:
    """Ledger lost, and the one HEAD that would tell who holds the main place gives up: still one object each."""
    flow.add("t", ("leg", wav(60)), created_ms=YESTERDAY.from_ms)
    await flow.run()
    flow.add("t", ("t", wav(80)), ("leg", wav(60)), created_ms=YESTERDAY.from_ms)
    flow.path.unlink()
    flow.store.script["head"] = [refused("retries_exhausted")]
    await flow.run()
    await flow.run()
    names = Counter(made.metadata["wx-recording-id"] for _, made in flow.store.objects.values())
    assert max(names.values()) == 1


@pytest.mark.parametrize(("wanted", "fetched"), [(False, ["s-parts", "whole"]), (True, ["s-both", "s-parts", "whole"])])
async def test_segments_are_left_out_unless_asked_for(flow: Flow, wanted: bool, fetched: list[str]) -> None:
    """Beside the whole they would be the same sound twice; where there is no whole they are the call."""
    for task in ("both", "parts"):
        flow.add(task, created_ms=YESTERDAY.from_ms)
        flow.webex.give(task, f"s-{task}", segment=True)
        flow.source.bodies[f"s-{task}"] = [Body([wav(60)])]
    flow.webex.recordings["both"].append(replace(flow.webex.recordings["both"][0], id="whole", segment=False))
    flow.source.bodies["whole"] = [Body([wav(60)])]
    await flow.run(include_segments=wanted)
    assert sorted(each.id for each in flow.source.opened) == fetched
    assert len(flow.store.objects) == len(fetched)


async def test_streak_of_failures_ends_the_run(flow: Flow) -> None:
    """So many failures in a row with no success between them are everybody's fault; the rest stays for later."""
    flow.fill(40)
    for name in flow.source.bodies:
        flow.source.bodies[name] = [Body([], refuse=refused("retries_exhausted"))]
    with pytest.raises(RunStopped, match="5 failures in a row, the last one retries_exhausted"):
        await flow.run(concurrency=1, max_failures_in_row=5)
    counts = await flow.counts()
    assert counts.failed == 5
    assert counts.unfinished_tasks + counts.tasks_with_recordings == 40


async def test_success_ends_a_streak(flow: Flow) -> None:
    """Failures with successes between them end nothing, however many they are."""
    flow.fill(40)
    for n in range(0, 40, 2):
        flow.source.bodies[f"r-t{n}"] = [Body([], refuse=refused("http_500"))]
    await flow.run(concurrency=1, max_failures_in_row=2)
    counts = await flow.counts()
    assert (counts.failed, counts.stored) == (20, 20)


@pytest.mark.fault("P4")
async def test_lasting_failures_do_not_keep_later_runs_from_new_work(flow: Flow) -> None:
    """Recordings that will always fail (empty at their source) must not stop every later run before it lists."""
    flow.fill(30, prefix="bad")
    for n in range(30):
        flow.source.bodies[f"r-bad{n}"] = [Body([])]
    before = Window(YESTERDAY.from_ms - DAY, YESTERDAY.from_ms)
    flow.fill(5, start_ms=before.from_ms, prefix="good")
    period = Window(before.from_ms, YESTERDAY.to_ms)
    with pytest.raises(RunStopped):  # the first five are stored, then thirty fail in a row
        await flow.run(period, concurrency=1, max_failures_in_row=20)
    flow.fill(5, start_ms=YESTERDAY.to_ms, prefix="new")
    later = Window(before.from_ms, YESTERDAY.to_ms + 3 * HOUR)
    for _ in range(3):
        try:
            await flow.run(later, concurrency=1, max_failures_in_row=20)
        except RunStopped:
            continue
    assert {key for key in flow.store.objects if "/new" in key} == {f"c/new{n}/recording.wav" for n in range(5)}


@pytest.mark.fault("S12")
async def test_permission_that_nobody_has_ends_the_run_at_once(flow: Flow) -> None:
    """Three AccessDenied with no success are a permission problem, with the words of S3."""
    flow.fill(40)
    flow.store.script["put"] = [refused("s3_AccessDenied", "AccessDenied") for _ in range(40)]
    with pytest.raises(AuthError, match="AccessDenied"):
        await flow.run(concurrency=1)
    assert flow.store.count("put") == 3


@pytest.mark.fault("W06")
@pytest.mark.parametrize("place", ["captures", "pages", "source", "store"])
async def test_refused_token_ends_the_run_from_anywhere(flow: Flow, place: str) -> None:
    """AuthError passes through every room; the work in hand stays unfinished and is done by the next run."""
    flow.fill(20)
    if place == "captures":
        flow.webex.on_captures = lambda _ids: _raise(AuthError("refused"))
    elif place == "pages":
        flow.webex.on_page = lambda _window, _from: _raise(AuthError("refused"))
    elif place == "source":
        flow.source.bodies["r-t7"] = [Body([], refuse=AuthError("refused")), Body([wav(60)])]
    else:
        flow.store.script["put"] = [None] * 5 + [AuthError("refused")]
    with pytest.raises(AuthError, match="refused"):
        await flow.run()
    flow.webex.on_captures, flow.webex.on_page = (lambda _ids: None), (lambda _window, _from: None)
    await flow.run()
    counts = await flow.counts()
    assert counts.stored + counts.already_stored == 20
    assert counts.failed == counts.unfinished_recordings == 0


def _raise(failure: BaseException) -> Any:
    raise failure


@pytest.mark.fault("L13")
@pytest.mark.parametrize("size", [60, 4 * PART])
async def test_error_of_the_program_ends_the_run_and_is_no_failure_of_the_recording(flow: Flow, size: int) -> None:
    """A bug is not written down as the recording's fault: the item stays unfinished and the error comes out."""
    flow.fill(5)
    flow.add("t", ("r", wav(size)), created_ms=YESTERDAY.from_ms)
    flow.store.script["complete" if size > PART else "put"] = [ZeroDivisionError()]
    with pytest.raises(ZeroDivisionError):
        await flow.run(concurrency=3)
    counts = await flow.counts()
    assert counts.failed == counts.failed_tasks == 0
    assert counts.unfinished_recordings >= 1
    assert not flow.store.uploads
    await flow.run()
    assert (await flow.counts()).stored + (await flow.counts()).already_stored == 6


@pytest.mark.parametrize("limit", [1, 7, 29])
@pytest.mark.parametrize("workers", [1, 6])
async def test_limit_is_exact_and_the_rest_is_left_for_the_next_run(flow: Flow, limit: int, workers: int) -> None:
    """Exactly so many recordings are begun, each is finished, and nothing of the rest is lost."""
    flow.fill(30)
    orchestrator = await flow.run(limit=limit, concurrency=workers)
    assert orchestrator.stopped == "limit"
    counts = await flow.counts()
    assert len(flow.store.objects) == counts.stored == len(flow.of(RecordingStarted)) == limit
    await flow.run()
    assert len(flow.store.objects) == 30
    assert set(flow.source.gets.values()) == {1}


async def test_limit_that_is_not_reached_stops_nothing(flow: Flow) -> None:
    """As many recordings as the limit allows: that is complete, not stopped."""
    flow.fill(12)
    orchestrator = await flow.run(limit=12)
    assert orchestrator.stopped is None
    assert await flow.closed() == [YESTERDAY]


@pytest.mark.fault("L01")
async def test_drain_lets_what_is_in_flight_finish_and_begins_nothing(flow: Flow) -> None:
    """After `drain` the recordings under way are stored, no other is begun, no window is closed."""
    flow.fill(200)
    flow.source.hold = anyio.Event()
    running: list[Any] = []
    flow.on_start = running.append
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: flow.run(concurrency=4))
        with anyio.fail_after(30):
            while flow.source.live < 4:
                await anyio.sleep(0.005)
        running[0].drain("SIGINT")
        running[0].drain("later")
        await anyio.sleep(0.02)
        flow.source.hold.set()
    assert running[0].stopped == "SIGINT"
    assert len(flow.store.objects) == len(flow.of(RecordingStarted)) == 4
    await flow.run()
    assert len(flow.store.objects) == 200
    assert set(flow.source.gets.values()) == {1}


async def test_drain_before_the_start_does_nothing_at_all(flow: Flow) -> None:
    """Stopped before it began, a run ends at once."""
    flow.fill(20)
    flow.on_start = lambda orchestrator: orchestrator.drain("SIGTERM")
    orchestrator = await flow.run()
    assert orchestrator.stopped == "SIGTERM"
    assert flow.source.opened == []
    assert await flow.closed() == []


@pytest.mark.fault("L01")
async def test_drain_while_captures_are_noted_begins_nothing(flow: Flow) -> None:
    """A worker that is writing an answer down when the run is stopped does not begin a recording of it."""
    flow.fill(10)
    running: list[Any] = []
    flow.on_start = running.append

    class Draining:
        def __init__(self, ledger: Any) -> None:
            self._ledger = ledger

        def __getattr__(self, name: str) -> Any:
            return getattr(self._ledger, name)

        async def captured_many(self, *args: Any) -> Any:
            running[0].drain("SIGINT")
            return await self._ledger.captured_many(*args)

    flow.wrap = Draining
    await flow.run(concurrency=1)
    assert flow.of(RecordingStarted) == []


@pytest.mark.fault("L01", "P10")
async def test_abort_breaks_off_what_is_in_flight_and_leaves_nothing_open(flow: Flow) -> None:
    """After `abort` the run returns soon, uploads are aborted, and the next run finishes."""
    for n in range(4):
        flow.add(f"t{n}", (f"r{n}", wav(6 * PART)), created_ms=YESTERDAY.from_ms)
    flow.store.script["upload_part"] = [hang] * 8  # two parts of each
    running: list[Any] = []
    flow.on_start = running.append
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: flow.run(concurrency=4))
        with anyio.fail_after(30):
            while flow.store.count("upload_part") < 8:
                await anyio.sleep(0.005)
        running[0].abort()
        with anyio.fail_after(24):
            while flow.store.uploads:
                await anyio.sleep(0.005)
    assert running[0].stopped == "aborted"
    assert flow.pool.free == flow.pool.total
    assert flow.store.contents() == {}
    flow.store.script.clear()
    await flow.run()
    assert len(flow.store.objects) == 4


@pytest.mark.parametrize("steps", [*range(0, 60, 3)])
async def test_cancelled_from_outside_at_any_moment_the_next_run_finishes(tmp_path: Path, steps: int) -> None:
    """Cancelling after so many steps leaves no upload open, and nothing is lost or stored twice."""
    flow = Flow(tmp_path)
    flow.fill(8)
    flow.add("big", ("b1", wav(4 * PART)), ("b2", wav(3 * PART)), created_ms=YESTERDAY.from_ms)
    async with anyio.create_task_group() as group:
        group.start_soon(flow.run)
        while flow.webex.asked == []:
            await checkpoint()
        for _ in range(steps):
            await anyio.sleep(0.0005)
        group.cancel_scope.cancel()
    assert not flow.store.uploads
    assert flow.source.live == 0
    await flow.run()
    assert len(flow.store.objects) == 10
    counts = await flow.counts()
    assert (counts.recordings, counts.unfinished_recordings) == (10, 0)


@pytest.mark.fault("P4")
@pytest.mark.parametrize("answer", ["empty", "others only"])
async def test_recording_that_webex_no_longer_names_comes_to_rest_by_name(flow: Flow, answer: str) -> None:
    """Found in one run, purged before the next: it must end in a state that the report names."""
    flow.add("t", ("a", wav(60)), ("b", wav(70)), created_ms=YESTERDAY.from_ms - 9 * DAY)
    period = Window(YESTERDAY.from_ms - 10 * DAY, YESTERDAY.to_ms)
    await flow.run(period, limit=1, concurrency=1)
    flow.webex.recordings["t"] = [] if answer == "empty" else flow.webex.recordings["t"][:1]
    for _ in range(3):
        flow.now_ms += 2 * DAY
        await flow.run(period)
    counts = await flow.counts(period)
    named = await flow.failures(period)
    assert counts.unfinished_recordings == 0
    assert counts.gone or [each.recording_id for each in named] == ["b"]
    assert exit_code(counts, Ending()) in (0, 3)


async def test_only_what_is_asked_for_is_taken_up(flow: Flow) -> None:
    """With work narrowed to failed and owed, what was never begun is left alone."""
    flow.fill(4)
    flow.source.bodies["r-t1"] = [Body([], refuse=refused("http_500")), Body([wav(60)])]
    await flow.run(limit=2, concurrency=1)
    await flow.run(scope=Everything(), windows=(), only=frozenset({BacklogReason.FAILED, BacklogReason.OWED}))
    assert flow.source.gets == {"r-t0": 1, "r-t1": 2}


async def test_every_started_recording_has_one_end(flow: Flow) -> None:
    """Listeners hear of each recording's beginning once and of one outcome, after the ledger did."""
    flow.fill(30)
    for n in range(0, 30, 5):
        flow.source.bodies[f"r-t{n}"] = [Body([], refuse=refused("http_500"))]
    await flow.run()
    begun = Counter(event.recording_id for event in flow.of(RecordingStarted))
    ended = Counter(event.recording_id for event in flow.of(RecordingStored, RecordingFailed))
    assert begun == ended
    assert set(begun.values()) == {1}


async def test_empty_page_and_no_tasks_end_well(flow: Flow) -> None:
    """A period without a single task is complete."""
    flow.webex.on_page = lambda _window, _from: TaskPage((), 0)
    await flow.run()
    assert flow.log.incomplete == []
    assert await flow.closed() == [YESTERDAY]
    assert flow.webex.asked == []


async def test_segments_leave_the_main_place_to_the_whole(flow: Flow) -> None:
    """The stitched recording that comes a day after its parts still lies where it is looked for."""
    flow.add("t", created_ms=YESTERDAY.from_ms)
    flow.webex.give("t", "s", segment=True)
    flow.source.bodies |= {"s": [Body([wav(60)])], "t": [Body([wav(70)])]}
    await flow.run(include_segments=True)
    assert set(flow.store.objects) == {"c/t/recording-s.wav"}
    part = flow.webex.recordings["t"][0]
    flow.webex.give("t", "t")
    flow.webex.recordings["t"].append(part)
    flow.webex.tasks = [replace(task, updated_ms=NOON) for task in flow.webex.tasks]
    await flow.run(include_segments=True, windows=(YESTERDAY,), look_again=YESTERDAY)
    assert set(flow.store.objects) == {"c/t/recording-s.wav", "c/t/recording.wav"}
    assert flow.store.objects["c/t/recording-s.wav"][1].metadata["wx-segment"] == "true"
    async with flow.ledger() as ledger:
        assert (await ledger.known("t")).holder == "t"


async def test_attachments_are_counted_and_never_fetched(flow: Flow) -> None:
    """Transcripts and screens of a task are written down once, in the ledger's period and by kind."""
    flow.add("t", ("r", wav(60)), created_ms=YESTERDAY.from_ms)
    flow.webex.attachments["t"] = (Attachment("x", "transcript"), Attachment("y", "screen"))
    await flow.run()
    await flow.run(task_ids=["t"], scope=NamedFor("run2"))
    assert [each.id for each in flow.source.opened] == ["r"]
    async with flow.ledger() as ledger:
        assert await ledger.left_alone(InPeriod(YESTERDAY)) == {"transcript": 1, "screen": 1}
        assert await ledger.left_alone(InPeriod(Window(0, 5))) == {}
        assert await ledger.left_alone(NamedFor("run2")) == {}


async def test_fewer_recordings_than_the_witness_counts_are_asked_for_until_they_come(flow: Flow) -> None:
    """Such a task is counted as incomplete, named, asked by every run, and at rest as soon as all have come."""
    flow.add("t", ("a", wav(60)), created_ms=YESTERDAY.from_ms)
    look: dict[str, Any] = {"look_again": YESTERDAY}
    await flow.run(**look)
    await flow.run(**look)
    assert len(flow.webex.asked) == 1
    with sqlite3.connect(flow.path) as connection:
        witnessing(connection)
    await flow.run(**look)
    assert len(flow.webex.asked) == 2
    assert (await flow.counts()).incomplete == 1
    async with flow.ledger() as ledger:
        assert await ledger.incomplete(Everything()) == [Incomplete("t", 2, 1)]
    await flow.run(**look, due_only=True)
    assert len(flow.webex.asked) == 2, "a timer waits until it is due"
    flow.add("t", ("a", wav(60)), ("b", wav(60, 1)), created_ms=YESTERDAY.from_ms)
    await flow.run(**look)
    counts = await flow.counts()
    assert (counts.incomplete, counts.stored, counts.already_stored) == (0, 1, 1)
    await flow.run(**look)
    assert len(flow.webex.asked) == 3


def witnessing(connection: sqlite3.Connection) -> None:
    """Let Search have counted two recordings of every task, as `reconcile` would note it."""
    connection.create_function("wxrec_seal", -1, seal, deterministic=True)
    connection.execute("UPDATE tasks SET witness_ms = 1, witness_recordings = 2")


async def test_listeners_hear_of_an_outcome_after_the_ledger_has_it(flow: Flow) -> None:
    """Whoever acts on an event finds it in the ledger, whatever happens next: stored, failed and gone alike."""
    flow.fill(3)
    flow.source.bodies["r-t1"] = [
        Body([], refuse=OperationFailed(retry.DeletedAtSource("no_such_key"), refused().trouble))
    ]
    flow.source.bodies["r-t2"] = [Body([], refuse=refused())]
    told_before: dict[str, int] = {}

    class Watched:
        """The ledger; notes how many events had been told when an outcome was written."""

        def __init__(self, ledger: Any) -> None:
            self._ledger = ledger

        def __getattr__(self, name: str) -> Any:
            method = getattr(self._ledger, name)
            if name not in ("stored", "recording_failed", "recording_gone"):
                return method

            async def write(task_id: str, recording_id: str, *args: Any, **named: Any) -> None:
                await method(task_id, recording_id, *args, **named)
                told_before[recording_id] = len(flow.told)

            return write

    flow.wrap = Watched
    await flow.run()
    outcomes = (RecordingStored, RecordingFailed, RecordingGone)
    heard = {each.recording_id: number for number, each in enumerate(flow.told) if isinstance(each, outcomes)}
    assert {type(flow.told[number]) for number in heard.values()} == set(outcomes)
    assert heard.keys() == told_before.keys()
    assert all(heard[name] >= told_before[name] for name in heard)
