"""The public face on fakes: periods, stopping, and a summary for every ending."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from wxrec_async.auth.token_values import Credentials
from wxrec_async.backfill import Backfill
from wxrec_async.config import Settings
from wxrec_async.errors import AuthError, ConfigError, LedgerFull, RunStopped
from wxrec_async.events import Clamped, Draining, RunStarted
from wxrec_async.ledger import SqliteLedger
from wxrec_async.model import ObjectTarget, Window
from wxrec_async.plumbing.pacer import Pacer
from wxrec_async.wiring import account, clients, storage
from wxrec_async.wiring.account import WebexAccount
from wxrec_async.wiring.storage import BucketAndLedger

from .bench import DAY, HOUR, NOON, YESTERDAY, Flow
from .kit import PART, Body, hang, refused, wav

pytestmark = pytest.mark.anyio


@dataclass
class FakeRefresher:
    """Says whether a refreshed token could be saved."""

    saved: bool = True
    asked: int = 0

    async def save_pending(self) -> bool:
        self.asked += 1
        return self.saved


class House:
    """A `Backfill` whose worlds are fakes."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flow, self.refresher = Flow(tmp_path), FakeRefresher()
        self.wrap: Callable[[SqliteLedger], Any] = lambda ledger: ledger
        self.grace, self.poll_minutes = 0.0, 15.0
        monkeypatch.setattr(storage, "open_storage", self._storage)
        monkeypatch.setattr(clients, "open_webex", self._webex)
        monkeypatch.setattr(account, "load_secrets", self._secrets)
        monkeypatch.setattr(clients, "trusted_tls_context", lambda _settings: None)

    async def _secrets(self, *_: object) -> object:
        return WebexAccount(Credentials("id", None, "org"), None, "org")  # type: ignore[arg-type]

    @asynccontextmanager
    async def _storage(self, *_: object) -> AsyncIterator[object]:
        async with self.flow.ledger() as ledger:
            yield BucketAndLedger(self.flow.store, self.wrap(ledger), 4)  # type: ignore[arg-type]

    @asynccontextmanager
    async def _webex(self, *_: object) -> AsyncIterator[object]:
        flow = self.flow
        yield clients.WebexClients(flow.webex, flow.source, self.refresher, "org", Pacer(300))  # type: ignore[arg-type]

    def backfill(self, **options: Any) -> Backfill:
        settings = Settings.model_validate(
            {
                "s3": {"bucket": "bucket", "key": "c/{task_id}/recording{ext}"},
                "backfill": {"days_back": 2, "grace_seconds": self.grace},
                "follow": {"poll_minutes": self.poll_minutes},
                "ledger": {"path": str(self.flow.path)},
            }
        )
        clock = lambda: self.flow.now_ms / 1000  # noqa: E731
        return Backfill(settings, on_event=self.flow.told.append, clock=clock, **options)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    return House(tmp_path, monkeypatch)


async def test_run_ends_in_a_summary_that_adds_up(house: House) -> None:
    """Everything stored: exit 0, counts of the whole period, the run in the ledger's books."""
    house.flow.fill(15)
    async with house.backfill() as backfill:
        summary = await backfill.run()
        assert summary.exit_code == 0
        assert (summary.counts.stored, summary.counts.recordings, summary.counts.tasks_listed) == (15, 15, 15)
        again = await backfill.run()
    assert (again.counts.stored, again.counts.already_stored, again.exit_code) == (0, 15, 0)
    assert summary.run_id != again.run_id
    async with house.flow.ledger() as ledger:
        last = await ledger.last_run()
    assert last is not None
    assert (last.run_id, last.exit_code, last.summary["stored"]) == (again.run_id, 0, 0)
    assert len(house.flow.of(RunStarted)) == 2


@pytest.mark.fault("W27")
async def test_period_is_clamped_and_that_is_said(house: House) -> None:
    """What lies in the future or beyond the look-back is left out, told as an event and kept in the summary."""
    async with house.backfill() as backfill:
        # No list reaches back further, and Search, which reaches so far, is not there.
        summary = await backfill.run(Window(NOON - 1096 * DAY, NOON + DAY))
        assert summary.period is not None
        assert summary.period.to_ms == NOON
        assert summary.period.from_ms == NOON - 1095 * DAY + 3_600_000
        assert len(summary.notes) == len(house.flow.of(Clamped)) == 2
        with pytest.raises(ConfigError, match="future"):
            await backfill.run(Window(NOON + 1, NOON + DAY))


async def test_read_only_backfill_plans_and_touches_nothing(house: House) -> None:
    """`plan` lists, asks no captures, opens neither bucket nor ledger; `run` is refused."""
    house.flow.fill(25)
    async with house.backfill(read_only=True) as backfill:
        plan = await backfill.plan(YESTERDAY)
        with pytest.raises(RuntimeError, match="read only"):
            await backfill.run()
    assert (plan.tasks, plan.to_ask, plan.captures_calls) == (25, 25, 3)
    assert house.flow.webex.asked == []
    assert house.flow.store.calls == []
    assert not house.flow.path.exists()


async def test_archive_and_retry_do_only_their_part(house: House) -> None:
    """Named tasks are stored without listing; retry takes up what failed and lists nothing either."""
    house.flow.fill(3)
    house.flow.source.bodies["r-t1"] = [Body([], refuse=refused("http_500")), Body([wav(60)])]
    async with house.backfill() as backfill:
        archived = await backfill.archive(["t0", "t1"])
        retried = await backfill.retry()
    assert (archived.counts.stored, archived.counts.failed, archived.exit_code) == (1, 1, 3)
    assert archived.failures[0].reason == "http_500"
    assert (retried.counts.stored, retried.counts.already_stored, retried.exit_code) == (1, 1, 0)
    assert house.flow.webex.pages == []
    assert set(house.flow.store.objects) == {"c/t0/recording.wav", "c/t1/recording.wav"}


@pytest.mark.fault("W06")
@pytest.mark.parametrize(("failure", "code"), [(AuthError("refused"), 4), (RunStopped("waits 3 h"), 3)])
async def test_what_ends_a_run_is_told_in_its_summary(house: House, failure: Exception, code: int) -> None:
    """A refused token or a run that stops itself is a summary with an exit code, not an exception."""
    house.flow.fill(5)

    def refuse(*_: object) -> None:
        raise failure

    house.flow.webex.on_captures = refuse
    async with house.backfill() as backfill:
        summary = await backfill.run()
    assert summary.exit_code == code
    assert summary.ending.error == str(failure)
    assert summary.counts.unfinished_tasks == 5


class FullLedger:
    """A ledger whose disk is full when recordings are to be noted."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def captured_many(self, *_: object) -> Any:
        raise LedgerFull


@pytest.mark.fault("L05")
async def test_ledger_that_is_full_comes_out_as_an_error(house: House) -> None:
    """Without a ledger there is no summary to believe; nothing was stored without a row."""
    house.flow.fill(5)
    house.wrap = FullLedger
    async with house.backfill() as backfill:
        with pytest.raises(LedgerFull):
            await backfill.run()
    assert house.flow.store.contents() == {}


@pytest.mark.fault("L05", "P2")
@pytest.mark.parametrize("size", [60, 6 << 20], ids=["put", "parts"])
async def test_object_that_could_not_be_noted_is_found_by_the_next_run(house: House, size: int) -> None:
    """The disk is full just after the upload: the object is there without a row, and is not stored a second time."""

    class FullAtTheEnd(FullLedger):
        async def captured_many(self, *args: Any) -> Any:
            return await self._ledger.captured_many(*args)

        async def stored(self, *_: object, **__: object) -> Any:
            raise LedgerFull

    house.flow.add("t", ("r", wav(size)), created_ms=YESTERDAY.from_ms)
    house.wrap = FullAtTheEnd
    async with house.backfill() as backfill:
        with pytest.raises(LedgerFull):
            await backfill.run()
    assert set(house.flow.store.objects) == {"c/t/recording.wav"}
    house.wrap = lambda ledger: ledger
    async with house.backfill() as backfill:
        summary = await backfill.run()
    assert (summary.exit_code, summary.counts.already_stored, summary.counts.failed) == (0, 1, 0)
    assert house.flow.store.count("put") <= 2
    assert house.flow.store.count("complete") <= 1
    assert not house.flow.store.uploads


@pytest.mark.fault("P7")
async def test_refreshed_token_is_saved_also_when_the_ledger_ends_the_run(house: House) -> None:
    """A rotated refresh token that could not be written down is tried once more, however the run ends."""
    house.flow.fill(5)
    house.wrap = FullLedger
    async with house.backfill() as backfill:
        with pytest.raises(LedgerFull):
            await backfill.run()
    assert house.refresher.asked == 1


@pytest.mark.fault("T05")
async def test_unsaved_token_is_exit_four(house: House) -> None:
    """A refreshed token that could not be written down is worth a failure, though everything is stored."""
    house.flow.fill(1)
    house.refresher.saved = False
    async with house.backfill() as backfill:
        assert (await backfill.run()).exit_code == 4


async def _run_and(house: House, act: Callable[[Backfill], None], within_s: float = 25, **options: Any) -> Any:
    """Run until a part hangs, act, and return the summary."""
    found: list[Any] = []
    async with house.backfill() as backfill:

        async def run() -> None:
            found.append(await backfill.run(**options))

        with anyio.fail_after(within_s):
            async with anyio.create_task_group() as group:
                group.start_soon(run)
                while not house.flow.store.count("upload_part"):
                    await anyio.sleep(0.005)
                act(backfill)
    return found[0]


@pytest.mark.fault("L01", "L02")
@pytest.mark.parametrize(("reason", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
async def test_stop_waits_for_the_grace_period_and_then_aborts(house: House, reason: str, code: int) -> None:
    """What hangs is broken off after the grace period; no upload stays, and the summary says who stopped it."""
    house.grace = 0.2
    house.flow.add("t", ("r", wav(5 * PART)), created_ms=YESTERDAY.from_ms)
    house.flow.store.script["upload_part"] = [hang] * 4
    _large_parts(house)
    begun = time.monotonic()
    summary = await _run_and(house, lambda backfill: backfill.stop(reason))
    assert time.monotonic() - begun >= 0.2
    assert (summary.exit_code, summary.ending.stopped) == (code, reason)
    assert not house.flow.store.uploads
    assert house.flow.of(Draining) == [Draining(reason, 0.2)]
    assert summary.counts.unfinished_recordings == 1


def _large_parts(house: House) -> None:
    """The settings know no part below 5 MiB: let the recording be larger than one."""
    house.flow.source.bodies["r"] = [Body([wav(9 << 20)])]


@pytest.mark.fault("L01")
async def test_abort_does_not_wait(house: House) -> None:
    """The second signal ends what hangs at once, whatever the grace period."""
    house.grace = 60
    house.flow.add("t", ("r", wav(60)), created_ms=YESTERDAY.from_ms)
    _large_parts(house)
    house.flow.store.script["upload_part"] = [hang] * 4

    def act(backfill: Backfill) -> None:
        backfill.stop("SIGINT")
        backfill.abort()

    summary = await _run_and(house, act)
    assert summary.exit_code == 130
    assert not house.flow.store.uploads


async def test_max_duration_stops_like_a_limit(house: House) -> None:
    """When the time is over, nothing new is begun, and the exit code says stopped."""
    house.flow.add("t", ("r", wav(60)), created_ms=YESTERDAY.from_ms)
    _large_parts(house)
    house.flow.store.script["upload_part"] = [hang] * 4
    summary = await _run_and(house, lambda _: None, within_s=60, max_duration_s=2.0)
    assert (summary.exit_code, summary.ending.stopped) == (6, "max_duration")
    assert not house.flow.store.uploads


@pytest.mark.fault("L01")
async def test_stop_that_comes_early_is_not_forgotten(house: House) -> None:
    """A signal between the call of `run` and its first page still stops the run."""
    house.flow.fill(10)
    running: list[Backfill] = []

    class Stopping:
        def __init__(self, ledger: SqliteLedger) -> None:
            self._ledger = ledger

        def __getattr__(self, name: str) -> Any:
            return getattr(self._ledger, name)

        async def closed_windows(self, period: Window) -> list[Window]:
            running[0].stop("SIGINT")
            return await self._ledger.closed_windows(period)

    house.wrap = Stopping
    async with house.backfill() as backfill:
        running.append(backfill)
        summary = await backfill.run()
    assert summary.ending.stopped == "SIGINT"
    assert house.flow.source.opened == []


async def test_stop_between_two_runs_does_not_stop_the_next(house: House) -> None:
    """A service that says stop when nothing runs, as it may at any time, can run again later."""
    house.flow.fill(3)
    async with house.backfill() as backfill:
        await backfill.run(limit=1)
        backfill.stop("max_duration")
        summary = await backfill.run()
    assert summary.ending.stopped is None
    assert (summary.counts.stored, summary.counts.already_stored) == (2, 1)


@pytest.mark.fault("L01", "L02")
async def test_tidying_up_after_a_crash_can_be_aborted(house: House) -> None:
    """When the bucket hangs while left-overs are settled, the second signal ends the run all the same."""
    async with house.flow.ledger() as ledger:
        await ledger.begin_run("old", 0, None)
        await house.flow.store.create(_target("c/t/recording.wav"))
        await ledger.upload_created("c/t/recording.wav", "u1", "t", "r", 0)
    house.flow.store.script["abort"] = [hang]
    async with house.backfill() as backfill:
        with anyio.fail_after(25):  # the bucket never answers; a ledger on a busy disk does, in its time
            async with anyio.create_task_group() as group:
                group.start_soon(backfill.run)
                while not house.flow.store.count("abort"):
                    await anyio.sleep(0.005)
                backfill.stop("SIGINT")
                backfill.abort()


def _target(key: str) -> ObjectTarget:
    return ObjectTarget(key, "audio/wav")


@pytest.mark.fault("P10", "S19")
async def test_summary_counts_every_upload_that_stays_open(house: House) -> None:
    """An upload that could not be aborted is in the summary, not only in an event that went by."""
    house.flow.add("t", ("r", wav(60)), created_ms=YESTERDAY.from_ms)
    _large_parts(house)
    house.flow.store.script["complete"] = [refused()]

    async def unconfirmed(key: str, upload_id: str) -> bool:
        return False

    house.flow.store.abort = unconfirmed  # type: ignore[method-assign]
    async with house.backfill() as backfill:
        summary = await backfill.run()
    assert summary.exit_code == 3
    assert summary.as_json()["uploads_left_open"] == 1


@pytest.mark.fault("K6")
async def test_uncertain_keys_are_swept_at_the_end(house: House) -> None:
    """Where an upload may have been begun without our learning of it, the key is searched before the run ends."""
    house.flow.fill(1)
    await house.flow.store.create(_target("c/lost/recording.wav"))
    house.flow.store.uncertain_keys.add("c/lost/recording.wav")
    async with house.backfill() as backfill:
        summary = await backfill.run()
    assert not house.flow.store.uploads
    assert summary.ending.uploads_left == 0


@pytest.mark.fault("L03")
async def test_upload_that_the_bucket_alone_knows_of_goes_with_its_recording(house: House) -> None:
    """A killed worker of a fleet left it, or a run whose ledger was lost; that of another key is not ours to judge."""
    house.flow.fill(1)
    await house.flow.store.create(ObjectTarget("c/t0/recording.wav", "audio/wav"))
    stranger = await house.flow.store.create(ObjectTarget("c/elsewhere/recording.wav", "audio/wav"))
    async with house.backfill() as backfill:
        summary = await backfill.run()
    assert (summary.counts.stored, summary.ending.uploads_left) == (1, 0)
    assert set(house.flow.store.uploads) == {stranger}


@pytest.mark.parametrize("failure", [AuthError("refused"), RunStopped("the bucket is gone")])
async def test_uploads_that_cannot_be_listed_at_the_beginning_cost_nothing(house: House, failure: Exception) -> None:
    """A policy may lack ``s3:ListBucketMultipartUploads``; recordings are stored all the same."""
    house.flow.fill(2)
    house.flow.store.script["list"] = [failure]
    async with house.backfill() as backfill:
        summary = await backfill.run()
    assert (summary.counts.stored, summary.exit_code) == (2, 0)


@pytest.mark.parametrize("failure", [AuthError("refused"), RunStopped("the bucket is gone")])
async def test_sweep_that_is_refused_does_not_cost_the_summary(house: House, failure: Exception) -> None:
    """What was stored is told and the run is closed in the ledger, even if the last sweep is refused."""
    house.flow.fill(2)
    house.flow.store.uncertain_keys.add("c/lost/recording.wav")
    house.flow.store.script["list"] = [None, failure]  # not what is looked up at the beginning
    async with house.backfill() as backfill:
        summary = await backfill.run()
    assert summary.counts.stored == 2
    assert summary.exit_code in (3, 4)


@pytest.mark.parametrize("how", ["anyio", "native"])
async def test_cancelled_from_outside_leaves_no_upload(house: House, how: str) -> None:
    """A service that cancels `run`, with a cancel scope or the task itself, finds nothing half in the bucket."""
    house.flow.add("t", ("r", wav(60)), created_ms=YESTERDAY.from_ms)
    _large_parts(house)
    house.flow.store.script["upload_part"] = [hang] * 4
    scope = anyio.CancelScope()
    async with house.backfill() as backfill:

        async def run() -> None:
            with scope:
                await backfill.run()

        with anyio.fail_after(25):
            task = asyncio.create_task(run())
            while not house.flow.store.count("upload_part"):
                await anyio.sleep(0.005)
            if how == "native":
                task.cancel()
            else:
                scope.cancel()
            await asyncio.wait([task])
        assert not house.flow.store.uploads
        house.flow.store.script.clear()
        assert (await backfill.run()).exit_code == 0


async def test_stop_and_abort_without_a_run_do_nothing() -> None:
    """They may be called at any time."""
    backfill = Backfill(Settings())
    backfill.stop("SIGINT")
    backfill.abort()
    with pytest.raises(RuntimeError, match="context manager"):
        await backfill.run(Window(round(time.time() * 1000) - DAY, round(time.time() * 1000) - HOUR))


async def test_what_is_old_enough_is_judged_by_the_servers_time(house: House) -> None:
    """A machine's clock is fourteen minutes ahead: nothing is closed that has not settled by the time at Webex."""
    truth = NOON
    house.flow.now_ms = truth + 14 * 60_000
    house.flow.webex.servers_now_ms = lambda: truth  # type: ignore[method-assign]
    async with house.backfill() as backfill:
        await backfill.run()
    closed = await house.flow.closed()
    assert max(window.to_ms for window in closed) <= truth - 30 * 60_000
