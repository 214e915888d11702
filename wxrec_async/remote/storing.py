"""Stores one recording for a station, whatever an earlier attempt left of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import anyio

from wxrec_async.config import Settings
from wxrec_async.errors import Rejected, WxrecError
from wxrec_async.events import Emit, Event, UploadLeftOpen
from wxrec_async.model import Failed, Order, Outcome, Recording, Stored, StoredObject, Task
from wxrec_async.plumbing.retrying import GivenUp
from wxrec_async.remote.outcomes import Done, LeftOpen
from wxrec_async.remote.records import Todo
from wxrec_async.remote.terms import FRESH_URL, Allowance, EngineTerms, allowed
from wxrec_async.rules import keys
from wxrec_async.transfer import MediaSource, ObjectStore, Transfer
from wxrec_async.wiring.transfers import make_transfer


class Sums(Protocol):
    """What the bytes of an object are: ``size`` in bytes, ``sha256`` in hex."""

    @property
    def size(self) -> int: ...

    @property
    def crc32(self) -> int: ...

    @property
    def sha256(self) -> str: ...


class Bucket(ObjectStore, Protocol):
    """What `transfer` needs of the bucket, and to read an object back."""

    async def digest(self, key: str, size: int) -> Sums: ...


class NoLog:
    """The log of uploads where there is no ledger: the next attempt looks at the bucket instead."""

    async def started(self, task_id: str, recording_id: str, key: str) -> None: ...

    async def upload_created(self, key: str, upload_id: str, task_id: str, recording_id: str) -> None: ...

    async def completing(self, upload_id: str, size: int, crc32: int) -> None: ...

    async def upload_gone(self, upload_id: str) -> None: ...


class Storing:
    """One organisation's bucket; as many recordings at once as the settings say.

    Uploads that could not be aborted are remembered by key, until `left_open` has told them.
    """

    def __init__(
        self, settings: Settings, org_id: str, media: MediaSource, store: Bucket, terms: EngineTerms, emit: Emit
    ) -> None:
        self.draining = False
        self.room = anyio.Semaphore(settings.backfill.concurrency)
        self._settings, self._org_id, self._store = settings, org_id, store
        self._terms, self._emit = terms, emit
        self._transfer = self._wired(media)
        self._left: dict[str, set[str]] = {}
        self._denied: dict[tuple[str, str], str] = {}

    def _wired(self, media: MediaSource) -> Transfer:
        return make_transfer(self._settings, self._terms.watched(media), self._store, NoLog(), self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, UploadLeftOpen):
            self._left.setdefault(event.key, set()).add(event.upload_id)
        self._emit(event)

    def left_open(self, order: Order) -> list[LeftOpen]:
        """Return the uploads of a recording that stayed open; each is told once."""
        ids = (order.recording.task_id, order.recording.id)
        return [
            LeftOpen(*ids, target.key, upload_id)
            for target in (order.target, order.fallback)
            if target is not None
            for upload_id in sorted(self._left.pop(target.key, ()))
        ]

    def denied(self, order: Order) -> str:
        """Return what the media host said of a deletion before the recording came back for a fresh URL; told once."""
        return self._denied.pop((order.recording.task_id, order.recording.id), "")

    async def close(self, todo: Todo) -> list[LeftOpen]:
        """Abort the uploads that an earlier run left open; return those that are open still."""
        known = [LeftOpen(todo.id, *upload) for upload in todo.uploads]
        return [each for each in known if not await self._aborted(each)]

    async def _aborted(self, upload: LeftOpen) -> bool:
        try:
            if await self._store.abort(upload.key, upload.upload_id):
                return True
        except WxrecError:
            pass  # whatever the bucket refuses, storing the recording will say
        self._emit(UploadLeftOpen(upload.key, upload.upload_id))
        return False

    async def store(self, order: Order, *, repeated: bool, returns: int) -> Done | None:
        """Store one recording when there is room; None when it has to come back for a fresh URL or another worker."""
        recording = order.recording
        key = (recording.task_id, recording.id)
        async with self.room:
            if self.draining:
                return None
            begun = anyio.current_time()
            self._terms.returns[key] = returns
            try:
                outcome = await self._stored(order, repeated=repeated)
            finally:
                self._terms.returns.pop(key, None)
            if isinstance(outcome, Failed) and outcome.reason == FRESH_URL:
                self._denied[key] = outcome.evidence
                return None
            return Done.of(recording, outcome, anyio.current_time() - begun)

    async def _stored(self, order: Order, *, repeated: bool) -> Outcome:
        recording = order.recording
        # What is to be replaced lies there, too; whether it has been is for the transfer to find out.
        if repeated and not order.replaces and (there := await self._there_already(order)):
            return there
        if recording.url is None:
            return Failed(recording.problem or "no_url")
        with allowed(Allowance(calls=0)):
            return await self._transfer.carry(order)

    async def _there_already(self, order: Order) -> Stored | None:
        """After an attempt that broke off: abort what it left open, and recognise what it finished.

        An object of ours appears only when all its bytes were checked, and says whose it is.
        """
        for target in filter(None, (order.target, order.fallback)):
            self._left.pop(target.key, None)  # what cannot be aborted now either is told again
            await self._transfer.sweep(target.key)
            try:
                found = await self._store.head(target.key)
            except (Rejected, GivenUp):
                continue  # not allowed to look: the conditional write tells
            mine = found is not None and _names(found.metadata, order.recording)
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
        except (Rejected, GivenUp):
            return found
        same = (read.size, read.crc32) == (found.size, found.crc32)
        return replace(found, sha256=read.sha256) if same else found

    async def holder_in_bucket(self, task: Task, recordings: Sequence[Recording]) -> str | None:
        """Return which of several recordings holds the task's main key; raises `GivenUp` when it cannot be seen."""
        by_encoded_id = {keys.encode_id(each.id): each.id for each in recordings}
        for key in keys.main_keys(task, recordings, template=self._settings.s3.key):
            if (occupant := await self._transfer.occupant(key)) in by_encoded_id:
                return by_encoded_id[occupant]
        return None

    def orders(self, todo: Todo, recordings: Sequence[Recording], holder: str | None) -> list[Order]:
        """Give each recording of a task its place."""
        base = {"wx-org-id": keys.encode_id(self._org_id)}
        task = Task(todo.id, created_ms=todo.created_ms)
        return keys.orders(task, recordings, template=self._settings.s3.key, holder=holder, base=base)

    def bytes_of(self, recordings: Sequence[Recording]) -> int:
        """Count the bytes read so far of what is under way."""
        streams = [self._terms.under_way.get((each.task_id, each.id)) for each in recordings]
        return sum(stream.offset for stream in streams if stream is not None)


def _names(metadata: dict[str, str], recording: Recording) -> bool:
    ours = (keys.encode_id(recording.task_id), keys.encode_id(recording.id))
    return (metadata.get("wx-task-id"), metadata.get("wx-recording-id")) == ours
