"""A day's manifest and its file of tasks: page by page into the bucket, in constant memory.

Each is made twice: once to learn its SHA-256, which is part of its key and mostly
says that nothing needs to be written, and once to write it.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

import anyio
from isal.isal_zlib import crc32

from wxrec_async.errors import HTTPStatusError, ObjectExists, RemoteError
from wxrec_async.evidence.chain import ChainBroken
from wxrec_async.model import ObjectTarget, Part, PartReceipt, Window
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.evidence import Ended, Item, ended_line, manifest_line
from wxrec_async.rules.parts import PartAssembler, same_object
from wxrec_async.s3.reader import S3ReadStore

PAGE = 1000
ABORT_DEADLINE_S = 10.0


class Items(Protocol):
    """The ledger, as far as it is written into manifests."""

    async def items(self, day: Window, *, after: Item | None = None, limit: int = 1000) -> list[Item]: ...


class EndedTasks(Protocol):
    """The tasks of a day that have nothing to store, by id."""

    async def ended(self, *, after: str = "", limit: int = 1000) -> list[Ended]: ...


class NoEndedTasks:
    """There is none."""

    async def ended(self, *, after: str = "", limit: int = 1000) -> list[Ended]:  # noqa: ARG002 - nothing to page
        return []


Lines = Callable[[], AsyncIterator[bytes]]


def manifest_lines(ledger: Items, day: Window) -> Lines:
    """Return what yields the lines of a day's manifest, a page at a time, each time anew."""

    async def pages() -> AsyncIterator[bytes]:
        # Paged by the last item, in a fixed order: read twice, an unchanged ledger gives the same bytes.
        page = await ledger.items(day, limit=PAGE)
        while page:
            yield b"".join(map(manifest_line, page))
            page = await ledger.items(day, after=page[-1], limit=PAGE)

    return pages


def task_lines(tasks: EndedTasks) -> Lines:
    """Return what yields the lines of a day's file of tasks, likewise."""

    async def pages() -> AsyncIterator[bytes]:
        page = await tasks.ended(limit=PAGE)
        while page:
            yield b"".join(map(ended_line, page))
            page = await tasks.ended(after=page[-1].task_id, limit=PAGE)

    return pages


class FileChanged(Exception):
    """What a file is made of changed while it was made; begin anew."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a file is: its bytes by size, CRC-32 and SHA-256 (hex), and how many lines it has."""

    size: int
    crc32: int
    sha256: str
    lines: int


class Manifests:
    """Makes files of lines and writes them into a bucket; ``part_size`` is in bytes."""

    def __init__(self, bucket: S3ReadStore, part_size: int) -> None:
        self._bucket, self._part_size = bucket, part_size

    async def describe(self, source: Lines) -> Made:
        """Return what the file is now."""
        size = checksum = lines = 0
        sha256 = hashlib.sha256()
        async for block in source():
            size, checksum, lines = size + len(block), crc32(block, checksum), lines + block.count(b"\n")
            sha256.update(block)
        return Made(size, checksum, sha256.hexdigest(), lines)

    async def write(self, source: Lines, target: ObjectTarget, made: Made) -> None:
        """Have the file that was described lie under the target's key; what is there already is compared.

        Raises `FileChanged` when it is not that file any more, `ChainBroken` when
        other bytes lie under the key.
        """
        if await self.is_there(target.key, made):
            return
        try:
            await self._upload(source, target, made)
        except (ObjectExists, OperationFailed):
            # Somebody writes the same, or an answer was lost: what counts is what lies there.
            if not await self.is_there(target.key, made):
                raise
        # Only what took several parts can have left an upload open.
        if made.size > self._part_size:
            await self._tidy(target.key)

    async def is_there(self, key: str, made: Made) -> bool:
        """Say whether that file lies there; `ChainBroken` when other bytes do."""
        found = await self._bucket.head(key)
        if found is None:
            return False
        same = same_object(found, size=made.size, crc=made.crc32)
        # A store that names no checksum: then it is read back.
        if same is None:
            same = (await self._bucket.digest(key, found.size)).sha256 == made.sha256
        if not same:
            raise ChainBroken(f"{key} holds other bytes than its name says; nothing is certified on top of that")
        return True

    async def _upload(self, source: Lines, target: ObjectTarget, made: Made) -> None:
        upload = _Upload(self._bucket, target)
        try:
            last = await self._send(source, upload, made)
            await upload.finish(last, made)
        except BaseException:
            # Cancelled as well as failed: an upload that stays open costs storage and shows nowhere.
            await upload.give_up()
            raise

    async def _send(self, source: Lines, upload: _Upload, made: Made) -> Part:
        """Upload every part that is full; return the last one.  Nothing becomes an object before the hash is right."""
        # The ledger is read a second time, and may have been written to meanwhile.  So the last part is held
        # back until the hash says that this is the file that was described: before that nothing is an object.
        assembler, sha256 = PartAssembler(made.size, self._part_size), hashlib.sha256()
        async for block in source():
            sha256.update(block)
            if assembler.size + len(block) > made.size:
                raise FileChanged
            for part in assembler.feed(block):
                await upload.add(part)
        if sha256.hexdigest() != made.sha256:
            raise FileChanged
        return assembler.finish()

    async def _tidy(self, key: str) -> None:
        """Abort what earlier attempts at this day's manifests left open; a lifecycle rule does it, too."""
        try:
            for upload in await self._bucket.open_uploads(key.rpartition("/")[0] + "/"):
                await self._bucket.abort(upload.key, upload.upload_id)
        except (RemoteError, OperationFailed):
            return


class _Upload:
    """One put, or a multipart upload when a part is full before the end."""

    def __init__(self, bucket: S3ReadStore, target: ObjectTarget) -> None:
        self._bucket, self._target = bucket, target
        self._id = ""
        self._receipts: list[PartReceipt] = []

    async def add(self, part: Part) -> None:
        # Begun with the first full part: most days fit into one put, which leaves nothing open.
        self._id = self._id or await self._bucket.create(self._target)
        self._receipts.append(await self._bucket.upload_part(self._target.key, self._id, part))

    async def finish(self, last: Part, made: Made) -> None:
        if not self._id:
            await self._bucket.put(self._target, last)
            return
        if last.size:
            await self.add(last)
        await self._bucket.complete(self._target, self._id, self._receipts, size=made.size, crc32=made.crc32)
        # Complete: nothing is left to give up.
        self._id = ""

    async def give_up(self) -> None:
        if self._id:
            # Shielded, or what brought us here would end it too; limited, or a store that hangs would hold us.
            with anyio.move_on_after(ABORT_DEADLINE_S, shield=True):
                try:
                    await self._bucket.abort(self._target.key, self._id)
                except (HTTPStatusError, OperationFailed):
                    return
