"""Transcripts and screen recordings in the ledger: kept by kind, counted by kind, and taken up when they are wanted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from wxrec_async.ledger import Everything, InPeriod, SqliteLedger
from wxrec_async.ledger.records import Standing
from wxrec_async.model import DAY_MS, Kind, LeftAlone, Recording, StoredObject, Task, TaskState, Window
from wxrec_async.rules.artefacts import left_id

pytestmark = pytest.mark.anyio

Opener = Callable[[], AbstractAsyncContextManager[SqliteLedger]]
DAY = Window(0, DAY_MS)


def recording(name: str, kind: Kind = Kind.AUDIO, task_id: str = "t") -> Recording:
    return Recording(task_id, name, kind=kind)


async def store(ledger: SqliteLedger, name: str, size: int, *, task_id: str = "t") -> None:
    await ledger.stored(
        task_id, name, StoredObject(name, size, 1), run_id="run", already=False, main_place=False, now_ms=9
    )


async def test_each_kind_has_its_numbers_within_the_totals(opener: Opener) -> None:
    """What is left of a total is audio, and what Search counts is compared with audio alone."""
    async with opener() as ledger:
        await ledger.begin_run("run", 1, None)
        await ledger.add_tasks([Task("t", created_ms=5)], listed_in=DAY, now_ms=1)
        kinds = [recording("a"), recording("x", Kind.TRANSCRIPT), recording("y", Kind.TRANSCRIPT)]
        known = await ledger.captured_many({"t": [*kinds, recording("s", Kind.SCREEN)]}, 2)
        assert {name: each.kind for name, each in known["t"].known.items()} == {
            "a": Kind.AUDIO, "x": Kind.TRANSCRIPT, "y": Kind.TRANSCRIPT, "s": Kind.SCREEN,
        }  # fmt: skip
        await store(ledger, "a", 1000)
        await store(ledger, "x", 10)
        await store(ledger, "s", 500)
        await ledger.recording_failed("t", "y", "empty", "", 9)
        counts = await ledger.counts(Everything(), "run")
        assert (counts.recordings, counts.stored, counts.failed, counts.bytes) == (4, 3, 1, 1510)
        nothing = {"already_stored": 0, "gone": 0, "unfinished_recordings": 0}
        assert counts.by_kind == {
            "transcript": nothing | {"recordings": 2, "stored": 1, "failed": 1, "bytes": 10, "bytes_total": 10},
            "screen": nothing | {"recordings": 1, "stored": 1, "failed": 0, "bytes": 500, "bytes_total": 500},
        }
        assert (await ledger.counts(InPeriod(Window(6, 7)), None)).by_kind == {}
        assert {each.recording_id: each.kind for each in await ledger.items(DAY)} == {
            "a": "audio", "x": "transcript", "s": "screen",
        }  # fmt: skip


async def test_what_was_left_becomes_work_when_it_is_wanted(opener: Opener) -> None:
    """A task at rest is asked again, one that was settled by its row as well; and what is fetched is no longer left."""
    async with opener() as ledger:
        await ledger.begin_run("run", 1, None)
        names = ["stored", "silent", "unasked", "other"]
        await ledger.add_tasks([Task(name, created_ms=5) for name in names], listed_in=DAY, now_ms=1)
        for name in ("stored", "other"):
            await ledger.captured_many({name: [recording("a", task_id=name)]}, 2)
            await store(ledger, "a", 1, task_id=name)
        for name, reason, evidence in (
            ("silent", "no_capture", "empty_entry"),
            ("unasked", "capture_not_requested", "task_row"),
        ):
            await ledger.settle_task(
                name, TaskState.NO_RECORDING, reason, now_ms=3, empty_answer=False, evidence=evidence
            )
        left = [LeftAlone(left_id(name, "transcript-x"), "transcript", 5) for name in ("stored", "silent")]
        left += [LeftAlone(left_id("other", "screen-x"), "screen", 5), LeftAlone("c", "chat", 7)]
        await ledger.leave_alone(left, {})
    async with opener() as ledger:
        await ledger.begin_run("next", 10, None)
        await ledger.want(["transcript"], [], 11)
        assert [row.task.id for row in await ledger.backlog(Everything(), now_ms=12)] == ["silent", "unasked"]
        assert [row.task.id for row in await ledger.late(DAY, now_ms=12)] == ["stored"]
        assert await ledger.left_alone(Everything()) == {"screen": 1, "chat": 1}


async def test_contacts_of_a_channel_that_is_wanted_by_now_are_listed_again(opener: Opener) -> None:
    """By their days, until they are among the tasks."""
    async with opener() as ledger:
        await ledger.begin_run("run", 1, None)
        await ledger.leave_alone([LeftAlone("c", "chat", 7), LeftAlone("m", "email", DAY_MS + 3)], {})
        assert await ledger.left_spans(Window(0, 2 * DAY_MS), ["Chat"]) == [Window(7, 8)]
        assert await ledger.left_spans(Window(8, 2 * DAY_MS), ["chat", "email"]) == [Window(DAY_MS + 3, DAY_MS + 4)]
        await ledger.add_tasks([Task("c", "chat", created_ms=7)], listed_in=DAY, now_ms=2)
        await ledger.want([], ["chat"], 3)
        assert await ledger.left_alone(Everything()) == {"email": 1}


async def test_what_is_fetched_is_no_longer_left(opener: Opener) -> None:
    """By its own name, and by Webex's id, under which the release before had it."""
    async with opener() as ledger:
        await ledger.add_tasks([Task("t", created_ms=5)], listed_in=DAY, now_ms=1)
        name = "transcript-cfg-1-voiceTranscript"
        seen = [LeftAlone(left_id("t", name), "transcript", 5), LeftAlone("cfg-1", "transcript", 5)]
        await ledger.leave_alone([*seen, LeftAlone("cfg", "chat", 5)], {})
        await ledger.captured_many({"t": [recording("a"), recording(name, Kind.TRANSCRIPT)]}, 2)
        assert await ledger.left_alone(Everything()) == {"chat": 1}


@pytest.mark.parametrize("sound_before", [False, True])
@pytest.mark.parametrize("channel", [None, "telephony", "chat"])
async def test_a_call_without_its_sound_is_not_done(opener: Opener, channel: str | None, sound_before: bool) -> None:
    """Unless it was named once, or it is a chat, which has none."""
    async with opener() as ledger:
        await ledger.add_tasks([Task("t", channel, created_ms=5)], listed_in=DAY, now_ms=1)
        if sound_before:
            await ledger.captured_many({"t": [recording("a")]}, 2)
        silent = {"t": Standing(TaskState.OWED, "capture_awaited", 50)}
        await ledger.captured_many({"t": [recording("x", Kind.TRANSCRIPT)]}, 3, {}, {}, silent)
        asked = (await ledger.asked(["t"]))["t"]
        done = sound_before or channel == "chat"
        assert asked.state is (TaskState.CAPTURED if done else TaskState.OWED)
        assert asked.next_ask_ms == (None if done else 50)
        await ledger.captured_many({"t": [recording("a"), recording("x", Kind.TRANSCRIPT)]}, 4)
        assert (await ledger.asked(["t"]))["t"].state is TaskState.CAPTURED
