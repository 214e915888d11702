"""Everything that lists: objects, uploads, parts, and what the bucket says of itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from aiohttp import web

from wxrec_async.sandbox.front import Call, Refusal
from wxrec_async.sandbox.s3.context import Context
from wxrec_async.sandbox.s3.state import StoredBody, UploadedPart, shown_checksums
from wxrec_async.sandbox.s3.xml import Node, document

PAGE = 1000


def _moment(seconds: float) -> str:
    # S3 writes milliseconds in its XML, and they are always 0.
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _count(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, str(PAGE))
    if not text.isdigit():
        raise Refusal(400, "InvalidArgument", f"Provided {name} not an integer or within integer range")
    # A larger figure is no error to S3, it is cut.
    return min(int(text), PAGE)


def _writer(query: Mapping[str, str]) -> tuple[bool, list[Node]]:
    # Keys may hold characters that XML has no way to write: SDKs ask for them encoded.
    encoded = query.get("encoding-type") == "url"
    return encoded, [("EncodingType", "url")] if encoded else []


def _text(key: str, *, encoded: bool) -> str:
    return quote(key, safe="/-_.~*") if encoded else key


async def list_objects(context: Context, call: Call) -> web.Response:
    """ListObjectsV2 with prefix, delimiter, start-after and continuation."""
    query = call.request.query
    prefix, delimiter, limit = query.get("prefix", ""), query.get("delimiter", ""), _count(query, "max-keys")
    token = query.get("continuation-token")
    after = base64.urlsafe_b64decode(token).decode() if token else query.get("start-after", "")
    encoded, nodes = _writer(query)
    rows: list[Node] = []
    folders: list[str] = []
    last, more = after, False
    for key in context.bucket.keys(prefix, after):
        rest = key[len(prefix) :]
        folder = prefix + rest[: rest.index(delimiter) + len(delimiter)] if delimiter and delimiter in rest else ""
        # Told already, on this page or, as the token lies within it, on the one before.
        if folder and (folder in folders or after.startswith(folder)):
            last = key
            continue
        if len(rows) + len(folders) >= limit:
            more = True
            break
        last = key
        if folder:
            folders.append(folder)
        else:
            rows.append(_object_row(context.bucket.objects[key], _text(key, encoded=encoded)))
    nodes += [("Name", context.bucket.name), ("Prefix", _text(prefix, encoded=encoded)), ("MaxKeys", limit)]
    nodes += [("KeyCount", len(rows) + len(folders)), ("IsTruncated", str(more).lower())]
    nodes += [("NextContinuationToken", base64.urlsafe_b64encode(last.encode()).decode())] if more else []
    nodes += rows
    nodes += [("CommonPrefixes", [("Prefix", _text(folder, encoded=encoded))]) for folder in folders]
    return document("ListBucketResult", nodes)


def _object_row(body: StoredBody, key: str) -> Node:
    row: list[Node] = [("Key", key), ("LastModified", _moment(body.modified)), ("ETag", f'"{body.etag}"')]
    row += [("ChecksumAlgorithm", name.upper()) for name in body.checksums]
    row += [("ChecksumType", body.checksum_type)] if body.checksums else []
    row += [("Size", body.size), ("StorageClass", body.headers.get("x-amz-storage-class", "STANDARD"))]
    return "Contents", row


async def list_uploads(context: Context, call: Call) -> web.Response:
    """ListMultipartUploads with prefix and both markers."""
    query = call.request.query
    prefix, limit = query.get("prefix", ""), _count(query, "max-uploads")
    marker = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
    encoded, nodes = _writer(query)
    found = sorted(
        (u for u in context.bucket.uploads.values() if u.key.startswith(prefix)), key=lambda u: (u.key, u.id)
    )
    if any(marker):
        # A key without an upload id means: behind all uploads of this key.
        past = marker if marker[1] else (marker[0], "\U0010ffff")
        found = [upload for upload in found if (upload.key, upload.id) > past]
    page, more = found[:limit], len(found) > limit
    nodes += [("Bucket", context.bucket.name), ("Prefix", _text(prefix, encoded=encoded)), ("MaxUploads", limit)]
    nodes += [("IsTruncated", str(more).lower())]
    if more:
        nodes += [("NextKeyMarker", _text(page[-1].key, encoded=encoded)), ("NextUploadIdMarker", page[-1].id)]
    for upload in page:
        row: list[Node] = [("Key", _text(upload.key, encoded=encoded)), ("UploadId", upload.id)]
        row += [("Initiated", _moment(upload.begun)), ("StorageClass", "STANDARD")]
        if upload.algorithm:
            row += [("ChecksumAlgorithm", upload.algorithm.upper()), ("ChecksumType", upload.checksum_type)]
        nodes.append(("Upload", row))
    return document("ListMultipartUploadsResult", nodes)


async def list_parts(context: Context, call: Call) -> web.Response:
    """ListParts with its marker."""
    query = call.request.query
    upload = context.bucket.upload(query["uploadId"], call.key)
    limit, marker = _count(query, "max-parts"), int(query.get("part-number-marker") or 0)
    found = [upload.parts[number] for number in sorted(upload.parts) if number > marker]
    page, more = found[:limit], len(found) > limit
    nodes: list[Node] = [("Bucket", context.bucket.name), ("Key", call.key), ("UploadId", upload.id)]
    nodes += [("MaxParts", limit), ("IsTruncated", str(more).lower())]
    nodes += [("NextPartNumberMarker", page[-1].number)] if more else []
    nodes += [("ChecksumAlgorithm", upload.algorithm.upper())] if upload.algorithm else []
    nodes += [_part_row(part) for part in page]
    return document("ListPartsResult", nodes)


def _part_row(part: UploadedPart) -> Node:
    row: list[Node] = [("PartNumber", part.number), ("LastModified", _moment(part.modified))]
    row += [("ETag", f'"{part.etag}"'), ("Size", part.size)]
    row += [(f"Checksum{name.upper()}", value) for name, value in shown_checksums(part.checksums).items()]
    return "Part", row


async def head_bucket(context: Context, _call: Call) -> web.Response:
    return web.Response(headers={"x-amz-bucket-region": context.region})


async def get_location(context: Context, _call: Call) -> web.Response:
    """us-east-1 has an empty constraint, for history's sake."""
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    region = "" if context.region == "us-east-1" else context.region
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="{namespace}">{region}</LocationConstraint>'
    )
    return web.Response(text=text, content_type="application/xml")


async def get_lifecycle(context: Context, _call: Call) -> web.Response:
    if not context.lifecycle_days:
        raise Refusal(404, "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist")
    abort: Node = ("AbortIncompleteMultipartUpload", [("DaysAfterInitiation", context.lifecycle_days)])
    rule: list[Node] = [("ID", "abort"), ("Filter", [("Prefix", "")]), ("Status", "Enabled"), abort]
    return document("LifecycleConfiguration", [("Rule", rule)])


async def get_versioning(_context: Context, _call: Call) -> web.Response:
    # Empty, as of a bucket that never had versions.
    return document("VersioningConfiguration", [])


async def get_object_lock(_context: Context, _call: Call) -> web.Response:
    raise Refusal(
        404, "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket"
    )
