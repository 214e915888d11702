"""What an interrupted run left behind, put in order before the next one begins.

An upload whose Complete was about to be sent may have become an object: if the
bucket has exactly the bytes that were written down, the recording is stored.
Every other open upload is aborted; its recording is fetched again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import anyio

from wxrec_async.errors import Rejected
from wxrec_async.events import Emit, RecordingStored, UploadLeftOpen, ignore
from wxrec_async.ledger.protocol import Ledger
from wxrec_async.model import OpenUpload, StoredObject
from wxrec_async.plumbing.groups import first_failure
from wxrec_async.plumbing.retrying import GivenUp
from wxrec_async.rules.keys import is_main_key
from wxrec_async.rules.parts import same_object

AT_ONCE = 16


class Store(Protocol):
    async def head(self, key: str) -> StoredObject | None: ...

    async def abort(self, key: str, upload_id: str) -> bool: ...


class Sweeper(Protocol):
    async def sweep(self, key: str) -> int: ...


async def recover(
    ledger: Ledger, store: Store, sweeper: Sweeper, run_id: str, now_ms: Callable[[], int], emit: Emit = ignore
) -> None:
    """Settle every open upload the ledger knows, then look for those it never got to know."""
    known = await ledger.open_uploads()
    begun = {row.key for row in await ledger.started_keys()}
    slots = anyio.CapacityLimiter(AT_ONCE)

    async def settle(upload: OpenUpload) -> None:
        async with slots:
            await _settle(ledger, store, upload, run_id, now_ms, emit)

    async def sweep(key: str) -> None:
        async with slots:
            await sweeper.sweep(key)

    try:
        async with anyio.create_task_group() as group:
            for upload in known:
                group.start_soon(settle, upload)
        async with anyio.create_task_group() as group:
            for key in begun:
                group.start_soon(sweep, key)
    except BaseExceptionGroup as failures:
        raise first_failure(failures) from None


async def _settle(
    ledger: Ledger, store: Store, upload: OpenUpload, run_id: str, now_ms: Callable[[], int], emit: Emit
) -> None:
    found = await _completed(store, upload)
    if found is not None:
        await ledger.stored(
            upload.task_id,
            upload.recording_id,
            found,
            run_id=run_id,
            already=True,
            main_place=is_main_key(upload.key, upload.recording_id),
            now_ms=now_ms(),
            upload_id=upload.upload_id,
        )
        emit(RecordingStored(upload.task_id, upload.recording_id, found.key, found.size, upload.crc32 or 0, 0.0, True))
    elif await store.abort(upload.key, upload.upload_id):
        await ledger.upload_gone(upload.upload_id)
    else:
        emit(UploadLeftOpen(upload.key, upload.upload_id))


async def _completed(store: Store, upload: OpenUpload) -> StoredObject | None:
    """Return the object this upload became, if its bytes are those that were to be completed."""
    if upload.size is None or upload.crc32 is None:
        return None
    try:
        found = await store.head(upload.key)
    except (Rejected, GivenUp):
        return None
    return found if found and same_object(found, size=upload.size, crc=upload.crc32) else None
