"""The head of an answer to a download: is this the recording, and from which byte on?"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio
import httpx

from wxrec_async.errors import ConnectionLost, HTTPStatusError, InvalidMedia, RemoteError, SourceChanged
from wxrec_async.model import Kind
from wxrec_async.rules.other_media import sniffer_of
from wxrec_async.rules.pages import is_text_type
from wxrec_async.rules.retry import S3_RETRYABLE_CODES
from wxrec_async.rules.sent_secrets import secrets_of_url, without_secrets
from wxrec_async.rules.wav import Sniffer
from wxrec_async.webex.pacing import TOO_MANY, UNAVAILABLE, retry_after_of
from wxrec_async.webex.parse import S3_ERROR_HEAD, read_s3_error
from wxrec_async.webex.transport import framing_of

OK = 200
TRANSFORMED = 203  # the same, through a proxy that owns up to it (RFC 9110 section 15.3.4)
PARTIAL = 206
FORBIDDEN = 403
NOT_FOUND = 404
RANGE_NOT_SATISFIABLE = 416
ERROR_READ_S = 10.0
# Codes of S3 that are judged as a 403, whatever status they came under.
REFUSAL_CODES = frozenset({"AccessDenied", "ExpiredToken", "RequestTimeTooSkewed", "SignatureDoesNotMatch"})

_RANGE = re.compile(r"\s*bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\s*", re.IGNORECASE)
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_ETAG = re.compile(r'"[^"]*"')
_S3_ERROR = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}\?>\s*)?<Error[\s>]")


@dataclass(frozen=True, slots=True)
class Head:
    """What a head says of its body.

    ``start`` is the recording's byte the body begins with, ``end`` the one behind
    its last (None where only the body's end shows it), ``total`` the whole
    recording's length in bytes if it is told, ``framing`` what proves the
    body's end (`transport.framing_of`).
    """

    start: int
    end: int | None
    total: int | None
    framing: str
    etag: str | None
    last_modified: str | None
    content_type: str

    @property
    def strong_etag(self) -> str | None:
        """The ETag if it promises that equal tags mean equal bytes (RFC 9110 section 8.8.1)."""
        return self.etag if self.etag and _ETAG.fullmatch(self.etag) else None


async def read_head(
    response: httpx.Response, offset: int, *, ranged: bool, url: str = "", kind: Kind = Kind.AUDIO
) -> Head:
    """Judge the head of an answer to a request for the bytes from ``offset`` on, or with ``ranged`` false for all.

    Raises `HTTPStatusError` for an error status (S3's code and words included, without
    what in the signed ``url`` is secret), `SourceChanged` for a range that is not the one asked for, `InvalidMedia`
    for a body that is encoded or no media, and what reading an error's body raises.
    A body whose type or encoding speaks against it is judged by its first bytes.
    """
    if response.status_code not in (OK, TRANSFORMED, PARTIAL):
        raise await _rejection(response, ranged=ranged, url=url)
    headers = response.headers
    framing = framing_of(headers.get("Transfer-Encoding"), headers.get("Content-Length"))
    length = _length(headers.get("Content-Length")) if framing == "length" else None
    start, end, total = 0, length, length
    if response.status_code == PARTIAL:
        start, end, total = _range_of(headers.get("Content-Range", ""), length, offset, ranged=ranged)
    content_type = headers.get("Content-Type", "").strip()
    # The middle of a recording may begin with anything.
    if start == 0:
        await _check_kind(response, content_type, url, kind)
    return Head(start, end, total, framing, headers.get("ETag"), headers.get("Last-Modified"), content_type)


def _length(text: str) -> int:
    if not _LENGTH.fullmatch(text.strip()):
        raise InvalidMedia("bad_head", "the answer's head is not HTTP: its Content-Length is no number")
    return int(text)


def _range_of(content_range: str, length: int | None, offset: int, *, ranged: bool) -> tuple[int, int, int | None]:
    """Return a range's first byte, the one behind its last, and the total length if it is told."""
    match = _RANGE.fullmatch(content_range)
    if match is None or not ranged:
        why = "cannot be read" if ranged else "nobody asked for"
        raise SourceChanged(f"the server answers with a range that {why}")
    start, end = int(match[1]), int(match[2]) + 1
    total = None if match[3] == "*" else int(match[3])
    # Beginning earlier is no harm: what we have is skipped (`ResumingStream`).
    if not start <= offset < end or (total is not None and end > total):
        raise SourceChanged(f"the server answers with bytes {start}-{end - 1}/{match[3]}, asked from {offset}")
    if length not in (None, end - start):
        raise SourceChanged(f"the server answers with bytes {start}-{end - 1}/{match[3]} in {length} bytes")
    return start, end, total


def asked_wait_s(response: httpx.Response) -> float | None:
    """Return for how many seconds the server wants to be left alone, None when it does not say so."""
    if response.status_code not in (TOO_MANY, UNAVAILABLE):
        return None
    return retry_after_of(response, time.time())


async def _rejection(response: httpx.Response, *, ranged: bool, url: str) -> RemoteError:
    if response.status_code == RANGE_NOT_SATISFIABLE and ranged:
        return SourceChanged("the server says that the recording ends before the byte to go on at")
    first = await _first_bytes(response)
    code, words = read_s3_error(first)
    if response.status_code == NOT_FOUND and not _S3_ERROR.match(first):
        code = ""  # what stands in somebody's page is not S3's word
    secrets = secrets_of_url(url)
    words = without_secrets(words, secrets)
    wait_s = retry_after_of(response, time.time())
    return HTTPStatusError(response.status_code, code=without_secrets(code, secrets), words=words, retry_after_s=wait_s)


async def _check_kind(response: httpx.Response, content_type: str, url: str, kind: Kind) -> None:
    """Look at the first bytes where the head says that this is a text, or encoded; what was read can be read again.

    Many a store repeats an encoding that names nothing which would have to be
    undone (``aws-chunked``, ``binary``), or calls everything ``text/plain``.
    """
    text = is_text_type(content_type)
    codings = response.headers.get("Content-Encoding", "").replace(",", " ").lower().split()
    encoded = any(coding != "identity" for coding in codings)
    if not (text or encoded):
        return
    first = await _first_bytes(response, keep=True)
    sniffer = _sniffed(first, kind)
    if sniffer.known_media or (sniffer.believed and not encoded):
        return
    if encoded:
        raise InvalidMedia("encoded", "the body is encoded though identity was asked for")
    raise _of_text(response, first, url, kind)


def _sniffed(first: bytes, kind: Kind) -> Sniffer:
    sniffer = sniffer_of(kind)
    sniffer.feed(first)
    return sniffer


def _of_text(response: httpx.Response, first: bytes, url: str, kind: Kind) -> RemoteError:
    """Tell an error page under status 200 from S3's own errors, which say what to do."""
    code, words = read_s3_error(first)
    words = without_secrets(words, secrets_of_url(url))
    if code in REFUSAL_CODES:
        return HTTPStatusError(FORBIDDEN, code=code, words=words)
    if code in S3_RETRYABLE_CODES:
        return HTTPStatusError(UNAVAILABLE, code=code, words=words, retry_after_s=retry_after_of(response, time.time()))
    if kind is Kind.TRANSCRIPT:
        return InvalidMedia("not_transcript", "the body is a text, not a transcript")
    return InvalidMedia("not_media", "the body is a text, not a recording")


async def _first_bytes(response: httpx.Response, *, keep: bool = False) -> bytes:
    """Read what an error says, but neither much of it nor for long; to ``keep`` it is to have it read once more."""
    # `ended` stays true when time is over.  An error is told by what came of it; a body is not, as the cancelled read
    # has broken its stream.
    head, ended = b"", keep
    pieces = stream_of(response)
    with anyio.move_on_after(ERROR_READ_S):
        async for piece in pieces:
            head += piece
            if len(head) >= S3_ERROR_HEAD:
                break
        ended = False
    if ended:
        raise ConnectionLost("the body did not begin in time")
    if keep:
        response.stream = _Again(head, pieces, response.stream)
    return head


class _Again(httpx.AsyncByteStream):
    """A body whose beginning was looked at: that once more, and the rest."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes], whole: object) -> None:
        self._first, self._rest, self._whole = first, rest, whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._first:
            yield self._first
        async for piece in self._rest:
            yield piece

    # By the whole: `rest` is only its iterator, and closing that gives no connection back.
    async def aclose(self) -> None:
        if isinstance(self._whole, httpx.AsyncByteStream):
            await self._whole.aclose()


def stream_of(response: httpx.Response) -> AsyncIterator[bytes]:
    """Return the raw chunks without httpx's own layers: nothing is to be decoded or counted there."""
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError("the transport must answer with an asynchronous stream")
    return stream.__aiter__()
