"""A call that still goes on: what is heard of it is provisional."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from tests.trials.judges import NOT_DONE, OK, OWED, all_stored, certified_days, days_with_calls, honest, recordings_in
from tests.trials.organisation import HOUR_MS, wav
from tests.trials.trial import Told, Trial, open_trial
from tests.trials.webex import etag, ranged

OPEN = ("created", "queued", "offered", "assigned", "connected")
OVER = ("completed", "abandoned", "ended")


class Growing:
    """Recordings of which there is half as long as ``still`` says so."""

    def __init__(self, trial: Trial, *, last_open_step: int) -> None:
        self.trial, self.last_open_step = trial, last_open_step
        self.halves: dict[str, bytes] = {}
        self.statuses: dict[str, str | None] = {}
        trial.webex.tasks, trial.webex.captures, trial.webex.media = self.tasks, self.captures, self.media

    @property
    def still(self) -> bool:
        return self.trial.organisation.step <= self.last_open_step

    def add(self, status: str | None, *, age_h: float = 40, requested: bool | None = True) -> str:
        task, _ = self.trial.organisation.add(age_h=age_h, seconds=6, requested=requested, status="completed")
        self.halves[task], self.statuses[task] = wav(self.trial.organisation.rng, 2), status
        return task

    async def tasks(self, request: web.Request) -> web.StreamResponse:
        for row in self.trial.organisation.tasks:
            row["attributes"]["status"] = self.statuses.get(row["id"]) if self.still else "completed"
        return await self.trial.webex.plain_tasks(request)

    async def captures(self, request: web.Request) -> web.StreamResponse:
        for task in self.halves:
            said = self.trial.organisation.recordings[task][0]["attributes"]
            said["stopTime"] = said["startTime"] + (2000 if self.still else 6000)
        return await self.trial.webex.plain_captures(request)

    async def media(self, request: web.Request) -> web.StreamResponse:
        half = self.halves.get(request.match_info["recording"])
        if half is None or not self.still:
            return await self.trial.webex.plain_media(request)
        return ranged(request, half, {"ETag": etag(half), "Content-Type": "audio/wav"})


def whole_or_reported(trial: Trial, told: Told) -> None:
    """Exit 0 only when all of the call is there."""
    whole = {true.body for true in trial.organisation.truth()}
    there = set(recordings_in(trial.bucket).values())
    assert (told.code == OK and whole <= there) or told.code in NOT_DONE, told


def test_a_call_that_goes_on_is_owed(tmp_path: Path) -> None:
    """Half of it is never the end: owed while it goes on, and in the end the whole call, or a conflict."""
    with open_trial(
        tmp_path / "folder", {"backfill": {"look_again_hours": 3.004, "ask_again_minutes": 0.001}}
    ) as trial:
        task = Growing(trial, last_open_step=1).add("connected", age_h=3)
        told = trial.run()
        assert told.code == OWED, told
        trial.wait_until(trial.organisation.contact(task)["createdTime"] + 3.004 * HOUR_MS)
        for told in (trial.run(), trial.run()):
            whole_or_reported(trial, told)


def test_every_status_that_is_not_the_end_is_provisional(trial: Trial) -> None:
    """What captures names and what it does not name, for a run, a timer's run and a reconciliation."""
    growing = Growing(trial, last_open_step=3)
    still_open = {growing.add(status) for status in OPEN} | {growing.add("connected", requested=None)}
    for status in OVER:
        trial.organisation.add(status=status)
    commands: tuple[Callable[[], Told], ...] = (trial.run, lambda: trial.run("--scheduled"), trial.reconcile)
    for command in commands:
        told = command()
        assert told.code in NOT_DONE, told
        assert not certified_days(trial.bucket) & days_with_calls(trial), told
    assert trial.told[0].named("owed") == still_open, trial.told[0]
    all_stored(trial, trial.run())


def test_an_open_call_without_a_recording_is_no_call_without_one(trial: Trial) -> None:
    """captureRequested false and empty lists are provisional, too, while it goes on."""
    growing = Growing(trial, last_open_step=2)
    made = [growing.add(status, requested=requested) for status in OPEN for requested in (False, None)]

    async def captures(request: web.Request) -> web.StreamResponse:
        if not growing.still:
            return await trial.webex.plain_captures(request)
        asked = (await request.json())["query"]["taskIds"]
        return trial.webex.answer([{"taskId": name, "recording": [], "transcription": []} for name in asked])

    trial.webex.captures = captures
    for command in (trial.run, trial.reconcile):
        told = command()
        assert told.code in NOT_DONE, told
        assert not told.events("no_recording"), told
        assert not certified_days(trial.bucket) & days_with_calls(trial), told
    for row in trial.organisation.tasks:
        row["attributes"]["captureRequested"] = True
    told = trial.run()
    honest(trial, told)
    assert told.named("stored") == set(made), told


def test_an_old_call_of_an_unknown_status_is_over(trial: Trial) -> None:
    """A word that nobody knows, none and null: a call older than a day has ended."""
    for status in ("parked", None, ""):
        trial.organisation.add(status=status)
    task, _ = trial.organisation.add()
    del trial.organisation.contact(task)["status"]
    all_stored(trial, trial.run())


def test_a_stored_recording_that_grows_is_reported_at_least(tmp_path: Path) -> None:
    """The task was over, its recording stored, and the second look finds a later stop time."""
    with open_trial(
        tmp_path / "folder", {"backfill": {"look_again_hours": 3.006, "ask_again_minutes": 0.001}}
    ) as trial:
        task = Growing(trial, last_open_step=1).add("completed", age_h=3)
        trial.run()
        trial.wait_until(trial.organisation.contact(task)["createdTime"] + 3.006 * HOUR_MS)
        for told in (trial.run(), trial.run()):
            whole_or_reported(trial, told)
