"""Writes a task's sidecar when its recordings have come to rest: another object for each state, never replaced.

The object is written first and noted in the ledger after; a run that is broken
off between finds it again.  A sidecar that cannot be written is told and comes
with the next run: no recording waits for it.
"""

from __future__ import annotations

from typing import Protocol

from isal.isal_zlib import crc32

from wxrec_async.errors import AuthError, HTTPStatusError, ObjectExists, RunStopped
from wxrec_async.events import Emit, Warned
from wxrec_async.ledger.records import Scope
from wxrec_async.model import ObjectTarget, Part, StoredObject
from wxrec_async.plumbing.for_each import each_of
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules import keys
from wxrec_async.rules.evidence import sha256_hex
from wxrec_async.rules.sidecars import CONTENT_TYPE, Described, content, says_as_much

AT_ONCE = 16
MOST_BYTES = 1 << 20


class SidecarBucket(Protocol):
    """Where sidecars go.  `OperationFailed` when it cannot be done; ``put`` raises `ObjectExists` for a taken key."""

    async def put(self, target: ObjectTarget, part: Part) -> StoredObject: ...

    async def read_small(self, key: str, most: int) -> bytes | None: ...


class Tasks(Protocol):
    """The ledger, as far as sidecars go."""

    async def described(self, task_id: str) -> Described | None: ...

    async def sidecars_due(self, scope: Scope, *, after: int = 0, limit: int = 500) -> list[tuple[int, str]]: ...

    async def note_sidecar(self, task_id: str, number: int, sha256: str) -> None: ...


class Sidecars:
    """``template`` is that of keys, ``masked`` keeps phone numbers out, ``metadata`` goes with every object."""

    def __init__(
        self, bucket: SidecarBucket, ledger: Tasks, *, template: str, masked: bool, metadata: dict[str, str], emit: Emit
    ) -> None:
        self._bucket, self._ledger, self._emit = bucket, ledger, emit
        self._template, self._masked, self._metadata = template, masked, metadata

    async def task_finished(self, task_id: str) -> None:
        """Write the sidecar of a task if all of its recordings are at rest and no sidecar says so yet."""
        described = await self._ledger.described(task_id)
        if described is None or described.current:
            return
        try:
            number, written = await self._written(described)
        # `AuthError` and `RunStopped` pass: they would meet every sidecar that follows.
        except (HTTPStatusError, OperationFailed) as failure:
            self._emit(Warned("sidecar_not_written", f"task {task_id}: S3 {failure}; the next run tries again"))
            return
        await self._ledger.note_sidecar(task_id, number, sha256_hex(written))

    async def catch_up(self, scope: Scope) -> AuthError | RunStopped | None:
        """Write what earlier runs could not, or did not have to; return what forbids it."""
        after = 0
        try:
            while due := await self._ledger.sidecars_due(scope, after=after):
                # By row, written or not: one that fails would be the first of every page for ever.
                after = due[-1][0]
                await each_of([task_id for _, task_id in due], self.task_finished, AT_ONCE)
        except (AuthError, RunStopped) as refusal:
            return refusal
        return None

    async def _written(self, described: Described) -> tuple[int, bytes]:
        """Have the newest sidecar of a task say what it must; return its number and bytes."""
        wanted = content(described, masked=self._masked)
        # A run that died after writing noted nothing, so the bucket may be ahead: from the newest that the ledger
        # knows one walks to the newest there is, and writes another only if that says something else.
        number, newest = described.number, b""
        if number:
            newest = await self._bucket.read_small(self._key(described, number), MOST_BYTES) or b""
        while True:
            key = self._key(described, number + 1)
            # Without one to go by the put itself is the look, because most tasks get their first here.
            found = await self._bucket.read_small(key, MOST_BYTES) if newest else None
            if found is None:
                if newest and says_as_much(newest, wanted):
                    return number, newest
                found = await self._put(key, wanted)
                if found is None:
                    return number + 1, wanted
            number, newest = number + 1, found

    def _key(self, described: Described, number: int) -> str:
        return keys.sidecar_key(described.task, described.start_ms, number, template=self._template)

    async def _put(self, key: str, data: bytes) -> bytes | None:
        """Write it; return what lies there when the key is taken."""
        target = ObjectTarget(key, CONTENT_TYPE, self._metadata, at_hand=True)
        try:
            await self._bucket.put(target, Part(1, (data,), len(data), crc32(data)))
        except ObjectExists:
            return await self._bucket.read_small(key, MOST_BYTES) or b""
        return None
