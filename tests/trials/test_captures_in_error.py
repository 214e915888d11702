"""Captures answers with 200, and does not answer for every task that was asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiohttp import web

from tests.trials.judges import (
    AUTH,
    NOT_DONE,
    all_stored,
    bucket_is_truth,
    certified_days,
    days_with_calls,
    failed_by_name,
    honest,
    missing,
    nothing_final,
)
from tests.trials.organisation import Json
from tests.trials.trial import Trial
from tests.trials.webex import read_json

UNAVAILABLE = {"code": "MEDIA_STORE_UNAVAILABLE", "message": "try again later"}
Entries = Callable[[Json], list[Json]]
# What the sound entry of one task becomes.
NO_ANSWER: dict[str, Entries] = {
    "an error in place of the list": lambda entry: [
        {"taskId": entry["taskId"], "error": UNAVAILABLE, "recording": None}
    ],
    "an error beside an empty list": lambda entry: [entry | {"recording": [], "error": UNAVAILABLE}],
    "errors beside an empty list": lambda entry: [entry | {"recording": [], "errors": [UNAVAILABLE]}],
    "a status beside an empty list": lambda entry: [entry | {"recording": [], "status": 503}],
    "no entry": lambda _: [],
    "no list": lambda entry: [{"taskId": entry["taskId"]}],
    "null": lambda entry: [entry | {"recording": None}],
    "an object": lambda entry: [entry | {"recording": {}}],
    "text": lambda entry: [entry | {"recording": ""}],
    "another task's entry": lambda entry: [entry | {"taskId": f"{entry['taskId'][:-4]}0000", "recording": []}],
}
# What a sound answer becomes.
NO_ANSWERS: dict[str, Callable[[Json], object]] = {
    "data is null": lambda sound: sound | {"data": None},
    "data is missing": lambda sound: {"meta": sound["meta"]},
    "no entries": lambda sound: sound | {"data": []},
    "errors for each": lambda sound: sound | {"data": [], "errors": [_timed_out(row) for row in sound["data"]]},
    "errors beside empty lists": lambda sound: _emptied(sound) | {"errors": [UNAVAILABLE]},
    "error beside empty lists": lambda sound: _emptied(sound) | {"error": {"key": "500", "message": []}},
    "a status beside empty lists": lambda sound: _emptied(sound) | {"meta": sound["meta"] | {"status": 503}},
    "an error and nothing else": lambda _: {"trackingId": "T", "error": {"key": "500", "message": []}},
    "the body is null": lambda _: None,
    "the body is a list": lambda sound: _emptied(sound)["data"],
}


def _timed_out(row: Json) -> Json:
    return {"taskId": row["taskId"], "code": 500, "message": "recording store timed out"}


def _emptied(sound: Json) -> Json:
    return sound | {"data": [row | {"recording": []} for row in sound["data"]]}


async def _sound(trial: Trial, request: web.Request) -> Json:
    said: Json = read_json(await trial.webex.plain_captures(request))
    return said


def test_an_error_in_an_entry_settles_nothing(trial: Trial) -> None:
    """Always, for one task of two: it is owed or failed by name, and its day is not certified."""
    bad, _ = trial.organisation.add(requested=None)
    trial.organisation.add(requested=None)

    async def captures(request: web.Request) -> web.StreamResponse:
        said = await _sound(trial, request)
        rows = [row for row in said["data"] if row["taskId"] != bad]
        rows += NO_ANSWER["an error in place of the list"]({"taskId": bad})
        errors = [{"taskId": bad, "message": "media store unavailable"}]
        return web.json_response(said | {"data": rows, "errors": errors})

    trial.webex.captures = captures
    told = trial.run()
    nothing_final(trial, told)
    assert bad in told.named("owed") | told.named("task_failed"), told
    nothing_final(trial, trial.reconcile())


@pytest.mark.parametrize("odd", ["errors for each", "data is null"])
def test_one_answer_that_is_none_is_asked_again(trial: Trial, odd: str) -> None:
    """The first answer of all is none: stored by this run or the next, never without a recording."""
    for _ in range(6):
        trial.organisation.add(requested=None)
    _odd_at_first(trial, [NO_ANSWERS[odd]])
    for command in (trial.run, trial.run, trial.reconcile):
        told = command()
        honest(trial, told)
        assert not told.events("no_recording"), told
    bucket_is_truth(trial)


def test_whatever_is_no_answer_is_asked_again(trial: Trial) -> None:
    """The first answers are none, each in its own way: all is stored by this run, or by the next one."""
    for _ in range(10 * len(NO_ANSWERS)):
        trial.organisation.add(requested=None, seconds=0.1)
    _odd_at_first(trial, list(NO_ANSWERS.values()))
    told = trial.run()
    honest(trial, told)
    assert not told.events("no_recording"), told
    told = trial.run() if told.code else told
    all_stored(trial, trial.run() if told.code else told)


def test_whatever_is_no_entry_settles_nothing(trial: Trial) -> None:
    """As long as it is so the task is owed or failed by name; afterwards it is stored."""
    sound = [trial.organisation.add(requested=None, seconds=0.3).task_id for _ in range(5)]
    odd = {trial.organisation.add(requested=None, seconds=0.3).task_id: form for form in NO_ANSWER.values()}

    async def captures(request: web.Request) -> web.StreamResponse:
        said = await _sound(trial, request)
        if trial.organisation.step > 3:
            return web.json_response(said)
        changed = [odd[row["taskId"]](row) if row["taskId"] in odd else [row] for row in said["data"]]
        return web.json_response(said | {"data": [row for rows in changed for row in rows]})

    trial.webex.captures = captures
    for command in (trial.run, trial.run):
        told = command()
        nothing_final(trial, told)
        assert told.named("owed") | told.named("task_failed") | told.named("failed") >= set(odd), told
    assert {true.task_id for true in missing(trial)} == set(odd), sound
    nothing_final(trial, trial.reconcile())
    assert not certified_days(trial.bucket) & days_with_calls(trial)
    all_stored(trial, trial.run())


def test_errors_that_name_one_task_concern_it_alone(trial: Trial) -> None:
    """An empty list of a task that the errors name is none; those they do not name are settled by theirs."""
    named, _ = trial.organisation.add(requested=None)
    others = [trial.organisation.add(requested=None).task_id for _ in range(3)]

    async def captures(request: web.Request) -> web.StreamResponse:
        said = await _sound(trial, request)
        rows = [row | {"recording": []} if row["taskId"] == named else row for row in said["data"]]
        return web.json_response(said | {"data": rows, "errors": [{"taskId": named, "code": 500}]})

    trial.webex.captures = captures
    told = trial.run()
    nothing_final(trial, told)
    assert told.named("stored") == set(others), told


def test_an_entry_under_another_spelling_is_the_entry(trial: Trial) -> None:
    """A UUID is the same in capitals."""
    for _ in range(3):
        trial.organisation.add(requested=None)

    async def captures(request: web.Request) -> web.StreamResponse:
        said = await _sound(trial, request)
        return web.json_response(said | {"data": [row | {"taskId": row["taskId"].upper()} for row in said["data"]]})

    trial.webex.captures = captures
    all_stored(trial, trial.run())


def test_captures_without_content_settles_nothing(trial: Trial) -> None:
    """204, once: asked again, in this run or the next."""
    for _ in range(3):
        trial.organisation.add(requested=None)
    spent: list[int] = []

    async def captures(request: web.Request) -> web.StreamResponse:
        if spent:
            return await trial.webex.plain_captures(request)
        spent.append(1)
        return web.Response(status=204)

    trial.webex.captures = captures
    told = trial.run()
    honest(trial, told)
    assert not told.events("no_recording"), told
    all_stored(trial, trial.run() if told.code else told)


def test_one_forbidden_task_is_failed_by_name(trial: Trial) -> None:
    """403 whenever it is among the ten: the others are stored."""
    made = [trial.organisation.add(seconds=0.3).task_id for _ in range(25)]
    _refused(trial, {made[12]: 403})
    told = trial.run()
    failed_by_name(told, made[12])
    assert [true.task_id for true in missing(trial)] == [made[12]]


def test_every_refusal_of_one_task_is_its_own(trial: Trial) -> None:
    """400, 403, 404 and 422, each for one task of the batch."""
    made = [trial.organisation.add(seconds=0.3).task_id for _ in range(25)]
    refused = {made[2]: 400, made[9]: 403, made[12]: 404, made[23]: 422}
    _refused(trial, refused)
    told = trial.run()
    failed_by_name(told, *refused)
    assert {true.task_id for true in missing(trial)} == set(refused)


def test_one_refusal_in_the_middle_ends_nothing(trial: Trial) -> None:
    """One 403 between answers belongs to no token."""
    for _ in range(45):
        trial.organisation.add(seconds=0.1)

    async def captures(request: web.Request) -> web.StreamResponse:
        answer = await trial.webex.plain_captures(request)
        return _refusal(403) if trial.organisation.seen["captures"] == 3 else answer

    trial.webex.captures = captures
    told = trial.run()
    honest(trial, told)
    assert told.code not in (1, AUTH), told
    all_stored(trial, trial.run() if told.code else told)


def test_a_refusal_of_everything_is_one_of_the_token(trial: Trial) -> None:
    """Where nothing is answered, the run ends and says so."""
    for _ in range(25):
        trial.organisation.add(seconds=0.1)

    async def captures(_: web.Request) -> web.StreamResponse:
        return _refusal(403)

    trial.webex.captures = captures
    told = trial.run()
    assert told.code in (AUTH, *NOT_DONE), told
    assert "Forbidden From Accessing Resources" in told.err + told.out


def _refusal(status: int) -> web.Response:
    words = "Forbidden From Accessing Resources"
    said = {"trackingId": "X", "error": {"key": str(status), "message": [{"description": words}]}}
    return web.json_response(said, status=status)


def _refused(trial: Trial, statuses: dict[str, int]) -> None:
    async def captures(request: web.Request) -> web.StreamResponse:
        asked = (await request.json())["query"]["taskIds"]
        status = next((statuses[name] for name in asked if name in statuses), None)
        return _refusal(status) if status else await trial.webex.plain_captures(request)

    trial.webex.captures = captures


def _odd_at_first(trial: Trial, odd: list[Callable[[Json], object]]) -> None:
    waiting = list(odd)

    async def captures(request: web.Request) -> web.StreamResponse:
        said = await _sound(trial, request)
        return web.json_response(waiting.pop(0)(said) if waiting else said)

    trial.webex.captures = captures
