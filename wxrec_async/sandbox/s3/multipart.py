"""Multipart uploads: create, parts, complete, abort."""

from __future__ import annotations

import asyncio
import hashlib

from aiohttp import web

from wxrec_async.sandbox import checksums
from wxrec_async.sandbox.front import Call, Refusal
from wxrec_async.sandbox.raw_http import hold
from wxrec_async.sandbox.s3.context import Context
from wxrec_async.sandbox.s3.objects import (
    DEFAULT_CHECKSUM,
    SSE,
    check_if_match,
    kept_headers,
    tags_of,
    write_conditions,
)
from wxrec_async.sandbox.s3.request_body import PREFIX, Receiver, check_signed_hash, check_value, drain
from wxrec_async.sandbox.s3.state import StoredBody, Upload, UploadedPart, md5_of_md5s, shown_checksums
from wxrec_async.sandbox.s3.xml import Node, document, read_parts

MAX_PARTS = 10_000
BLANKS = 10
FULL, COMPOSITE = "FULL_OBJECT", "COMPOSITE"


async def create_upload(context: Context, call: Call) -> web.Response:
    """Begin an upload; the checksum type is settled here."""
    headers = call.request.headers
    algorithm = headers.get("x-amz-checksum-algorithm", "").lower()
    kind = _settled_type(algorithm, headers.get("x-amz-checksum-type", "").upper())
    upload = context.bucket.begin(call.key, kept_headers(headers), tags_of(headers), algorithm, kind)
    answer = {SSE: upload.headers[SSE]}
    if algorithm:
        answer |= {"x-amz-checksum-algorithm": algorithm.upper(), "x-amz-checksum-type": kind}
    nodes: list[Node] = [("Bucket", context.bucket.name), ("Key", call.key), ("UploadId", upload.id)]
    return document("InitiateMultipartUploadResult", nodes, answer)


def _settled_type(algorithm: str, kind: str) -> str:
    if algorithm and algorithm not in checksums.ALGORITHMS:
        raise Refusal(400, "InvalidRequest", "Checksum algorithm provided is unsupported.")
    if kind and (not algorithm or kind not in (FULL, COMPOSITE)):
        raise Refusal(400, "InvalidRequest", "The checksum type needs a checksum algorithm.")
    kind = kind or (FULL if algorithm in ("", DEFAULT_CHECKSUM) else COMPOSITE)
    # CRC64NVME is always of the full object; SHA-1 and SHA-256 never, as they cannot be joined; CRC32 and CRC32C can
    # be both, and are composite when nothing is said.
    possible = algorithm in ("", *checksums.CRC_WIDTHS) if kind == FULL else algorithm != DEFAULT_CHECKSUM
    if not possible:
        message = f"The {kind} checksum type cannot be used with the {algorithm} checksum algorithm."
        raise Refusal(400, "InvalidRequest", message)
    return kind


def _effective(upload: Upload) -> tuple[str, ...]:
    """Return the algorithm every part is computed with."""
    algorithm = upload.algorithm or DEFAULT_CHECKSUM
    return (algorithm,) if checksums.available(algorithm) else ()


async def upload_part(context: Context, call: Call) -> web.Response:
    """Take one part; a second one of the same number replaces it."""
    query = call.request.query
    number = int(query["partNumber"]) if query["partNumber"].isdigit() else 0
    if not 1 <= number <= MAX_PARTS:
        raise Refusal(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
    object_key = call.detail["key"]
    upload = context.bucket.upload(query["uploadId"], object_key)
    receiver = Receiver(call, context.bucket.storage.new(), also=_effective(upload), md5=context.md5_etags)
    received = await receiver.receive(context.rate)
    if upload.algorithm and received.declared not in ("", upload.algorithm):
        message = (
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.algorithm}, "
            f"actual checksum Type: {received.declared}"
        )
        raise Refusal(400, "InvalidRequest", message)
    context.bucket.upload(query["uploadId"], object_key)  # it may have been aborted meanwhile
    old = upload.parts.get(number)
    upload.parts[number] = UploadedPart(number, received.blob, received.size, received.etag, received.checksums)
    if old is not None:
        await old.blob.drop()
    answer = {"ETag": f'"{received.etag}"', SSE: upload.headers[SSE]}
    answer |= {PREFIX + name: value for name, value in shown_checksums(received.checksums).items()}
    return web.Response(headers=answer)


async def complete_upload(context: Context, call: Call) -> web.StreamResponse:
    """Join the parts, when list, sizes, checksums and conditions are right."""
    bucket, upload_id = context.bucket, call.request.query["uploadId"]
    body = await call.request.read()
    call.entry.received = len(body)
    check_signed_hash(call, hashlib.sha256(body).hexdigest())
    if failing := call.wrong("error_in_200"):
        return await _after_blanks(call, failing.get("blanks", 0.0), _error_in_200(call))
    # Before the upload is looked for, which is gone by now: a client asks again when the first answer was lost.
    if (done := bucket.completed.get(upload_id)) is not None and done.key == call.key:
        return _again(context, done)
    upload = bucket.upload(upload_id, call.key)
    # What was there when the request began is a 412, what came since a 409 (`BucketState.commit`).
    only_new, seen = write_conditions(context, call), call.key in bucket.objects
    listed = read_parts(body.decode("utf-8", "replace"))
    if listed is None:
        raise Refusal(400, "MalformedXML", "")
    parts = _chosen(context, upload, listed)
    whole = _joined(call, upload, parts)
    check_if_match(call, bucket.objects.get(call.key))
    await bucket.commit(whole, [part.blob for part in parts], only_new=only_new, seen=seen)
    bucket.completed[upload_id] = whole
    # Only now: a Complete that was refused leaves the upload open, to be completed again or aborted.
    bucket.uploads.pop(upload_id, None)
    chosen = {part.number for part in parts}
    # Parts that the list did not name are thrown away with the upload.
    for left in (part for number, part in upload.parts.items() if number not in chosen):
        await left.blob.drop()
    slow = call.wrong("blanks")
    return await _after_blanks(call, slow.get("seconds", 0.5) if slow else 0.0, _completed(context, whole))


def _chosen(context: Context, upload: Upload, listed: list[dict[str, str]]) -> list[UploadedPart]:
    """Return the parts the client listed; raises Refusal when the list is wrong."""
    numbers = [int(row["PartNumber"]) for row in listed]
    if numbers != sorted(set(numbers)):
        raise Refusal(400, "InvalidPartOrder", "")
    parts = [_checked(upload, number, row) for number, row in zip(numbers, listed, strict=True)]
    # The last one may be smaller.
    if any(part.size < context.min_part_size for part in parts[:-1]):
        raise Refusal(400, "EntityTooSmall", "")
    return parts


def _checked(upload: Upload, number: int, row: dict[str, str]) -> UploadedPart:
    part = upload.parts.get(number)
    if part is None or row["ETag"].strip('"') != part.etag:
        raise Refusal(400, "InvalidPart", "")
    for algorithm in checksums.ALGORITHMS:
        given = row.get(f"Checksum{algorithm.upper()}")
        if given is not None and given != shown_checksums(part.checksums).get(algorithm):
            raise Refusal(400, "InvalidPart", "")
    if upload.algorithm and upload.checksum_type == COMPOSITE and f"Checksum{upload.algorithm.upper()}" not in row:
        message = (
            f"The upload was created using a {upload.algorithm} checksum. The complete request must include the "
            f"checksum for each part. It was missing for part {number} in the request."
        )
        raise Refusal(400, "InvalidRequest", message)
    return part


def _joined(call: Call, upload: Upload, parts: list[UploadedPart]) -> StoredBody:
    """Return the object the parts make; raises Refusal when size or checksum is not what the client says."""
    size = sum(part.size for part in parts)
    promised = call.request.headers.get("x-amz-mp-object-size")
    if promised is not None and promised != str(size):
        raise Refusal(
            400, "InvalidRequest", "The provided 'x-amz-mp-object-size' header does not match what was computed."
        )
    asked = call.request.headers.get("x-amz-checksum-type", "").upper()
    if asked and asked != upload.checksum_type:
        raise Refusal(400, "InvalidRequest", f"The upload was created using the {upload.checksum_type} checksum mode.")
    found = _whole_checksum(upload, parts)
    _check_whole(call, found)
    etag = md5_of_md5s([part.etag for part in parts])
    return StoredBody(
        upload.key, parts[0].blob, size, etag, upload.headers, found, upload.checksum_type, upload.tags, len(parts)
    )


def _whole_checksum(upload: Upload, parts: list[UploadedPart]) -> dict[str, str]:
    found: dict[str, str] = {}
    for algorithm in _effective(upload):
        digests = [part.checksums[algorithm] for part in parts]
        if upload.checksum_type == COMPOSITE:
            found[algorithm] = checksums.composite(algorithm, digests)
        else:
            sizes = [part.size for part in parts]
            found[algorithm] = checksums.encode(checksums.combine(algorithm, list(zip(digests, sizes, strict=True))))
    return found


def _check_whole(call: Call, found: dict[str, str]) -> None:
    for algorithm in checksums.ALGORITHMS:
        given = call.request.headers.get(PREFIX + algorithm)
        if given is None:
            continue
        if algorithm not in found:
            message = f"The upload was not created using a {algorithm} checksum."
            raise Refusal(400, "InvalidRequest", message)
        # A composite one ends in the number of parts and is compared as it is written.
        if "-" not in found[algorithm]:
            computed = checksums.decode(found[algorithm], algorithm)
            check_value(algorithm, given, computed or b"")
        elif given != found[algorithm]:
            raise Refusal(400, "BadDigest", "")


def _completed(context: Context, body: StoredBody) -> web.Response:
    name = context.bucket.name
    location = f"/{name}/{body.key}"
    nodes: list[Node] = [("Location", location), ("Bucket", name), ("Key", body.key), ("ETag", f'"{body.etag}"')]
    nodes += [(f"Checksum{algorithm.upper()}", value) for algorithm, value in body.checksums.items()]
    nodes += [("ChecksumType", body.checksum_type)] if body.checksums else []
    return document("CompleteMultipartUploadResult", nodes, {SSE: body.headers[SSE]})


def _again(context: Context, done: StoredBody) -> web.Response:
    """Answer a Complete that was answered before: AWS says the same again for a while."""
    if context.second_complete == "no_such_upload":
        raise Refusal(404, "NoSuchUpload", "")
    if context.second_complete == "precondition_failed":
        raise Refusal(412, "PreconditionFailed", "")
    return _completed(context, done)


async def _after_blanks(call: Call, seconds: float, answer: web.Response) -> web.StreamResponse:
    """Send the head at once and blanks while the object is being assembled, as S3 does when that takes long."""
    if not seconds:
        return answer
    response = web.StreamResponse(headers={"Content-Type": "application/xml"})
    response.enable_chunked_encoding()
    await response.prepare(call.request)
    declaration, _, rest = (answer.text or "").partition("?>")
    # The declaration first: behind blanks it would be no XML any more.
    await response.write(f"{declaration}?>".encode())
    for _ in range(BLANKS):
        await response.write(b"\n ")
        await hold(call.request, seconds / BLANKS)
    await response.write(rest.encode())
    await response.write_eof()
    return response


def _error_in_200(call: Call) -> web.Response:
    """A Complete can fail after its 200 went out: blanks first, then an error document."""
    text = '<?xml version="1.0" encoding="UTF-8"?>\n\n   \n<Error><Code>InternalError</Code>'
    text += "<Message>We encountered an internal error. Please try again.</Message></Error>"
    call.entry.code = "InternalError"
    return web.Response(text=text, content_type="application/xml")


async def abort_upload(context: Context, call: Call) -> web.Response:
    """Forget an upload and its parts; one that is being completed is completed first."""
    await drain(call)
    while call.key in context.bucket.committing:
        await asyncio.sleep(0.005)
    upload = context.bucket.upload(call.request.query["uploadId"], call.key)
    # The 204 is no lie, AWS documents it: who wants to be sure lists the parts and aborts again.
    if call.wrong("part_lands_late") and upload.parts:
        first = min(upload.parts)
        late = upload.parts.pop(first)
        await _drop(upload)
        upload.parts = {first: late}
        return web.Response(status=204)
    del context.bucket.uploads[upload.id]
    await _drop(upload)
    return web.Response(status=204)


async def _drop(upload: Upload) -> None:
    for part in upload.parts.values():
        await part.blob.drop()
