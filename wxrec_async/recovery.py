"""What an interrupted run left behind, put in order before the next one begins.

An upload whose Complete was about to be sent may have become an object: if the
bucket has exactly the bytes that were written down, the recording is stored.
Every other open upload is aborted; its recording is fetched again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wxrec_async.errors import Rejected
from wxrec_async.events import Emit, RecordingStored, UploadLeftOpen, ignore
from wxrec_async.model import OpenUpload, Recording, StoredObject
from wxrec_async.plumbing.for_each import each_of
from wxrec_async.plumbing.retrying import GivenUp
from wxrec_async.rules.keys import in_main_place
from wxrec_async.rules.parts import same_object

if TYPE_CHECKING:
    from wxrec_async.ledger.store import SqliteLedger

AT_ONCE = 16


class Store(Protocol):
    async def head(self, key: str) -> StoredObject | None: ...

    async def abort(self, key: str, upload_id: str) -> bool: ...


class Sweeper(Protocol):
    async def sweep(self, key: str) -> int: ...


class Recovery:
    """Settles what the ledger knows to be open, and looks for what it never got to know."""

    def __init__(
        self, ledger: SqliteLedger, store: Store, sweeper: Sweeper, template: str, emit: Emit = ignore
    ) -> None:
        self._ledger, self._store, self._sweeper = ledger, store, sweeper
        self._template, self._emit = template, emit

    async def run(self, run_id: str, now_ms: int) -> None:
        """Leave no upload of an earlier run open; what turns out to be stored counts as stored before ``run_id``."""
        known = await self._ledger.open_uploads()
        begun = {row.key for row in await self._ledger.started_keys()}
        await each_of(known, lambda upload: self._settle(upload, run_id, now_ms), AT_ONCE)
        await each_of(begun, self._sweeper.sweep, AT_ONCE)

    async def _settle(self, upload: OpenUpload, run_id: str, now_ms: int) -> None:
        found = await _completed(self._store, upload)
        if found is not None:
            await self._note(upload, found, run_id, now_ms)
        # An equal object may have come of another upload: this one is closed in any case.
        if await self._store.abort(upload.key, upload.upload_id):
            await self._ledger.upload_gone(upload.upload_id)
        else:
            self._emit(UploadLeftOpen(upload.key, upload.upload_id))

    async def _note(self, upload: OpenUpload, found: StoredObject, run_id: str, now_ms: int) -> None:
        task_id, recording_id = upload.task_id, upload.recording_id
        main_place = in_main_place(upload.key, Recording(task_id, recording_id), template=self._template)
        await self._ledger.stored(
            task_id,
            recording_id,
            found,
            run_id=run_id,
            already=True,
            main_place=bool(main_place),
            now_ms=now_ms,
        )
        self._emit(RecordingStored(task_id, recording_id, found.key, found.size, upload.crc32 or 0, 0.0, already=True))


async def _completed(store: Store, upload: OpenUpload) -> StoredObject | None:
    """Return the object this upload became, if its bytes are those that were to be completed."""
    if upload.size is None or upload.crc32 is None:
        return None
    try:
        found = await store.head(upload.key)
    except (Rejected, GivenUp):
        return None
    return found if found and same_object(found, size=upload.size, crc=upload.crc32) else None
