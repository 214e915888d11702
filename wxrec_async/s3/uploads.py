"""The object store as the flow uses it: put, multipart upload, and what is there already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import anyio

from wxrec_async.config import S3Settings
from wxrec_async.errors import HTTPStatusError, InvalidResponse, RemoteError, RunStopped
from wxrec_async.model import ObjectTarget, OpenUpload, Part, PartReceipt, StoredObject
from wxrec_async.plumbing.pacer import CircuitBreaker
from wxrec_async.plumbing.retrying import OperationFailed, Retrier
from wxrec_async.rules.parts import strong_etag
from wxrec_async.rules.retry import DIGEST_CODES, GiveUp, Restart
from wxrec_async.s3.api import Deadlines, S3Api
from wxrec_async.s3.bucket_check import check_bucket
from wxrec_async.s3.errors import S3StatusError
from wxrec_async.s3.fast_put import FastPut
from wxrec_async.s3.replies import Reply, check_encryption, crc32_of
from wxrec_async.s3.requests import Requests, utc_now
from wxrec_async.s3.verified_write import Expected, VerifiedWrite, leaves_open

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

# S3 takes in a part that was on its way when its upload was aborted, and keeps it: abort, look, abort again.
ABORT_ROUNDS = 4
ABORT_PAUSE_S = 0.2
SIZE_HEADER = "mp-object-size"  # S3 has no code of its own for a size that differs

CONDITION = "if-none-match"


class S3Store:
    """Where recordings go: S3, or what speaks its language.

    Every method but `check_bucket` may raise `OperationFailed` when its tries are
    used up or no further one can help, and `AuthError` or `RunStopped` when
    nobody should go on.

    ``gate`` is the one that ``retrier`` closes; every request goes through it.
    ``now`` is where object lock begins to count; ``short_way`` is that of
    ``client``, for requests with bodies.  ``uncertain_keys`` are those for which
    an upload may have been begun whose id never arrived: what is open there and
    not known is left over from it.
    """

    def __init__(  # noqa: PLR0913 - what a store depends on is handed in
        self,
        client: S3Client,
        settings: S3Settings,
        retrier: Retrier,
        gate: CircuitBreaker,
        *,
        deadlines: Deadlines | None = None,
        now: Callable[[], datetime] = utc_now,
        short_way: FastPut | None = None,
    ) -> None:
        self._client, self._settings, self._retrier = client, settings, retrier
        self._carrier: S3Client | FastPut = short_way or client
        self._requests = Requests(settings, now)
        self._wire = S3Api(client, self._requests, gate, deadlines or Deadlines())
        self.uncertain_keys: set[str] = set()

    async def check_bucket(self) -> None:
        """Return when uploads may begin; raises `ConfigError` or `AuthError` saying what to do."""
        await check_bucket(self._wire, self._settings)

    # Writing

    async def put(
        self, target: ObjectTarget, part: Part, *, overwrite: bool = False, instead_of: str = ""
    ) -> StoredObject:
        """Store a whole object; return it verified.  Raises `ObjectExists` when the key is taken.

        ``instead_of`` is the ETag of what is to be replaced; `ObjectExists` then says that something else lies
        there, perhaps since, and `OperationFailed` with ``GiveUp("not_replaceable")`` that the bucket does not
        let itself be written so.
        """
        within_s = self._wire.deadlines.body(part.size)

        async def send() -> Reply:
            # Made anew for every attempt: the one before let go of its body.
            params = self._requests.put(target, part, overwrite=overwrite, instead_of=instead_of)
            try:
                reply: Reply = await self._wire.send(lambda: self._carrier.put_object(**params), within_s)
            except HTTPStatusError as refusal:
                if instead_of and _not_replaceable(refusal):
                    raise OperationFailed(GiveUp("not_replaceable"), refusal) from None
                _refuse_unknown(refusal, conditional=not overwrite)
                raise _worth_repeating(refusal) from None
            finally:
                # botocore's requests lie in cycles until the collector comes, and would hold bytes whose room in
                # the pool was given back long before.
                params["Body"].release()
            # Also for a put that is there by now: what is wrong with one object is wrong with all
            # that would follow.
            self._check_encryption(reply)
            return reply

        return await self._commit("put_object", Expected(target, part.size, part.crc32, overwrite), send)

    async def create(self, target: ObjectTarget) -> str:
        """Begin a multipart upload; return its id."""

        async def attempt() -> str:
            params = self._requests.create(target)
            try:
                reply = await self._wire.send(lambda: self._client.create_multipart_upload(**params))
            except RemoteError as trouble:
                _refuse_unknown(trouble, conditional=False)
                # The id may be lost with the answer.  The next attempt begins another upload; this
                # one is swept by its key.
                if leaves_open(trouble):
                    self.uncertain_keys.add(target.key)
                raise
            self._check_encryption(reply)
            return _named(reply, "UploadId")

        return await self._retrier.run("create_upload", attempt)

    async def upload_part(self, key: str, upload_id: str, part: Part) -> PartReceipt:
        """Upload one part.  `OperationFailed` with `HTTPStatusError` code ``NoSuchUpload``: begin a new upload."""
        within_s = self._wire.deadlines.body(part.size)

        async def attempt() -> PartReceipt:
            params = self._requests.part(key, upload_id, part)
            try:
                reply = await self._wire.send(lambda: self._carrier.upload_part(**params), within_s)
            except HTTPStatusError as refusal:
                _refuse_unknown(refusal, conditional=False)
                raise
            finally:
                params["Body"].release()
            # A store may take the checksum without comparing it; what it names then is what it has.  None: it
            # names none, and the whole object is held against ours in the end.
            if crc32_of(reply.get("ChecksumCRC32")) not in (None, part.crc32):
                # As S3's own BadDigest: once more from memory, and after the second time the path
                # is called corrupting.
                raise HTTPStatusError(
                    200, code="BadDigest", words="S3 has other bytes than were sent", host=self._wire.host
                )
            return PartReceipt(part.number, strong_etag(_named(reply, "ETag")), part.crc32, part.size)

        return await self._retrier.run("upload_part", attempt)

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
        """Make the object; return it verified.

        Raises `ObjectExists` when the key is taken by something else, `OperationFailed` with `HTTPStatusError`
        code ``NoSuchUpload`` or ``ConditionalRequestConflict``, or with the decision ``Restart``
        (the parts make other bytes than were sent), when a new upload must be begun.
        """

        params = self._requests.complete(target.key, upload_id, parts, size=size, crc32=crc32, overwrite=overwrite)

        async def send() -> Reply:
            try:
                reply: Reply = await self._wire.send(
                    lambda: self._client.complete_multipart_upload(**params), self._wire.deadlines.complete_s
                )
            except HTTPStatusError as refusal:
                _refuse_unknown(refusal, conditional=not overwrite)
                raise _final(refusal) from None
            # botocore finds S3's error inside a 200.  Any other body without an ETag proves
            # nothing, and the bucket is asked.
            _named(reply, "ETag")
            # What create answered was checked strictly; here some leave the encryption out.
            self._check_encryption(reply, may_be_silent=True)
            return reply

        return await self._commit("complete_upload", Expected(target, size, crc32, overwrite), send)

    # Giving up, and looking

    async def abort(self, key: str, upload_id: str) -> bool:
        """Give a multipart upload up, as often as wanted; true when it is shown that nothing of it is left."""
        try:
            for attempt in range(ABORT_ROUNDS):
                if await self._aborted(key, upload_id):
                    return True
                await anyio.sleep(ABORT_PAUSE_S * attempt)  # a part on its way may have landed after the abort
        # False, no exception: whoever aborts is mostly on the way out of another failure, which
        # must not be covered.
        except OperationFailed:
            pass
        return False

    async def head(self, key: str) -> StoredObject | None:
        """Return what is there, None when nothing is; raises `HTTPStatusError` (403) when that may not be known."""
        try:
            return await self._retrier.run("head_object", lambda: self._wire.look(key))
        except OperationFailed as given_up:
            # No failed operation but an answer: what it means not to be allowed to know, the caller decides.
            if isinstance(given_up.trouble, HTTPStatusError) and given_up.trouble.status == 403:
                raise given_up.trouble from None
            raise

    async def read_crc32(self, key: str) -> tuple[int, int]:
        """Read an object back; return its size and CRC-32."""

        async def attempt() -> tuple[int, int]:
            found = await self._wire.look(key)  # for the deadline: a large object takes longer
            return await self._wire.read_crc32(key, found.size if found else 0)

        return await self._retrier.run("read_object", attempt)

    async def open_uploads(self, prefix: str) -> list[OpenUpload]:
        """List the multipart uploads under way for keys that begin with ``prefix``."""
        found: list[OpenUpload] = []
        page: Reply = {"IsTruncated": True}
        while page.get("IsTruncated"):
            page = await self._uploads_page(prefix, page)
            found += [_open_upload(upload) for upload in page.get("Uploads", ()) if upload.get("UploadId")]
        return found

    # One step of the above

    async def _uploads_page(self, prefix: str, after: Reply) -> Reply:
        given = _markers(after)
        params = self._requests.bucket(Prefix=prefix, **given)

        async def attempt() -> Reply:
            page: Reply = await self._wire.send(lambda: self._client.list_multipart_uploads(**params))
            if page.get("IsTruncated") and _markers(page) in ({}, given):
                raise InvalidResponse("the list of open uploads does not go on", host=self._wire.host)
            return page

        return await self._retrier.run("list_uploads", attempt)

    async def _commit(self, name: str, proof: Expected, send: Callable[[], Awaitable[Reply]]) -> StoredObject:
        commit = VerifiedWrite(self._wire, proof, send)
        try:
            return await self._retrier.run(name, commit.attempt)
        except OperationFailed as given_up:
            # That the tries are used up does not say that none of them went through.
            if found := await commit.look_once_more(given_up.trouble):
                return found
            raise

    async def _aborted(self, key: str, upload_id: str) -> bool:
        """Abort once; true when S3 does not know the upload, before or afterwards."""
        params = self._requests.key(key, UploadId=upload_id)

        async def attempt() -> bool:
            try:
                # That the abort succeeded proves nothing yet, a part may land after it; that the
                # upload is unknown does.
                await self._wire.send(lambda: self._client.abort_multipart_upload(**params))
                await self._wire.send(lambda: self._client.list_parts(**params, MaxParts=1))
            except HTTPStatusError as refusal:
                if refusal.code == "NoSuchUpload" or refusal.status == 404:
                    return True
                # Whether abort or ListParts is denied, it cannot be shown that nothing is left: no
                # proof, and no use in repeating.
                if refusal.status != 403:
                    raise
            return False

        return await self._retrier.run("abort_upload", attempt)

    def _check_encryption(self, reply: Reply, *, may_be_silent: bool = False) -> None:
        sse, key = self._settings.sse, self._settings.kms_key_id
        check_encryption(reply, sse=sse, kms_key_id=key, may_be_silent=may_be_silent)


def _refuse_unknown(trouble: RemoteError, *, conditional: bool) -> None:
    """Raise `RunStopped` when the store does not know what was asked for: every other recording would fail alike.

    S3 names the header; ``conditional`` when one of them was ``If-None-Match``, which
    some stores refuse as a bad argument or a method they do not have.
    """
    if not isinstance(trouble, HTTPStatusError):
        return
    header = trouble.header if isinstance(trouble, S3StatusError) else ""
    # 501 speaks for itself.  400 and 405 are other things as well, and count only where the answer
    # names the condition.
    refused = trouble.status in (400, 405) and CONDITION in f"{header} {trouble.words}".lower()
    if trouble.status != 501 and trouble.code != "NotImplemented" and not (conditional and refused):
        return
    header = CONDITION if refused else header
    if conditional and header.lower() in ("", CONDITION):
        raise RunStopped(
            f"{trouble.host} does not know the condition If-None-Match, which keeps objects from being replaced "
            f"({trouble}); run with --overwrite, or use another store"
        ) from None
    what = header or "what is asked of it"
    raise RunStopped(f"{trouble.host} does not know {what} ({trouble}); use another store") from None


def _not_replaceable(refusal: HTTPStatusError) -> bool:
    """Say whether a bucket's policy, or a store that does not know If-Match, forbids to replace an object."""
    return refusal.code in {"AccessDenied", "NotImplemented"} or refusal.status in {405, 501}


def _worth_repeating(refusal: HTTPStatusError) -> HTTPStatusError:
    """Call a put that raced with another one what S3 calls every other conflict of that kind: to be tried again."""
    # For a put the same request again is right; a complete with this code needs a new upload (`_final`).
    if refusal.code != "ConditionalRequestConflict":
        return refusal
    return HTTPStatusError(refusal.status, code="OperationAborted", words=refusal.words, host=refusal.host)


def _final(refusal: HTTPStatusError) -> HTTPStatusError | OperationFailed:
    """End a complete that only a new upload can help.

    Either it raced with another writer, or checksum or size of the whole are not
    those of its parts, which a second complete would find as they are.
    """
    if refusal.code == "ConditionalRequestConflict":
        return OperationFailed(GiveUp("s3_ConditionalRequestConflict"), refusal)
    if refusal.code in DIGEST_CODES or (refusal.code == "InvalidRequest" and SIZE_HEADER in refusal.words):
        return OperationFailed(Restart(), refusal)
    return refusal


def _named(reply: Reply, name: str) -> str:
    if not reply.get(name):
        raise InvalidResponse(f"S3 answered without {name}")
    return str(reply[name])


def _markers(page: Reply) -> dict[str, str]:
    """Return the parameters that ask for the page after ``page``."""
    return {name: page[f"Next{name}"] for name in ("KeyMarker", "UploadIdMarker") if page.get(f"Next{name}")}


def _open_upload(upload: Reply) -> OpenUpload:
    initiated = upload.get("Initiated")
    started_ms = round(initiated.timestamp() * 1000) if isinstance(initiated, datetime) else None
    return OpenUpload(str(upload.get("Key", "")), str(upload.get("UploadId", "")), started_ms=started_ms)
