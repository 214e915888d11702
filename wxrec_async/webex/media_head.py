"""The head of an answer to a download: is this the recording, and from which byte on?"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio
import httpx

from wxrec_async.errors import Rejected, SourceChanged, Trouble, Unfit
from wxrec_async.rules.retry import S3_RETRYABLE_CODES
from wxrec_async.webex.pacing import named_wait_s
from wxrec_async.webex.transport import framing_of
from wxrec_async.webex.wire import S3_ERROR_HEAD, read_s3_error

OK = 200
PARTIAL = 206
UNAVAILABLE = 503
FORBIDDEN = 403
TOO_MANY = 429
RANGE_NOT_SATISFIABLE = 416
ERROR_READ_S = 10.0
REFUSAL_CODES = frozenset({"AccessDenied", "ExpiredToken", "RequestTimeTooSkewed", "SignatureDoesNotMatch"})

_RANGE = re.compile(r"\s*bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18})\s*", re.IGNORECASE)
_NO_RANGE = re.compile(r"\s*bytes\s+\*/(\d{1,18})\s*", re.IGNORECASE)
_NOT_MEDIA = re.compile(r"text/.*|application/(json|xml|xhtml|javascript|.*\+xml|.*\+json|problem).*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Head:
    """What a head says of its body.

    ``start`` is the recording's byte the body begins with, ``total`` the whole
    recording's length in bytes if it is told, ``framing`` what proves the
    body's end (`transport.framing_of`).
    """

    start: int
    total: int | None
    framing: str
    etag: str | None
    last_modified: str | None
    content_type: str


async def read_head(response: httpx.Response, offset: int) -> Head:
    """Judge the head of an answer to a request for the bytes from ``offset`` on.

    Raises `Rejected` for an error status (S3's code and words included),
    `SourceChanged` for a range that is not the one asked for, `Unfit` for a body
    that is encoded or no media, and what reading an error's body raises.
    """
    if response.status_code not in (OK, PARTIAL):
        raise await _rejection(response, offset)
    headers = response.headers
    if headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise Unfit("encoded", "the body is encoded though identity was asked for")
    content_type = headers.get("Content-Type", "").strip()
    if _NOT_MEDIA.fullmatch(content_type):
        raise await _not_media(response)
    framing = framing_of(headers.get("Transfer-Encoding"), headers.get("Content-Length"))
    start, total = _span(response, offset, framing)
    return Head(start, total, framing, headers.get("ETag"), headers.get("Last-Modified"), content_type)


def _span(response: httpx.Response, offset: int, framing: str) -> tuple[int, int | None]:
    """Return the first byte's position and the total length."""
    if response.status_code == OK:
        return 0, int(response.headers["Content-Length"]) if framing == "length" else None
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None:
        raise SourceChanged("the server answers with a range that cannot be read")
    start, end, total = map(int, match.groups())
    if start != offset or not start <= end < total:
        raise SourceChanged(f"the server answers with bytes {start}-{end}/{total}, asked from {offset}")
    return start, total


class RangeRefused(Trouble):
    """The server has no byte at that position."""

    def __init__(self, total: int | None) -> None:
        super().__init__()
        self.total = total


def asked_wait_s(response: httpx.Response) -> float | None:
    """Return for how many seconds the server wants to be left alone, None when it does not say so."""
    if response.status_code not in (TOO_MANY, UNAVAILABLE):
        return None
    return named_wait_s(response, time.time())


async def _rejection(response: httpx.Response, offset: int) -> Trouble:
    if response.status_code == RANGE_NOT_SATISFIABLE and offset:
        match = _NO_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        return RangeRefused(int(match.group(1)) if match else None)
    code, words = read_s3_error(await _first_bytes(response))
    wait_s = named_wait_s(response, time.time())
    return Rejected(response.status_code, code=code, words=words, retry_after_s=wait_s)


async def _not_media(response: httpx.Response) -> Trouble:
    """Tell an error page under status 200 from S3's own errors, which say what to do."""
    code, words = read_s3_error(await _first_bytes(response))
    if code in REFUSAL_CODES:
        return Rejected(FORBIDDEN, code=code, words=words)
    if code in S3_RETRYABLE_CODES:
        return Rejected(UNAVAILABLE, code=code, words=words, retry_after_s=named_wait_s(response, time.time()))
    return Unfit("not_media", "the body is a text, not a recording")


async def _first_bytes(response: httpx.Response) -> bytes:
    """Read what an error says, but neither much of it nor for long."""
    head = b""
    with anyio.move_on_after(ERROR_READ_S):
        async for piece in stream_of(response):
            head += piece
            if len(head) >= S3_ERROR_HEAD:
                break
    return head


def stream_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """Return the raw chunks without httpx's own layers: nothing is to be decoded or counted there."""
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("the transport must answer with an asynchronous stream")
    return stream.__aiter__()
