"""What an interrupted run left behind, and what the next one makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ledgers import captured
from wxrec_async.errors import RunStopped
from wxrec_async.events import RecordingStored, UploadLeftOpen
from wxrec_async.flow.recovery import EarlierUploads, InterruptedWork, Recovery
from wxrec_async.flow.transfer import Transfer
from wxrec_async.ledger import SqliteLedger
from wxrec_async.model import ObjectTarget, Part, Recording, StoredObject, Task
from wxrec_async.plumbing.pool import MemoryPool
from wxrec_async.wiring.storage import LedgerLog

from .bench import HOME, YESTERDAY, Flow
from .kit import PART, FakeSource, Log, crc_of, order, refused, wav

pytestmark = pytest.mark.anyio

KEY, DATA = "c/t/recording.wav", wav(2 * PART)


@pytest.fixture
def flow(tmp_path: Path) -> Flow:
    return Flow(tmp_path)


async def leave(flow: Flow, ledger: SqliteLedger, *, completing: bool, key: str = KEY, recording: str = "r") -> str:
    """Leave an upload behind as a killed process does; return its id."""
    await ledger.begin_run("old", 0, None)
    await ledger.add_tasks([Task("t", created_ms=YESTERDAY.from_ms)], listed_in=YESTERDAY, now_ms=0)
    await captured(ledger, "t", [Recording("t", recording)], 0)
    await ledger.started("t", recording, key, 0)
    upload_id = await flow.store.create(ObjectTarget(key, "audio/wav"))
    await ledger.upload_created(key, upload_id, "t", recording, 0)
    await flow.store.upload_part(key, upload_id, Part(1, (DATA,), len(DATA), crc_of(DATA)))
    if completing:
        await ledger.completing(upload_id, len(DATA), crc_of(DATA))
    flow.store.calls.clear()
    return upload_id


async def recovered(flow: Flow, ledger: SqliteLedger, template: str = HOME.key_template) -> None:
    log = LedgerLog(ledger, lambda: 5)
    transfer = Transfer(FakeSource({}), flow.store, log, MemoryPool(PART), emit=flow.told.append)
    await ledger.begin_run("new", 5, None)
    interrupted = InterruptedWork(await ledger.open_uploads(), await ledger.started_keys())
    await Recovery(ledger, flow.store, transfer, template, flow.told.append).run("new", 5, interrupted)


@pytest.mark.fault("K12", "K13", "K14", "S04", "P2")
async def test_upload_that_became_the_object_is_stored_without_a_fetch(flow: Flow) -> None:
    """Complete was sent and its answer lost: the bucket has exactly those bytes, so the recording is stored."""
    async with flow.ledger() as ledger:
        upload_id = await leave(flow, ledger, completing=True)
        flow.store.uploads.pop(upload_id)
        flow.store.place(KEY, DATA)
        await recovered(flow, ledger)
        assert await ledger.open_uploads() == []
        assert await ledger.started_keys() == []
        known = await captured(ledger, "t", [Recording("t", "r")], 6)
    assert known.recordings == {"r": "stored"}
    assert known.holder == "r"
    assert [event.already for event in flow.of(RecordingStored)] == [True]


@pytest.mark.fault("K8", "K9", "K10", "K11", "S20")
@pytest.mark.parametrize("found", ["nothing", "other bytes", "other size", "unreadable", "no answer"])
@pytest.mark.parametrize("completing", [True, False])
async def test_upload_that_did_not_become_the_object_is_aborted(flow: Flow, found: str, completing: bool) -> None:
    """Whatever is not shown to be ours is not called stored: the upload goes, the recording is fetched again."""
    async with flow.ledger() as ledger:
        await leave(flow, ledger, completing=completing)
        if found == "other bytes":
            flow.store.place(KEY, wav(2 * PART, seed=3))
        elif found == "other size":
            flow.store.place(KEY, wav(PART))
        elif found == "unreadable":
            flow.store.forbid_head = True
        elif found == "no answer":
            flow.store.script["head"] = [refused()]
        await recovered(flow, ledger)
        assert await ledger.open_uploads() == []
        assert [row.recording_id for row in await ledger.started_keys()] == ["r"]
    assert not flow.store.uploads
    assert flow.of(RecordingStored) == []


@pytest.mark.fault("P10", "K11")
async def test_open_upload_beside_an_equal_object_is_aborted(flow: Flow) -> None:
    """The equal object can be an older one (412, then a failed abort): the upload is still open and must go."""
    async with flow.ledger() as ledger:
        await leave(flow, ledger, completing=True)
        flow.store.place(KEY, DATA)
        await ledger.stored(
            "t", "r", StoredObject(KEY, len(DATA), crc_of(DATA)), run_id="old", already=True, main_place=True, now_ms=0
        )
        await recovered(flow, ledger)
        assert await ledger.open_uploads() == [] or flow.of(UploadLeftOpen)
    assert not flow.store.uploads


@pytest.mark.fault("S19", "K15")
async def test_upload_that_cannot_be_aborted_stays_known_and_is_named(flow: Flow) -> None:
    """What S3 does not confirm gone is told, and the next run tries again."""

    async def unconfirmed(key: str, upload_id: str) -> bool:
        return False

    async with flow.ledger() as ledger:
        upload_id = await leave(flow, ledger, completing=False)
        abort, flow.store.abort = flow.store.abort, unconfirmed  # type: ignore[method-assign]
        await recovered(flow, ledger)
        assert [upload.upload_id for upload in await ledger.open_uploads()] == [upload_id]
        assert UploadLeftOpen(KEY, upload_id) in flow.told
        flow.store.abort = abort  # type: ignore[method-assign]
        await recovered(flow, ledger)
        assert await ledger.open_uploads() == []
    assert not flow.store.uploads


@pytest.mark.fault("K6", "K7")
async def test_key_that_was_begun_is_searched_for_uploads_nobody_knows(flow: Flow) -> None:
    """An upload whose id never reached the ledger is found by its key; those of other keys stay."""
    async with flow.ledger() as ledger:
        upload_id = await leave(flow, ledger, completing=False)
        await ledger.upload_gone(upload_id)
        stranger = await flow.store.create(ObjectTarget(KEY + ".other", "audio/wav"))
        await recovered(flow, ledger)
    assert set(flow.store.uploads) == {stranger}


async def test_nothing_to_recover_asks_the_bucket_nothing(flow: Flow) -> None:
    """A clean end costs the next run no request."""
    async with flow.ledger() as ledger:
        await recovered(flow, ledger)
    assert flow.store.calls == []


async def test_recovery_that_ends_the_run_says_so(flow: Flow) -> None:
    """A bucket that is gone is not passed over while tidying up."""
    async with flow.ledger() as ledger:
        await leave(flow, ledger, completing=False)
        flow.store.script["abort"] = [RunStopped("no bucket")]
        with pytest.raises(RunStopped, match="no bucket"):
            await recovered(flow, ledger)
        assert len(await ledger.open_uploads()) == 1


async def test_main_place_is_recognised_with_any_template(flow: Flow) -> None:
    """The main recording has the task's id; a template that ends in it still names the main place."""
    async with flow.ledger() as ledger:
        upload_id = await leave(flow, ledger, completing=True, key="calls/x-t.wav", recording="t")
        flow.store.uploads.pop(upload_id)
        flow.store.place("calls/x-t.wav", DATA)
        await recovered(flow, ledger, "calls/x-{task_id}{ext}")
        known = await captured(ledger, "t", [Recording("t", "t")], 6)
    assert known.holder == "t"


@pytest.mark.fault("L03")
async def test_what_the_bucket_alone_knows_of_is_aborted_with_its_recording(flow: Flow) -> None:
    """A worker that was killed told nobody; uploads of other keys, and those begun since, are let alone."""
    transfer = Transfer(FakeSource({}), flow.store, Log(), MemoryPool(PART), emit=flow.told.append)
    earlier = EarlierUploads(flow.store, transfer, HOME.key_template)
    await flow.store.create(ObjectTarget(order().target.key, "audio/wav"))
    stranger = await flow.store.create(ObjectTarget("c/other.wav", "audio/wav"))
    await earlier.look()
    await earlier.abort(order())
    assert set(flow.store.uploads) == {stranger}
    ours = await flow.store.create(ObjectTarget(order().target.key, "audio/wav"))
    await earlier.abort(order())
    assert set(flow.store.uploads) == {stranger, ours}


async def test_who_may_not_list_uploads_knows_of_none(flow: Flow) -> None:
    """Then a lifecycle rule must see to them; the run goes on."""
    transfer = Transfer(FakeSource({}), flow.store, Log(), MemoryPool(PART), emit=flow.told.append)
    earlier = EarlierUploads(flow.store, transfer, HOME.key_template)
    flow.store.forbid_list = True
    await earlier.look()
    await earlier.abort(order())
    assert flow.store.count("abort") == 0
    assert flow.told == []
