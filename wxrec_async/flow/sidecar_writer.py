"""Writes a task's sidecar when its recordings have come to rest: one object, which later states replace.

It is written where there is none, and replaced only as what was read of it (its
ETag), so that two who write at once lose nothing of each other's.  A bucket that
lets nothing be replaced gets another object for each state.  The object is written
first and noted in the ledger after; a run that is broken off between finds it again.
A sidecar that cannot be written is told and comes with the next run: no recording
waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from isal.isal_zlib import crc32

from wxrec_async.errors import AuthError, HTTPStatusError, InvalidResponse, ObjectExists, RunStopped
from wxrec_async.events import Emit, Warned
from wxrec_async.ledger.records import Scope
from wxrec_async.model import ObjectTarget, Part, StoredObject, Window
from wxrec_async.plumbing.for_each import each_of
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import keys
from wxrec_async.rules.evidence import sha256_hex
from wxrec_async.rules.retry import GiveUp
from wxrec_async.rules.sidecars import CONTENT_TYPE, MOST_BYTES, Described, content, grouped, merged

AT_ONCE = 16
# So many others may get in between one's reading and writing; whoever does is never far behind.
MOST_ROUNDS = 20


class SidecarBucket(Protocol):
    """Where sidecars go.  `OperationFailed` when it cannot be done.

    ``put`` raises `ObjectExists` for a taken key, and with ``instead_of``, the ETag of what is to be
    replaced, when something else lies there by now.
    """

    async def put(self, target: ObjectTarget, part: Part, *, instead_of: str = "") -> StoredObject: ...

    async def read_tagged(self, key: str, most: int) -> tuple[bytes, str] | None: ...


class Tasks(Protocol):
    """The ledger, as far as sidecars go."""

    async def described(self, task_id: str) -> Described | None: ...

    async def sidecars_due(self, scope: Scope, *, after: int = 0, limit: int = 500) -> list[tuple[int, str]]: ...

    async def note_sidecar(self, task_id: str, number: int, sha256: str) -> None: ...


class RecordsBySearch(Protocol):
    """Contact records by task; ``astray`` rows name no task that was asked for."""

    @property
    def records(self) -> Mapping[str, str]: ...

    @property
    def astray(self) -> int: ...


class RecordSource(Protocol):
    """Search, as far as contact records go; `OperationFailed` when they cannot be had."""

    async def records(self, window: Window, task_ids: Sequence[str]) -> RecordsBySearch: ...


class Sidecars:
    """``template`` is that of keys, ``masked`` keeps phone numbers out, ``metadata`` goes with every object."""

    def __init__(  # noqa: PLR0913 - where from, where to, and who listens
        self,
        bucket: SidecarBucket,
        ledger: Tasks,
        *,
        template: str,
        masked: bool,
        metadata: dict[str, str],
        emit: Emit,
        records: RecordSource | None = None,
    ) -> None:
        self._bucket, self._ledger, self._emit = bucket, ledger, emit
        self._template, self._masked, self._metadata = template, masked, metadata
        self._records = records
        self._numbered = False  # learned of the bucket: it lets nothing be replaced

    async def task_finished(self, task_id: str) -> None:
        """Write the sidecar of a task if all of its recordings are at rest and no sidecar says so yet."""
        # With contact records they are written at the end, a hundred at a time: one by one each would cost a call.
        if self._records is None:
            described = await self._ledger.described(task_id)
            if described is not None and not described.current:
                await self._write(described)

    async def _write(self, described: Described, *, final: bool = True) -> None:
        """Write one sidecar; one that is not ``final`` stays due, because something could not be had for it."""
        task_id = described.task.id
        try:
            number, written = await self._written(described)
        # `AuthError` and `RunStopped` pass: they would meet every sidecar that follows.
        except (HTTPStatusError, OperationFailed) as failure:
            self._emit(Warned("sidecar_not_written", f"task {task_id}: S3 {failure}; the next run tries again"))
            return
        if final:
            await self._ledger.note_sidecar(task_id, number, sha256_hex(written))

    async def catch_up(self, scope: Scope) -> AuthError | RunStopped | None:
        """Write what earlier runs could not, or did not have to; return what forbids it."""
        after = 0
        try:
            while due := await self._ledger.sidecars_due(scope, after=after):
                # By row, written or not: one that fails would be the first of every page for ever.
                after = due[-1][0]
                await self._write_page([task_id for _, task_id in due])
        except (AuthError, RunStopped) as refusal:
            return refusal
        return None

    async def _write_page(self, task_ids: Sequence[str]) -> None:
        if self._records is None:
            await each_of(task_ids, self.task_finished, AT_ONCE)
            return
        found = [await self._ledger.described(task_id) for task_id in task_ids]
        due = [each for each in found if each is not None and not each.current]
        for window, group in grouped(due):
            await self._write_group(self._records, window, group)

    async def _write_group(self, source: RecordSource, window: Window | None, group: Sequence[Described]) -> None:
        records, had = await self._records_of(source, window, [each.task.id for each in group])
        described = [replace(each, record=records.get(each.task.id)) for each in group]
        await each_of(described, partial(self._write, final=had), AT_ONCE)

    async def _records_of(
        self, source: RecordSource, window: Window | None, task_ids: Sequence[str]
    ) -> tuple[Mapping[str, str], bool]:
        """Return the records of a group, and whether it is worth asking again for what is not among them."""
        if window is None:
            return {}, True  # nobody knows when these calls were, and Search is asked by time
        try:
            found = await source.records(window, task_ids)
        except OperationFailed as given_up:
            words = f"{len(task_ids)} sidecars have no contact record: {given_up}; the next run tries again"
            self._emit(Warned("contact_records_missing", words))
            return {}, False
        if missing := [each for each in task_ids if each not in found.records]:
            named = ", ".join(missing[:3])
            words = f"Search has no contact record of {len(missing)} calls, {named} among them"
            self._emit(Warned("contact_record_unknown", words))
        if found.astray:
            words = f"Search answered with {found.astray} contact records of no call that was asked for"
            self._emit(Warned("contact_record_astray", words))
        return found.records, True

    async def _written(self, described: Described) -> tuple[int, bytes]:
        """Have the newest sidecar of a task say what it must; return its number and bytes."""
        wanted, number = content(described, masked=self._masked), max(1, described.number)
        # Most tasks get their first here, and the put itself is the look.
        if not described.number and await self._put(self._key(described, number), wanted):
            return number, wanted
        for _ in range(MOST_ROUNDS):
            number = await self._newest(described, number)
            key = self._key(described, number)
            found = await self._bucket.read_tagged(key, MOST_BYTES)
            # What a ledger made anew does not know any more is no reason to forget it.
            says = wanted if found is None else merged(found[0], wanted)
            if found is not None and says == found[0]:
                return number, says
            if await self._put(key, says, instead_of=found[1] if found else ""):
                return number, says
            if self._numbered and await self._put(self._key(described, number + 1), says):
                return number + 1, says
        raise OperationFailed(GiveUp("conflict"), InvalidResponse("it is changed again and again while it is written"))

    async def _newest(self, described: Described, number: int) -> int:
        """Walk from the newest state that the ledger knows to the newest there is: a run may have died between."""
        while await self._bucket.read_tagged(self._key(described, number + 1), MOST_BYTES) is not None:
            number += 1
        return number

    def _key(self, described: Described, number: int) -> str:
        return keys.sidecar_key(described.task, described.start_ms, number, template=self._template)

    async def _put(self, key: str, data: bytes, *, instead_of: str = "") -> bool:
        """Write it; False when something else lies there, or nothing there may be replaced."""
        if instead_of and self._numbered:
            return False
        target = ObjectTarget(key, CONTENT_TYPE, self._metadata, at_hand=True)
        try:
            await self._bucket.put(target, Part(1, (data,), len(data), crc32(data)), instead_of=instead_of)
        except ObjectExists:
            return False
        except OperationFailed as given_up:
            if given_up.decision != GiveUp("not_replaceable"):
                raise
            self._number_from_now_on(given_up)
            return False
        return True

    def _number_from_now_on(self, given_up: OperationFailed) -> None:
        if not self._numbered:
            words = f"the bucket lets no sidecar be replaced (S3 {given_up.trouble})"
            self._emit(Warned("sidecar_not_replaced", f"{words}: metadata-2.json and so on are written beside it"))
        self._numbered = True
