"""From an answer of Webex through the ledger into the sidecar: nothing that was said is lost, nothing is made up.

Answers are generated, with unknown fields in every place and a canary in every
value, and are carried by the functions that carry real ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.ledger import certificates, migrations, recordings, runs, tasks
from wxrec_async.ledger.connection import LedgerConnection
from wxrec_async.model import StoredObject, Task, Window
from wxrec_async.rules.redact import mask_number
from wxrec_async.rules.sidecars import content
from wxrec_async.webex.parse import UrlLease, read_captures, read_tasks

DAY = Window(1_780_000_000_000, 1_780_086_400_000)
SIGNATURE = "X-Amz-Signature=CANARY-SIG-6e4b82fa17d34c09"
MASKS: dict[str, Callable[[str], str]] = {"masked": mask_number, "plain": str}
names = st.text(st.characters(categories=["Lu", "Ll"], max_codepoint=0x17F), min_size=1, max_size=12).filter(
    lambda name: name not in {"id", "attributes", "segment", "filePath", "taskId", "type"}
)
words = st.text(st.characters(categories=["Lu", "Ll"]), min_size=1, max_size=6).map(lambda text: f"w-{text}")
numbers = st.integers(0, 9999).map(lambda tail: f"+1555010{tail:04}")
addresses = st.integers(0, 99).map(lambda who: f"ann{who}@example.org")
urls = st.integers(0, 99).map(lambda at: f"https://host.example/a/b/c/d/{at}.wav?{SIGNATURE}#x")
values = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | words | numbers | addresses | urls,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
unknown = st.dictionaries(names.map(lambda name: f"x{name}"), values, max_size=4)


def shown(value: object, setting: str) -> object:
    """Say, in other words than the program, how a value has to look in the sidecar."""
    match value:
        case str() if value.startswith("https://"):
            return value.partition("?")[0]
        case str() if setting == "masked" and (value.startswith("+1555") or "@" in value):
            return "***" + value[-2:]
        case dict():
            return {name: shown(inner, setting) for name, inner in value.items()}
        case list():
            return [shown(inner, setting) for inner in value]
        case _:
            return value


def leaves(value: object) -> Iterator[object]:
    match value:
        case dict():
            for name, inner in value.items():
                yield name
                yield from leaves(inner)
        case list():
            for inner in value:
                yield from leaves(inner)
        case _:
            yield value


@contextmanager
def opened(setting: str) -> Iterator[LedgerConnection]:
    import sqlite3  # noqa: PLC0415

    with closing(sqlite3.connect(":memory:", isolation_level=None, factory=LedgerConnection)) as connection:
        migrations.register(connection)
        migrations.create(connection, ("org", "bucket", "calls/{task_id}/recording{ext}"))
        connection.mask = MASKS[setting]
        yield connection


def told(task_row: dict[str, Any], recording_row: dict[str, Any], setting: str) -> dict[str, Any]:
    """Return the sidecar of a call that Webex listed and answered for in these words."""
    page, _ = read_tasks(json.dumps({"data": [task_row]}).encode())
    body = json.dumps({"data": [{"taskId": task_row["id"], "recording": [recording_row]}]}).encode()
    captures, _ = read_captures(body, [task_row["id"]], UrlLease(0.0, 60.0), lambda _: None)
    (found,) = captures[task_row["id"]].recordings
    with opened(setting) as connection:
        runs.begin_run(connection, "run", 1, None)
        tasks.add_tasks(connection, page.tasks, listed_in=DAY, now_ms=2)
        recordings.captured_many(connection, {task_row["id"]: [found]}, 3)
        recordings.note_stored(
            connection, task_row["id"], found.id, StoredObject("calls/k.wav", 5, 7), run_id="run", already=False,
            main_place=True, now_ms=4,
        )  # fmt: skip
        described = certificates.described(connection, task_row["id"])
    assert described is not None
    sidecar: dict[str, Any] = json.loads(content(described, masked=setting == "masked"))
    return sidecar


@pytest.mark.fault("X07", "X08")
@pytest.mark.parametrize("setting", MASKS)
@given(more=unknown, beside=unknown, heard=unknown, about=unknown, who=numbers, address=addresses, word=words)
def test_every_field_is_there_under_its_name_and_nothing_else(  # noqa: PLR0917 - the places of a field
    setting: str,
    more: dict[str, object],
    beside: dict[str, object],
    heard: dict[str, object],
    about: dict[str, object],
    who: str,
    address: str,
    word: str,
) -> None:
    """All but the signed URL; numbers and addresses as the setting says, also in fields nobody foresaw."""
    attributes: dict[str, Any] = {
        "owner": {"id": "agent-1", "name": word}, "queue": {"id": "queue-1", "name": word}, "channelType": word,
        "status": "completed", "createdTime": 1780000060000, "lastUpdatedTime": 1780000400000, "endedTime":
        1780000300000, "totalDuration": 240000, "captureRequested": True, "isActive": False, "origin": who,
        "destination": address, "direction": word, "reasonCode": word,
    }  # fmt: skip
    media: dict[str, Any] = {
        "fileName": "combinedRecordings.wav", "filePath": f"https://h/x?{SIGNATURE}", "startTime": 1780000060000,
        "stopTime": 1780000120000, "participants": ["agent-1", who, address], "channel1": "Caller", "channel2": word,
        "callType": word, "sensitive": True,
    }  # fmt: skip
    task_row = {"id": "task-1", "attributes": attributes | more, **beside}
    recording_row = {"id": "recording-1", "segment": False, "attributes": media | heard, **about}
    sidecar = told(task_row, recording_row, setting)
    (recording,) = sidecar.pop("recordings")

    # What is known, by the names that the description of the sidecar gives it.
    assert {
        name: sidecar[name] for name in ("channel_type", "direction", "reason_code", "agent_name", "queue_name")
    } == (dict.fromkeys(("channel_type", "direction", "reason_code", "agent_name", "queue_name"), word))
    assert (sidecar["agent_id"], sidecar["queue_id"], sidecar["status"]) == ("agent-1", "queue-1", "completed")
    assert (sidecar["origin"], sidecar["destination"]) == (shown(who, setting), shown(address, setting))
    assert (sidecar["duration_ms"], sidecar["capture_requested"], sidecar["active"]) == (240000, True, False)
    moments = ("2026-05-28T20:27:40Z", "2026-05-28T20:31:40Z", "2026-05-28T20:33:20Z")
    assert (sidecar["created"], sidecar["ended"], sidecar["last_updated"]) == moments
    assert recording["participants"] == ["agent-1", shown(who, setting), shown(address, setting)]
    assert (recording["channel1"], recording["channel2"], recording["call_type"]) == ("Caller", word, word)
    assert (recording["file_name"], recording["sensitive"], recording["segment"]) == (media["fileName"], True, False)
    assert (recording["start"], recording["stop"]) == ("2026-05-28T20:27:40Z", "2026-05-28T20:28:40Z")

    # What is not, whole and under its own name.
    assert (sidecar["said"] or {}) == shown(_together(more, beside), setting)
    assert (recording["said"] or {}) == shown(_together(heard, about), setting)

    # And nothing that was not said.
    ours = {
        "schema",
        "task_id",
        "key",
        "calls/k.wav",
        "state",
        "stored",
        2,
        5,
        7,
        "CRC32",
        "AAAABw==",
        True,
        False,
        None,
    }
    said = {*map(str, leaves(shown(task_row, setting))), *map(str, leaves(shown(recording_row, setting)))}
    said |= {*map(str, ours), *moments, "2026-05-28T20:28:40Z", "task-1", "recording-1"}
    unsaid = [each for each in leaves([[*sidecar.values()], [*recording.values()]]) if str(each) not in said]
    assert [each for each in unsaid if not str(each).startswith("row.")] == []
    assert "CANARY" not in json.dumps([sidecar, recording])
    if setting == "masked":
        assert not any(each in json.dumps([sidecar, recording]) for each in (who, address, "+1555"))


def _together(fields: dict[str, object], beside: dict[str, object]) -> dict[str, object]:
    return {**fields, **{f"row.{name}" if name in fields else name: value for name, value in beside.items()}}


@pytest.mark.parametrize("setting", MASKS)
def test_what_was_said_later_fills_what_was_not_and_a_silence_takes_nothing_back(setting: str) -> None:
    """An answer without a field does not make the ledger forget it."""
    with opened(setting) as connection:
        runs.begin_run(connection, "run", 1, None)
        for attributes in ({"mood": "fine", "reasonCode": "Sale"}, {"status": "completed"}):
            page, _ = read_tasks(json.dumps({"data": [{"id": "t", "attributes": attributes}]}).encode())
            tasks.add_tasks(connection, page.tasks, listed_in=DAY, now_ms=2)
        row = connection.execute("SELECT said, reason_code, status FROM tasks").fetchone()
    assert row == ('{"mood":"fine"}', "Sale", "completed")


def test_a_hash_is_kept_beside_the_masked_number_and_a_later_silence_keeps_it() -> None:
    """One that a fleet's worker sent stands: the number itself did not come along."""
    with opened("masked") as connection:
        connection.hashed = lambda text: f"hash of {text}" if text else None
        runs.begin_run(connection, "run", 1, None)
        for task in (
            Task("t", origin="+15550100123"),
            Task("t", status="completed"),
            Task("u", origin="***23", origin_hash="sent"),
        ):
            tasks.add_tasks(connection, [task], listed_in=DAY, now_ms=2)
        rows = connection.execute("SELECT origin, origin_hash, destination_hash FROM tasks ORDER BY id").fetchall()
    assert rows == [("***23", "hash of +15550100123", None), ("***23", "sent", None)]
