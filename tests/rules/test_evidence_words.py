"""Manifests and certificates to the byte, each way in which one can be unsound, and the words for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from wxrec_async.model import DAY_MS, Window
from wxrec_async.rules import evidence
from wxrec_async.rules.evidence import (
    Basis,
    Content,
    Ended,
    Issue,
    Item,
    Link,
    Manifest,
    NamedObject,
    Places,
    TasksFile,
    Unsound,
)

DAY = Window(1_767_225_600_000, 1_767_225_600_000 + DAY_MS)
SHA = "ab" * 32
CONTENT = Content("org", "bucket", DAY, {"queues": ["é"]}, {"stored": 3, "failed": 0}, SHA, 10, 3)
ISSUE = Issue(3, 2, Link("p", "1" * 64), Link("f", "2" * 64), "m", 1_767_312_000_001, "run", "1.0", ("left", "over"))
ITEM = Item(
    place_ms=1,
    task_id="t",
    recording_id="r",
    key="k",
    size=5,
    crc32=7,
    sha256=SHA,
    etag="e",
    version_id="v",
    call_type="main",
    segment=True,
    created_ms=DAY.from_ms,
    start_ms=DAY.from_ms + 1,
    stop_ms=DAY.from_ms + 2,
    stored_ms=DAY.from_ms + 3,
    tracking_id="x",
    run_id="run",
    tool_version="1.0",
)


def test_the_figures_are_those_verifiers_are_told() -> None:
    """A schema, a kind, and how much of a file is read at most."""
    assert (evidence.SCHEMA, evidence.SCHEMAS) == (2, (1, 2))
    assert (evidence.CERTIFICATE_TYPE, evidence.MANIFEST_TYPE) == ("application/json", "application/x-ndjson")
    assert evidence.MAX_CERTIFICATE == evidence.MAX_LINE == 1024 * 1024


def test_a_manifest_line_has_these_bytes() -> None:
    """Names sorted, no spaces, UTF-8, one newline; so anybody can make them again."""
    assert evidence.manifest_line(ITEM).decode() == (
        '{"bytes":5,"call_type":"main","checksum":"AAAABw==","checksum_algorithm":"CRC32",'
        '"created":"2026-01-01T00:00:00Z","etag":"e","key":"k","recording_id":"r","run_id":"run","segment":true,'
        f'"sha256":"{SHA}","start":"2026-01-01T00:00:00.001Z","stop":"2026-01-01T00:00:00.002Z",'
        '"stored":"2026-01-01T00:00:00.003Z","task_id":"t","tool_version":"1.0","tracking_id":"x","version_id":"v"}\n'
    )


def test_what_is_not_known_of_a_recording_is_null() -> None:
    """And an empty text is nothing known."""
    line = evidence.manifest_line(Item(1, "t", "r", "k", 0, etag="", version_id="", tracking_id=""))
    said = json.loads(line)
    known = {"task_id": "t", "recording_id": "r", "key": "k", "bytes": 0, "checksum_algorithm": "CRC32"}
    assert {name: value for name, value in said.items() if value is not None} == known | {"segment": False}
    assert evidence.read_line(line) == NamedObject("t", "r", "k", 0, None, None, None)
    assert evidence.read_line(evidence.manifest_line(ITEM)) == NamedObject("t", "r", "k", 5, "AAAABw==", SHA, "e")


@pytest.mark.parametrize("value", [{"b": 1, "a": "é"}, {"a": "\ud800"}])
def test_json_is_written_in_one_way(value: dict[str, object]) -> None:
    """Sorted, tight, UTF-8 as it is; half a surrogate pair is written out, since UTF-8 has none."""
    expected = '{"a":"é","b":1}\n' if "b" in value else '{"a":"\\ud800"}\n'
    assert evidence.canonical(value).decode() == expected


def test_json_has_no_word_for_not_a_number() -> None:
    """It is refused where it is written."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        evidence.canonical({"a": float("nan")})


@pytest.mark.parametrize(
    ("window", "name"),
    [
        (DAY, "2026-01-01"),
        (Window(0, DAY_MS), "1970-01-01"),
        (Window(1, DAY_MS + 1), None),
        (Window(0, DAY_MS - 1), None),
        (Window(0, 2 * DAY_MS), None),
    ],
)
def test_a_day_is_a_whole_one_in_utc(window: Window, name: str | None) -> None:
    """From midnight to midnight."""
    if name:
        assert evidence.whole_day(window) == name
        return
    with pytest.raises(ValueError, match=r"is not one UTC day") as refused:
        evidence.whole_day(window)
    assert str(refused.value) == f"{window} is not one UTC day"


@pytest.mark.usefixtures("far_west")
def test_a_day_is_that_of_utc_wherever_this_machine_is() -> None:
    """In Honolulu it is still the day before when it begins."""
    assert evidence.whole_day(DAY) == "2026-01-01"
    assert evidence.whole_day(Window(0, DAY_MS)) == "1970-01-01"


PLACES = Places("calls/_evidence/", "a/b")


def test_everything_has_its_place() -> None:
    """Below the organisation; numbers have leading zeros so that they sort."""
    assert PLACES.home == "calls/_evidence/a%2Fb/"
    assert PLACES.certificate(12) == "calls/_evidence/a%2Fb/certificates/00000012.json"
    assert PLACES.manifests_of(DAY) == "calls/_evidence/a%2Fb/manifests/2026-01-01/"
    assert PLACES.manifest(DAY, 7, "0123456789abcdef0123") == (
        "calls/_evidence/a%2Fb/manifests/2026-01-01/0007-0123456789abcdef.jsonl"
    )


@pytest.mark.parametrize(
    ("key", "number"),
    [
        (PLACES.certificate(1), 1),
        (PLACES.certificate(99_999_999), 99_999_999),
        (f"{PLACES.certificates}0000001.json", None),
        (f"{PLACES.certificates}000000001.json", None),
        (f"{PLACES.certificates}00000001xjson", None),
        (f"{PLACES.certificates}00000001.json.bak", None),
        (f"{PLACES.certificates}x/00000001.json", None),
        ("00000001.json", None),
        (f"{PLACES.certificates}٠٠٠٠٠٠٠١.json", None),
        ("", None),
    ],
)
def test_only_a_key_that_is_made_for_a_certificate_has_a_number(key: str, number: int | None) -> None:
    """Eight digits in their folder and nothing else."""
    assert PLACES.number_of(key) == number


def unsound(read: Callable[[], object]) -> str:
    with pytest.raises(Unsound) as refused:
        read()
    return str(refused.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task_id": None}, "task_id is not a text"),
        ({"task_id": ""}, "task_id is not a text"),
        ({"recording_id": 5}, "recording_id is not a text"),
        ({"key": ""}, "key is not a text"),
        ({"bytes": -1}, "bytes is not a count"),
        ({"bytes": True}, "bytes is not a count"),
        ({"bytes": "5"}, "bytes is not a count"),
        ({"bytes": 1.0}, "bytes is not a count"),
        ({"checksum": ""}, "checksum is not a text"),
        ({"sha256": 5}, "sha256 is not a text"),
        ({"etag": []}, "etag is not a text"),
    ],
)
def test_a_line_with_a_wrong_field_says_which(change: dict[str, object], words: str) -> None:
    """What is read of it must be there and of its kind."""
    line = json.dumps(json.loads(evidence.manifest_line(ITEM)) | change).encode()
    assert unsound(lambda: evidence.read_line(line)) == f"a line is no manifest line: {words}"


@pytest.mark.parametrize("name", ["task_id", "recording_id", "key", "bytes"])
def test_a_line_without_what_it_is_about_says_so(name: str) -> None:
    """The missing name is told."""
    said = json.loads(evidence.manifest_line(ITEM))
    del said[name]
    assert unsound(lambda: evidence.read_line(json.dumps(said).encode())) == f"a line is no manifest line: '{name}'"


def test_a_line_may_be_without_checksums() -> None:
    """Older ones are."""
    line = b'{"task_id":"t","recording_id":"r","key":"k","bytes":0}'
    assert evidence.read_line(line) == NamedObject("t", "r", "k", 0, None, None, None)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[]", "it is not a JSON object"),
        (evidence.manifest_line(replace(ITEM, sha256="ab")), "a line names a SHA-256 that is none"),
        (evidence.manifest_line(replace(ITEM, sha256="AB" * 32)), "a line names a SHA-256 that is none"),
        (evidence.manifest_line(replace(ITEM, sha256=SHA + "0")), "a line names a SHA-256 that is none"),
    ],
    ids=["cut", "deep", "bytes", "list", "short", "capitals", "long"],
)
def test_what_is_no_line_is_told(line: bytes, words: str) -> None:
    """In one sentence."""
    assert unsound(lambda: evidence.read_line(line)) == words


def test_a_certificate_has_these_bytes() -> None:
    """Two hashes bind it: of what it says of the day, and of the one before."""
    content = (
        '{"bucket":"bucket","counts":{"failed":0,"stored":3},"day":"2026-01-01","filters":{"queues":["é"]},'
        f'"manifest":{{"bytes":10,"recordings":3,"sha256":"{SHA}"}},"organisation":"org",'
        '"period":{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"}}\n'
    )
    assert CONTENT.sha256 == evidence.sha256_hex(content.encode())
    assert evidence.certificate(CONTENT, ISSUE).decode() == (
        f'{{"abandoned":["left","over"],"bucket":"bucket","content_sha256":"{CONTENT.sha256}",'
        '"counts":{"failed":0,"stored":3},"day":"2026-01-01","filters":{"queues":["é"]},'
        f'"follows":{{"key":"f","sha256":"{"2" * 64}"}},'
        '"issued":{"at":"2026-01-02T00:00:00.001Z","run_id":"run","tool_version":"1.0"},'
        f'"manifest":{{"bytes":10,"key":"m","recordings":3,"sha256":"{SHA}"}},"n":3,"number":2,"organisation":"org",'
        '"period":{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"},'
        f'"previous":{{"key":"p","sha256":"{"1" * 64}"}},"schema":1}}\n'
    )


def test_every_field_of_a_certificate_is_read_back() -> None:
    """The first of all has none before it, and none whose place it takes."""
    data = evidence.certificate(CONTENT, ISSUE)
    assert evidence.read_certificate("k", data) == evidence.Certificate(
        key="k",
        sha256=evidence.sha256_hex(data),
        n=3,
        number=2,
        org_id="org",
        bucket="bucket",
        day=DAY,
        counts={"stored": 3, "failed": 0},
        filters={"queues": ["é"]},
        manifest=Manifest("m", SHA, 10, 3),
        content_sha256=CONTENT.sha256,
        previous=ISSUE.previous,
        follows=ISSUE.follows,
        abandoned=("left", "over"),
        issued_ms=1_767_312_000_001,
    )
    first = Issue(1, 1, None, None, "m", 1_000, "run", "1.0")
    found = evidence.read_certificate("k", evidence.certificate(CONTENT, first))
    assert (found.previous, found.follows, found.abandoned) == (None, None, ())
    assert found.link == Link("k", found.sha256)


BASIS = Basis({"tasks": "present", "search": "absent"}, {"fewer_than_search": 2}, {"riff_size": 1})
TASKS = TasksFile("t", "cd" * 32, 20, 2)
RESTING = replace(CONTENT, counts={"stored": 3, "searched": None}, basis=BASIS, tasks=TASKS)


def test_a_certificate_says_what_it_rests_on() -> None:
    """The witnesses, what disagrees, what is odd, and the file of tasks; all of it under the hash of its content."""
    content = (
        '{"bucket":"bucket","counts":{"searched":null,"stored":3},"day":"2026-01-01",'
        '"disagreements":{"fewer_than_search":2},"filters":{"queues":["é"]},"flags":{"riff_size":1},'
        f'"manifest":{{"bytes":10,"recordings":3,"sha256":"{SHA}"}},"organisation":"org",'
        '"period":{"from":"2026-01-01T00:00:00Z","to":"2026-01-02T00:00:00Z"},'
        f'"tasks":{{"bytes":20,"lines":2,"sha256":"{"cd" * 32}"}},'
        '"witnesses":{"search":"absent","tasks":"present"}}\n'
    )
    assert RESTING.sha256 == evidence.sha256_hex(content.encode())
    data = evidence.certificate(RESTING, ISSUE)
    said = json.loads(data)
    assert (said["schema"], said["counts"]["searched"], said["tasks"]["key"]) == (2, None, "t")
    found = evidence.read_certificate("k", data)
    assert (found.schema, found.basis, found.tasks) == (2, BASIS, TASKS)
    assert found.counts == {"stored": 3, "searched": None}


@pytest.mark.parametrize("name", ["witnesses", "disagreements", "flags", "tasks"])
def test_a_certificate_that_does_not_say_what_it_rests_on_is_none(name: str) -> None:
    """From schema 2 on; and an older one has no number that is not there."""
    said: dict[str, Any] = json.loads(evidence.certificate(RESTING, ISSUE))
    del said[name]
    words = unsound(lambda: evidence.read_certificate("k", evidence.canonical(said)))
    assert words == NO_CERTIFICATE.format(f"KeyError: '{name}'")
    unsound(lambda: evidence.read_certificate("k", changed(counts={"stored": None})))


def test_a_line_of_the_tasks_has_these_bytes() -> None:
    """What is not known is null; and it is read back as it was."""
    full = Ended("t", "no_recording", "no_capture", "empty_entry")
    line = evidence.ended_line(full)
    assert line.decode() == ('{"evidence":"empty_entry","reason":"no_capture","state":"no_recording","task_id":"t"}\n')
    assert evidence.read_ended(line) == full
    bare = evidence.ended_line(Ended("t", "deleted"))
    assert bare.decode() == '{"evidence":null,"reason":null,"state":"deleted","task_id":"t"}\n'
    assert evidence.read_ended(bare) == Ended("t", "deleted")
    assert unsound(lambda: evidence.read_ended(b'{"task_id":"t"}')) == "a line names no task: 'state'"
    assert unsound(lambda: evidence.read_ended(b"[]")) == "it is not a JSON object"


@pytest.mark.parametrize(
    ("counts", "states", "words"),
    [
        ({"no_recording": 2, "deleted": 1, "stored": 9}, {"no_recording": 2, "deleted": 1}, ""),
        ({}, {}, ""),
        ({"deleted": None}, {}, ""),
        ({"no_recording": 2}, {}, "it names 0 tasks as no_recording, its certificate counts 2"),
        ({"deleted": 1}, {"deleted": 2}, "it names 2 tasks as deleted, its certificate counts 1"),
        ({"stored": 1}, {"stored": 2}, "it names 2 tasks as stored, its certificate counts 1"),
    ],
)
def test_the_tasks_are_as_many_as_are_counted(
    counts: dict[str, int | None], states: dict[str, int], words: str
) -> None:
    """In each state that has nothing to store."""
    assert evidence.miscounted(counts, states) == words


def test_the_tasks_lie_beside_the_manifest() -> None:
    """Under the number and the hash that are theirs, and nowhere else."""
    key = AT_HOME.tasks(DAY, 2, SHA)
    assert key == f"e/org/manifests/2026-01-01/0002-{SHA[:16]}.tasks.jsonl"
    good = replace(GOOD, tasks=TasksFile(key, SHA, 1, 1))
    place = {"previous": ISSUE.previous, "follows": ISSUE.follows, "number": 2}
    assert evidence.misplaced(good, AT_HOME, **place) == []  # type: ignore[arg-type]
    elsewhere = replace(good, tasks=TasksFile("x", SHA, 1, 1))
    assert evidence.misplaced(elsewhere, AT_HOME, **place) == ["its file of tasks lies elsewhere"]  # type: ignore[arg-type]


def changed(**change: object) -> bytes:
    """A certificate with other fields, written as certificates are."""
    said: dict[str, Any] = json.loads(evidence.certificate(CONTENT, ISSUE))
    return evidence.canonical({name: value for name, value in (said | change).items() if value is not ...})


def changed_content(**change: object) -> bytes:
    """A certificate with another content, and the hash that belongs to it."""
    said: dict[str, Any] = json.loads(evidence.certificate(CONTENT, ISSUE)) | change
    names = ("organisation", "bucket", "day", "period", "filters", "counts", "manifest")
    content = {name: said[name] for name in names}
    content["manifest"] = {name: value for name, value in content["manifest"].items() if name != "key"}
    return evidence.canonical(said | {"content_sha256": evidence.sha256_hex(evidence.canonical(content))})


NO_CERTIFICATE = "it is no certificate ({})"
MANIFEST = {"bytes": 10, "recordings": 3, "sha256": SHA, "key": "m"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[]", "it is not a JSON object"),
        (b"?", "it is not JSON"),
        (changed()[:-1], "it is not written in the canonical form"),
        (b" " + changed(), "it is not written in the canonical form"),
        (b'{"a":NaN}\n', "it is not written in the canonical form"),
        (changed(schema=2), NO_CERTIFICATE.format("KeyError: 'witnesses'")),
        (changed(schema=3), "its schema is '3', this program knows up to 2"),
        (changed(schema=True), "its schema is 'True', this program knows up to 2"),
        (changed(schema=...), "its schema is 'None', this program knows up to 2"),
        (changed(schema="x" * 50), f"its schema is '{'x' * 40}', this program knows up to 2"),
        (changed(day="2026-01-02"), "its day and its period are not the same"),
        (changed(content_sha256="0" * 64), "its content_sha256 is not that of its content"),
        (changed(bucket="other"), "its content_sha256 is not that of its content"),
        (changed(period=...), NO_CERTIFICATE.format("KeyError: 'period'")),
        (changed(period=5), NO_CERTIFICATE.format("TypeError: an object is missing")),
        (changed(manifest=[]), NO_CERTIFICATE.format("TypeError: an object is missing")),
        (changed(filters=[]), NO_CERTIFICATE.format("TypeError: an object is missing")),
        (changed(counts=[]), NO_CERTIFICATE.format("TypeError: an object is missing")),
        (changed(counts={"stored": -1}), NO_CERTIFICATE.format("TypeError: stored is not a count")),
        (changed(organisation=""), NO_CERTIFICATE.format("TypeError: organisation is not a text")),
        (changed(bucket=5), NO_CERTIFICATE.format("TypeError: bucket is not a text")),
        (changed(n=-1), NO_CERTIFICATE.format("TypeError: n is not a count")),
        (changed(number=True), NO_CERTIFICATE.format("TypeError: number is not a count")),
        (changed(previous=[]), NO_CERTIFICATE.format("TypeError: an object is missing")),
        (changed(previous={"key": "", "sha256": SHA}), NO_CERTIFICATE.format("TypeError: key is not a text")),
        (changed(follows={"key": "f"}), NO_CERTIFICATE.format("KeyError: 'sha256'")),
        (changed(issued=5), NO_CERTIFICATE.format("TypeError: an object is missing")),
        (changed(issued={"at": "soon"}), NO_CERTIFICATE.format("ValueError: Invalid isoformat string: 'soon'")),
        (changed_content(manifest=MANIFEST | {"bytes": -1}), NO_CERTIFICATE.format("TypeError: bytes is not a count")),
        (
            changed_content(manifest=MANIFEST | {"recordings": None}),
            NO_CERTIFICATE.format("TypeError: recordings is not a count"),
        ),
        (changed_content(manifest=MANIFEST | {"sha256": ""}), NO_CERTIFICATE.format("TypeError: sha256 is not a text")),
        (changed_content(manifest=MANIFEST | {"key": 1}), NO_CERTIFICATE.format("TypeError: key is not a text")),
    ],
)
def test_what_is_no_certificate_is_told(data: bytes, words: str) -> None:
    """In one sentence, with the field that is wrong."""
    assert unsound(lambda: evidence.read_certificate("k", data)) == words


@pytest.mark.parametrize(
    "period",
    [
        {"from": "2026-01-01T00:00:00.001Z", "to": "2026-01-02T00:00:00.001Z"},
        {"from": "2026-01-01T00:00:00Z", "to": "2026-01-03T00:00:00Z"},
    ],
)
def test_a_certificate_of_no_whole_day_is_none(period: dict[str, str]) -> None:
    """Whatever it calls the day."""
    assert unsound(lambda: evidence.read_certificate("k", changed(period=period))).startswith(
        "it is no certificate (ValueError: "
    )


def test_nesting_that_cannot_be_written_is_no_certificate() -> None:
    """JSON may be read deeper than it can be written."""
    deep = b'{"a":' * 900 + b"1" + b"}" * 900 + b"\n"
    assert unsound(lambda: evidence.read_certificate("k", deep)).startswith(
        ("it is not written", "it is not JSON", "its schema")
    )


def test_a_long_mistake_is_told_in_a_hundred_signs() -> None:
    """What a certificate quotes is from outside."""
    words = unsound(lambda: evidence.read_certificate("k", changed(counts={"y" * 300: -1})))
    assert words == NO_CERTIFICATE.format(f"TypeError: {'y' * 100}")


AT_HOME = Places("e/", "org")
GOOD = replace(
    evidence.read_certificate("k", evidence.certificate(CONTENT, ISSUE)),
    key=AT_HOME.certificate(3),
    manifest=Manifest(AT_HOME.manifest(DAY, 2, SHA), SHA, 10, 3),
)


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (GOOD, []),
        (
            replace(GOOD, org_id="other"),
            ["it is of organisation 'other', not of 'org'"],
        ),
        (replace(GOOD, key="e/other"), ["it calls itself number 3 and lies elsewhere"]),
        (
            replace(GOOD, previous=None),
            ["the certificate before it is not the one it names: the chain is broken or forked here"],
        ),
        (replace(GOOD, follows=None), ["it does not follow the certificate of its day that came before it"]),
        (
            replace(GOOD, number=3),
            ["it calls itself number 3 of its day, and is number 2", "its manifest lies elsewhere"],
        ),
        (replace(GOOD, manifest=Manifest("x", SHA, 10, 3)), ["its manifest lies elsewhere"]),
    ],
)
def test_a_certificate_out_of_its_place_is_told_why(found: evidence.Certificate, wrong: list[str]) -> None:
    """A sentence for each thing that is wrong."""
    told = evidence.misplaced(found, AT_HOME, previous=ISSUE.previous, follows=ISSUE.follows, number=2)
    assert told == wrong
