"""A source, a bucket and a Webex in memory, which fail, hang and break off where they are told to."""

from __future__ import annotations

import random
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from isal.isal_zlib import crc32

from wxrec_async.errors import HTTPStatusError, InvalidMedia, ObjectExists
from wxrec_async.model import (
    Attachment,
    Capture,
    ObjectTarget,
    OpenUpload,
    Part,
    PartReceipt,
    Recording,
    Secret,
    StoredObject,
    Task,
    TaskPage,
    TransferSpec,
    Window,
)
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.retry import GiveUp

PART = 1024  # bytes; conftest.py lowers the least part size to this

LONG_AGO_MS = 1_600_000_000_000  # an id alone tells no age: its recordings do


class Crash(BaseException):
    """The process is gone: nothing after this has any effect."""


class Fuse:
    """Counts the moments at which the outside is touched; blows at number ``at`` and stays blown."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.count, self.blown = at, 0, False

    def touch(self) -> None:
        """Pass one moment."""
        self.count += 1
        if self.blown or self.count == self.at:
            self.blown = True
            raise Crash


def wav(size: int, seed: int = 0, stated: int | None = None) -> bytes:
    """Return a WAV of ``size`` bytes whose RIFF header states ``stated`` (default: the truth)."""
    total = size if stated is None else stated
    head = b"RIFF" + struct.pack("<I", total - 8) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    head += b"data" + struct.pack("<I", max(0, total - 44))
    return head + random.Random(seed).randbytes(size - len(head))


def cut(data: bytes, size: int) -> list[bytes]:
    """Return ``data`` in chunks of ``size``."""
    return [data[at : at + size] for at in range(0, len(data), size)]


@dataclass
class Body:
    """What one GET brings; ``fail_after`` chunks it raises ``failure``, or hangs when that is None."""

    chunks: Iterable[bytes | memoryview]
    length: int | None = -1  # -1: the truth
    etag: str | None = '"e1"'
    content_type: str = "audio/wav"
    proven: bool = True
    fail_after: int | None = None
    failure: BaseException | None = None
    refuse: BaseException | None = None


class FakeStream:
    """A `MediaStream` of scripted chunks; the CRC-32 of every other one is known."""

    chunk_crc32: int | None = None

    def __init__(self, body: Body, fuse: Fuse) -> None:
        self._body, self._fuse = body, fuse
        self.length = sum(map(len, body.chunks)) if body.length == -1 else body.length
        self.etag, self.content_type, self.proven, self.offset = body.etag, body.content_type, False, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        number = 0
        for chunk in self._body.chunks:
            await self._perhaps_fail(number)
            self.offset += len(chunk)
            self.chunk_crc32 = crc32(chunk) if number % 2 else None
            yield chunk  # type: ignore[misc]  # a memoryview can be watched until it dies
            del chunk
            number += 1
        await self._perhaps_fail(number)
        self.proven = self._body.proven

    async def _perhaps_fail(self, number: int) -> None:
        self._fuse.touch()
        await checkpoint()
        if number == self._body.fail_after:
            if self._body.failure is None:
                await anyio.sleep_forever()
            else:
                raise self._body.failure


class FakeSource:
    """Opens bodies by recording id: the n-th GET brings the n-th body, or the last one."""

    def __init__(self, bodies: Mapping[str, Sequence[Body]], fuse: Fuse | None = None) -> None:
        self.bodies, self.fuse = dict(bodies), fuse or Fuse()
        self.opened: list[Recording] = []
        self.live = self.most_live = 0
        self.hold: anyio.Event | None = None

    @property
    def gets(self) -> Counter[str]:
        return Counter(recording.id for recording in self.opened)

    @asynccontextmanager
    async def open(self, recording: Recording) -> AsyncIterator[FakeStream]:
        self.fuse.touch()
        self.opened.append(recording)
        self.live += 1
        self.most_live = max(self.most_live, self.live)
        try:
            await checkpoint()
            if self.hold is not None:
                await self.hold.wait()
            script = self.bodies[recording.id]
            body = script[min(self.gets[recording.id], len(script)) - 1]
            if body.refuse is not None:
                raise body.refuse
            yield FakeStream(body, self.fuse)
        finally:
            self.live -= 1


@dataclass
class _Upload:
    target: ObjectTarget
    parts: dict[int, bytes] = field(default_factory=dict)


class FakeStore:
    """A bucket that keeps bytes, holds conditions and checksums, and counts.

    ``script[op]`` is a list of what happens at the calls of ``op``: None (all is
    well), an exception, ``hang``, or a callable.  ``late[op]`` happens after the
    call took effect: the answer is lost.
    """

    def __init__(self, fuse: Fuse | None = None) -> None:
        self.fuse = fuse or Fuse()
        self.objects: dict[str, tuple[bytes, StoredObject]] = {}
        self.uploads: dict[str, _Upload] = {}
        self.calls: list[tuple[str, str]] = []
        self.script: dict[str, list[Any]] = {}
        self.late: dict[str, list[Any]] = {}
        self.parts_now = self.most_parts = 0
        self.hold_parts: anyio.Event | None = None
        self.forbid_head = self.forbid_list = self.no_checksums = False
        self.uncertain_keys: set[str] = set()
        self.made = 0

    def count(self, op: str) -> int:
        return sum(1 for called, _ in self.calls if called == op)

    def contents(self) -> dict[str, bytes]:
        return {key: data for key, (data, _) in self.objects.items()}

    def place(self, key: str, data: bytes, metadata: Mapping[str, str] | None = None) -> None:
        """Put an object there behind everybody's back."""
        self.objects[key] = (data, StoredObject(key, len(data), crc32(data), etag="x", metadata=dict(metadata or {})))

    @asynccontextmanager
    async def _call(self, op: str, key: str) -> AsyncIterator[None]:
        self.calls.append((op, key))
        self.fuse.touch()
        await self._act(self.script, op)
        await checkpoint()
        yield
        self.fuse.touch()
        await self._act(self.late, op)
        await checkpoint()

    async def _act(self, script: dict[str, list[Any]], op: str) -> None:
        actions = script.get(op)
        action = actions.pop(0) if actions else None
        if isinstance(action, BaseException):
            raise action
        if action is hang:
            await anyio.sleep_forever()
        elif action is not None:
            action()

    async def put(self, target: ObjectTarget, part: Part, *, overwrite: bool = False) -> StoredObject:
        async with self._call("put", target.key):
            data = _checked(part)
            return self._make(target, data, overwrite=overwrite)

    def _make(self, target: ObjectTarget, data: bytes, *, overwrite: bool) -> StoredObject:
        if target.key in self.objects and not overwrite:
            raise ObjectExists
        made = StoredObject(
            target.key, len(data), crc32(data), etag="x", content_type=target.content_type, metadata=target.metadata
        )
        self.objects[target.key] = (data, made)
        return made

    async def create(self, target: ObjectTarget) -> str:
        async with self._call("create", target.key):
            self.made += 1
            upload_id = f"u{self.made}"
            self.uploads[upload_id] = _Upload(target)
        return upload_id

    async def upload_part(self, key: str, upload_id: str, part: Part) -> PartReceipt:
        self.parts_now += 1
        self.most_parts = max(self.most_parts, self.parts_now)
        try:
            async with self._call("upload_part", key):
                if self.hold_parts is not None:
                    await self.hold_parts.wait()
                data = _checked(part)
                self._upload(upload_id, key).parts[part.number] = data
            return PartReceipt(part.number, f"e{part.number}", part.crc32, part.size)
        finally:
            self.parts_now -= 1

    def _upload(self, upload_id: str, key: str) -> _Upload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.target.key != key:
            raise no_such_upload()
        return upload

    async def complete(
        self,
        target: ObjectTarget,
        upload_id: str,
        parts: Sequence[PartReceipt],
        *,
        size: int,
        crc32: int,
        overwrite: bool = False,
    ) -> StoredObject:
        async with self._call("complete", target.key):
            upload = self._upload(upload_id, target.key)
            numbers = [receipt.number for receipt in parts]
            assert numbers == sorted(upload.parts) == list(range(1, len(numbers) + 1))
            pieces = [upload.parts[number] for number in numbers]
            assert all(len(piece) >= PART for piece in pieces[:-1]), "EntityTooSmall"
            data = b"".join(pieces)
            assert (len(data), crc_of(data)) == (size, crc32), "the object is not what Complete says"
            made = self._make(upload.target, data, overwrite=overwrite)
            del self.uploads[upload_id]
        return made

    async def abort(self, key: str, upload_id: str) -> bool:
        async with self._call("abort", key):
            self.uploads.pop(upload_id, None)
        return True

    async def head(self, key: str) -> StoredObject | None:
        async with self._call("head", key):
            if self.forbid_head:
                raise HTTPStatusError(403, code="Forbidden")
            found = self.objects.get(key)
        if found is None:
            return None
        return replace(found[1], crc32=None) if self.no_checksums else found[1]

    async def read_crc32(self, key: str) -> tuple[int, int]:
        async with self._call("read", key):
            data = self.objects[key][0]
        return len(data), crc_of(data)

    async def open_uploads(self, prefix: str) -> list[OpenUpload]:
        async with self._call("list", prefix):
            if self.forbid_list:
                raise OperationFailed(GiveUp("s3_AccessDenied"), HTTPStatusError(403, code="AccessDenied"))
            found = [(name, upload.target.key) for name, upload in self.uploads.items()]
        return [OpenUpload(key, name) for name, key in found if key.startswith(prefix)]


def hang() -> None:
    """Mark a scripted call that never answers."""


def crc_of(data: bytes) -> int:
    found: int = crc32(data)
    return found


def _checked(part: Part) -> bytes:
    data = b"".join(part.chunks)
    assert (len(data), crc_of(data)) == (part.size, part.crc32), "the part is not what it says"
    return data


def no_such_upload() -> OperationFailed:
    return OperationFailed(GiveUp("s3_NoSuchUpload"), HTTPStatusError(404, code="NoSuchUpload"))


def refused(reason: str = "s3_Broken", code: str = "Broken") -> OperationFailed:
    return OperationFailed(GiveUp(reason), HTTPStatusError(400, code=code))


def unfit(reason: str = "empty") -> InvalidMedia:
    return InvalidMedia(reason)


class Log:
    """An `UploadLog` that remembers."""

    def __init__(self) -> None:
        self.notes: list[tuple[object, ...]] = []
        self.script: dict[str, list[BaseException | None]] = {}
        self.open: set[str] = set()

    async def _note(self, op: str, *facts: object) -> None:
        await checkpoint()
        actions = self.script.get(op)
        if actions and (failure := actions.pop(0)) is not None:
            raise failure
        self.notes.append((op, *facts))

    async def started(self, task_id: str, recording_id: str, key: str) -> None:
        await self._note("started", task_id, recording_id, key)

    async def upload_created(self, key: str, upload_id: str, task_id: str, recording_id: str) -> None:
        await self._note("upload_created", key, upload_id)
        self.open.add(upload_id)

    async def completing(self, upload_id: str, size: int, crc32: int) -> None:
        await self._note("completing", upload_id, size, crc32)

    async def upload_gone(self, upload_id: str) -> None:
        await self._note("upload_gone", upload_id)
        self.open.discard(upload_id)


def order(recording_id: str = "r1", *, fallback: bool = True, task_id: str = "t1") -> TransferSpec:
    """Return the order of a task's main recording, with the place it takes when that is taken."""
    recording = Recording(task_id, recording_id, url=Secret("https://media.test/x"))
    named = {"wx-task-id": task_id, "wx-recording-id": recording_id}
    main = ObjectTarget(f"c/{task_id}/recording.wav", "audio/wav", named)
    further = ObjectTarget(f"c/{task_id}/recording-{recording_id}.wav", "audio/wav", named)
    return TransferSpec(recording, main, further) if fallback else TransferSpec(recording, main)


@dataclass(frozen=True)
class Answer:
    """What captures said."""

    captures: dict[str, Capture] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class FakeWebex:
    """Lists tasks by time, page by page, and knows their recordings."""

    answered = True

    def __init__(self, tasks: Iterable[Task] = (), page_size: int = 1000, fuse: Fuse | None = None) -> None:
        self.tasks = sorted(tasks, key=lambda task: task.created_ms or 0)
        self.recordings: dict[str, list[Recording]] = {}
        self.page_size, self.fuse = page_size, fuse or Fuse()
        self.pages: list[Window] = []
        self.asked: list[list[str]] = []
        self.failing: dict[str, str] = {}
        self.unsettled: dict[str, str] = {}
        self.attachments: dict[str, tuple[Attachment, ...]] = {}
        self.on_page: Callable[[Window, int], TaskPage | None] = lambda _window, _from_ms: None
        self.on_captures: Callable[[Sequence[str]], Any] = lambda _ids: None

    def servers_now_ms(self) -> int:
        """No server has said what time it is."""
        return 0

    async def tasks_page(
        self, window: Window, *, from_ms: int, next_link: str | None = None, every_channel: bool = False
    ) -> TaskPage:
        self.fuse.touch()
        self.pages.append(window)
        await checkpoint()
        if (page := self.on_page(window, from_ms)) is not None:
            return page
        found = [task for task in self.tasks if from_ms <= (task.created_ms or from_ms) < window.to_ms]
        found = found[: self.page_size]
        self.fuse.touch()
        return TaskPage(tuple(found), rows=len(found))

    async def captures(self, task_ids: Sequence[str]) -> Answer:
        self.fuse.touch()
        assert 1 <= len(task_ids) <= 10
        assert len(set(task_ids)) == len(task_ids)
        self.asked.append(list(task_ids))
        await checkpoint()
        outcome = self.on_captures(task_ids)
        if outcome is not None:
            await outcome
        self.fuse.touch()
        answered = [task_id for task_id in task_ids if task_id not in self.failing]
        return Answer(
            {
                task_id: Capture(
                    task_id,
                    tuple(self.recordings.get(task_id, ())),
                    self.attachments.get(task_id, ()),
                    self.unsettled.get(task_id, ""),
                )
                for task_id in answered
            },
            {task_id: self.failing[task_id] for task_id in task_ids if task_id in self.failing},
        )

    def give(self, task_id: str, *recording_ids: str, **facts: Any) -> None:
        """Let captures name these recordings; they began long ago, unless the facts say otherwise."""
        facts = {"start_ms": LONG_AGO_MS} | facts
        self.recordings[task_id] = [
            Recording(task_id, name, "combinedRecordings.wav", Secret("https://media.test/x"), **facts)
            for name in recording_ids
        ]
