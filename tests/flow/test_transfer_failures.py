"""One recording whose source, bucket or caller breaks off: nothing half is kept, nothing is left open or held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wxrec_async.errors import AuthError, ConnectionLost, HTTPStatusError, LedgerFull, RunStopped, SourceChanged
from wxrec_async.events import UploadLeftOpen
from wxrec_async.flow.transfer import Transfer
from wxrec_async.model import Failed, Gone, Recording, Stored
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import retry
from wxrec_async.rules.retry import GiveUp, Restart

from .kit import PART, Body, FakeStream, cut, hang, no_such_upload, order, refused, wav
from .test_transfer_bytes import Bench

pytestmark = pytest.mark.anyio

KEY = "c/t1/recording.wav"
SMALL, LARGE = wav(700), wav(5 * PART + 3)


def given_up(reason: str = "retries_exhausted") -> OperationFailed:
    return OperationFailed(GiveUp(reason), ConnectionLost())


@pytest.mark.fault("P1", "C3", "D05", "D19")
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "multipart"])
@pytest.mark.parametrize("known", [True, False])
async def test_source_that_fails_at_any_chunk_leaves_no_object(data: bytes, known: bool) -> None:
    """Whenever the source gives up, also after its last byte, there is no object and no upload."""
    chunks = cut(data, 128)
    for at in range(len(chunks) + 1):
        body = Body(chunks, length=-1 if known else None, fail_after=at, failure=given_up())
        bench = Bench(body)
        assert await bench.carry() == Failed("retries_exhausted", "The connection broke before the answer was whole.")
        assert bench.store.contents() == {}
        assert bench.store.count("put") == bench.store.count("complete") == 0
        assert not bench.log.open
        bench.check_tidy()


@pytest.mark.fault("P1", "C3", "D05")
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "multipart"])
async def test_body_that_ends_early_without_an_error_leaves_no_object(data: bytes) -> None:
    """A stream that simply stops before its length, at any chunk, is fetched three times and then failed."""
    chunks = cut(data, 512)
    for kept in range(1, len(chunks)):
        bench = Bench(Body(chunks[:kept], length=len(data)))
        outcome = await bench.carry()
        assert isinstance(outcome, Failed)
        assert outcome.reason == "length_mismatch"
        assert len(bench.source.opened) == retry.MAX_FRESH_TRIES
        assert bench.store.contents() == {}
        bench.check_tidy()


@pytest.mark.fault("D08", "D09")
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "multipart"])
async def test_unproven_length_is_believed_only_with_the_riff_size(data: bytes) -> None:
    """Without Content-Length or final chunk a body is stored if its RIFF size agrees, and not otherwise."""
    bench = Bench(Body(cut(data, 400), length=None, proven=False))
    assert isinstance(await bench.carry(), Stored)
    bench.check_tidy()
    for chunks in (cut(data, 400)[:-1], cut(b"ID3" + bytes(len(data)), 400)):
        bench = Bench(Body(chunks, length=None, proven=False))
        outcome = await bench.carry()
        assert isinstance(outcome, Failed)
        assert outcome.reason == "unprovable"
        assert bench.store.contents() == {}
        bench.check_tidy()


@pytest.mark.fault("D11", "D22")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (Body([]), "empty"),
        (Body([wav(44)]), "no_audio"),
        (Body([b"<html>Sorry</html>"], content_type="text/html"), "not_media"),
        (Body([b'{"error": 1}'], content_type="application/octet-stream"), "not_media"),
        (Body(cut(b"<?xml " + b"x" * 5 * PART, 300)), "not_media"),
    ],
)
async def test_what_is_no_recording_is_fetched_three_times_from_fresh_urls(body: Body, reason: str) -> None:
    """An unfit body gets two more tries, each with a lease that is over, and then its reason."""
    bench = Bench(body)
    outcome = await bench.carry()
    assert isinstance(outcome, Failed)
    assert outcome.reason == reason
    assert [recording.lease_s for recording in bench.source.opened] == [3600.0, 0.0, 0.0]
    assert bench.store.count("put") == bench.store.count("create") == 0
    bench.check_tidy()


@pytest.mark.fault("D22")
async def test_second_fetch_may_be_sound() -> None:
    """A page instead of audio at the first GET does not lose the recording."""
    bench = Bench(Body([b"<html>"], content_type="text/html"), Body(cut(LARGE, 300)))
    assert isinstance(await bench.carry(), Stored)
    assert bench.store.contents() == {KEY: LARGE}


@pytest.mark.fault("D15", "D12", "D13")
@pytest.mark.parametrize("at", [0, 1, 9, 17])
async def test_source_that_changed_is_begun_again_with_a_new_upload(at: int) -> None:
    """Bytes of two versions never meet in one object."""
    other = wav(5 * PART + 3, seed=9)
    changed = OperationFailed(Restart(), SourceChanged())
    bench = Bench(Body(cut(LARGE, 300), fail_after=at, failure=changed), Body(cut(other, 300), etag='"e2"'))
    assert isinstance(await bench.carry(), Stored)
    assert bench.store.contents() == {KEY: other}
    assert bench.source.opened[1].lease_s == 0
    bench.check_tidy()


@pytest.mark.fault("D15")
async def test_source_that_keeps_changing_fails_by_name() -> None:
    """Three changes in a row are a failure with a reason, not an endless loop."""
    bench = Bench(Body(cut(LARGE, 300), fail_after=3, failure=OperationFailed(Restart(), SourceChanged())))
    outcome = await bench.carry()
    assert isinstance(outcome, Failed)
    assert outcome.reason == "source_changed"
    bench.check_tidy()


@pytest.mark.fault("D03")
@pytest.mark.parametrize("when", ["at once", "in the middle"])
async def test_deleted_recording_is_gone(when: str) -> None:
    """404 at the source is an outcome of its own, and what was begun is aborted."""
    gone = OperationFailed(retry.DeletedAtSource(), HTTPStatusError(404))
    body = Body(cut(LARGE, 300), refuse=gone if when == "at once" else None, fail_after=9, failure=gone)
    bench = Bench(body)
    assert await bench.carry() == Gone()
    bench.check_tidy()


@pytest.mark.fault("D06", "D23")
@pytest.mark.parametrize("data", [wav(700, stated=900), wav(5 * PART, stated=9 * PART)], ids=["small", "multipart"])
async def test_lying_riff_header_is_believed_after_two_equal_fetches(data: bytes) -> None:
    """Two complete fetches with the same bytes and ETag are stored and flagged, and only the second is stored."""
    bench = Bench(Body(cut(data, 300)))
    stored = await bench.carry()
    assert isinstance(stored, Stored)
    assert stored.flags == ("riff_size",)
    assert len(bench.source.opened) == 2
    assert bench.store.contents() == {KEY: data}
    bench.check_tidy()


@pytest.mark.fault("D23")
@pytest.mark.parametrize("differ", ["bytes", "etag"])
async def test_lying_riff_header_is_refused_while_fetches_differ(differ: str) -> None:
    """When bytes or ETag change from fetch to fetch, the RIFF header is right to be doubted."""
    if differ == "bytes":
        bodies = [Body([wav(700, seed, stated=900)]) for seed in range(3)]
    else:
        bodies = [Body([wav(700, stated=900)], etag=f'"{number}"') for number in range(3)]
    bench = Bench(*bodies)
    outcome = await bench.carry()
    assert isinstance(outcome, Failed)
    assert outcome.reason == "media_mismatch"
    assert bench.store.contents() == {}
    bench.check_tidy()


async def test_unknown_media_is_stored_with_a_flag() -> None:
    """A container nobody knows is no reason to lose a recording."""
    bench = Bench(Body([b"\x00\x01\x02\x03" + bytes(range(256))]))
    stored = await bench.carry()
    assert isinstance(stored, Stored)
    assert stored.flags == ("unknown_media",)


@pytest.mark.fault("C5", "S12")
@pytest.mark.parametrize("op", ["create", "upload_part", "complete"])
@pytest.mark.parametrize("late", [False, True], ids=["before", "after it took effect"])
async def test_bucket_that_gives_up_leaves_nothing_open(op: str, late: bool) -> None:
    """Whichever request of a multipart upload fails, with or without effect, the upload is aborted or done."""
    bench = Bench(Body(cut(LARGE, 300)))
    (bench.store.late if late else bench.store.script)[op] = [refused()]
    outcome = await bench.carry()
    assert isinstance(outcome, Failed)
    assert outcome.reason == "s3_Broken"
    assert bench.store.contents() == ({KEY: LARGE} if (op, late) == ("complete", True) else {})
    assert not bench.log.open
    bench.check_tidy()


@pytest.mark.parametrize("number", range(6))
async def test_any_part_may_fail(number: int) -> None:
    """A failure of the first, a middle or the last part aborts the upload and frees all room."""
    bench = Bench(Body(cut(LARGE, 300)), in_flight=2)
    bench.store.script["upload_part"] = [None] * number + [refused()]
    assert isinstance(await bench.carry(), Failed)
    assert bench.store.contents() == {}
    bench.check_tidy()


@pytest.mark.fault("S06", "S15")
@pytest.mark.parametrize("op", ["upload_part", "complete"])
@pytest.mark.parametrize("code", ["NoSuchUpload", "ConditionalRequestConflict"])
async def test_upload_that_vanished_is_begun_anew(op: str, code: str) -> None:
    """An upload removed by somebody else, or lost in a race, is replaced by a new one with all its parts."""
    bench = Bench(Body(cut(LARGE, 300)))
    bench.store.script[op] = [refused(f"s3_{code}", code)]
    stored = await bench.carry()
    assert isinstance(stored, Stored)
    assert stored.upload_id == "u2"
    assert bench.store.contents() == {KEY: LARGE}
    bench.check_tidy()


@pytest.mark.fault("S06")
async def test_upload_that_keeps_vanishing_is_not_blamed_on_the_source() -> None:
    """The reason in the ledger must send the operator to the bucket, not to Webex."""
    bench = Bench(Body(cut(LARGE, 300)))
    bench.store.script["complete"] = [no_such_upload()] * 3
    outcome = await bench.carry()
    assert isinstance(outcome, Failed)
    assert outcome.reason == "s3_NoSuchUpload"


@pytest.mark.parametrize("note", ["started", "upload_created", "completing"])
async def test_ledger_that_fails_ends_the_run_and_leaves_nothing_open(note: str) -> None:
    """Without its ledger a transfer stops, aborts what it began and gives the room back."""
    bench = Bench(Body(cut(LARGE, 300)))
    bench.log.script[note] = [LedgerFull()]
    with pytest.raises(LedgerFull):
        await bench.carry()
    assert bench.store.contents() == {}
    bench.check_tidy()


@pytest.mark.fault("S11")
@pytest.mark.parametrize("failure", [AuthError(), RunStopped("stop"), ZeroDivisionError()])
@pytest.mark.parametrize("op", ["put", "create", "upload_part", "complete"])
async def test_what_ends_the_run_is_passed_on_and_leaves_nothing_open(failure: Exception, op: str) -> None:
    """Refused permissions and errors of the program leave unchanged, after the upload was aborted."""
    bench = Bench(Body(cut(SMALL if op == "put" else LARGE, 300)))
    bench.store.script[op] = [failure]
    with pytest.raises(type(failure)):
        await bench.carry()
    assert bench.store.contents() == {}
    bench.check_tidy()


@pytest.mark.fault("S19", "C5")
async def test_upload_that_cannot_be_aborted_is_named() -> None:
    """When S3 does not confirm the abort, an event names the upload and the ledger keeps it."""
    bench = Bench(Body(cut(LARGE, 300)))
    bench.store.script["complete"] = [refused()]

    async def unconfirmed(key: str, upload_id: str) -> bool:
        return False

    bench.store.abort = unconfirmed  # type: ignore[method-assign]
    assert isinstance(await bench.carry(), Failed)
    assert bench.told == [UploadLeftOpen(KEY, "u1")]
    assert bench.log.open == {"u1"}


@pytest.mark.fault("S19", "P10")
@pytest.mark.parametrize("failure", [RunStopped("the bucket is gone"), AuthError("refused")])
async def test_upload_is_named_also_when_aborting_it_ends_the_run(failure: Exception) -> None:
    """An abort that is refused for good leaves the upload open: somebody must hear of it."""
    bench = Bench(Body(cut(LARGE, 300)))
    bench.store.script |= {"complete": [refused()], "abort": [failure, failure]}
    with pytest.raises(type(failure)):
        await bench.carry()
    assert bench.told == [UploadLeftOpen(KEY, "u1")]


@pytest.mark.fault("K6")
async def test_upload_that_may_exist_is_reported_when_uploads_cannot_be_listed() -> None:
    """Without the permission to list, an upload whose id never arrived is reported, not passed over."""
    bench = Bench(Body(cut(LARGE, 300)))
    bench.store.forbid_list = True
    bench.store.late["create"] = [refused("retries_exhausted", "")]
    assert isinstance(await bench.carry(), Failed)
    assert bench.told


@pytest.mark.fault("K6", "K7")
@pytest.mark.parametrize("lost", ["answer", "note"])
async def test_upload_whose_id_was_lost_is_found_and_aborted(lost: str) -> None:
    """When the answer to Create, or the note of it, is lost, the key is searched for what was begun."""
    bench = Bench(Body(cut(LARGE, 300)))
    if lost == "answer":
        bench.store.late["create"] = [refused()]
    else:
        bench.log.script["upload_created"] = [ValueError("no")]
    with suppress(ValueError):
        await bench.carry()
    assert bench.store.made == 1
    bench.check_tidy()


async def _cancelled_after(bench: Bench, steps: int, how: str) -> bool:
    """Cancel the carry after so many steps of the loop; return whether it was still under way."""
    ended = False

    async def carry() -> None:
        nonlocal ended
        await bench.transfer.carry(order())
        ended = True

    if how == "native":
        task = asyncio.create_task(carry())
        for _ in range(steps):
            await checkpoint()
        task.cancel()
        await asyncio.wait([task])
        return not ended
    async with anyio.create_task_group() as group:
        group.start_soon(carry)
        for _ in range(steps):
            await checkpoint()
        group.cancel_scope.cancel()
    return not ended


@pytest.mark.fault("C5", "P10")
@pytest.mark.parametrize("how", ["anyio", "native"])
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "multipart"])
async def test_cancelled_at_any_moment_nothing_is_held_or_open(data: bytes, how: str) -> None:
    """After 0, 1, 2 … steps a cancellation leaves no room taken, no upload open, no half object, no task."""
    steps, before = 0, len(asyncio.all_tasks())
    under_way = True
    while under_way:
        bench = Bench(Body(cut(data, 300)), in_flight=2)
        with anyio.fail_after(30):
            under_way = await _cancelled_after(bench, steps, how)
        assert set(bench.store.contents().values()) <= {data}
        bench.check_tidy()
        assert len(asyncio.all_tasks()) == before
        steps += 1
    assert steps > 10


@pytest.mark.fault("C5", "S16")
@pytest.mark.parametrize("op", ["head", "create", "upload_part", "complete", "put"])
async def test_cancelled_while_the_bucket_hangs_nothing_is_held_or_open(op: str) -> None:
    """A request that never answers can be broken off, and what it belongs to is aborted."""
    bench = Bench(Body(cut(SMALL if op == "put" else LARGE, 300)))
    bench.store.script[op] = [hang]
    with anyio.move_on_after(0.05):
        await bench.transfer.carry(order())
    assert bench.store.contents() == {}
    bench.check_tidy()


@pytest.mark.fault("C5")
async def test_cancelled_while_the_pool_is_full_takes_no_room() -> None:
    """Waiting for room can be broken off without a trace."""
    bench = Bench(Body(cut(LARGE, 300)))
    room = await bench.pool.take(bench.pool.total)
    with anyio.move_on_after(0.02):
        await bench.transfer.carry(order())
    room.release()
    bench.check_tidy()


async def test_aborting_does_not_outlast_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the abort hangs too, a cancelled transfer ends all the same, and the upload is named."""
    monkeypatch.setattr("wxrec_async.flow.transfer.HURRIED_ABORT_DEADLINE_S", 0.05)
    bench = Bench(Body(cut(LARGE, 300)))
    bench.store.script |= {"upload_part": [hang], "abort": [hang, hang]}
    with anyio.fail_after(24), anyio.move_on_after(0.05):
        await bench.transfer.carry(order())
    assert bench.told == [UploadLeftOpen(KEY, "u1")]
    assert bench.pool.free == bench.pool.total


@pytest.mark.fault("L01")
async def test_abort_under_way_hurries_when_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second signal ends the process soon, also while an upload that failed is being aborted."""
    monkeypatch.setattr(Transfer._abort, "__defaults__", (60.0,))  # ABORT_DEADLINE_S, which no test waits for
    monkeypatch.setattr("wxrec_async.flow.transfer.HURRIED_ABORT_DEADLINE_S", 0.05)
    bench = Bench(Body(cut(LARGE, 300)))
    bench.store.script |= {"complete": [refused()], "abort": [hang]}
    begun = anyio.current_time()
    with anyio.move_on_after(0.05):
        await bench.transfer.carry(order())
    assert anyio.current_time() - begun < 24


@pytest.mark.fault("L13")
@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(ZeroDivisionError(), id="error of the program"),
        pytest.param(anyio.BrokenResourceError(), id="broken resource"),
        pytest.param(
            anyio.ClosedResourceError(),
            id="closed resource",
        ),
        pytest.param(asyncio.CancelledError(), id="stray cancellation"),
    ],
)
async def test_source_that_dies_of_anything_does_not_leave_the_reader_waiting(failure: BaseException) -> None:
    """Whatever ends the reading task, the writing side hears of it; nothing is stored and nothing hangs."""
    bench = Bench(Body(cut(LARGE, 300), fail_after=7, failure=failure))
    ended: object = None
    with anyio.move_on_after(60):
        try:
            ended = await bench.transfer.carry(order())
        except Exception as error:  # noqa: BLE001 - whatever it is, it ended
            ended = error
    assert bench.store.contents() == {}
    assert ended is not None, "the reader waits for ever"
    assert not isinstance(ended, UnboundLocalError)
    bench.check_tidy()


async def test_abandoned_source_is_closed_before_carry_returns() -> None:
    """When the bucket refuses, the connection to the source is given back at once."""
    bench = Bench(Body(cut(LARGE, 300), fail_after=12))
    bench.store.script["create"] = [refused()]
    assert isinstance(await bench.carry(), Failed)
    assert bench.source.live == 0


async def test_source_that_fails_while_it_is_closed_is_heard() -> None:
    """An error on the way out of the source is not swallowed."""
    bench = Bench(Body([SMALL]))
    opened: Callable[[Recording], object] = bench.source.open

    @asynccontextmanager
    async def leaking(recording: Recording) -> AsyncIterator[FakeStream]:
        async with opened(recording) as stream:  # type: ignore[attr-defined]
            yield stream
        raise OSError("closing failed")

    bench.source.open = leaking  # type: ignore[method-assign]
    with pytest.raises(OSError, match="closing failed"):
        await bench.carry()
