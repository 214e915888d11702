"""The request log: what arrived where, without a secret in it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase

from aiohttp import web

# What may be shown is named: none of these carries a secret, and of all others the name alone is kept.
SHOWN_HEADERS = frozenset({
    "accept-encoding", "content-encoding", "content-length", "content-type", "expect", "if-match", "if-none-match",
    "range", "transfer-encoding", "user-agent", "amz-sdk-request", "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32", "x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha256",
    "x-amz-checksum-type", "x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-expected-bucket-owner",
    "x-amz-mp-object-size", "x-amz-sdk-checksum-algorithm", "x-amz-trailer",
})  # fmt: skip


@dataclass(slots=True)
class Entry:
    """One request.

    ``started`` is monotonic, ``wall`` seconds since the epoch; ``attempt``
    counts per (operation, key); ``received`` and ``sent`` are body bytes;
    ``status`` is 0 while it is being answered and -1 when the connection was
    cut before a status was sent; ``asked_wait_s`` is for how many seconds from its end the answer
    asked to be left alone; ``headers`` holds the values of harmless headers only.
    """

    number: int
    server: str
    method: str
    path: str
    started: float
    wall: float
    header_names: tuple[str, ...]
    headers: dict[str, str]
    operation: str = ""
    key: str = ""
    attempt: int = 0
    fault: str = ""
    status: int = 0
    code: str = ""
    seconds: float | None = None
    received: int = 0
    sent: int = 0
    asked_wait_s: float | None = None


@dataclass(slots=True)
class RequestLog:
    """Every request of all servers, in order of arrival; the oldest fall out beyond ``limit``."""

    limit: int = 500_000
    entries: deque[Entry] = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        self.entries = deque(maxlen=self.limit)

    def open(self, server: str, request: web.BaseRequest) -> Entry:
        self._count += 1
        names = tuple(sorted({name.lower() for name in request.headers}))
        shown = {name.lower(): value for name, value in request.headers.items() if name.lower() in SHOWN_HEADERS}
        # The query of a pre-signed URL is as good as a password.
        path = request.raw_path.partition("?")[0]
        entry = Entry(self._count, server, request.method, path, time.monotonic(), time.time(), names, shown)
        self.entries.append(entry)
        return entry

    @property
    def total(self) -> int:
        """How many requests there were, those that have fallen out included."""
        return self._count

    def of(self, operation: str, key: str = "*") -> list[Entry]:
        """Return the requests of an operation (``s3.*`` and the like work)."""
        return [e for e in self.entries if fnmatchcase(e.operation, operation) and fnmatchcase(e.key, key)]

    def count(self, operation: str, key: str = "*") -> int:
        return len(self.of(operation, key))

    def clear(self) -> None:
        self.entries.clear()

    async def wait_for(self, operation: str, count: int = 1, *, seconds: float = 10.0) -> list[Entry]:
        """Wait until an operation was asked for ``count`` times; raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while len(found := self.of(operation)) < count:
                await asyncio.sleep(0.005)
        return found

    def lines(self, since: int = 0) -> Iterator[str]:
        """Yield the entries after number ``since`` as JSON lines."""
        for entry in list(self.entries):
            if entry.number > since:
                yield json.dumps(asdict(entry)) + "\n"
