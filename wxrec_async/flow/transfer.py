"""One recording: source -> pipe -> parts -> S3 object -> checked.

The source is read by one task into a bounded pipe; this side takes chunks out
of it, fills parts whose room comes from a pool shared by all workers, and sends
them.  What fits into one part is a single PutObject, everything else a multipart
upload.  Nothing becomes an object before its length, its checksum and its first
bytes have been judged: see `Transfer._judge`.

A recording that cannot be stored is an outcome, not an exception.  What leaves
here as an exception ends the run: `AuthError`, `RunStopped`, cancellation and
errors of the program itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Protocol

import anyio

from wxrec_async.errors import HTTPStatusError, InvalidMedia, ObjectExists, RemoteError, WxrecError
from wxrec_async.events import Emit, UploadLeftOpen, Warned, ignore
from wxrec_async.flow.part_reader import MediaStream, PartReader, Sha256, through_pipe
from wxrec_async.model import (
    Failed,
    Gone,
    ObjectTarget,
    OpenUpload,
    Outcome,
    Part,
    PartReceipt,
    Recording,
    Stored,
    StoredObject,
    TransferSpec,
)
from wxrec_async.plumbing.groups import first_failure
from wxrec_async.plumbing.pipe import Pipe
from wxrec_async.plumbing.pool import MemoryPool, Reservation
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import keys, retry
from wxrec_async.rules.doubts import Doubt, list_doubts
from wxrec_async.rules.other_media import sniffer_of
from wxrec_async.rules.parts import check_whole, same_object

ABORT_DEADLINE_S = 30.0
HURRIED_ABORT_DEADLINE_S = 4.0  # somebody waits for us to be gone


class MediaSource(Protocol):
    def open(self, recording: Recording) -> AbstractAsyncContextManager[MediaStream]:
        """Open the body.  Here and while reading, `OperationFailed` says that it cannot be had."""


class ObjectStore(Protocol):
    """The bucket.  `OperationFailed` from any of these says that the request will not succeed.

    ``uncertain_keys`` are those for which an upload may be open whose id never arrived.
    """

    uncertain_keys: set[str]

    async def put(self, target: ObjectTarget, part: Part, *, overwrite: bool = False) -> StoredObject: ...

    async def create(self, target: ObjectTarget) -> str: ...

    async def upload_part(self, key: str, upload_id: str, part: Part) -> PartReceipt: ...

    async def complete(
        self,
        target: ObjectTarget,
        upload_id: str,
        parts: Sequence[PartReceipt],
        *,
        size: int,
        crc32: int,
        overwrite: bool = False,
    ) -> StoredObject: ...

    async def abort(self, key: str, upload_id: str) -> bool: ...

    async def head(self, key: str) -> StoredObject | None: ...

    async def read_crc32(self, key: str) -> tuple[int, int]: ...

    async def open_uploads(self, prefix: str) -> list[OpenUpload]: ...


class UploadLog(Protocol):
    """Where intent is written down before it is acted on, so that a crash leaves nothing unknown behind."""

    async def started(self, task_id: str, recording_id: str, key: str) -> None: ...

    async def upload_created(self, key: str, upload_id: str, task_id: str, recording_id: str) -> None: ...

    async def completing(self, upload_id: str, size: int, crc32: int) -> None: ...

    async def upload_gone(self, upload_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """Sizes in bytes; ``parts_in_flight`` is per recording, ``bodies`` how many may be open at their source at once.

    ``sha256`` has the SHA-256 of every recording computed as it passes.
    """

    part_size: int = 8 << 20
    parts_in_flight: int = 4
    pipe: int = 512 << 10
    bodies: int = 1024
    overwrite: bool = False
    sha256: bool = False


@dataclass(frozen=True, slots=True)
class _Fingerprint:
    """What two complete fetches must agree on before a doubtful recording is believed to be as it is."""

    size: int
    crc32: int
    etag: str | None  # where the RIFF header is right to be doubted, those of two versions differ


class _DoubtfulError(Exception):
    """The body is whole by its length, but something else that is said of it speaks against it."""

    def __init__(self, doubt: Doubt, fingerprint: _Fingerprint) -> None:
        super().__init__(doubt.words)
        self.reason, self.fingerprint = doubt.reason, fingerprint


class Transfer:
    """Carries recordings, any number at once; holds no state of any one of them."""

    def __init__(
        self,
        source: MediaSource,
        store: ObjectStore,
        log: UploadLog,
        pool: MemoryPool,
        limits: TransferLimits = TransferLimits(),
        emit: Emit = ignore,
    ) -> None:
        self._source, self._store, self._log = source, store, log
        self._pool, self._limits, self._emit = pool, limits, emit
        self._bodies = anyio.Semaphore(limits.bodies)
        self._hashing = anyio.CapacityLimiter(1)  # the event loop feeds a third of what one thread can hash

    async def carry(self, order: TransferSpec) -> Outcome:
        """Store one recording and say what became of it.

        A body that is unfit, or changed while it was read, is fetched anew from a
        fresh URL, three times in all.
        """
        witness: _Fingerprint | None = None
        failed = Failed("error")
        tries = 0
        # How a try may end: stored; the place is another's (no try, nothing was wrong with the bytes); given up
        # for good; or unfit, changed or doubtful, and then a fresh URL may bring something better.
        while tries < retry.MAX_FRESH_TRIES:
            try:
                stored = await self._fetch(order, witness)
                return replace(stored, flags=(*stored.flags, *order.flags)) if order.flags else stored
            except _PlaceTakenError as taken:
                # Without a fallback this cannot happen twice.
                order = replace(order, target=taken.fallback, fallback=None)
                continue
            except OperationFailed as given_up:
                if not isinstance(given_up.decision, retry.Restart) and not _upload_vanished(given_up):
                    return _outcome(given_up)
                failed = _failed_anew(given_up.trouble)
            except InvalidMedia as unfit:
                failed = _failed_anew(unfit)
            except _DoubtfulError as doubtful:
                # The next fetch is held against this one: what comes twice is what there is.
                witness = doubtful.fingerprint
                failed = Failed(doubtful.reason, str(doubtful))
            tries += 1
            # A lease of nothing is over, so the next try asks captures for a fresh URL first.
            order = replace(order, recording=replace(order.recording, lease_s=0.0))
        return failed

    def _may_replace(self, order: TransferSpec) -> bool:
        return self._limits.overwrite or order.replaces

    async def key_owner(self, key: str) -> str | None:
        """Return the encoded id of the recording that an object says lies under ``key``; None when none does.

        Raises `OperationFailed` when the bucket does not answer.
        """
        found = await self._look(key)
        return found.metadata.get("wx-recording-id") if found else None

    async def _look(self, key: str) -> StoredObject | None:
        try:
            return await self._store.head(key)
        except HTTPStatusError:
            return None  # not allowed to know: the conditional write will tell

    # Out of the source

    async def _fetch(self, order: TransferSpec, witness: _Fingerprint | None) -> Stored:
        # A body that is open takes memory before a byte of it is read (buffers, TLS), so they are bounded apart
        # from the parts.
        async with self._bodies, self._source.open(order.recording) as stream:
            return await through_pipe(
                stream, self._limits.pipe, lambda pipe: self._store_stream(order, stream, pipe, witness)
            )

    async def _store_stream(
        self, order: TransferSpec, stream: MediaStream, pipe: Pipe, witness: _Fingerprint | None
    ) -> Stored:
        sha256 = Sha256(self._hashing) if self._limits.sha256 else None
        sniffer = sniffer_of(order.recording.kind)
        reader = PartReader(pipe, stream, self._pool, self._limits.part_size, sha256=sha256, sniffer=sniffer)
        try:
            await reader.fill()
            # An error page in the place of audio shows in its first bytes, before anything is begun
            # in the bucket.
            reader.sniffer.check_beginning(stream.content_type)
            # What fits into one part is one request instead of three, and leaves no upload open,
            # whatever happens.
            if await reader.more():
                return await self._multipart(order, reader, witness)
            return await self._single(order, reader, witness)
        finally:
            reader.close()

    # Into the bucket

    async def _single(self, order: TransferSpec, reader: PartReader, witness: _Fingerprint | None) -> Stored:
        # The whole body is here, so it is judged before the bucket hears of it.
        flags = self._judge(order.recording, reader, witness)
        await self._give_way(order)
        part, room = reader.take()
        try:
            # Nothing is noted before, unlike an upload: a put is there or not, and if we die the
            # next run finds it and compares.
            stored = await self._store.put(order.target, part, overwrite=self._may_replace(order))
        except ObjectExists as taken:
            return await self._compare(order, reader, flags, taken.found)
        finally:
            room.release()
        stored = replace(stored, sha256=reader.sha256)
        return Stored(stored, main_place=order.fallback is not None, flags=flags)

    async def _multipart(self, order: TransferSpec, reader: PartReader, witness: _Fingerprint | None) -> Stored:
        """Upload part by part; before the first one, look whether there is anything to upload at all."""
        await self._give_way(order)
        if not self._may_replace(order) and await self._look(order.target.key) is not None:
            # Read to its end all the same: only size and checksum say whether it is what lies there.
            await reader.drain()
            return await self._compare(order, reader, self._judge(order.recording, reader, witness))
        key, recording = order.target.key, order.recording
        # Intent first: a crash between the two leaves a key that is swept, not an upload that nobody knows of.
        await self._log.started(recording.task_id, recording.id, key)
        upload_id = await self._create(order)
        try:
            receipts = await self._upload_parts(key, upload_id, reader)
            # The last moment before it could become an object: until Complete the parts are nothing
            # that anybody sees.
            flags = self._judge(order.recording, reader, witness)
            stored = await self._complete(order, upload_id, receipts, reader)
        except ObjectExists as taken:
            await self._abort(key, upload_id)
            return await self._compare(order, reader, flags, taken.found)
        except BaseException:
            await self._abort(key, upload_id)
            raise
        stored = replace(stored, sha256=reader.sha256)
        # With its id, so that one change of the ledger calls it stored and forgets the upload.
        return Stored(stored, main_place=order.fallback is not None, upload_id=upload_id, flags=flags)

    async def _give_way(self, order: TransferSpec) -> None:
        """Where objects may be replaced, look first: another recording of the task keeps its place all the same."""
        if not self._may_replace(order) or order.fallback is None:
            return
        found = await self._look(order.target.key)
        if found is not None and keys.names_other(found.metadata, order.recording):
            raise _PlaceTakenError(order.fallback)

    async def _create(self, order: TransferSpec) -> str:
        """Begin an upload and write its id down; if either is broken off, look for what was begun all the same."""
        key, recording = order.target.key, order.recording
        try:
            upload_id = await self._store.create(order.target)
            await self._log.upload_created(key, upload_id, recording.task_id, recording.id)
        except BaseException:
            # Mostly we are cancelled here, and S3 may have begun it all the same: shielded, but not for long.
            with anyio.move_on_after(HURRIED_ABORT_DEADLINE_S, shield=True):
                await self.sweep(key)
            raise
        # An attempt before this one may have begun an upload, too, and lost the answer; ours is the
        # one whose id we have.
        if key in self._store.uncertain_keys:
            await self.sweep(key, keep=upload_id)
        return upload_id

    async def sweep(self, key: str, keep: str | None = None) -> int:
        """Abort every open upload of exactly this key but ``keep``; return how many could not be aborted.

        For keys that this program wrote to and lost sight of.  Without the
        permission to list uploads this is only said: a lifecycle rule must do it.
        """
        try:
            uploads = await self._store.open_uploads(key)
        except (RemoteError, OperationFailed):
            self._emit(Warned("uploads_unlistable", f"an upload of {key} may be open, and uploads cannot be listed"))
            return 0
        # Asked for by prefix, S3 also names the uploads of longer keys: those are other recordings'.
        ours = [upload.upload_id for upload in uploads if upload.key == key and upload.upload_id != keep]
        left = [upload_id for upload_id in ours if not await self._store.abort(key, upload_id)]
        for upload_id in left:
            self._emit(UploadLeftOpen(key, upload_id))
        if not left:
            self._store.uncertain_keys.discard(key)
        return len(left)

    async def sweep_uncertain(self) -> None:
        """Abort what may have been begun without our learning of it: nobody else will ever know of it."""
        for key in tuple(self._store.uncertain_keys):
            await self.sweep(key)

    async def _upload_parts(self, key: str, upload_id: str, reader: PartReader) -> list[PartReceipt]:
        receipts: list[PartReceipt] = []
        slots = anyio.Semaphore(self._limits.parts_in_flight - 1)  # the first one is under way at once

        async def upload(part: Part, room: Reservation) -> None:
            try:
                receipts.append(await self._store.upload_part(key, upload_id, part))
            finally:
                room.release()
                slots.release()

        try:
            async with anyio.create_task_group() as uploads:
                while True:
                    # No name here may hold a part: it would live on after its upload, and its room be given twice.
                    uploads.start_soon(upload, *reader.take())
                    if not await reader.more():
                        break
                    # First the slot, then room for the part: whoever waits for a slot holds no
                    # memory that another could use.
                    await slots.acquire()
                    await reader.fill()
        except BaseExceptionGroup as group:
            raise first_failure(group) from None
        return sorted(receipts, key=lambda receipt: receipt.number)

    async def _complete(
        self, order: TransferSpec, upload_id: str, receipts: Sequence[PartReceipt], reader: PartReader
    ) -> StoredObject:
        size, crc = reader.size, reader.crc32
        # What the object will be, noted before it may be: if the answer never comes, recovery compares with this.
        await self._log.completing(upload_id, size, crc)
        return await self._store.complete(
            order.target, upload_id, receipts, size=size, crc32=crc, overwrite=self._may_replace(order)
        )

    # Giving an upload up

    async def _abort(self, key: str, upload_id: str, within_s: float = ABORT_DEADLINE_S) -> None:
        """Abort an upload, in a hurry from the moment somebody cancels; say so when it could not be done."""
        # In peace first, and not shielded: who cancels now, and an abort that failed, get one more in a hurry.
        # Either way the ledger or a listener learns what came of it, cancelled or not.
        gone = False
        try:
            with anyio.move_on_after(within_s):
                gone = await self._store.abort(key, upload_id)
        finally:
            with anyio.CancelScope(shield=True):
                if not gone:
                    with anyio.move_on_after(HURRIED_ABORT_DEADLINE_S):
                        gone = await self._aborted_quietly(key, upload_id)
                if gone:
                    await self._log.upload_gone(upload_id)
                else:
                    self._emit(UploadLeftOpen(key, upload_id))

    async def _aborted_quietly(self, key: str, upload_id: str) -> bool:
        try:
            return await self._store.abort(key, upload_id)
        except WxrecError:
            return False  # what is on its way out already says why

    # What arrived, and what lies there

    def _judge(self, recording: Recording, reader: PartReader, witness: _Fingerprint | None) -> tuple[str, ...]:
        """Decide whether what arrived is a whole recording; return what is odd about it.

        Raises `InvalidMedia` when it is not one, `_DoubtfulError` when it is to be fetched
        once more: what comes twice is what there is.
        """
        stream, sniffer = reader.stream, reader.sniffer
        agrees = check_whole(sniffer, proven=stream.proven, length=stream.length, sent=stream.offset)
        doubts = list_doubts(recording, riff_agrees=agrees, duration_ms=sniffer.duration_ms)
        fingerprint = _Fingerprint(reader.size, reader.crc32, None if agrees else stream.etag)
        if doubts and fingerprint != witness:
            raise _DoubtfulError(doubts[0], fingerprint)
        odd = (sniffer.oddity,) if sniffer.oddity else ()
        return (*odd, *(doubt.flag for doubt in doubts))

    async def _compare(
        self, order: TransferSpec, reader: PartReader, flags: tuple[str, ...], found: StoredObject | None = None
    ) -> Stored:
        """The key is taken: by the same bytes, by another recording of the task, or by something else."""
        # What may lie there:
        # nothing that we may see: whether it is ours cannot be said, so the recording fails by that name;
        # nothing any more: from the beginning once more;
        # another recording of this task: it keeps the place, ours goes beside it;
        # the same bytes: stored before, by an earlier run or by a request of ours whose answer was lost;
        # other bytes: a conflict, because nothing is replaced unless that was asked for.
        key, size, crc = order.target.key, reader.size, reader.crc32
        try:
            found = found or await self._store.head(key)
        except HTTPStatusError as rejected:
            raise OperationFailed(retry.GiveUp("exists_unreadable"), rejected) from None
        if found is None:
            raise OperationFailed(retry.Restart(), InvalidMedia("conflict", "the key was taken and is free again"))
        if order.fallback is not None and keys.names_other(found.metadata, order.recording):
            raise _PlaceTakenError(order.fallback)
        same = same_object(found, size=size, crc=crc)
        if same is None:
            # No checksum over the whole (in parts by another program, or an old object): the bytes
            # themselves are read.
            same = await self._store.read_crc32(key) == (size, crc)
        if not same:
            detail = f"{key} holds {found.size} other bytes; the recording has {size}"
            raise OperationFailed(retry.GiveUp("conflict"), InvalidMedia("conflict", detail))
        known = replace(found, crc32=crc, sha256=reader.sha256)
        return Stored(known, already=True, main_place=order.fallback is not None, flags=flags)


class _PlaceTakenError(Exception):
    """Another recording of the task holds the main place; ours goes to ``fallback``."""

    def __init__(self, fallback: ObjectTarget) -> None:
        super().__init__(fallback.key)
        self.fallback = fallback


def _upload_vanished(given_up: OperationFailed) -> bool:
    """The upload was removed under us, or lost a race: begin a new one."""
    trouble = given_up.trouble
    return isinstance(trouble, HTTPStatusError) and trouble.code in ("NoSuchUpload", "ConditionalRequestConflict")


def _failed_anew(trouble: RemoteError) -> Failed:
    match trouble:
        case InvalidMedia(reason=reason):
            return Failed(reason, str(trouble))
        case HTTPStatusError(
            code="NoSuchUpload" | "ConditionalRequestConflict" | "BadDigest" | "InvalidRequest" as code
        ):
            return Failed(f"s3_{code}", str(trouble))
        case _:
            return Failed("source_changed", str(trouble))


def _outcome(given_up: OperationFailed) -> Failed | Gone:
    match given_up.decision:
        case retry.DeletedAtSource(evidence=evidence):
            return Gone(evidence)
        case retry.GiveUp(reason=reason, evidence=evidence):
            return Failed(reason, str(given_up.trouble), evidence)
        case _:
            return Failed("error", str(given_up.trouble))
