"""Where bodies are kept: in memory, on disk as playable files, or nowhere at all."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

BLOCK = 1 << 20
FLUSH = 4 << 20
# Bytes of a single name, as most file systems allow.
LONGEST_NAME = 255


class Blob(Protocol):
    """A body being written, then read."""

    size: int

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...

    def read(self, start: int, end: int) -> AsyncIterator[bytes]: ...

    async def drop(self) -> None:
        """Forget the bytes."""


class BlobStorage(Protocol):
    """Makes blobs and joins them."""

    def new(self) -> Blob: ...

    async def keep(self, key: str, parts: Sequence[Blob]) -> Blob:
        """Join parts into the object's body; the parts are gone afterwards."""


@dataclass(slots=True)
class MemoryBlob:
    """Chunks as they came."""

    chunks: list[bytes] = field(default_factory=list)
    size: int = 0

    async def write(self, data: bytes) -> None:
        self.chunks.append(data)
        self.size += len(data)

    async def close(self) -> None:
        """Nothing is pending."""

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        position = 0
        for chunk in self.chunks:
            low, high = max(start - position, 0), min(end - position, len(chunk))
            if low < high:
                yield chunk[low:high]
            position += len(chunk)

    async def drop(self) -> None:
        self.chunks = []


class MemoryStorage:
    """Keeps everything in memory."""

    def new(self) -> Blob:
        return MemoryBlob()

    async def keep(self, key: str, parts: Sequence[Blob]) -> Blob:  # noqa: ARG002 - the protocol's
        chunks = [chunk for part in parts if isinstance(part, MemoryBlob) for chunk in part.chunks]
        return MemoryBlob(chunks, sum(part.size for part in parts))


@dataclass(slots=True)
class NoBlob:
    """Counts and forgets."""

    size: int = 0

    async def write(self, data: bytes) -> None:
        self.size += len(data)

    async def close(self) -> None:
        """Nothing is pending."""

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        for at in range(start, end, BLOCK):
            yield bytes(min(BLOCK, end - at))

    async def drop(self) -> None:
        """Nothing was kept."""


class NoStorage:
    """Verifies bodies and throws them away, for campaigns larger than the machine; reading gives zeros."""

    def new(self) -> Blob:
        return NoBlob()

    async def keep(self, key: str, parts: Sequence[Blob]) -> Blob:  # noqa: ARG002 - the protocol's
        return NoBlob(sum(part.size for part in parts))


@dataclass(slots=True)
class FileBlob:
    """A file, written in large pieces off the event loop."""

    path: Path
    size: int = 0
    pending: list[bytes] = field(default_factory=list)
    waiting: int = 0

    async def write(self, data: bytes) -> None:
        self.pending.append(data)
        self.size += len(data)
        self.waiting += len(data)
        if self.waiting >= FLUSH:
            await self.close()

    async def close(self) -> None:
        pieces, self.pending, self.waiting = self.pending, [], 0
        await asyncio.to_thread(_append, self.path, pieces)

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        for at in range(start, end, BLOCK):
            yield await asyncio.to_thread(_slice, self.path, at, min(at + BLOCK, end))

    async def drop(self) -> None:
        await asyncio.to_thread(self.path.unlink, missing_ok=True)


class FileStorage:
    """Keeps objects as files below ``root``, under their keys where a key is a safe relative path."""

    def __init__(self, root: Path, bucket: str) -> None:
        self._objects = root / bucket
        self._parts = root / ".sandbox" / "parts"
        self._others = root / ".sandbox" / "keys"
        for folder in (self._objects, self._parts, self._others):
            folder.mkdir(parents=True, exist_ok=True)
        # Of a process that was killed: its open uploads are forgotten, the index knows objects alone.
        for stale in self._parts.iterdir():
            stale.unlink()
        self._count = 0

    def new(self) -> Blob:
        self._count += 1
        return FileBlob(self._parts / f"{self._count}")

    def path_of(self, key: str) -> Path:
        """Return where an object lies; a key that is no safe path lies under its hash."""
        segments = key.split("/")
        safe = all(s not in ("", ".", "..") and "\0" not in s and len(s.encode()) <= LONGEST_NAME for s in segments)
        path = self._objects.joinpath(*segments) if safe else self._others / hashlib.sha256(key.encode()).hexdigest()
        # In S3 ``a`` and ``a/b`` are two objects; a file is no folder.
        clash = path.is_dir() or any(parent.is_file() for parent in path.parents)
        return self._others / hashlib.sha256(key.encode()).hexdigest() if clash else path

    async def keep(self, key: str, parts: Sequence[Blob]) -> Blob:
        paths = [part.path for part in parts if isinstance(part, FileBlob)]
        path = await asyncio.to_thread(self._join, key, paths)
        return FileBlob(path, sum(part.size for part in parts))

    def _join(self, key: str, paths: Sequence[Path]) -> Path:
        # The rest is appended to the first part, which then takes the object's name: most bytes are never copied.
        first, *others = paths
        with first.open("ab") as whole:
            for path in others:
                with path.open("rb") as part:
                    shutil.copyfileobj(part, whole, BLOCK)
                path.unlink()
        target = self.path_of(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        return first.replace(target)


def _append(path: Path, pieces: Sequence[bytes]) -> None:
    with path.open("ab") as file:
        file.writelines(pieces)


def _slice(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)
