"""A small S3 on a raw socket, which can be told to misbehave at the right moment.

It keeps what was stored, so that looking again tells the truth, and every
request it got.  It checks nothing: that is for the real servers of the contract.
"""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

XML = b'<?xml version="1.0" encoding="UTF-8"?>\n'


@dataclass
class Seen:
    """A request as it came."""

    operation: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


Answer = bytes | None  # None: the connection is closed instead
Behaviour = Callable[[Seen, Callable[[], bytes]], Answer]


def reply(status: int = 200, body: bytes = b"", /, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", "x-amz-request-id: REQ1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def error(status: int, code: str, message: str = "no", **headers: str) -> bytes:
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return reply(status, XML + text.encode(), **headers)


def says(answer: Answer) -> Behaviour:
    """Answer with this and do nothing."""
    return lambda _seen, _do: answer


def loses_reply(_seen: Seen, do: Callable[[], bytes]) -> Answer:
    """Do it, and close the connection instead of answering."""
    do()
    return None


def does_then_says(answer: bytes) -> Behaviour:
    """Do it, and answer something else."""

    def behave(_seen: Seen, do: Callable[[], bytes]) -> Answer:
        do()
        return answer

    return behave


@dataclass
class FakeS3:
    """``script`` holds per operation what the next requests meet; afterwards all goes well."""

    names_checksums: bool = True
    swallows: bool = False  # bodies are read and forgotten, whatever they say about themselves is believed
    script: dict[str, list[Behaviour]] = field(default_factory=lambda: defaultdict(list))
    stalls: set[str] = field(default_factory=set)
    seen: list[Seen] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    created: int = 0
    port: int = 0

    def count(self, operation: str) -> int:
        return sum(seen.operation == operation for seen in self.seen)

    @property
    def operations(self) -> list[str]:
        return [seen.operation for seen in self.seen]

    @asynccontextmanager
    async def serving(self, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield f"{'https' if context else 'http'}://localhost:{self.port}"
        finally:
            server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        seen = _parsed(await reader.readuntil(b"\r\n\r\n"))
        self.seen.append(seen)
        if seen.operation in self.stalls:
            await asyncio.sleep(3600)
        length = int(seen.headers.get("content-length", "0"))
        if self.swallows:
            await _discard(reader, length)
            writer.write(reply(etag='"e"', x_amz_checksum_crc32=seen.headers.get("x-amz-checksum-crc32", "")))
            return True
        seen.body = await reader.readexactly(length)
        behaviours = self.script[seen.operation]
        behave: Behaviour = behaviours.pop(0) if behaviours else (lambda _seen, do: do())
        answer = behave(seen, lambda: self._do(seen))
        if answer is None:
            return False
        writer.write(answer)
        await writer.drain()
        return True

    def _do(self, seen: Seen) -> bytes:
        answer: bytes = getattr(self, f"_{seen.operation}")(seen)
        return answer

    def _put(self, seen: Seen) -> bytes:
        if seen.key in self.objects and "if-none-match" in seen.headers:
            return error(412, "PreconditionFailed")
        self.objects[seen.key] = seen.body
        return reply(etag='"e"', **self._checksum(seen.body))

    def _create(self, seen: Seen) -> bytes:
        self.created += 1
        upload_id = f"u{self.created}"
        self.uploads[upload_id] = {}
        text = f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
        return reply(200, XML + text.encode())

    def _part(self, seen: Seen) -> bytes:
        if seen.query["uploadId"] not in self.uploads:
            return error(404, "NoSuchUpload")
        self.uploads[seen.query["uploadId"]][int(seen.query["partNumber"])] = seen.body
        return reply(etag='"p"', **self._checksum(seen.body))

    def _complete(self, seen: Seen) -> bytes:
        upload_id = seen.query["uploadId"]
        if upload_id not in self.uploads:
            return error(404, "NoSuchUpload")
        if seen.key in self.objects and "if-none-match" in seen.headers:
            return error(412, "PreconditionFailed")
        parts = self.uploads.pop(upload_id)
        self.objects[seen.key] = b"".join(parts[number] for number in sorted(parts))
        checksum = ""
        if self.names_checksums:
            checksum = f"<ChecksumCRC32>{crc32_text(self.objects[seen.key])}</ChecksumCRC32>"
            checksum += "<ChecksumType>FULL_OBJECT</ChecksumType>"
        text = f'<CompleteMultipartUploadResult><ETag>"e-1"</ETag>{checksum}</CompleteMultipartUploadResult>'
        return reply(200, XML + text.encode())

    def _abort(self, seen: Seen) -> bytes:
        gone = self.uploads.pop(seen.query["uploadId"], None) is None
        return error(404, "NoSuchUpload") if gone else b"HTTP/1.1 204 X\r\n\r\n"

    def _list_parts(self, seen: Seen) -> bytes:
        if seen.query["uploadId"] not in self.uploads:
            return error(404, "NoSuchUpload")
        return reply(200, XML + b"<ListPartsResult/>")

    def _list_uploads(self, seen: Seen) -> bytes:
        listed = "".join(f"<Upload><Key>k</Key><UploadId>{name}</UploadId></Upload>" for name in self.uploads)
        text = f"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{listed}</ListMultipartUploadsResult>"
        return reply(200, XML + text.encode())

    def _head(self, seen: Seen) -> bytes:
        if seen.key not in self.objects:
            return reply(404)
        return self._described(self.objects[seen.key])

    def _get(self, seen: Seen) -> bytes:
        if seen.key not in self.objects:
            return error(404, "NoSuchKey")
        return reply(200, self.objects[seen.key], etag='"e"')

    def _bucket(self, _seen: Seen) -> bytes:
        return reply(200)

    def _described(self, data: bytes) -> bytes:
        lines = [f"content-length: {len(data)}", 'etag: "e"']
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in self._checksum(data).items()]
        return ("HTTP/1.1 200 X\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode()

    def _checksum(self, data: bytes) -> dict[str, str]:
        if not self.names_checksums:
            return {}
        return {"x_amz_checksum_crc32": crc32_text(data), "x_amz_checksum_type": "FULL_OBJECT"}


def crc32_text(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


async def _discard(reader: asyncio.StreamReader, length: int) -> None:
    while length > 0:
        length -= len(await reader.read(min(length, 1 << 16)))


def _parsed(head: bytes) -> Seen:
    first, *lines = head.decode().rstrip("\r\n").split("\r\n")
    method, url, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    pieces = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(pieces.query, keep_blank_values=True).items()}
    match = re.fullmatch(r"/[^/]+/?(.*)", pieces.path)
    key = unquote(match.group(1)) if match else ""
    return Seen(_operation(method, key, query), key, query, headers)


def _operation(method: str, key: str, query: dict[str, str]) -> str:
    if not key:
        return {"HEAD": "bucket", "GET": "list_uploads"}[method]
    if "uploadId" in query:
        return {"PUT": "part", "POST": "complete", "DELETE": "abort", "GET": "list_parts"}[method]
    return {"PUT": "put", "POST": "create", "HEAD": "head", "GET": "get"}[method]
