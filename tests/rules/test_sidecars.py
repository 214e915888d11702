"""What a sidecar says, name by name, and when one that lies there says enough."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.model import Task
from wxrec_async.rules.sidecars import CONTENT_TYPE, SCHEMA, Described, FinishedRecording, content, merged, read_back

NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z
PHONE, MAIL = "+41 44 668 18 00", "ann@example.org"
TASK = Task(
    "t-1", channel_type="telephony", status="ended", direction="inbound", origin="+41446681800", destination="+41800",
    created_ms=NOW, ended_ms=NOW + 5000, duration_ms=5000, queue_id="q-1", queue_name=f"Sales {PHONE}", agent_id="a-1",
    agent_name=MAIL, capture_requested=True, updated_ms=NOW + 6000, active=False, reason_code="Credit",
    origin_hash="k1:ab",
    said='{"callbackNumber":"+41446681800","mood":"fine"}',
)  # fmt: skip
STORED = FinishedRecording(
    "r-2", "stored", key="k/2.wav", size=44, crc32=0x01020304, sha256="ab" * 32, version_id="v", call_type="monitor",
    segment=True, start_ms=NOW + 1000, stop_ms=NOW + 2000, flags=("short",),
    file_name="a.wav", channel1="Caller", channel2=PHONE, participants=("a-1", "+41446681800"), sensitive=True,
    said='{"codec":"g711"}',
)  # fmt: skip
GONE = FinishedRecording("r-1", "gone", evidence="search_deleted")


def said(*, masked: bool) -> dict[str, object]:
    read: dict[str, object] = json.loads(content(Described(TASK, (STORED, GONE)), masked=masked))
    return read


def test_a_sidecar_says_everything_by_its_name() -> None:
    """The names are a contract with whoever loads them; recordings come in the order of their ids."""
    unknown = ("key", "bytes", "checksum", "sha256", "version_id", "call_type", "start", "stop")
    gone = dict.fromkeys((*unknown, "file_name", "channel1", "channel2", "sensitive", "said"))
    assert said(masked=False) == {
        "schema": 2, "task_id": "t-1", "channel_type": "telephony", "status": "ended", "direction": "inbound",
        "origin": "+41446681800", "destination": "+41800", "created": "2026-01-01T00:00:00Z",
        "ended": "2026-01-01T00:00:05Z", "duration_ms": 5000, "queue_id": "q-1", "queue_name": f"Sales {PHONE}",
        "agent_id": "a-1", "agent_name": MAIL, "capture_requested": True,
        "last_updated": "2026-01-01T00:00:06Z", "active": False, "reason_code": "Credit",
        "said": {"callbackNumber": "+41446681800", "mood": "fine"},
        "origin_hash": "k1:ab", "destination_hash": None, "contact_record": None,
        "recordings": [
            gone
            | {"recording_id": "r-1", "state": "gone", "checksum_algorithm": "CRC32", "segment": False, "flags": [],
               "evidence": "search_deleted", "participants": []},
            {
                "recording_id": "r-2", "state": "stored", "key": "k/2.wav", "bytes": 44, "checksum": "AQIDBA==",
                "checksum_algorithm": "CRC32", "sha256": "ab" * 32, "version_id": "v", "call_type": "monitor",
                "segment": True, "start": "2026-01-01T00:00:01Z", "stop": "2026-01-01T00:00:02Z",
                "flags": ["short"], "evidence": None, "file_name": "a.wav", "channel1": "Caller", "channel2": PHONE,
                "participants": ["a-1", "+41446681800"], "sensitive": True, "said": {"codec": "g711"},
            },
        ],
    }  # fmt: skip
    assert (SCHEMA, CONTENT_TYPE) == (2, "application/json")


def test_masked_it_holds_no_number_and_no_address() -> None:
    """Numbers keep their last two signs, words lose what looks like one; everything else stays."""
    plain, masked = said(masked=False), said(masked=True)
    changed = {name for name in plain if plain[name] != masked[name]}
    assert changed == {"origin", "destination", "queue_name", "agent_name", "said", "recordings"}
    assert masked["said"] == {"callbackNumber": "***00", "mood": "fine"}
    assert json.dumps(masked["recordings"]).count("***00") == 2
    assert (masked["origin"], masked["destination"]) == ("***00", "***00")
    assert (masked["queue_name"], masked["agent_name"]) == ("Sales ***", "***")


@pytest.mark.parametrize(
    "field", ["channel_type", "status", "direction", "queue_id", "queue_name", "agent_id", "agent_name", "reason_code"]
)
def test_an_address_is_masked_whatever_field_it_is_in(field: str) -> None:
    """Webex does not keep people from writing one anywhere."""
    task = Task("t", **{field: MAIL})  # type: ignore[arg-type]
    assert json.loads(content(Described(task, ()), masked=True))[field] == "***"
    assert json.loads(content(Described(task, ()), masked=False))[field] == MAIL


def test_what_is_not_known_stays_so_masked_or_not() -> None:
    """Nothing and an empty text are no numbers to be masked."""
    read = json.loads(content(Described(Task("t", origin=""), ()), masked=True))
    assert (read["origin"], read["destination"], read["status"]) == ("", None, None)


def test_a_task_began_with_its_first_recording() -> None:
    """As far as that is known."""
    assert Described(TASK, (STORED, FinishedRecording("r", "stored", start_ms=7))).start_ms == 7
    assert Described(TASK, (GONE,)).start_ms is None
    described = Described(TASK, ())
    assert (described.number, described.current, GONE.segment, GONE.flags) == (0, False, False, ())


@pytest.mark.parametrize(
    ("known", "new", "both"),
    [
        ('{"a":1}', '{"a":1}', '{"a":1}'), ('{"a":1,"b":2}', '{"a":1}', '{"a":1,"b":2}'),
        ('{"a":1}', '{"a":1,"b":2}', '{"a":1,"b":2}'), ('{"a":1}', '{"a":2}', '{"a":2}'),
        ('{"a":1}', '{"a":null}', '{"a":1}'), ('{"a":null}', '{"a":1}', '{"a":1}'), ('{}', '{"a":null}', '{"a":null}'),
        ('{"a":[1]}', '{"a":[]}', '{"a":[1]}'), ('{"a":[1,2]}', '{"a":[1]}', '{"a":[1]}'),
        ('{"a":{"b":1}}', '{"a":{"c":2}}', '{"a":{"b":1,"c":2}}'), ('{"a":{"b":1}}', '{"a":[1]}', '{"a":[1]}'),
        ("not json", '{"a":1}', '{"a":1}'), ("[" * 100_000, '{"a":1}', '{"a":1}'), ("5", '{"a":1}', '{"a":1}'),
        ('{"b":NaN}', '{"a":1}', '{"a":1}'),
        ('{"r":[{"recording_id":"b","x":1}]}', '{"r":[{"recording_id":"a","x":2}]}',
         '{"r":[{"recording_id":"a","x":2},{"recording_id":"b","x":1}]}'),
        ('{"r":[{"recording_id":"a","x":1,"checksum":"c"}]}', '{"r":[{"recording_id":"a","x":null,"checksum":"c"}]}',
         '{"r":[{"recording_id":"a","x":1,"checksum":"c"}]}'),
        ('{"r":[{"recording_id":"a","x":1,"checksum":"c"}]}', '{"r":[{"recording_id":"a","x":null,"checksum":"d"}]}',
         '{"r":[{"recording_id":"a","x":null,"checksum":"d"}]}'),
    ],
)  # fmt: skip
def test_a_later_state_forgets_nothing(known: str, new: str, both: str) -> None:
    """What is not known contradicts nothing; of a recording with other bytes nothing old is said."""
    assert json.loads(merged(known.encode(), new.encode())) == json.loads(both)


json_values = st.recursive(
    st.none() | st.integers(-2, 2) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("xyz"), json_values)


@given(objects, objects)
def test_a_rerun_writes_nothing(known: dict[str, object], new: dict[str, object]) -> None:
    """What was merged once says it all, to the byte, and so does every sidecar by itself."""
    written, wanted = json.dumps(known).encode(), json.dumps(new).encode()
    once = merged(written, wanted)
    assert merged(once, wanted) == once
    assert merged(written, written) == written


@pytest.mark.parametrize("masked", [True, False])
def test_what_was_written_is_read_back(masked: bool) -> None:
    """To the last field, so that a ledger made anew knows what the lost one knew."""
    written = content(Described(TASK, (STORED, GONE)), masked=masked)
    told = read_back(written)
    assert content(told, masked=masked) == written
    if not masked:
        assert told == Described(TASK, (GONE, STORED))


def test_a_sidecar_of_the_first_release_is_read() -> None:
    """It knows less; what it does not know is not known."""
    old = {"schema": 1, "task_id": "t", "created": "2026-01-01T00:00:00Z", "queue_name": "Sales", "recordings": [
        {"recording_id": "r", "state": "stored", "bytes": 4, "checksum": "AQIDBA==", "segment": False, "flags": []}
    ]}  # fmt: skip
    told = read_back(json.dumps(old).encode())
    assert told.task == Task("t", created_ms=NOW, queue_name="Sales")
    assert told.recordings == (FinishedRecording("r", "stored", size=4, crc32=0x01020304),)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no JSON"), (b"no json", "no JSON"), (b"[" * 100_000, "no JSON"), (b"[]", "no task"), (b"{}", "no task"),
        (b'{"task_id":5}', "no task"), (b'{"task_id":""}', "no task"), (b"\xff", "no JSON"),
    ],
)  # fmt: skip
def test_what_is_no_sidecar_is_refused_in_words(data: bytes, why: str) -> None:
    """Whoever can write to the bucket can put anything there."""
    with pytest.raises(ValueError, match=why):
        read_back(data)


@given(st.dictionaries(st.sampled_from([*json.loads(content(Described(TASK, ()), masked=True))]), json_values),
       st.lists(st.dictionaries(st.sampled_from(["recording_id", "state", "bytes", "checksum", "start", "flags", "said",
                                                 "participants", "segment", "size"]), json_values)))  # fmt: skip
def test_hostile_values_are_not_known(fields: dict[str, object], rows: list[dict[str, object]]) -> None:
    """Of the wrong kind they are no value, and never an exception."""
    told = read_back(json.dumps(fields | {"task_id": "t", "recordings": rows}).encode())
    assert told.task.id == "t"
    assert read_back(content(told, masked=True)).task.id == "t"
