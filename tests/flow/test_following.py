"""A follower on fakes and a real ledger, through virtual days: nothing is late for ever, nothing is hammered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wxrec_async.backfill import Backfill
from wxrec_async.errors import AuthError, LedgerFull, RunStopped
from wxrec_async.events import Draining, Polled, TaskSettled
from wxrec_async.flow.summary import EXIT_AUTH, Summary
from wxrec_async.ledger import Everything
from wxrec_async.model import Recording, Secret, Task, Window
from wxrec_async.rules import follow_schedule
from wxrec_async.wiring.local_runner import LocalRounds

from .bench import DAY, HOUR, NOON
from .kit import Body, wav
from .test_backfill import House

pytestmark = pytest.mark.anyio
MINUTE = 60_000


@dataclass
class Days:
    """A follower whose pauses are jumps of the clock.

    ``at`` maps moments to what happens then; the follower is stopped at ``until``.
    """

    house: House
    until: int
    at: dict[int, Callable[[], Any]] = field(default_factory=dict)
    summaries: list[Summary] = field(default_factory=list)
    naps: int = 0

    async def pause(self, seconds: float) -> None:
        await checkpoint()
        self.naps += 1
        flow = self.house.flow
        flow.now_ms += round(max(seconds, 0.05) * 1000)
        for moment in sorted(moment for moment in self.at if moment <= flow.now_ms):
            self.at.pop(moment)()
        if flow.now_ms >= self.until:
            self.backfill.stop("SIGTERM")

    @asynccontextmanager
    async def opened(self, **options: Any) -> AsyncIterator[Backfill]:
        async with self.house.backfill(pause=self.pause, **options) as self.backfill:
            yield self.backfill

    async def follow(self, **options: Any) -> Summary:
        async with self.opened(**options) as backfill:
            return await backfill.follow(on_round=self.summaries.append)

    def asked(self, task_id: str) -> int:
        return sum(task_id in batch for batch in self.house.flow.webex.asked)


def call(house: House, task_id: str, created_ms: int, *, requested: bool | None = True, ready: bool = True) -> None:
    """Let a call be listed whose recording is there at once, or comes with `deliver`."""
    if ready:
        house.flow.add(task_id, (f"r-{task_id}", wav(60)), created_ms=created_ms, requested=requested)
    else:
        task = Task(
            task_id, "telephony", "completed", created_ms=created_ms, updated_ms=created_ms, capture_requested=requested
        )
        webex = house.flow.webex
        webex.tasks = sorted([*webex.tasks, task], key=lambda each: each.created_ms or 0)


def deliver(house: House, task_id: str, *names: str) -> None:
    """Let captures name these recordings of a task from now on."""
    house.flow.webex.recordings[task_id] = [
        Recording(task_id, name, "combinedRecordings.wav", Secret("https://media.test/x")) for name in names
    ]
    house.flow.source.bodies |= {name: [Body([wav(60)])] for name in names}


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    found = House(tmp_path, monkeypatch)
    found.poll_minutes = 60
    monkeypatch.setattr(follow_schedule, "MAX_NAP_S", 600.0)
    return found


@pytest.mark.fault("R11", "W21", "W23")
async def test_fourteen_days_of_calls_are_stored_as_they_come(house: House) -> None:
    """Calls appear all the time, some captures come hours or two days late: in the end all is stored, once."""
    days = Days(house, NOON + 14 * DAY)
    for number in range(14 * 24):
        created = NOON + number * HOUR + 7 * MINUTE
        late = number % 24 in (3, 11)
        days.at[created] = partial(call, house, f"t{number}", created, ready=not late)
        if late:
            hours = 48 if number % 24 == 3 else 5
            days.at[created + hours * HOUR + MINUTE] = partial(deliver, house, f"t{number}", f"r-t{number}")
    summary = await days.follow()
    assert summary.exit_code == 143
    stored = set(house.flow.store.objects)
    due = {f"t{n}" for n in range(14 * 24 - 1) if n % 24 != 3 or n < 11 * 24}
    assert {f"c/{task_id}/recording.wav" for task_id in due} <= stored
    assert house.flow.store.count("put") == len(stored)
    assert max(days.asked(f"t{n}") for n in range(14 * 24) if n % 24 not in (3, 11)) <= 2
    assert all(2 <= days.asked(f"t{n}") <= 25 for n in range(3, 11 * 24, 24))
    rounds = [each.follow for each in days.summaries if each.follow]
    assert len(rounds) > 14 * 23
    polls = [each.next_poll_ms for each in rounds]
    step = HOUR
    assert all(0 <= moment % step <= step // 10 for moment in polls), "the grid does not drift"
    assert polls == sorted(polls)


@pytest.mark.fault("W23")
async def test_a_capture_that_never_comes_is_missing_after_its_days_and_then_asked_once_a_day(house: House) -> None:
    """At least two empty answers a day apart, a verdict in the hour after owed_days, and no hammering after it."""
    call(house, "never", NOON - HOUR, ready=False)
    days = Days(house, NOON + 10 * DAY)
    await days.follow()
    settled = [event for event in house.flow.of(TaskSettled) if event.task_id == "never"]
    assert next(event.reason for event in settled if event.state == "failed") == "missing"
    async with house.flow.ledger() as ledger:
        asked = (await ledger.asked(["never"]))["never"]
        assert asked.first_empty_ms is not None
        (failure,) = await ledger.failures(Everything())
    assert failure.reason == "missing"
    first_failed = next(index for index, event in enumerate(settled) if event.state == "failed")
    assert 10 <= first_failed <= 30
    assert len(settled) - first_failed <= 4


async def test_the_verdict_falls_as_soon_as_it_may(house: House) -> None:
    """The last question lies just behind owed_days, not up to a day later."""
    call(house, "never", NOON - HOUR, ready=False)
    judged: list[int] = []
    tell = house.flow.told.append

    def listen(event: Any) -> None:
        tell(event)
        if isinstance(event, TaskSettled) and event.state == "failed":
            judged.append(house.flow.now_ms)

    days = Days(house, NOON + 8 * DAY)
    async with days.opened() as backfill:
        await backfill.follow(on_event=listen)
    assert NOON - HOUR + 7 * DAY < judged[0] <= NOON - HOUR + 7 * DAY + 2 * HOUR


@pytest.mark.fault("W21")
async def test_a_call_that_is_listed_days_late_is_found_in_its_closed_window(house: House) -> None:
    """Windows of the trailing days are listed again, closed or not."""
    days = Days(house, NOON + 3 * DAY)
    days.at[NOON + 2 * DAY] = lambda: call(house, "late", NOON - 20 * HOUR)
    await days.follow()
    assert "c/late/recording.wav" in house.flow.store.objects


async def test_a_further_recording_is_found_by_the_second_look(house: House) -> None:
    """A consult leg that comes hours after the main recording lies beside it; the main one is not fetched again."""
    call(house, "t", NOON - HOUR)
    days = Days(house, NOON + 2 * DAY)
    days.at[NOON + 5 * HOUR] = lambda: deliver(house, "t", "r-t", "leg")
    await days.follow()
    assert set(house.flow.store.objects) == {"c/t/recording.wav", "c/t/recording-leg.wav"}
    assert house.flow.source.gets["r-t"] == 1
    assert days.asked("t") == 2


async def test_a_task_that_webex_changed_is_asked_again_at_once(house: House) -> None:
    """A newer lastUpdatedTime is worth a question, also for a task at rest."""
    call(house, "t", NOON - 30 * HOUR)
    call(house, "none", NOON - 40 * HOUR, requested=None, ready=False)
    call(house, "no", NOON - 40 * HOUR, requested=False, ready=False)
    days = Days(house, NOON + 12 * HOUR)

    def change() -> None:
        webex = house.flow.webex
        changes = {"t": {}, "none": {}, "no": {"capture_requested": True}}
        webex.tasks = [replace(task, updated_ms=NOON, **changes[task.id]) for task in webex.tasks]  # type: ignore[arg-type]
        deliver(house, "t", "r-t", "leg")
        deliver(house, "none", "r-none")
        deliver(house, "no", "r-no")

    days.at[NOON + HOUR] = change
    await days.follow()
    keys = {"c/t/recording.wav", "c/t/recording-leg.wav", "c/none/recording.wav", "c/no/recording.wav"}
    assert set(house.flow.store.objects) == keys


async def test_failed_recordings_are_tried_again_with_growing_waits(house: House) -> None:
    """Not in every round: half an hour at first, at most once a day later."""
    call(house, "t", NOON - HOUR)
    house.flow.source.bodies["r-t"] = [Body([])]
    days = Days(house, NOON + 10 * DAY)
    await days.follow()
    tries = days.asked("t")
    assert 10 <= tries <= 35
    deliver(house, "t", "r-t")
    days.until += 2 * DAY
    await days.follow()
    assert "c/t/recording.wav" in house.flow.store.objects


@pytest.mark.fault("L10", "L20")
async def test_the_clock_may_jump_both_ways(house: House) -> None:
    """Set back it does not stop the rounds, set on it loses nothing: what lies between is listed."""
    days = Days(house, NOON + 6 * DAY)
    moved = 0

    async def pause(seconds: float) -> None:
        nonlocal moved
        await Days.pause(days, seconds)
        if days.naps == 20:
            house.flow.now_ms -= 5 * HOUR
        if days.naps == 60:
            moved = house.flow.now_ms
            house.flow.now_ms += 3 * DAY
            call(house, "asleep", house.flow.now_ms - DAY)

    days.pause = pause  # type: ignore[method-assign]
    ticks = iter(range(1_000_000))
    async with days.opened() as backfill:
        real = backfill._follow_loop

        def make(rounds: LocalRounds) -> Any:
            follower = real(rounds)
            follower._monotonic = lambda: next(ticks) * 600.0
            return follower

        backfill._follow_loop = make  # type: ignore[method-assign]
        await backfill.follow(on_round=days.summaries.append)
    assert moved
    assert "c/asleep/recording.wav" in house.flow.store.objects


@pytest.mark.fault("W10")
async def test_an_outage_of_hours_is_a_few_bad_rounds(house: House) -> None:
    """The run stops itself, the follower does not; afterwards everything of the time is listed."""
    days = Days(house, NOON + 2 * DAY)

    def down(_window: Window, _from_ms: int) -> None:
        raise RunStopped("no host answers")

    days.at[NOON + HOUR] = lambda: setattr(house.flow.webex, "on_page", down)
    days.at[NOON + 2 * HOUR] = lambda: call(house, "meanwhile", NOON + 2 * HOUR)
    days.at[NOON + 34 * HOUR] = lambda: setattr(house.flow.webex, "on_page", lambda *_: None)
    summary = await days.follow()
    assert summary.exit_code == 143
    assert [each.exit_code for each in days.summaries].count(3) > 20
    assert "c/meanwhile/recording.wav" in house.flow.store.objects


async def test_a_backfill_that_broke_off_is_finished_by_the_rounds(house: House) -> None:
    """What the first listing did not reach is listed later, though it is older than the trailing days."""
    call(house, "old", NOON - 20 * DAY)
    broken = True

    def down(_window: Window, _from_ms: int) -> None:
        if broken:
            raise RunStopped("no host answers")

    def mend() -> None:
        nonlocal broken
        broken = False

    house.flow.webex.on_page = down
    days = Days(house, NOON + HOUR)
    days.at[NOON + 20 * MINUTE] = mend
    days.until += HOUR
    async with days.opened() as backfill:
        await backfill.follow(Window(NOON - 30 * DAY, NOON), on_round=days.summaries.append)
    assert "c/old/recording.wav" in house.flow.store.objects
    assert any(window.from_ms < NOON - 25 * DAY for window in house.flow.webex.pages)


async def test_a_follower_that_was_away_lists_what_it_missed(house: House) -> None:
    """Twenty days later a new process begins where the last one was, not at its own trailing days."""
    await Days(house, NOON + 2 * HOUR).follow()
    call(house, "missed", NOON + 3 * DAY)
    house.flow.now_ms = NOON + 20 * DAY
    await Days(house, NOON + 20 * DAY + HOUR).follow()
    assert "c/missed/recording.wav" in house.flow.store.objects


async def test_a_refused_login_ends_it_and_nothing_else_does(house: House) -> None:
    """Exit 4, for a person is needed."""
    days = Days(house, NOON + 5 * DAY)

    def refused(_window: Window, _from_ms: int) -> None:
        raise AuthError("the refresh token is dead")

    days.at[NOON + DAY] = lambda: setattr(house.flow.webex, "on_page", refused)
    summary = await days.follow()
    assert summary.exit_code == EXIT_AUTH
    assert house.flow.now_ms < NOON + DAY + HOUR


async def test_a_full_ledger_is_raised(house: House) -> None:
    """Without a memory there is no going on."""
    days = Days(house, NOON + 5 * DAY)
    full = False

    class Full:
        def __init__(self, ledger: Any) -> None:
            self._ledger = ledger

        def __getattr__(self, name: str) -> Any:
            if full and name == "begin_run":
                raise LedgerFull
            return getattr(self._ledger, name)

    def fill() -> None:
        nonlocal full
        full = True

    house.wrap = Full
    days.at[NOON + DAY] = fill
    with pytest.raises(LedgerFull):
        await days.follow()


@pytest.mark.fault("L01", "L02")
async def test_stopping_between_rounds_is_at_once_and_within_one_drains(house: House) -> None:
    """`stop` is heard while it waits; the summary says what stopped it, and Draining was told."""
    async with house.backfill() as backfill:
        with anyio.fail_after(120):
            async with anyio.create_task_group() as group:
                ended: list[Summary] = []

                async def follow() -> None:
                    ended.append(await backfill.follow())

                group.start_soon(follow)
                while not house.flow.of(Polled):
                    await anyio.sleep(0.01)
                backfill.stop("SIGINT")
    assert ended[0].exit_code == 130
    assert [event.reason for event in house.flow.of(Draining)] == ["SIGINT"]


async def test_cancelling_a_follower_leaves_nothing_behind(house: House) -> None:
    """It is an ordinary coroutine: cancelled, it lets go, and the Backfill can be used again."""
    house.flow.fill(3)
    async with house.backfill() as backfill:
        async with anyio.create_task_group() as group:
            group.start_soon(backfill.follow)
            while not house.flow.of(Polled):
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        assert (await backfill.run()).exit_code == 0


async def test_every_round_is_in_the_ledger_and_says_how_far_it_is(house: House) -> None:
    """A run row each, its summary with the next poll; and the lag is told."""
    call(house, "t", NOON - HOUR)
    call(house, "owed", NOON - 2 * HOUR, ready=False)
    days = Days(house, NOON + 3 * HOUR)
    await days.follow()
    polled = house.flow.of(Polled)
    assert [event.number for event in polled] == list(range(1, len(polled) + 1))
    assert all(event.caught_up_ms == NOON - 2 * HOUR for event in polled)
    async with house.flow.ledger() as ledger:
        lag, last = await ledger.lag(), await ledger.last_run()
    assert last is not None
    assert last.summary["follow"] == lag.followed
    assert lag.followed is not None
    assert lag.oldest_owed_ms == lag.caught_up_ms == NOON - 2 * HOUR
    assert lag.next_ask_ms is not None
    assert lag.next_ask_ms > NOON + HOUR
    assert {each["event"] for each in (summary.as_json() for summary in days.summaries)} == {"summary"}


async def test_a_plain_run_asks_all_that_is_owed_and_a_scheduled_one_what_is_due(house: House) -> None:
    """Who types `run` or `retry` wants to know now; a timer has time."""
    call(house, "owed", NOON - 10 * HOUR, ready=False)
    async with house.backfill() as backfill:
        for expected, scheduled in ((1, False), (2, False), (2, True)):
            await backfill.run(scheduled=scheduled)
            assert house.flow.webex.asked.count(["owed"]) == expected
        await backfill.retry()
        assert house.flow.webex.asked.count(["owed"]) == 3
        house.flow.now_ms += 3 * HOUR
        await backfill.run(scheduled=True)
        assert house.flow.webex.asked.count(["owed"]) == 4
