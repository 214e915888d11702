"""The key is taken: by the same bytes, by another recording of the task, or by something else."""

from __future__ import annotations

import pytest

from wxrec_async.model import Failed, Stored

from .kit import PART, Body, cut, order, wav
from .test_transfer_bytes import Bench

pytestmark = pytest.mark.anyio

KEY, FALLBACK = "c/t1/recording.wav", "c/t1/recording-r1.wav"
BOTH = pytest.mark.parametrize("data", [wav(700), wav(5 * PART + 3)], ids=["small", "multipart"])
OURS = {"wx-task-id": "t1", "wx-recording-id": "r1"}
THEIRS = {"wx-task-id": "t1", "wx-recording-id": "r2"}


@BOTH
@pytest.mark.fault("S14", "P3")
@pytest.mark.parametrize("metadata", [{}, OURS], ids=["unmarked", "marked as ours"])
async def test_same_bytes_under_the_key_count_as_already_stored(data: bytes, metadata: dict[str, str]) -> None:
    """An equal object is a success that wrote nothing."""
    bench = Bench(Body(cut(data, 300)))
    bench.store.place(KEY, data, metadata)
    stored = await bench.carry()
    assert isinstance(stored, Stored)
    assert (stored.already, stored.main_place, stored.object.size) == (True, True, len(data))
    assert bench.store.count("create") == bench.store.count("complete") == 0
    bench.check_tidy()


@BOTH
@pytest.mark.fault("S14", "P3", "W24")
@pytest.mark.parametrize("metadata", [{}, OURS], ids=["unmarked", "marked as ours"])
async def test_other_bytes_under_the_key_are_a_conflict_and_stay(data: bytes, metadata: dict[str, str]) -> None:
    """What lies there is never overwritten; the recording fails by name, after one fetch."""
    for other in (wav(300), wav(len(data), seed=7), b""):
        bench = Bench(Body(cut(data, 300)))
        bench.store.place(KEY, other, metadata)
        outcome = await bench.carry()
        assert isinstance(outcome, Failed)
        assert outcome.reason == "conflict"
        assert bench.store.contents() == {KEY: other}
        assert len(bench.source.opened) == 1
        bench.check_tidy()


@BOTH
@pytest.mark.fault("P3")
async def test_another_recording_of_the_task_keeps_the_main_place(data: bytes) -> None:
    """Ours goes to its own place, and both are there."""
    bench = Bench(Body(cut(data, 300)))
    bench.store.place(KEY, wav(300), THEIRS)
    stored = await bench.carry()
    assert isinstance(stored, Stored)
    assert not stored.main_place
    assert stored.object.key == FALLBACK
    assert bench.store.contents() == {KEY: wav(300), FALLBACK: data}
    bench.check_tidy()


@BOTH
async def test_another_recording_with_equal_bytes_is_not_taken_for_ours(data: bytes) -> None:
    """Two recordings of a task with the same bytes are two objects all the same."""
    bench = Bench(Body(cut(data, 300)))
    bench.store.place(KEY, data, THEIRS)
    stored = await bench.carry()
    assert isinstance(stored, Stored)
    assert stored.object.key == FALLBACK
    assert not stored.already


async def test_an_object_of_another_task_is_a_conflict() -> None:
    """Only a recording of the same task makes room at the side."""
    bench = Bench(Body([wav(700)]))
    bench.store.place(KEY, wav(300), {"wx-task-id": "t9", "wx-recording-id": "r2"})
    outcome = await bench.carry()
    assert isinstance(outcome, Failed)
    assert outcome.reason == "conflict"


async def test_giving_way_costs_no_try() -> None:
    """Two unfit bodies and a sound one are enough, wherever the recording ends up."""
    unfit, data = Body([b"<html>"], content_type="text/html"), wav(700)
    bench = Bench(unfit, unfit, Body([data]))
    bench.store.place(KEY, wav(300), THEIRS)
    stored = await bench.carry()
    assert isinstance(stored, Stored)
    assert bench.store.contents()[FALLBACK] == data


@BOTH
@pytest.mark.fault("S21", "K12", "K16")
async def test_key_that_is_taken_unseen_meanwhile_is_compared(data: bytes) -> None:
    """Another writer between our look and our write: his object is compared, our upload aborted."""
    for other, same in ((data, True), (wav(len(data), seed=5), False)):
        bench = Bench(Body(cut(data, 300)))
        op = "put" if len(data) <= PART else "complete"
        bench.store.script[op] = [lambda other=other, bench=bench: bench.store.place(KEY, other)]
        outcome = await bench.carry()
        assert isinstance(outcome, Stored if same else Failed)
        assert bench.store.contents() == {KEY: other}
        assert not bench.log.open
        bench.check_tidy()


@BOTH
@pytest.mark.fault("S21")
async def test_without_the_right_to_look_a_new_recording_is_stored(data: bytes) -> None:
    """HEAD forbidden means unknown, not absent and not present: the conditional write decides."""
    bench = Bench(Body(cut(data, 300)))
    bench.store.forbid_head = True
    assert isinstance(await bench.carry(), Stored)
    assert bench.store.contents() == {KEY: data}
    bench.check_tidy()


@BOTH
@pytest.mark.fault("S21", "S14")
async def test_without_the_right_to_look_a_taken_key_fails_by_name(data: bytes) -> None:
    """What cannot be compared is neither success nor overwritten."""
    bench = Bench(Body(cut(data, 300)))
    bench.store.forbid_head = True
    bench.store.place(KEY, data)
    outcome = await bench.carry()
    assert isinstance(outcome, Failed)
    assert outcome.reason == "exists_unreadable"
    assert bench.store.contents() == {KEY: data}
    bench.check_tidy()


@BOTH
@pytest.mark.fault("S23")
async def test_object_without_a_checksum_is_read_back(data: bytes) -> None:
    """A store that names no CRC-32 is asked for the bytes; equal size proves nothing."""
    for other, same in ((data, True), (wav(len(data), seed=5), False)):
        bench = Bench(Body(cut(data, 300)))
        bench.store.no_checksums = True
        bench.store.place(KEY, other)
        assert isinstance(await bench.carry(), Stored if same else Failed)
        assert bench.store.count("read") == 1
        bench.check_tidy()


@BOTH
async def test_key_that_is_freed_again_is_written(data: bytes) -> None:
    """Taken at the write and free at the look: the recording is fetched once more and stored."""
    bench = Bench(Body(cut(data, 300)))
    op = "put" if len(data) <= PART else "complete"
    bench.store.script[op] = [lambda: bench.store.place(KEY, b"soon gone")]
    looks = 0 if op == "put" else 1
    bench.store.script["head"] = [None] * looks + [bench.store.objects.clear]
    stored = await bench.carry()
    assert isinstance(stored, Stored)
    assert bench.store.contents() == {KEY: data}
    assert len(bench.source.opened) == 2
    bench.check_tidy()


@BOTH
async def test_overwrite_replaces_our_own_object(data: bytes) -> None:
    """Only when asked for, an older object of the same recording is replaced."""
    bench = Bench(Body(cut(data, 300)), overwrite=True)
    bench.store.place(KEY, wav(300), OURS)
    stored = await bench.carry()
    assert isinstance(stored, Stored)
    assert not stored.already
    assert bench.store.contents() == {KEY: data}
    bench.check_tidy()


@BOTH
@pytest.mark.fault("P3")
async def test_overwrite_never_replaces_another_recording(data: bytes) -> None:
    """Overwriting the object of another recording of the task would lose that recording."""
    bench = Bench(Body(cut(data, 300)), overwrite=True)
    bench.store.place(KEY, wav(300), THEIRS)
    await bench.carry()
    assert wav(300) in bench.store.contents().values()


async def test_occupant_is_read_from_the_metadata() -> None:
    """Who lies under a key is told by the object; nothing, a stranger or a refusal is nobody."""
    bench = Bench()
    assert await bench.transfer.key_owner(KEY) is None
    bench.store.place(KEY, b"x")
    assert await bench.transfer.key_owner(KEY) is None
    bench.store.place(KEY, b"x", THEIRS)
    assert await bench.transfer.key_owner(KEY) == "r2"
    bench.store.forbid_head = True
    assert await bench.transfer.key_owner(KEY) is None


async def test_sweep_aborts_uploads_of_exactly_this_key() -> None:
    """What only begins with the key belongs to another recording."""
    bench = Bench()
    for key in (KEY, KEY + "x", KEY):
        await bench.store.create(order().target if key == KEY else order("r1").fallback or order().target)
    assert await bench.transfer.sweep(KEY) == 0
    assert [upload.target.key for upload in bench.store.uploads.values()] == [FALLBACK]
