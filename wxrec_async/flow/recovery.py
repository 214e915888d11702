"""What an interrupted run left behind, put in order before the next one begins.

An upload whose Complete was about to be sent may have become an object: if the
bucket has exactly the bytes that were written down, the recording is stored.
Every other open upload is aborted; its recording is fetched again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from wxrec_async.errors import HTTPStatusError, WxrecError
from wxrec_async.events import Emit, RecordingStored, UploadLeftOpen, ignore
from wxrec_async.flow.run_ledger import RunLedger
from wxrec_async.flow.transfer import Transfer
from wxrec_async.ledger.records import StartedKey
from wxrec_async.model import OpenUpload, Recording, StoredObject, TransferSpec
from wxrec_async.plumbing.for_each import each_of
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.ids import canonical
from wxrec_async.rules.keys import constant_prefix, in_main_place
from wxrec_async.rules.parts import same_object

AT_ONCE = 16


class Store(Protocol):
    async def head(self, key: str) -> StoredObject | None: ...

    async def abort(self, key: str, upload_id: str) -> bool: ...


class UploadLister(Protocol):
    async def open_uploads(self, prefix: str) -> list[OpenUpload]: ...


@dataclass(frozen=True, slots=True)
class InterruptedWork:
    """What the ledger knows to be left over: uploads seen open, and keys that were begun and did not come to rest."""

    uploads: Sequence[OpenUpload] = ()
    started: Sequence[StartedKey] = ()

    def by_task(self) -> dict[str, InterruptedWork]:
        """Return what is left over of each task."""
        uploads, started = defaultdict[str, list[OpenUpload]](list), defaultdict[str, list[StartedKey]](list)
        for upload in self.uploads:
            uploads[canonical(upload.task_id)].append(upload)
        for begun in self.started:
            started[canonical(begun.task_id)].append(begun)
        return {
            task_id: InterruptedWork(uploads[task_id], started[task_id]) for task_id in uploads.keys() | started.keys()
        }


class EarlierUploads:
    """Uploads that were open before a run began; whoever takes up their recording aborts them.

    The bucket knows more of them than the ledger: a worker of a fleet that is killed
    tells nobody what it has begun, and a ledger may have been lost.
    """

    def __init__(self, bucket: UploadLister, sweeper: Transfer, template: str) -> None:
        self._bucket, self._sweeper, self._template = bucket, sweeper, template
        self._keys: set[str] = set()

    async def look(self) -> None:
        """Find them, before the first upload of this run is begun; where they cannot be listed, there are none."""
        try:
            found = await self._bucket.open_uploads(constant_prefix(self._template))
        except (WxrecError, OperationFailed):
            return  # a permission that is missing here costs no recording: whoever needs it says so
        self._keys = {upload.key for upload in found}

    async def abort(self, order: TransferSpec) -> None:
        """Abort what is left over of a recording that is about to be stored."""
        # Which of the two places the earlier run had taken is not known.
        for target in order.targets:
            if target.key in self._keys:
                # Before the sweep: from here on an upload under this key may be one of ours.
                self._keys.discard(target.key)
                await self._sweeper.sweep(target.key)


class Recovery:
    """Settles what the ledger knows to be open, and looks for what it never got to know."""

    def __init__(self, ledger: RunLedger, store: Store, sweeper: Transfer, template: str, emit: Emit = ignore) -> None:
        self._ledger, self._store, self._sweeper = ledger, store, sweeper
        self._template, self._emit = template, emit

    async def run(self, run_id: str, now_ms: int, interrupted: InterruptedWork) -> None:
        """Leave no upload of an earlier run open; what turns out to be stored counts as stored before ``run_id``."""
        # Known uploads first, one by one; what is then still open under a key is one whose id was never noted.
        await each_of(interrupted.uploads, lambda upload: self._settle(upload, run_id, now_ms), AT_ONCE)
        await each_of({row.key for row in interrupted.started}, self._sweeper.sweep, AT_ONCE)

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
        # By the look of the key: which other recordings the task has is not known here.
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
    # `completing` was never noted, so Complete was never sent.
    if upload.size is None or upload.crc32 is None:
        return None
    try:
        found = await store.head(upload.key)
    except (HTTPStatusError, OperationFailed):
        return None
    # An object without a checksum is not read back here: its recording is fetched again, and then compared.
    return found if found and same_object(found, size=upload.size, crc=upload.crc32) else None
