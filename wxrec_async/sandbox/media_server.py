"""The bucket the pre-signed URLs point to: GET with Range and If-Match, and every way a download can go wrong."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import PurePosixPath
from urllib.parse import unquote

from aiohttp import web

from wxrec_async.sandbox.audio import Audio
from wxrec_async.sandbox.front import Call, Refusal
from wxrec_async.sandbox.media_faults import BODY_FAULTS, write_faulty
from wxrec_async.sandbox.organisation import Organisation
from wxrec_async.sandbox.presign import Presigner
from wxrec_async.sandbox.ranges import parse_range
from wxrec_async.sandbox.s3.xml import error_response

DENIED = "AccessDenied"
CONTENT_TYPES = {".json": "application/json", ".mp4": "video/mp4"}  # of audio it is always the same, mp3 included


@dataclass(slots=True)
class MediaService:
    """The service on the media port.  ``rate`` limits every body, bytes per second (0: no limit)."""

    organisation: Organisation
    presigner: Presigner
    rate: float = 0.0
    name: str = "media"

    async def classify(self, call: Call) -> tuple[str, str]:
        parts = _parts(call.request)
        return f"media.{call.request.method.lower()}", parts[2] if len(parts) == 4 else ""

    async def answer(self, call: Call) -> web.StreamResponse:
        audio = self._admit(call)
        etag = '"changed-on-purpose"' if call.wrong("changed_etag") else audio.etag
        wanted = call.request.headers.get("If-Match")
        # Before the range: HTTP looks at preconditions first.
        if wanted not in (None, "*", etag):
            raise Refusal(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        asked = None if call.wrong("range_ignored") else call.request.headers.get("Range")
        span = parse_range(asked, audio.size)
        if span is None and asked is not None:
            message = "The requested range is not satisfiable"
            raise Refusal(416, "InvalidRange", message, {"Content-Range": f"bytes */{audio.size}"})
        start, end = span or (0, audio.size)
        headers = self._headers(etag, _parts(call.request)[3])
        if asked is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{audio.size}"
        status = 206 if asked is not None else 200
        if call.fault is not None and call.fault.kind in BODY_FAULTS:
            return await write_faulty(call, status, headers, audio, start, end)
        return await self._write(call, status, headers, audio, start, end)

    def _admit(self, call: Call) -> Audio:
        """Check method, credentials, signature and expiry as S3 does, and find the recording."""
        request = call.request
        # The signature in the URL is one way to sign; S3 refuses a second one beside it.
        if "Authorization" in request.headers:
            raise Refusal(400, "InvalidArgument", "Only one auth mechanism allowed")
        # The method is part of what was signed: to S3 a HEAD is another request.
        if request.method != "GET":
            raise Refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
        # As it came over the wire: a query decoded and encoded anew no longer fits its signature.
        match self.presigner.judge(request.raw_path):
            case "missing":
                raise Refusal(403, DENIED, "Access Denied")
            case "mismatch":
                raise Refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match")
            case "expired":
                raise Refusal(403, DENIED, "Request has expired")
        _refuse_on_purpose(call)
        _, task_id, own_id, file_name = _parts(request)
        if call.wrong("deleted"):
            self.organisation.purge(task_id)
        found = self.organisation.medium(task_id, own_id, file_name, int(self.presigner.clock() * 1000))
        if found is None or self.organisation.is_purged(task_id):
            raise Refusal(404, "NoSuchKey", "The specified key does not exist.")
        return found

    def _headers(self, etag: str, file_name: str) -> dict[str, str]:
        return {
            "Accept-Ranges": "bytes",
            "Content-Type": CONTENT_TYPES.get(PurePosixPath(file_name).suffix.lower(), "audio/wav"),
            "ETag": etag,
            # Whole hours, so that the ranges of one download mostly agree on it.
            "Last-Modified": formatdate(self.presigner.clock() // 3600 * 3600, usegmt=True),
            "x-amz-request-id": uuid.uuid4().hex[:16].upper(),
        }

    async def _write(
        self, call: Call, status: int, headers: dict[str, str], audio: Audio, start: int, end: int
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = end - start
        await response.prepare(call.request)
        for block in self._blocks(audio, start, end):
            await response.write(block)
            call.entry.sent += len(block)
            if self.rate:
                await asyncio.sleep(len(block) / self.rate)
        await response.write_eof()
        return response

    def _blocks(self, audio: Audio, start: int, end: int) -> Iterator[bytes]:
        """Yield blocks small enough for the rate to look like a flow."""
        step = max(1024, int(self.rate / 10)) if self.rate else 0
        for block in audio.read(start, end):
            if not step:
                yield block
                continue
            yield from (block[at : at + step] for at in range(0, len(block), step))

    def refusal(self, problem: Refusal, call: Call) -> web.Response:
        return error_response(problem.status, problem.code, problem.message, call.request.path)


def _parts(request: web.BaseRequest) -> list[str]:
    """Return organisation, task, recording and file name of ``/{org}/{task}/{recording}/{name}``."""
    return [unquote(part) for part in request.raw_path.partition("?")[0].removeprefix("/").split("/")]


def _refuse_on_purpose(call: Call) -> None:
    fault = call.fault
    match fault.kind if fault is not None else "":
        case "expired":
            raise Refusal(403, DENIED, "Request has expired")
        case "refused":
            raise Refusal(403, fault.get("code", DENIED) if fault else DENIED, "Refused on purpose")
        case "missing":
            raise Refusal(404, "NoSuchKey", "The specified key does not exist.")
        case "slow_down":
            raise Refusal(503, "SlowDown", "Please reduce your request rate.")
