"""Recordings that look alike, or like something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.trials.judges import FAILED, NOT_DONE, OK, all_stored, certified_days, honest, recordings_in
from tests.trials.organisation import Json
from tests.trials.trial import Trial
from tests.trials.webex import read_json

Change = Callable[[Json, Json], None]  # the second recording under the first one's id, and its attributes


def under_one_id(trial: Trial, change: dict[str, Change]) -> None:
    """Let captures name the recordings of a task under the id of the task."""

    async def captures(request: web.Request) -> web.StreamResponse:
        said = read_json(await trial.webex.plain_captures(request))
        for entry in said["data"]:
            for recording in entry["recording"][1:]:
                change[entry["taskId"]](recording, recording["attributes"])
            for recording in entry["recording"]:
                recording["id"] = entry["taskId"]
        return web.json_response(said)

    trial.webex.captures = captures


def add_pair(trial: Trial, **second: Any) -> str:
    """Add a task with two recordings, which differ in their bytes alone but for what is said."""
    task, _ = trial.organisation.add()
    trial.organisation.add(task=task, recording_id=f"second-{task}", **second)
    return task


def stored_or_failed(trial: Trial) -> None:
    """Both are stored, or one is and the other has failed by name."""
    told = trial.run()
    honest(trial, told)
    assert told.code in (OK, FAILED), told
    if told.code == FAILED:
        failed = {line["task_id"] for line in told.lines if line["event"] in ("failed", "task_failed")}
        assert failed == {true.task_id for true in trial.organisation.truth()} & failed, told
    told = trial.run()
    honest(trial, told)


def test_two_recordings_under_one_id_are_two(trial: Trial) -> None:
    """Main and consult, with other times, under the id of the task."""

    def later(_: Json, said: Json) -> None:
        said["startTime"] += 5000

    under_one_id(trial, {add_pair(trial, call_type="consult", seconds=3): later})
    stored_or_failed(trial)


def test_whatever_differs_makes_them_two(trial: Trial) -> None:
    """Start, type, file name or the bytes alone; a segment beside the whole is left alone as ever."""

    def started(_: Json, said: Json) -> None:
        said["startTime"] += 60_000
        said["stopTime"] += 60_000

    def as_it_is(_: Json, __: Json) -> None:
        return

    changes: dict[str, Change] = {add_pair(trial): started, add_pair(trial): as_it_is}
    changes[add_pair(trial, call_type="consult")] = as_it_is
    changes[add_pair(trial, file_name="second.wav")] = as_it_is
    under_one_id(trial, changes)
    stored_or_failed(trial)


def test_one_id_of_two_tasks_is_two_recordings(trial: Trial) -> None:
    """Each has its own place."""
    first, second = (trial.organisation.add().task_id for _ in range(2))

    async def captures(request: web.Request) -> web.StreamResponse:
        said = read_json(await trial.webex.plain_captures(request))
        for entry in said["data"]:
            for recording in entry["recording"]:
                recording["id"] = "one-id-for-all"
        return web.json_response(said)

    trial.webex.captures = captures
    all_stored(trial, trial.run())
    assert {key.split("/")[1] for key in recordings_in(trial.bucket)} == {first, second}


def test_an_entry_that_says_the_same_twice_is_one_recording(trial: Trial) -> None:
    """The same id, times, type, name and bytes, under two signatures."""
    trial.organisation.add()

    async def captures(request: web.Request) -> web.StreamResponse:
        said = read_json(await trial.webex.plain_captures(request))
        return web.json_response(said | {"data": [row | {"recording": row["recording"] * 2} for row in said["data"]]})

    trial.webex.captures = captures
    all_stored(trial, trial.run())


def test_a_word_inside_a_call_type_decides_nothing(trial: Trial) -> None:
    """A screened transfer is no screen."""
    for _ in range(6):
        trial.organisation.add(requested=None, call_type="screened transfer")
    all_stored(trial, trial.run())
    honest(trial, trial.reconcile())


def test_any_call_type_may_be_a_call(trial: Trial) -> None:
    """Unknown words, words that hold others, none at all."""
    words = ("screenpop", "off-screen consult", "transcripted", "chatty", "video call", "Main", "MONITOR", "", "屏幕")
    for word in words:
        trial.organisation.add(requested=None, call_type=word, seconds=0.3)
    task, _ = trial.organisation.add(requested=None, seconds=0.3)
    del trial.organisation.recordings[task][0]["attributes"]["callType"]
    all_stored(trial, trial.run())


def test_segments_without_a_whole_are_taken_or_said(trial: Trial) -> None:
    """Captures names a recording of each call: no day of theirs is certified as one without recordings."""
    for _ in range(6):
        task, _ = trial.organisation.add(requested=None)
        trial.organisation.recordings[task][0]["segment"] = True
    told = trial.run()
    assert not told.events("no_recording"), told
    honest(trial, told)
    honest(trial, trial.reconcile())


def test_several_segments_and_no_whole_are_no_call_without_a_recording(trial: Trial) -> None:
    """Whatever else is beside them that is no audio, and whatever captureRequested says."""
    for requested in (None, True):
        task, _ = trial.organisation.add(requested=requested)
        trial.organisation.add(task=task, recording_id=f"{task}-2")
        for recording in trial.organisation.recordings[task]:
            recording["segment"] = True
    told = trial.run()
    assert not told.events("no_recording"), told
    honest(trial, told)
    told = trial.reconcile()
    honest(trial, told)
    assert told.code in (OK, *NOT_DONE), told


def test_segments_beside_their_whole_are_left_alone(trial: Trial) -> None:
    """The whole is what was asked for; the day is certified."""
    task, _ = trial.organisation.add()
    _, segment = trial.organisation.add(task=task, recording_id="piece-1", seconds=1)
    trial.organisation.recordings[task][1]["segment"] = True
    trial.organisation.lost.add(segment)
    all_stored(trial, trial.run())
    honest(trial, trial.reconcile())
    assert {true.day for true in trial.organisation.truth()} <= certified_days(trial.bucket)
