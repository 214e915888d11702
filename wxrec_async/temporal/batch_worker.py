"""Stores one recording on a worker of a fleet, whatever an earlier attempt left of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import anyio

from wxrec_async.config import Settings
from wxrec_async.errors import HTTPStatusError, WxrecError
from wxrec_async.events import Emit, Event, UploadLeftOpen
from wxrec_async.flow.batch import carry
from wxrec_async.flow.policies import rules_of
from wxrec_async.flow.recovery import EarlierUploads
from wxrec_async.flow.transfer import MediaSource, ObjectStore, Transfer
from wxrec_async.model import Failed, Outcome, Recording, Stored, StoredObject, TransferSpec
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import keys
from wxrec_async.temporal.call_budget import FRESH_URL, CallAllowance, EngineCallPolicy, allowed
from wxrec_async.temporal.messages import TaskToDo
from wxrec_async.temporal.results import LeftOpen, TransferResult
from wxrec_async.wiring.transfers import make_transfer

# A worker serves many runs in its life, and only a few at the same time.
RUNS_KNOWN = 8


class Sums(Protocol):
    """What the bytes of an object are: ``size`` in bytes, ``sha256`` in hex."""

    @property
    def size(self) -> int: ...

    @property
    def crc32(self) -> int: ...

    @property
    def sha256(self) -> str: ...


class WorkerBucket(ObjectStore, Protocol):
    """What `transfer` needs of the bucket, and to read an object back."""

    async def digest(self, key: str, size: int) -> Sums: ...


class NoLog:
    """The log of uploads where there is no ledger: the next attempt looks at the bucket instead."""

    async def started(self, task_id: str, recording_id: str, key: str) -> None: ...

    async def upload_created(self, key: str, upload_id: str, task_id: str, recording_id: str) -> None: ...

    async def completing(self, upload_id: str, size: int, crc32: int) -> None: ...

    async def upload_gone(self, upload_id: str) -> None: ...


class BatchWorker:
    """One organisation's bucket; as many recordings at once as the settings say.

    Uploads that could not be aborted are remembered by key, until `left_open` has told them.
    """

    def __init__(
        self,
        settings: Settings,
        org_id: str,
        media: MediaSource,
        store: WorkerBucket,
        terms: EngineCallPolicy,
        emit: Emit,
    ) -> None:
        self.draining = False
        # Over all batches that this worker has in hand: memory and connections are meant for so many recordings.
        self.room = anyio.Semaphore(settings.backfill.concurrency)
        self.rules = rules_of(settings, org_id)
        self._settings, self._store = settings, store
        self._terms, self._emit = terms, emit
        self.transfer = self._wired(media)
        self._left: dict[str, set[str]] = {}
        self._denied: dict[tuple[str, str], str] = {}
        self._earlier: OrderedDict[str, EarlierUploads] = OrderedDict()
        self._looking = anyio.Lock()

    def _wired(self, media: MediaSource) -> Transfer:
        return make_transfer(self._settings, self._terms.watched(media), self._store, NoLog(), self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, UploadLeftOpen):
            self._left.setdefault(event.key, set()).add(event.upload_id)
        self._emit(event)

    def left_open(self, order: TransferSpec) -> list[LeftOpen]:
        """Return the uploads of a recording that stayed open; each is told once."""
        ids = (order.recording.task_id, order.recording.id)
        return [each for target in order.targets for each in self._told(target.key, *ids)]

    def _told(self, key: str, task_id: str, recording_id: str) -> list[LeftOpen]:
        return [LeftOpen(task_id, recording_id, key, upload_id) for upload_id in sorted(self._left.pop(key, ()))]

    def denied(self, order: TransferSpec) -> str:
        """Return what the media host said of a deletion before the recording came back for a fresh URL; told once."""
        return self._denied.pop((order.recording.task_id, order.recording.id), "")

    async def look_for_uploads(self, run: str) -> None:
        """Find out, once for each run, what was open before this worker began to work for it."""
        # Batches of one run begin together: one looks, and none begins an upload before that is done.
        async with self._looking:
            if run and run not in self._earlier:
                earlier = EarlierUploads(self._store, self.transfer, self.rules.key_template)
                await earlier.look()
                self._earlier[run] = earlier
                while len(self._earlier) > RUNS_KNOWN:
                    self._earlier.popitem(last=False)

    async def close(self, todo: TaskToDo) -> list[LeftOpen]:
        """Abort the uploads that an earlier run left open, or may have; return those that are open still."""
        # Two kinds: uploads whose ids are known, and keys of which nobody knows whether one was begun.
        known = [LeftOpen(todo.id, *upload) for upload in todo.uploads]
        left = [each for each in known if not await self._aborted(each)]
        for recording_id, key in todo.begun:
            await self.transfer.sweep(key)
            left += self._told(key, todo.id, recording_id)
        return left

    async def _aborted(self, upload: LeftOpen) -> bool:
        try:
            if await self._store.abort(upload.key, upload.upload_id):
                return True
        except WxrecError:
            pass  # whatever the bucket refuses, storing the recording will say
        self._emit(UploadLeftOpen(upload.key, upload.upload_id))
        return False

    async def store(self, order: TransferSpec, *, repeated: bool, returns: int, run: str = "") -> TransferResult | None:
        """Store one recording when there is room; None when it has to come back for a fresh URL or another worker."""
        recording = order.recording
        key = (recording.task_id, recording.id)
        async with self.room:
            # Asked behind the semaphore: it may have taken a while to get here.
            if self.draining:
                return None
            begun = anyio.current_time()
            # By it the policy knows how often this recording has gone back already, and when to stop sending it back.
            self._terms.returns[key] = returns
            try:
                # One by one: another of them may belong to a recording that another worker stores now.
                if run in self._earlier:
                    await self._earlier[run].abort(order)
                outcome = await self._stored(order, repeated=repeated)
                # Now, while we know of them: this process has no ledger to find them by later.
                for target in order.targets:
                    if target.key in self._store.uncertain_keys:
                        await self.transfer.sweep(target.key)
            finally:
                self._terms.returns.pop(key, None)
            if isinstance(outcome, Failed) and outcome.reason == FRESH_URL:
                self._denied[key] = outcome.evidence
                return None
            return TransferResult.of(recording, outcome, anyio.current_time() - begun)

    async def _stored(self, order: TransferSpec, *, repeated: bool) -> Outcome:
        # What is to be replaced lies there, too; whether it has been is for the transfer to find out.
        if repeated and not order.replaces and (there := await self._there_already(order)):
            return there
        # The call that was paid for went to captures.
        with allowed(CallAllowance(calls=0)):
            return await carry(order, self.transfer)

    async def _there_already(self, order: TransferSpec) -> Stored | None:
        """After an attempt that broke off: abort what it left open, and recognise what it finished.

        An object of ours appears only when all its bytes were checked, and says whose it is.
        """
        for target in order.targets:
            self._left.pop(target.key, None)  # what cannot be aborted now either is told again
            # Before looking: a killed attempt's upload is open still, or has become the object that is looked for.
            await self.transfer.sweep(target.key)
            try:
                found = await self._store.head(target.key)
            except (HTTPStatusError, OperationFailed):
                continue  # not allowed to look: the conditional write tells
            mine = found is not None and keys.names(found.metadata, order.recording.task_id, order.recording.id)
            # With ``overwrite`` an object of ours may be one that is to be replaced; then it is stored once more.
            if found is not None and mine and found.crc32 is not None and not self._settings.s3.overwrite:
                main_place = target is order.target and order.fallback is not None
                return Stored(await self._read_back(found), already=True, main_place=main_place, flags=order.flags)
        return None

    async def _read_back(self, found: StoredObject) -> StoredObject:
        """Compute the SHA-256 that the attempt which stored it took with it; without it when it cannot be read."""
        if not self._settings.evidence.sha256:
            return found
        try:
            read = await self._store.digest(found.key, found.size)
        except (HTTPStatusError, OperationFailed):
            return found
        same = (read.size, read.crc32) == (found.size, found.crc32)
        return replace(found, sha256=read.sha256) if same else found

    def bytes_of(self, recordings: Sequence[Recording]) -> int:
        """Count the bytes read so far of what is under way."""
        streams = [self._terms.under_way.get((each.task_id, each.id)) for each in recordings]
        return sum(stream.offset for stream in streams if stream is not None)
