"""The media host: S3 with pre-signed URLs, as AWS documents it, without any trouble."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from email.utils import formatdate

from tests.worlds.clock import SKY
from tests.worlds.truth import MINUTE_MS, Recording, half_of
from tests.worlds.webex_door import Webex
from tests.worlds.wire import Answer, Request, now_ms

RANGE = re.compile(r"bytes=(\d+)-(\d*)$")


def s3_error(status: int, code: str, words: str = "") -> Answer:
    """Answer as S3 refuses."""
    said = f"<Code>{code}</Code><Message>{words or code}</Message><RequestId>4442587FB7D0A2F9</RequestId>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{said}</Error>'
    return Answer(
        status, (("Content-Type", "application/xml"), ("x-amz-request-id", "4442587FB7D0A2F9")), body.encode()
    )


@dataclass(slots=True)
class MediaWays:
    """What the media host may do one way or the other, and be right."""

    etag: str = "strong"
    chunked: bool = False
    ranges: bool = True
    content_type: str | None = "audio/wav"
    last_modified: bool = True
    encoding: str | None = None
    close: bool = False


def etag_of(body: bytes, kind: str) -> str | None:
    """Return a body's validator in the form the host gives."""
    tag = f'"{hashlib.md5(body).hexdigest()}"'  # noqa: S324 - as S3 makes its ETags
    return {"strong": tag, "weak": f"W/{tag}"}.get(kind)


@dataclass(slots=True)
class Media:
    """Serves what the truth has."""

    webex: Webex
    ways: MediaWays

    def find(self, request: Request) -> Recording | None:
        pieces = request.path.split("/")
        call = self.webex.truth.call(pieces[2]) if len(pieces) == 5 else None
        return next((each for each in call.recordings if (each.place or each.id) == pieces[3]), None) if call else None

    def serve(self, request: Request) -> Answer:
        """Check the URL, and answer with the bytes of now."""
        if "authorization" in request.headers:
            return s3_error(400, "InvalidArgument", "Only one auth mechanism allowed")
        lease = self.webex.leases.get(request.query.get("X-Amz-Signature", ""))
        if lease is None:
            return s3_error(403, "SignatureDoesNotMatch")
        if lease < SKY.now:
            return s3_error(403, "AccessDenied", "Request has expired")
        recording = self.find(request)
        if recording is None:
            return s3_error(404, "NoSuchKey", "The specified key does not exist.")
        call = self.webex.truth.call(recording.call_id)
        going_on = call is not None and call.ended_ms > now_ms()
        return self.bytes_of(recording, half_of(recording.body) if going_on else recording.body, request)

    def bytes_of(self, recording: Recording, body: bytes, request: Request) -> Answer:
        """Answer with this body, or the range that was asked for."""
        ways, tag = self.ways, None if recording.unmarked else etag_of(body, self.ways.etag)
        headers = [("Accept-Ranges", "bytes" if ways.ranges else "none")]
        headers += [("ETag", tag)] if tag else []
        headers += [("Content-Type", ways.content_type)] if ways.content_type else []
        if ways.last_modified and not recording.unmarked:
            headers.append(
                ("Last-Modified", formatdate((min(recording.ready_ms, now_ms()) - MINUTE_MS) / 1000, usegmt=True))
            )
        if (wanted := request.headers.get("if-match")) and wanted != etag_of(body, "strong"):
            return s3_error(412, "PreconditionFailed")
        if ways.encoding:
            headers.append(("Content-Encoding", ways.encoding))
        framing = "chunked" if ways.chunked else "close" if ways.close else "length"
        span = RANGE.match(request.headers.get("range", "")) if ways.ranges else None
        if span is None:
            return Answer(200, tuple(headers), body, framing)
        first = int(span[1])
        last = min(int(span[2]) if span[2] else len(body), len(body) - 1)
        if first >= len(body):
            return s3_error(416, "InvalidRange").with_header("Content-Range", f"bytes */{len(body)}")
        headers.append(("Content-Range", f"bytes {first}-{last}/{len(body)}"))
        return Answer(206, tuple(headers), body[first : last + 1], framing)
