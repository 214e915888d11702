"""PutObject, GetObject, HeadObject, tagging."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import parse_qsl

from aiohttp import web

from wxrec_async.sandbox import checksums
from wxrec_async.sandbox.front import Call, Refusal
from wxrec_async.sandbox.ranges import parse_range
from wxrec_async.sandbox.s3.context import Context
from wxrec_async.sandbox.s3.request_body import PREFIX, Received, Receiver
from wxrec_async.sandbox.s3.state import StoredBody, shown_checksums
from wxrec_async.sandbox.s3.xml import Node, document

KEPT_HEADERS = frozenset({
    "cache-control", "content-disposition", "content-language", "content-type", "expires",
    "x-amz-object-lock-legal-hold", "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date",
    "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled", "x-amz-storage-class", "x-amz-website-redirect-location",
})  # fmt: skip
SSE = "x-amz-server-side-encryption"
META = "x-amz-meta-"
# S3's: names and values of all of them together.
META_LIMIT = 2048
# What S3 adds of its own since December 2024.
DEFAULT_CHECKSUM = "crc64nvme"


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what an object keeps of its request's headers; raises Refusal when the metadata is too large."""
    kept = {name.lower(): value for name, value in headers.items() if _is_kept(name.lower())}
    size = sum(len(name.removeprefix(META)) + len(value) for name, value in kept.items() if name.startswith(META))
    if size > META_LIMIT:
        raise Refusal(400, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
    # aws-chunked is how a body travels; the object does not keep it.
    coding = ",".join(c.strip() for c in headers.get("Content-Encoding", "").split(",") if c.strip() != "aws-chunked")
    if coding:
        kept["content-encoding"] = coding
    kept.setdefault("content-type", "binary/octet-stream")
    # Since 2023 S3 encrypts every object.
    kept.setdefault(SSE, "AES256")
    # S3 never names the usual class.
    if kept.get("x-amz-storage-class") == "STANDARD":
        del kept["x-amz-storage-class"]
    return kept


def _is_kept(name: str) -> bool:
    return name in KEPT_HEADERS or name.startswith(META)


def tags_of(headers: Mapping[str, str]) -> dict[str, str]:
    return dict(parse_qsl(headers.get("x-amz-tagging", ""), keep_blank_values=True))


def default_algorithms(declared: bool) -> tuple[str, ...]:
    """Return what S3 computes by itself: CRC64NVME when the client sent nothing (if it can be computed here)."""
    return () if declared or not checksums.available(DEFAULT_CHECKSUM) else (DEFAULT_CHECKSUM,)


def check_lock(headers: Mapping[str, str], received: Received) -> None:
    """Object Lock needs a checksum or an MD5 of the body."""
    if "x-amz-object-lock-mode" in headers and not (received.declared or "Content-MD5" in headers):
        raise Refusal(
            400,
            "InvalidRequest",
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put requests with Object Lock parameters",
        )


def write_conditions(context: Context, call: Call) -> bool:
    """Return whether only a new object may be written; raises Refusal for a condition S3 does not know."""
    headers = call.request.headers
    condition = headers.get("If-None-Match")
    if condition is None and "replacing" in context.denied:  # as the bucket policy of the README has it
        raise Refusal(403, "AccessDenied", "")
    # S3 knows the star alone, for writes.
    if condition not in (None, "*"):
        raise Refusal(501, "NotImplemented", "")
    return condition == "*"


def check_if_match(call: Call, existing: StoredBody | None) -> None:
    """Raise Refusal unless the object still is the one If-Match names."""
    wanted = call.request.headers.get("If-Match")
    if wanted is None:
        return
    if existing is None:
        raise Refusal(404, "NoSuchKey", "")
    if wanted.strip('"') not in ("*", existing.etag):
        raise Refusal(412, "PreconditionFailed", "")


async def put_object(context: Context, call: Call) -> web.Response:
    """Store a body that arrived whole and sound, if the conditions hold."""
    bucket, headers = context.bucket, call.request.headers
    # Before the body is read: what is there now is a 412, what comes in the meantime a 409.
    only_new, seen = write_conditions(context, call), call.key in bucket.objects
    declared = any(name.lower().startswith((PREFIX, "x-amz-trailer")) for name in headers)
    kept = kept_headers(headers)
    blob = bucket.storage.new()
    receiver = Receiver(call, blob, also=default_algorithms(declared), md5=context.md5_etags)
    received = await receiver.receive(context.rate)
    body = StoredBody(
        call.key, blob, received.size, received.etag, kept, shown_checksums(received.checksums), tags=tags_of(headers)
    )
    try:
        check_lock(headers, received)
        check_if_match(call, bucket.objects.get(call.key))
        await bucket.commit(body, [blob], only_new=only_new, seen=seen)
    except Refusal:
        await blob.drop()
        raise
    answer = {"ETag": f'"{body.etag}"', "x-amz-checksum-type": "FULL_OBJECT", SSE: kept[SSE]}
    answer |= {PREFIX + name: value for name, value in body.checksums.items()}
    return web.Response(headers=answer)


def _existing(context: Context, call: Call) -> StoredBody:
    body = context.bucket.objects.get(call.key)
    if body is None:
        # Without permission to list, S3 does not tell whether a key exists.
        raise Refusal(403, "AccessDenied", "") if "s3:ListBucket" in context.denied else Refusal(404, "NoSuchKey", "")
    return body


async def get_object(context: Context, call: Call) -> web.StreamResponse:
    """Serve GET and HEAD."""
    body, headers = _existing(context, call), call.request.headers
    check_if_match(call, body)
    if headers.get("If-None-Match", "").strip('"') in ("*", body.etag):
        return web.Response(status=304, headers={"ETag": f'"{body.etag}"'})
    asked = headers.get("Range")
    span = parse_range(asked, body.size)
    if asked is not None and span is None:
        raise Refusal(416, "InvalidRange", "")
    start, end = span or (0, body.size)
    wants_checksums = headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    # Checksums are of the whole: a range has none, and nobody gets them unasked.
    answer = body.answer_headers(with_checksums=wants_checksums and span is None)
    answer |= {"ETag": f'"{body.etag}"', "Last-Modified": formatdate(body.modified, usegmt=True)}
    answer |= {"Accept-Ranges": "bytes"}
    if span is not None:
        answer["Content-Range"] = f"bytes {start}-{end - 1}/{body.size}"
    response = web.StreamResponse(status=206 if span else 200, headers=answer)
    response.content_length = end - start
    await response.prepare(call.request)
    if call.request.method == "GET":
        async for block in body.blob.read(start, end):
            await response.write(block)
            call.entry.sent += len(block)
    await response.write_eof()
    return response


async def get_tagging(context: Context, call: Call) -> web.Response:
    body = _existing(context, call)
    tags: list[Node] = [("Tag", [("Key", name), ("Value", value)]) for name, value in body.tags.items()]
    return document("Tagging", [("TagSet", tags)])
