"""Ids as spreadsheets, databases and mail leave them, and as Webex writes them."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from aiohttp import web

from tests.trials.judges import OK, all_stored, bucket_is_truth, honest, recordings_in
from tests.trials.organisation import task_id
from tests.trials.trial import Told, Trial, open_trial
from tests.trials.webex import read_json

BOM, BLANK = b"\xef\xbb\xbf", "\u200b".encode()
IDS = [task_id(number).encode() for number in range(4)]
EXPORTS = BOM + IDS[0] + b"\r\n" + BOM + IDS[1] + b'\r\n"' + IDS[2] + b'"\r\n' + IDS[3] + BLANK + b"\r\n"


def archived(trial: Trial, content: bytes, *arguments: str) -> Told:
    """Run the program over a file of ids."""
    (trial.folder / "ids.csv").write_bytes(content)
    return trial.call("run", "--task-ids-from", "ids.csv", "--json", *arguments)


def had_or_refused(trial: Trial, told: Told) -> None:
    """The recordings of all ids are stored, or a line of the file is refused by its number."""
    if told.code == 2:
        assert "line" in told.err.lower(), told
        assert any(sign.isdigit() for sign in told.err), told
    else:
        assert told.code == OK, told
        bucket_is_truth(trial)


def test_ids_of_two_exports_put_together(trial: Trial) -> None:
    """A byte order mark in the middle, quotes, a zero-width space: the same ids all the same."""
    for _ in range(4):
        trial.organisation.add()
    had_or_refused(trial, archived(trial, EXPORTS))


def test_ids_nobody_knows_are_not_calls_without_a_recording(tmp_path: Path) -> None:
    """With no patience left, twice: what captures knows nothing of does not end under exit 0."""
    with open_trial(tmp_path / "folder", {"backfill": {"owed_null_hours": 0, "ask_again_minutes": 0.001}}) as trial:
        for _ in range(4):
            trial.organisation.add()
        had_or_refused(trial, archived(trial, EXPORTS))
        had_or_refused(trial, archived(trial, EXPORTS))
        told = archived(trial, IDS[0] + b"\n" + str(uuid.UUID(int=7)).encode() + b"\n")
        assert told.code != OK, told
        assert not told.events("no_recording"), told


FILES = {
    "a table with a header row": b"Task ID;Agent;Start\r\n" + b"".join(name + b";Ann;2026\r\n" for name in IDS),
    "tabs": b"".join(name + b"\tAnn\n" for name in IDS),
    "quotes, no-break spaces and braces": b'"'
    + b'"\r\n"'.join(IDS[:2])
    + b'"\r\n\xe2\x80\x9c'
    + IDS[2]
    + b"\xe2\x80\x9d\xc2\xa0\r\n{"
    + IDS[3]
    + b"}\r\n",
    "UTF-16": "\r\n".join(name.decode() for name in IDS).encode("utf-16"),
    "old line ends": b"\r".join(IDS),
}


@pytest.mark.parametrize("file", FILES)
def test_a_file_as_others_write_it_is_read_or_refused(trial: Trial, file: str) -> None:
    """Never is another id asked for."""
    for _ in range(4):
        trial.organisation.add(seconds=0.3)
    had_or_refused(trial, archived(trial, FILES[file]))


def answers_any_case(trial: Trial, spelled: dict[str, str]) -> None:
    """Let captures know an id in any case, and repeat it as it was asked."""

    async def captures(request: web.Request) -> web.StreamResponse:
        asked = (await request.json())["query"]["taskIds"]
        entries = [trial.webex.entry(spelled.get(name.lower(), name)) | {"taskId": name} for name in asked]
        return trial.webex.answer(entries)

    trial.webex.captures = captures


def test_an_id_in_capitals_is_the_same_call(trial: Trial) -> None:
    """Once by the list, once by a file in capitals: one object for one recording."""
    made = [trial.organisation.add().task_id for _ in range(3)]
    answers_any_case(trial, {name.lower(): name for name in made})
    all_stored(trial, trial.run())
    told = archived(trial, "\n".join(made).upper().encode())
    all_stored(trial, told)
    assert (told.summary["already_stored"], told.summary["stored"]) == (3, 0), told


def test_the_list_may_change_its_spelling_too(trial: Trial) -> None:
    """Tasks in capitals the second time, recordings' ids, too: still one object for one recording."""
    made = [trial.organisation.add().task_id for _ in range(3)]
    answers_any_case(trial, {name.lower(): name for name in made})

    async def tasks(request: web.Request) -> web.StreamResponse:
        said = read_json(await trial.webex.plain_tasks(request))
        if trial.organisation.step > 1:
            said["data"] = [row | {"id": row["id"].upper()} for row in said["data"]]
        return web.json_response(said)

    trial.webex.tasks = tasks
    all_stored(trial, trial.run())
    all_stored(trial, trial.run())
    honest(trial, trial.reconcile())
    assert trial.bucket.seen["put"] <= len(made) + trial.bucket.seen["list"] * 3


def test_ids_that_are_no_uuids_stay_as_they_are(trial: Trial) -> None:
    """Two ids that differ by case alone are two calls."""
    for name in ("load-bulk-api-Contact-a", "load-bulk-api-Contact-A"):
        made, _ = trial.organisation.add()
        trial.organisation.tasks[-1]["id"] = name
        trial.organisation.recordings[name] = trial.organisation.recordings.pop(made)
    all_stored(trial, trial.run())
    assert len(recordings_in(trial.bucket)) == 2
