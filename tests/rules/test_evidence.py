"""What manifests, certificates and sidecars say, and where they lie: no two meet, and none meets a recording."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wxrec_async.config import S3Settings
from wxrec_async.model import DAY_MS, Recording, Task, Window
from wxrec_async.rules import evidence, keys, sidecars
from wxrec_async.rules.evidence import Content, Issue, Item, Link, Places, Unsound

IDS = st.one_of(
    st.text(min_size=1, max_size=30),
    st.text("ab-._~%/1234567890", min_size=1, max_size=30),
    st.sampled_from(["metadata", "a.metadata-2.json", "a", "_evidence", "metadata.json", "x.metadata.json"]),
    st.uuids().map(str),
)
TEMPLATES = [
    "call-detail/{task_id}/recording{ext}",
    "{task_id}{ext}",
    "{task_id}/{recording_id}{ext}",
    "calls/year={year}/month={month}/day={day}/{task_id}/recording{ext}",
    "calls/year={year}/month={month}/{task_id}{ext}",
    "{year}/{recording_id}/{task_id}/r{ext}",
    "a/x-{task_id}/b/{recording_id}{ext}",
    "a/{recording_id}-{task_id}/x{ext}",
]
DATES = st.integers(0, 4_000_000_000_000)
SHA = "0" * 64


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_templates_are_ones_that_sidecars_may_have(template: str) -> None:
    """What follows holds for keys the configuration accepts."""
    assert S3Settings(key=template, sidecar=True).sidecar
    assert keys.may_have_sidecars(template)


STATES = st.tuples(IDS, DATES, st.integers(1, 30))


@given(st.sampled_from(TEMPLATES), STATES, STATES)
def test_no_two_tasks_share_a_sidecar(
    template: str, state: tuple[str, int, int], another: tuple[str, int, int]
) -> None:
    """Nor two states of one; and each is known for a sidecar by its key."""
    (one, created, number), (other, later, further) = state, another
    first = keys.sidecar_key(Task(one, created_ms=created), None, number, template=template)
    second = keys.sidecar_key(Task(other, created_ms=later), None, further, template=template)
    assert keys.is_sidecar(first, template=template)
    assert first != second or (one, number) == (other, further)


@pytest.mark.fault("X17")
@given(
    st.sampled_from(TEMPLATES),
    st.tuples(IDS, IDS, IDS),
    DATES,
    st.booleans(),
    st.sampled_from(["a.wav", "b.MP3", "", "c.json"]),
)
def test_no_recording_takes_the_place_of_a_sidecar_or_of_evidence(
    template: str, ids: tuple[str, str, str], created: int, main: bool, file_name: str
) -> None:
    """Whatever the ids are."""
    task_id, recording_id, other = ids
    task, recording = Task(task_id, created_ms=created), Recording(task_id, recording_id, file_name)
    target = keys.target(task, recording, template=template, base={}, main=main)
    assert not keys.is_sidecar(target.key, template=template)
    assert not target.key.startswith(keys.evidence_prefix(template))
    assert target.key != keys.sidecar_key(Task(other, created_ms=created), None, 1, template=template)


@given(st.sampled_from(TEMPLATES), IDS, DATES, IDS)
def test_no_sidecar_is_evidence(template: str, task_id: str, created: int, org: str) -> None:
    """And no evidence passes for a sidecar."""
    key = keys.sidecar_key(Task(task_id, created_ms=created), None, 1, template=template)
    places = Places(keys.evidence_prefix(template), org)
    assert not key.startswith(places.root)
    assert not keys.is_sidecar(places.certificate(1), template=template)
    assert not keys.is_sidecar(places.manifest(Window(0, DAY_MS), 1, SHA), template=template)


@given(IDS, IDS)
def test_organisations_do_not_meet(one: str, other: str) -> None:
    """Neither lies within the other."""
    assume(one != other)
    first, second = Places("e/", one), Places("e/", other)
    assert not first.home.startswith(second.home)


@pytest.mark.parametrize(
    ("template", "prefix"),
    [
        ("call-detail/{task_id}/recording{ext}", "call-detail/_evidence/"),
        ("{task_id}{ext}", "_evidence/"),
        ("calls/year={year}/{task_id}{ext}", "calls/_evidence/"),
        ("a/b/c-{task_id}/r{ext}", "a/b/_evidence/"),
    ],
)
def test_evidence_lies_in_the_folder_all_keys_share(template: str, prefix: str) -> None:
    """Which is not always what all keys begin with: ``year=`` is half a name."""
    assert keys.evidence_prefix(template) == prefix


TEXTS = st.text(min_size=1, max_size=20)
ITEMS = st.builds(
    Item,
    place_ms=DATES,
    task_id=TEXTS,
    recording_id=TEXTS,
    key=TEXTS,
    size=st.integers(0, 1 << 50),
    crc32=st.none() | st.integers(0, 0xFFFFFFFF),
    sha256=st.none() | st.just("ab" * 32),
    etag=st.none() | st.text(max_size=5),
)


@given(ITEMS)
def test_a_manifest_line_can_be_read_back(item: Item) -> None:
    """One line for one recording, whatever its ids hold; a line end among them does not end it."""
    line = evidence.manifest_line(item)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    named = evidence.read_line(line)
    assert (named.key, named.size, named.sha256, named.etag) == (item.key, item.size, item.sha256, item.etag or None)
    assert evidence.canonical(json.loads(line)) == line


CONTENT = Content("org", "bucket", Window(0, DAY_MS), {"queues": ["a"]}, {"stored": 3}, SHA, 10, 3)
ISSUE = Issue(3, 2, Link("p", "1" * 64), Link("f", "2" * 64), "m", 1_000, "run", "1.0", ("left",))


def test_a_certificate_can_be_read_back() -> None:
    """Everything it says, and the hash of its bytes."""
    data = evidence.certificate(CONTENT, ISSUE)
    found = evidence.read_certificate("k", data)
    assert (found.n, found.number, found.previous, found.follows) == (3, 2, ISSUE.previous, ISSUE.follows)
    assert (found.counts, found.filters, found.abandoned) == ({"stored": 3}, {"queues": ["a"]}, ("left",))
    assert found.sha256 == evidence.sha256_hex(data)
    assert found.content_sha256 == CONTENT.sha256


@given(st.data())
def test_no_byte_of_a_certificate_changes_unseen(data: st.DataObject) -> None:
    """It is no certificate any more, or says something else under another hash."""
    good = evidence.certificate(CONTENT, ISSUE)
    at = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[at] ^= data.draw(st.integers(1, 255))
    try:
        found = evidence.read_certificate("k", bytes(bad))
    except Unsound:
        return
    assert found.sha256 != evidence.sha256_hex(good)
    assert found.content_sha256 == CONTENT.sha256  # what it says of the day is covered by a hash of its own


@pytest.mark.parametrize(
    "data",
    [b'{"a":NaN}\n', b'{"a":Infinity}\n', b'{"schema":"' + b"x" * 5000 + b'"}\n', b'{"a": 1}\n'],
    ids=["not a number", "infinity", "a long schema", "another form"],
)
def test_what_no_certificate_can_hold_is_unsound_in_few_words(data: bytes) -> None:
    """Found by fuzzing: JSON that Python reads and does not write, and a line as long as what it quotes."""
    with pytest.raises(Unsound) as unsound:
        evidence.read_certificate("k", data)
    assert len(str(unsound.value)) < 120


def test_the_same_content_is_the_same_bytes() -> None:
    """But for the time of issue, in whatever order counts and filters come."""
    turned = replace(CONTENT, counts={"a": 1, "b": 2})
    again = replace(CONTENT, counts={"b": 2, "a": 1})
    assert evidence.certificate(turned, ISSUE) == evidence.certificate(again, ISSUE)
    assert evidence.certificate(turned, ISSUE) != evidence.certificate(turned, replace(ISSUE, issued_ms=2_000))


RECORDING = sidecars.FinishedRecording("r", "stored", "k", 10, 7, SHA, flags=("riff_size",))
DESCRIBED = sidecars.Described(Task("t", origin="+15550100123", queue_name="Sales", created_ms=5), (RECORDING,))


def test_a_sidecar_that_knows_less_says_nothing_new() -> None:
    """A ledger from the bucket has no SHA-256, no flags and no queue; other facts are news."""
    written = sidecars.content(DESCRIBED, masked=True)
    poorer = replace(DESCRIBED, task=Task("t", created_ms=5), recordings=(replace(RECORDING, sha256=None, flags=()),))
    assert sidecars.merged(written, sidecars.content(poorer, masked=True)) == written
    assert sidecars.merged(sidecars.content(poorer, masked=True), written) == written
    for other in (replace(RECORDING, size=11), replace(RECORDING, state="gone")):
        changed = sidecars.content(replace(DESCRIBED, recordings=(other,)), masked=True)
        assert sidecars.merged(written, changed) != written
    more = sidecars.content(replace(DESCRIBED, recordings=(RECORDING, replace(RECORDING, id="s"))), masked=True)
    assert sidecars.merged(written, more) == more
    assert sidecars.merged(more, written) == more
    for foreign in (b"not json", b'{"a":1e999}', b'{"a":NaN}'):
        assert sidecars.merged(foreign, written) == written


@pytest.mark.fault("X07")
def test_numbers_are_masked_wherever_they_are() -> None:
    """Also one that somebody made a queue's name."""
    task = replace(DESCRIBED.task, queue_name="+15550100123", agent_name="anna@example.com")
    text = sidecars.content(replace(DESCRIBED, task=task), masked=True).decode()
    assert "5550100" not in text
    assert "example" not in text
    assert "+15550100123" in sidecars.content(DESCRIBED, masked=False).decode()
