"""The judge is not fooled: every invariant convicts an outcome that was planted to break it, and no sound one."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.worlds.bucket import Held
from tests.worlds.commands import CRASHED, HANGS, Said
from tests.worlds.judge import Scales, kept_texts, leaks
from tests.worlds.truth import DAY_MS, DAY_ONE_MS, DAYS, HOUR_MS, Call, Truth, add_recording, half_of

NOW_MS = DAY_ONE_MS + DAYS * DAY_MS + 10 * HOUR_MS
RUN = Said("run", 0, (), "", "", 1.0)
RECONCILE = replace(RUN, command="reconcile")

Objects = dict[str, Held]


def world() -> tuple[Truth, Objects]:
    """Return two calls with three recordings on two days, all of them stored."""
    dice, truth, objects = random.Random(1), Truth(), {}
    for number in range(2):
        call = Call(
            f"call-{number}", DAY_ONE_MS + number * DAY_MS + HOUR_MS, DAY_ONE_MS + number * DAY_MS + 2 * HOUR_MS
        )
        call.recordings = [add_recording(dice, call, main=place == 0) for place in range(number + 1)]
        truth.calls.append(call)
        for recording in call.recordings:
            objects[f"call-detail/{call.id}/{recording.id}.wav"] = held(recording.body)
    return truth, objects


def held(body: bytes) -> Held:
    return Held(body, {}, '"0"', 0.0)


def certificate(day: int) -> Objects:
    """Return a certificate of the world's ``day``-th day, the first is 1."""
    return {"call-detail/_evidence/o/certificates/00000001.json": held(b'{"day":"2027-03-%02d"}' % (11 + day))}


def broken(said: Said, truth: Truth, objects: Objects, *, at_last: bool = False, now_ms: int = NOW_MS) -> set[str]:
    scales = Scales(truth)
    found = scales.after(said, objects, now_ms)
    found += scales.at_last(said, objects, now_ms) if at_last else []
    return {each.invariant for each in found}


def certified() -> Objects:
    """Return the certificates of all days that are over."""
    return {
        f"call-detail/_evidence/o/certificates/{number:08d}.json": held(b'{"day":"2027-03-%02d"}' % (11 + number))
        for number in range(1, DAYS + 1)
    }


def test_a_sound_world_breaks_nothing() -> None:
    """Everything is stored and certified."""
    truth, objects = world()
    assert broken(RECONCILE, truth, objects | certified(), at_last=True) == set()


def test_exit_0_without_a_recording_is_broken() -> None:
    """One recording that is nowhere is enough."""
    truth, objects = world()
    objects.popitem()
    assert broken(RUN, truth, objects) == {"exit 0, not in the bucket"}


def test_half_a_recording_is_broken() -> None:
    """A prefix is no recording, even with a head that fits it."""
    truth, objects = world()
    key = next(iter(objects))
    objects[key] = held(half_of(objects[key].body))
    assert "cut or mixed" in broken(replace(RUN, code=5), truth, objects)


def test_two_versions_in_one_object_are_broken() -> None:
    """The first half of one and the second of another are neither."""
    truth, objects = world()
    recording = truth.calls[0].recordings[0]
    recording.bodies.append(bytes(reversed(recording.body)))
    middle = len(recording.body) // 2
    mixed = recording.bodies[0][:middle] + recording.bodies[1][middle:]
    objects[next(iter(objects))] = held(mixed)
    assert "cut or mixed" in broken(RUN, truth, objects)


def test_a_second_object_of_a_recording_is_broken() -> None:
    """Once, and not twice under two names."""
    truth, objects = world()
    objects["call-detail/call-0/again.wav"] = next(iter(objects.values()))
    assert broken(RUN, truth, objects) == {"stored twice"}


def test_a_certificate_of_a_day_that_lacks_a_recording_is_broken() -> None:
    """The day counts for which it is, and no other."""
    truth, objects = world()
    del objects[next(iter(objects))]
    said = replace(RECONCILE, code=5)
    assert broken(said, truth, objects | certificate(1)) == {"certified, not in the bucket"}
    assert broken(said, truth, objects | certificate(2)) == set()


def test_a_certificate_before_the_end_of_its_day_is_broken() -> None:
    """By the servers' clock."""
    truth, objects = world()
    assert "certified too early" in broken(RECONCILE, truth, objects | certificate(4))


def test_a_call_that_only_search_has_counts_for_reconcile_alone() -> None:
    """A run does not ask Search; and where Search itself was in trouble, nobody could know."""
    truth, objects = world()
    truth.calls[0].listed = False
    del objects[next(iter(objects))]
    assert broken(RUN, truth, objects) == set()
    assert broken(RECONCILE, truth, objects) == {"exit 0, not in the bucket"}
    assert broken(replace(RECONCILE, doors=frozenset({"search"})), truth, objects) == set()


def test_what_is_missing_has_to_be_named() -> None:
    """By its own id or its call's, or by the window that could not be listed."""
    truth, objects = world()
    del objects[next(iter(objects))]
    said, call = replace(RUN, code=3), truth.calls[0]
    assert broken(said, truth, objects) == {"missing, not named"}
    named = {"event": "failed", "task_id": call.id, "recording_id": "r", "reason": "http_404"}
    assert broken(replace(said, records=(named,)), truth, objects) == set()
    window = {"event": "window_incomplete", "from": "2027-03-12T00:00:00Z", "to": "2027-03-13T00:00:00Z"}
    assert broken(replace(said, records=(window,)), truth, objects) == set()


def test_what_a_helpful_world_does_not_mend_is_broken() -> None:
    """A missing recording, a bad exit and a day without a certificate; what was reported as a conflict may stay."""
    truth, objects = world()
    assert "not healed" in broken(replace(RECONCILE, code=5), truth, objects | certified(), at_last=True)
    assert "not healed" in broken(RECONCILE, truth, objects, at_last=True)
    del objects[next(iter(objects))]
    said = replace(RUN, code=3, records=({"event": "failed", "task_id": "other", "reason": "http_404"},))
    assert "not healed" in broken(said, truth, objects, at_last=True)
    reported = {"event": "failed", "task_id": truth.calls[0].id, "recording_id": "r", "reason": "conflict"}
    assert broken(replace(said, records=(reported,)), truth, objects, at_last=True) == set()


@pytest.mark.parametrize(("code", "invariant"), [(CRASHED, "crashed"), (1, "crashed"), (HANGS, "does not end")])
def test_a_command_that_falls_or_hangs_is_broken(code: int, invariant: str) -> None:
    """Exit 1 is the program's word for what it did not expect."""
    truth, objects = world()
    assert broken(replace(RUN, code=code), truth, objects) == {invariant}


@pytest.mark.parametrize(
    "text", ["x CANARY-SIG-1 y", "CANARY%2DAT%2D0001", "canary-rt-1", "+15550100123", "CANARY\\u002dAT\\u002d1"]
)
def test_a_secret_is_seen_as_it_is_and_as_a_proxy_writes_it(text: str) -> None:
    """And the finding does not repeat it."""
    (found,) = leaks([("stderr", text)])
    assert found.startswith("stderr: ")
    assert "1" not in found.replace("1555010", "")


def test_metadata_and_evidence_are_searched_for_secrets(tmp_path: object) -> None:
    """Whatever is kept is looked at; a recording's own bytes are not."""
    objects = {"call-detail/a.wav": Held(b"CANARY-AT", {"x-amz-meta-a": "CANARY-SIG-2"}, "", 0.0)}
    from pathlib import Path  # noqa: PLC0415

    assert [name for name, text in kept_texts(Path(str(tmp_path)), objects) if list(leaks([(name, text)]))] == [
        "metadata of an object"
    ]
