"""A multipart upload that is begun to be given up: it tries every permission and leaves nothing."""

from __future__ import annotations

import base64
import hashlib
import secrets
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from wxrec_async.config import S3Settings
from wxrec_async.errors import HTTPStatusError, InvalidResponse, RemoteError, WxrecError
from wxrec_async.model import ObjectTarget, Part
from wxrec_async.plumbing.finishing import run_to_completion
from wxrec_async.rules import diagnosis_s3
from wxrec_async.rules.diagnosis import Finding, bad, good, unknown
from wxrec_async.rules.diagnosis_s3 import permission
from wxrec_async.s3.api import S3Api
from wxrec_async.s3.replies import check_encryption
from wxrec_async.s3.requests import Requests
from wxrec_async.s3.verified_write import leaves_open
from wxrec_async.setup.doctor.notes import failure_of

BYTES = b"a probe of wxrec-async doctor, never completed"
NO_UPLOAD = "0" * 32
CONTENT_TYPE = "audio/wav"
NEVER_LEFT = "not tried: an upload that cannot be aborted is not begun"


def probe_prefix(template: str) -> str:
    """Return the folder all keys of ``template`` have in common, where permissions have to hold; "" or ``…/``."""
    return template.partition("{")[0].rpartition("/")[0] + "/" if "/" in template.partition("{")[0] else ""


@dataclass(slots=True)
class Findings:
    """What the probe showed."""

    write: Finding = field(default_factory=lambda: unknown("write", NEVER_LEFT))
    checksum: Finding = field(default_factory=lambda: unknown("checksum", NEVER_LEFT))
    abort: Finding = field(default_factory=lambda: unknown("abort", "not known"))


class Probe:
    """One upload under ``{prefix}_doctor/``, a segment that no id of a recording can become."""

    def __init__(self, wire: S3Api, settings: S3Settings, prefix: str) -> None:
        self._wire, self._settings = wire, settings
        self._key = f"{prefix}_doctor/{secrets.token_hex(8)}.wav"
        self._upload_id: str | None = None
        # Whether some attempt may have begun an upload whose id did not arrive.
        self._in_doubt = False

    async def findings(self) -> Findings:
        """Find out what is allowed; once begun it is carried through, or a cancellation would leave the upload."""
        # Abort comes first, on an upload that does not exist: permissions are judged before that is noticed.  Who may
        # not abort begins nothing, because it could not be cleared away.  Some stores say 204 to any abort.
        denied = await self._failure("abort_multipart_upload", self._of(NO_UPLOAD))
        if _is_no_such_upload(denied) or denied is None:
            return await run_to_completion(self._tried)
        found = Findings(abort=permission("abort", "s3:AbortMultipartUpload", denied, "", "failed uploads would stay"))
        found.write = await self._write_without_upload()
        return found

    async def _write_without_upload(self) -> Finding:
        """Try with an upload that does not exist: a permission is judged before that is noticed."""
        refusal = await self._failure("upload_part", self._part(NO_UPLOAD, zlib.crc32(BYTES)))
        if _is_no_such_upload(refusal):
            return good("write", "allowed, as far as it can be tried without beginning an upload")
        return permission("write", "s3:PutObject", refusal, "allowed", "nothing can be stored without it")

    async def _tried(self) -> Findings:
        found = Findings()
        begun = await failure_of(self._begin)
        if self._upload_id is None:
            found.write, found.checksum = self._write(begun), unknown("checksum", "not tried: no upload could be begun")
            found.abort = await self._swept()
            return found
        # The wrong part first: should it be taken, the right one of the same number takes its place.
        wrong = await self._failure("upload_part", self._part(self._upload_id, zlib.crc32(BYTES) ^ 1))
        right = await self._failure("upload_part", self._part(self._upload_id, zlib.crc32(BYTES)))
        found.checksum = diagnosis_s3.checksum(wrong)
        # ``begun`` can have failed with an upload there: it was encrypted otherwise than the settings ask for.
        found.write = self._write(begun or right)
        found.abort = await self._aborted(self._upload_id)
        if found.abort.ok:
            found.abort = await self._swept()
        return found

    async def _begin(self) -> None:
        params = self._wire.requests.create(ObjectTarget(self._key, CONTENT_TYPE))
        try:
            reply: Any = await self._wire.send(lambda: self._wire.client.create_multipart_upload(**params))
        except RemoteError as trouble:
            # It stays: a later attempt that is answered does not undo what an earlier one may have begun.
            self._in_doubt = self._in_doubt or leaves_open(trouble)
            raise
        if not reply.get("UploadId"):
            raise InvalidResponse("S3 answered without UploadId", host=self._wire.host)
        # Before the encryption is looked at, so that an upload with the wrong one is aborted as well.
        self._upload_id = str(reply["UploadId"])
        check_encryption(reply, sse=self._settings.sse, kms_key_id=self._settings.kms_key_id)

    def _write(self, refusal: WxrecError | None) -> Finding:
        how = ", ".join(filter(None, [self._settings.sse, self._settings.storage_class]))
        below = self._key.rpartition("_doctor/")[0] or "/"
        words = f"allowed below {below}" + (f", with {how}" if how else "")
        return permission("write", "s3:PutObject", refusal, words, "nothing can be stored without it")

    async def _aborted(self, upload_id: str) -> Finding:
        refusal = await self._failure("abort_multipart_upload", self._of(upload_id))
        if refusal is None or _is_no_such_upload(refusal):
            return good("abort", "allowed")
        return bad("abort", f"the probe's upload is left open: {refusal}", f"abort {upload_id} of {self._key}")

    async def _swept(self) -> Finding:
        """Abort what may have been begun without our learning its id."""
        if not self._in_doubt:
            return good("abort", "allowed")
        left: list[str] = []

        async def look() -> None:
            # The key has a random part: whatever is open under it is of this probe.
            params = self._wire.requests.bucket(Prefix=self._key)
            page: Any = await self._wire.send(lambda: self._wire.client.list_multipart_uploads(**params))
            left.extend(upload["UploadId"] for upload in page.get("Uploads", ()))

        if (refusal := await failure_of(look)) is not None:
            todo = "run `wxrec-async cleanup` when S3 answers again"
            return bad("abort", f"an upload of {self._key} may be left open: {refusal}", todo)
        for upload_id in left:
            if (finding := await self._aborted(upload_id)).ok is False:
                return finding
        return good("abort", "allowed")

    def _of(self, upload_id: str) -> dict[str, Any]:
        return self._wire.requests.key(self._key, UploadId=upload_id)

    def _part(self, upload_id: str, crc32: int) -> dict[str, Any]:
        return self._wire.requests.part(self._key, upload_id, Part(1, [BYTES], len(BYTES), crc32))

    async def _failure(self, operation: str, params: dict[str, Any]) -> WxrecError | None:
        call: Callable[..., Awaitable[Any]] = getattr(self._wire.client, operation)
        return await failure_of(lambda: self._wire.send(lambda: call(**params)))

    @staticmethod
    def refused_put(requests: Requests, key: str) -> dict[str, Any]:
        """Return a put that no store may carry out: the key is taken, and both its checksums are wrong."""
        # Two wrong checksums beside If-None-Match: a store that ignores one header still knows another one.
        part = Part(1, [BYTES], len(BYTES), zlib.crc32(BYTES) ^ 1)
        other = hashlib.md5(b"other bytes", usedforsecurity=False).digest()
        params = requests.put(ObjectTarget(key, CONTENT_TYPE), part, overwrite=False)
        return params | {"ContentMD5": base64.b64encode(other).decode("ascii")}


def _is_no_such_upload(refusal: WxrecError | None) -> bool:
    return isinstance(refusal, HTTPStatusError) and (refusal.code == "NoSuchUpload" or refusal.status == 404)
