"""Receiving a body: framing, lengths, signed hash, MD5 and checksums are all checked before anything is kept."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from wxrec_async.sandbox import checksums
from wxrec_async.sandbox.front import LOST, Call, Refusal
from wxrec_async.sandbox.s3.blobs import Blob
from wxrec_async.sandbox.s3.faulty import before_body, pace

PREFIX = "x-amz-checksum-"
# How SDKs send a checksum over https unless they are told otherwise: chunks, and it comes behind them.
TRAILER_MODE = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
UNSIGNED = "UNSIGNED-PAYLOAD"
SHA256_LENGTH = 64


@dataclass(slots=True)
class Received:
    """A body that passed every check; ``checksums`` holds digests by algorithm."""

    blob: Blob
    size: int
    etag: str
    checksums: dict[str, bytes]
    declared: str = ""


@dataclass(slots=True)
class ChunkDecoder:
    """Takes ``aws-chunked`` apart: chunks in, payload out, trailers kept; raises Refusal when it is malformed."""

    trailers: dict[str, str] = field(default_factory=dict)
    done: bool = False
    _buffer: bytearray = field(default_factory=bytearray)
    _left: int = 0
    # size -> data -> end -> size and so on; a size of 0 leads to trailer, whose empty line is the end of all.
    _state: str = "size"

    def feed(self, data: bytes) -> list[bytes]:
        """Return the payload bytes in ``data``."""
        out: list[bytes] = []
        if self._state == "data" and not self._buffer and len(data) <= self._left:
            self._left -= len(data)  # the usual case: the middle of a chunk, passed on uncopied
            self._state = "data" if self._left else "end"
            return [data]
        self._buffer += data
        while self._step(out):
            pass
        return out

    def _step(self, out: list[bytes]) -> bool:
        if self._state == "data":
            piece = bytes(self._buffer[: self._left])
            del self._buffer[: len(piece)]
            self._left -= len(piece)
            out.append(piece)
            self._state = "data" if self._left else "end"
            return not self._left
        line = self._line()
        return line is not None and self._take(line)

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _take(self, line: bytes) -> bool:
        if self._state == "end":
            if line:
                raise Refusal(400, "InvalidRequest", "A chunk does not end where it should")
            self._state = "size"
        elif self._state == "size":
            self._left = _hex(line.partition(b";")[0])
            self._state = "data" if self._left else "trailer"
        elif line:
            name, _, value = line.decode("latin-1").partition(":")
            self.trailers[name.strip().lower()] = value.strip()
        else:
            self.done = True
            return False
        return True


def _hex(text: bytes) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise Refusal(400, "InvalidRequest", "The chunk size is not a number") from None


class Receiver:
    """Reads one body into a blob.  ``also`` are algorithms to compute although nobody declared them."""

    def __init__(self, call: Call, blob: Blob, *, also: tuple[str, ...] = (), md5: bool = False) -> None:
        self._call, self._blob = call, blob
        headers = call.request.headers
        self._mode = headers.get("x-amz-content-sha256", "")
        self._declared = _declared(call.request)
        self._length = _length(call.request, self._mode)
        algorithms = {*also, *([self._declared] if self._declared else [])}
        self._digests = {name: _start(name) for name in sorted(algorithms)}
        self._sha = hashlib.sha256() if len(self._mode) == SHA256_LENGTH else None
        self._md5: Any = None
        if md5 or "Content-MD5" in headers:
            self._md5 = hashlib.md5(usedforsecurity=False)
        self._decoder = ChunkDecoder() if self._mode == TRAILER_MODE else None
        self._flip = call.wrong("flip_bit") is not None

    async def receive(self, rate: float = 0.0) -> Received:
        """Read to the end and check; raises Refusal, and nothing of the blob may be used then."""
        try:
            size = await self._read(rate)
            self._check(size)
            await self._blob.close()
        # Also when the client left or we were cancelled: half a body must not be taken for a whole one.
        except BaseException:
            await self._blob.drop()
            raise
        digests = {name: digest.digest() for name, digest in self._digests.items()}
        return Received(self._blob, size, self._etag(), digests, self._declared)

    async def _read(self, rate: float) -> int:
        size = 0
        async for data in _stream(self._call, rate):
            self._call.entry.received += len(data)
            for piece in self._decoder.feed(data) if self._decoder else (data,):
                size += len(piece)
                await self._take(piece)
        return size

    async def _take(self, piece: bytes) -> None:
        # Before the digests, as if on the way here: it is S3's own comparison that has to find it.
        if self._flip and piece:
            piece = bytes([piece[0] ^ 1]) + piece[1:]
            self._flip = False
        for digest in (self._sha, self._md5, *self._digests.values()):
            if digest is not None:
                digest.update(piece)
        await self._blob.write(piece)

    def _check(self, size: int) -> None:
        # First: of a body that is too short every digest would be wrong, too.
        if size != self._length or (self._decoder and not self._decoder.done):
            raise Refusal(400, "IncompleteBody", "")
        headers = self._call.request.headers
        if self._sha is not None:
            check_signed_hash(self._call, self._sha.hexdigest())
        if "Content-MD5" in headers and base64.b64encode(self._md5.digest()).decode() != headers["Content-MD5"]:
            raise Refusal(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
        if self._declared:
            trailers = self._decoder.trailers if self._decoder else {}
            name = PREFIX + self._declared
            given = headers.get(name) or trailers.get(name, "")
            check_value(self._declared, given, self._digests[self._declared].digest())

    def _etag(self) -> str:
        """Return the MD5 when it was computed, else an opaque tag, as under SSE-KMS."""
        if self._md5 is not None:
            return str(self._md5.hexdigest())
        label = f"{self._call.entry.server}{self._call.entry.number}{self._call.entry.wall}"
        return hashlib.blake2b(label.encode(), digest_size=16).hexdigest()


def check_signed_hash(call: Call, computed: str) -> None:
    """Compare the SHA-256 that was signed, if one was, with that of the body; raises Refusal."""
    signed = call.request.headers.get("x-amz-content-sha256", "")
    if len(signed) == SHA256_LENGTH and signed != computed:
        raise Refusal(400, "XAmzContentSHA256Mismatch", "")


def check_value(algorithm: str, given: str, computed: bytes) -> None:
    """Compare a checksum header with what was computed; raises Refusal."""
    wanted = checksums.decode(given, algorithm)
    if wanted is None:
        raise Refusal(400, "InvalidRequest", f"Value for {PREFIX}{algorithm} header is invalid.")
    if wanted != computed:
        name = algorithm.upper()
        raise Refusal(400, "BadDigest", f"The {name} you specified did not match the calculated checksum.")


async def drain(call: Call) -> None:
    """Read what is left of a body, so that a refusal reaches the client."""
    try:
        # A socket that is closed with bytes unread sends RST, and that can overtake the answer.
        async for data in _stream(call, 0.0):
            call.entry.received += len(data)
    except LOST:
        return


async def _stream(call: Call, rate: float) -> AsyncIterator[bytes]:
    await before_body(call)
    async for data in call.request.content.iter_any():
        if rate:
            await pace(len(data), rate)
        yield data


def _declared(request: web.BaseRequest) -> str:
    """Return the algorithm of the checksum that comes as header or trailer, "" without one; raises Refusal."""
    names = [name.lower().removeprefix(PREFIX) for name in request.headers if name.lower().startswith(PREFIX)]
    # These say how; they are no checksums.
    names = [name for name in names if name not in ("algorithm", "type", "mode")]
    trailer = request.headers.get("x-amz-trailer", "").strip().lower()
    if trailer.startswith(PREFIX):
        names.append(trailer.removeprefix(PREFIX))
    if len(names) > 1:
        raise Refusal(
            400, "InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    declared = names[0] if names else ""
    wanted = request.headers.get("x-amz-sdk-checksum-algorithm", "").lower()
    if wanted and wanted != declared:
        raise Refusal(
            400, "InvalidRequest", "x-amz-sdk-checksum-algorithm specified, but no corresponding checksum found."
        )
    return declared


def _length(request: web.BaseRequest, mode: str) -> int:
    """Return the payload length the client promised; raises Refusal when it promised none."""
    if not mode:
        raise Refusal(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    if mode.startswith("STREAMING-") and mode != TRAILER_MODE:
        raise Refusal(501, "NotImplemented", "")
    if mode not in (UNSIGNED, TRAILER_MODE) and len(mode) != SHA256_LENGTH:
        raise Refusal(400, "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD or a valid sha256 value.")
    text = request.headers.get("x-amz-decoded-content-length" if mode == TRAILER_MODE else "Content-Length")
    if text is None or not text.isdigit():
        raise Refusal(411, "MissingContentLength", "")
    return int(text)


def _start(algorithm: str) -> checksums.RunningChecksum:
    if algorithm not in checksums.ALGORITHMS:
        raise Refusal(400, "InvalidRequest", "Checksum algorithm provided is unsupported.")
    try:
        return checksums.new(algorithm)
    except LookupError:
        raise Refusal(501, "NotImplemented", f"{algorithm} cannot be verified here; install awscrt") from None
