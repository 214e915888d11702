"""The media host says that a recording is not there, and captures says otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from aiohttp import web

from tests.trials.judges import (
    FAILED,
    OK,
    all_stored,
    bucket_is_truth,
    certified_days,
    failed_by_name,
    honest,
    nothing_final,
)
from tests.trials.organisation import Json
from tests.trials.trial import Trial, open_trial
from tests.trials.webex import first_byte, s3_error

Answer = Callable[[], web.Response]
PAGE = "<!DOCTYPE html><html><body><h1>404 Not Found</h1></body></html>"
NOT_THERE: dict[str, Answer] = {
    "NoSuchKey": lambda: s3_error(404, "NoSuchKey", "The specified key does not exist."),
    "a proxy's page": lambda: web.Response(status=404, text=PAGE, content_type="text/html"),
    "no such bucket": lambda: s3_error(404, "NoSuchBucket", "The specified bucket does not exist"),
    "404 without a body": lambda: web.Response(status=404),
    "404 in JSON": lambda: web.json_response({"code": "NoSuchKey"}, status=404),
    "404 under the media's own type": lambda: web.Response(status=404, body=b"", content_type="audio/wav"),
    "410 without a body": lambda: web.Response(status=410),
    "410 with a page": lambda: web.Response(status=410, text=PAGE, content_type="text/html"),
}


def absent_at_first(trial: Trial, times: dict[str, tuple[int, Answer]]) -> None:
    """Let the first GETs of some recordings be answered that there is nothing."""
    asked: Counter[str] = Counter()

    async def media(request: web.Request) -> web.StreamResponse:
        name = request.match_info["recording"]
        asked[name] += 1
        most, answer = times.get(name, (0, web.Response))
        return answer() if asked[name] <= most else await trial.webex.plain_media(request)

    trial.webex.media = media


def test_a_404_is_not_final_while_captures_names_the_recording(trial: Trial) -> None:
    """Two 404s, then the recording: it is had by a later run at the latest, and is never called gone."""
    late, _ = trial.organisation.add()
    trial.organisation.add()
    absent_at_first(trial, {late: (2, NOT_THERE["NoSuchKey"])})
    for command in (trial.run, trial.run, trial.retry, trial.reconcile):
        told = command()
        honest(trial, told)
        assert not told.events("gone"), told
    bucket_is_truth(trial)


def test_a_410_is_not_final_while_captures_names_the_recording(trial: Trial) -> None:
    """The first GET of each is answered 410."""
    names = [trial.organisation.add().task_id for _ in range(3)]
    absent_at_first(trial, dict.fromkeys(names, (1, NOT_THERE["410 without a body"])))
    for command in (trial.run, trial.retry, trial.reconcile):
        told = command()
        honest(trial, told)
        assert not told.events("gone"), told
    bucket_is_truth(trial)


def test_whatever_says_that_it_is_not_there_is_asked_again(trial: Trial) -> None:
    """Whatever body, code and hop: once, and then the recording."""
    made = {trial.organisation.add().recording_id: (1, answer) for answer in NOT_THERE.values()}
    absent_at_first(trial, made)
    told = trial.run()
    honest(trial, told)
    assert not told.events("gone"), told
    all_stored(trial, trial.retry() if told.code else told)


def test_what_stays_away_while_captures_names_it_has_failed(trial: Trial) -> None:
    """It is failed by name in every run, never gone, and its day is never certified."""
    there = trial.organisation.add().recording_id
    made = {trial.organisation.add().recording_id: (1000, answer) for answer in NOT_THERE.values()}
    absent_at_first(trial, made)
    for command in (trial.run, trial.retry):
        told = command()
        failed_by_name(told, *made)
        assert not told.events("gone"), told
        honest(trial, told)
    nothing_final(trial, trial.reconcile())
    assert there in {true.task_id for true in trial.organisation.truth()}
    assert not certified_days(trial.bucket) & {true.day for true in trial.organisation.truth()}


def test_a_resumed_download_may_meet_it_too(trial: Trial) -> None:
    """The first answer breaks off in the middle, the rest is not there, and later all of it is."""
    answers = {trial.organisation.add(seconds=6).recording_id: answer for answer in NOT_THERE.values()}
    asked: Counter[str] = Counter()

    async def media(request: web.Request) -> web.StreamResponse:
        name = request.match_info["recording"]
        asked[name] += 1
        if asked[name] == 1:
            return await broken_off(request, trial.organisation.media[name])
        return answers[name]() if asked[name] == 2 else await trial.webex.plain_media(request)

    trial.webex.media = media
    told = trial.run()
    honest(trial, told)
    all_stored(trial, trial.retry() if told.code else told)


async def broken_off(request: web.Request, body: bytes) -> web.StreamResponse:
    """Send half of a body, and close the connection."""
    assert first_byte(request) in (None, 0)
    answer = web.StreamResponse(headers={"Content-Type": "audio/wav", "ETag": '"x"'})
    answer.content_length = len(body)
    await answer.prepare(request)
    await answer.write(body[: len(body) // 2])
    assert request.transport
    request.transport.close()
    return answer


def test_many_that_are_not_there_end_the_run(tmp_path: Path) -> None:
    """One 404 counts towards the failures in a row; the next run takes all of them up."""
    sections = {"backfill": {"max_failures_in_row": 5, "concurrency": 2, "ask_again_minutes": 0.001}}
    with open_trial(tmp_path / "folder", sections) as trial:
        for _ in range(30):
            trial.organisation.add(seconds=0.3)

        async def media(request: web.Request) -> web.StreamResponse:
            first = trial.organisation.step == 1
            return NOT_THERE["NoSuchKey"]() if first else await trial.webex.plain_media(request)

        trial.webex.media = media
        told = trial.run()
        assert told.code == FAILED, told
        assert told.summary["error"], told
        assert len(told.events("failed")) < 30, told
        all_stored(trial, trial.run())


UNNAMED: dict[str, Callable[[Json], Json | None]] = {
    "an entry with empty lists": lambda entry: entry | {"recording": []},
    "no entry": lambda _: None,
    "null": lambda entry: entry | {"recording": None},
    "an error": lambda entry: entry | {"recording": [], "error": {"code": "UNAVAILABLE"}},
}


def unnamed_after_the_first_get(trial: Trial, how: dict[str, tuple[Answer, Callable[[Json], Json | None]]]) -> None:
    """Let recordings not be there, and captures, asked after that, no longer name them."""
    asked: set[str] = set()

    async def media(request: web.Request) -> web.StreamResponse:
        name = request.match_info["recording"]
        asked.add(name)
        return how[name][0]() if name in how else await trial.webex.plain_media(request)

    async def captures(request: web.Request) -> web.StreamResponse:
        names = (await request.json())["query"]["taskIds"]
        entries = {name: trial.webex.entry(name) for name in names}
        shown = [how[name][1](entry) if name in asked and name in how else entry for name, entry in entries.items()]
        return trial.webex.answer([entry for entry in shown if entry])

    trial.webex.media, trial.webex.captures = media, captures


def test_what_captures_no_longer_names_is_gone(trial: Trial) -> None:
    """The store says that it is not there, and captures, asked after it, does not name it any more."""
    trial.organisation.add()
    empty = UNNAMED["an entry with empty lists"]
    answers = [NOT_THERE[name] for name in ("NoSuchKey", "410 without a body")]
    made = {trial.organisation.add().recording_id: (answer, empty) for answer in answers}
    trial.organisation.lost.update(made)
    unnamed_after_the_first_get(trial, made)
    told = trial.run()
    honest(trial, told)
    told = trial.retry() if told.code else told
    assert (told.code, told.summary["gone"]) == (OK, 2), told


def test_what_captures_does_not_say_makes_nothing_gone(trial: Trial) -> None:
    """No entry, null and an error settle nothing; nor does a proxy's page, or a refusal, prove a deletion."""
    empty = UNNAMED["an entry with empty lists"]
    cases = [(NOT_THERE["NoSuchKey"], UNNAMED[name]) for name in ("no entry", "null", "an error")]
    cases += [(NOT_THERE["a proxy's page"], empty), (lambda: s3_error(403, "AccessDenied"), empty)]
    made = {trial.organisation.add().recording_id: case for case in cases}
    unnamed_after_the_first_get(trial, made)
    for command in (trial.run, trial.retry, trial.reconcile):
        told = command()
        nothing_final(trial, told)
        assert not told.events("gone"), told
