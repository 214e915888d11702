"""The archive's bucket: S3 as AWS documents it, holding what was really written."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from dataclasses import dataclass, field
from email.utils import formatdate
from xml.sax.saxutils import escape

from tests.worlds.clock import SKY
from tests.worlds.media_door import RANGE, s3_error
from tests.worlds.wire import Answer, Request

BUCKET, REGION = "archive", "us-east-1"
XML = (("Content-Type", "application/xml"),)


@dataclass(frozen=True, slots=True)
class Held:
    """An object as it lies there."""

    body: bytes
    headers: dict[str, str]
    etag: str
    at: float

    @property
    def crc32(self) -> str:
        return base64.b64encode(zlib.crc32(self.body).to_bytes(4, "big")).decode()


@dataclass(slots=True)
class BucketWays:
    """What a bucket may leave out, and be right."""

    checksums: bool = True
    weak_etags: bool = False


@dataclass(slots=True)
class Upload:
    key: str
    headers: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Bucket:
    """Keys and what lies under them; ``replaced`` are those written over."""

    ways: BucketWays = field(default_factory=BucketWays)
    objects: dict[str, Held] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    replaced: list[str] = field(default_factory=list)
    number: int = 0

    def serve(self, request: Request) -> Answer:
        """Carry out what was asked."""
        key = request.path.removeprefix("/")
        if request.host.split(".")[0] != BUCKET:
            _, _, key = key.partition("/")
        operation = operation_of(request, key)
        handler = getattr(self, operation.lower(), None)
        return handler(key, request) if handler else s3_error(501, "NotImplemented")

    def headbucket(self, _key: str, _request: Request) -> Answer:
        return Answer(200, (("x-amz-bucket-region", REGION),))

    def getbucketlocation(self, _key: str, _request: Request) -> Answer:
        return Answer(200, XML, b"<LocationConstraint/>")

    def putobject(self, key: str, request: Request) -> Answer:
        if (said := request.headers.get("x-amz-checksum-crc32")) and said != _crc32(request.body):
            return s3_error(400, "BadDigest")
        if refusal := self._condition(key, request):
            return refusal
        return self._keep(key, request.body, request.headers)

    def _condition(self, key: str, request: Request) -> Answer | None:
        held = self.objects.get(key)
        if request.headers.get("if-none-match") == "*" and held:
            return s3_error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
        wanted = request.headers.get("if-match")
        if wanted and (held is None or wanted.strip('"') != held.etag.strip('"')):
            return s3_error(412, "PreconditionFailed") if held else s3_error(404, "NoSuchKey")
        return None

    def _keep(self, key: str, body: bytes, headers: dict[str, str]) -> Answer:
        if key in self.objects:
            self.replaced.append(key)
        kept = {
            name: value for name, value in headers.items() if name.startswith("x-amz-meta-") or name == "content-type"
        }
        tag = f'"{hashlib.md5(body).hexdigest()}"'  # noqa: S324 - as S3 makes its ETags
        self.objects[key] = held = Held(body, kept, tag, SKY.now)
        return Answer(200, tuple(self._said(held).items()))

    def _said(self, held: Held) -> dict[str, str]:
        said = {"ETag": f"W/{held.etag}" if self.ways.weak_etags else held.etag}
        if self.ways.checksums:
            said |= {"x-amz-checksum-crc32": held.crc32, "x-amz-checksum-type": "FULL_OBJECT"}
        return said

    def headobject(self, key: str, request: Request) -> Answer:
        found = self.getobject(key, request)
        return found if found.status < 300 else Answer(found.status)

    def getobject(self, key: str, request: Request) -> Answer:
        held = self.objects.get(key)
        if held is None:
            return s3_error(404, "NoSuchKey")
        headers = {**held.headers, **self._said(held), "Last-Modified": formatdate(held.at, usegmt=True)}
        span = RANGE.match(request.headers.get("range", ""))
        if span is None:
            return Answer(200, tuple(headers.items()), held.body)
        first, last = int(span[1]), min(int(span[2] or 1 << 60), len(held.body) - 1)
        if first > last:
            return s3_error(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {first}-{last}/{len(held.body)}"
        return Answer(206, tuple(headers.items()), held.body[first : last + 1])

    def listobjectsv2(self, _key: str, request: Request) -> Answer:
        asked = request.query
        after = asked.get("continuation-token") or asked.get("start-after", "")
        keys = sorted(key for key in self.objects if key.startswith(asked.get("prefix", "")) and key > after)
        page = keys[: int(asked.get("max-keys", 1000))]
        more = len(keys) > len(page)
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[key].body)}</Size>"
            f"<ETag>{escape(self.objects[key].etag)}</ETag><LastModified>2027-03-15T00:00:00.000Z</LastModified></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        head = f"<IsTruncated>{str(more).lower()}</IsTruncated><KeyCount>{len(page)}</KeyCount>"
        text = f"<ListBucketResult>{head}{token}{rows}</ListBucketResult>"
        return Answer(200, XML, text.encode())

    def listmultipartuploads(self, _key: str, request: Request) -> Answer:
        prefix = request.query.get("prefix", "")
        rows = "".join(
            f"<Upload><Key>{escape(each.key)}</Key><UploadId>{name}</UploadId><Initiated>2027-03-15T00:00:00.000Z</Initiated></Upload>"
            for name, each in self.uploads.items()
            if each.key.startswith(prefix)
        )
        return Answer(
            200,
            XML,
            f"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{rows}</ListMultipartUploadsResult>".encode(),
        )

    def createmultipartupload(self, key: str, request: Request) -> Answer:
        self.number += 1
        name = f"upload-{self.number}"
        self.uploads[name] = Upload(key, request.headers)
        said = f"<Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key><UploadId>{name}</UploadId>"
        text = f"<InitiateMultipartUploadResult>{said}</InitiateMultipartUploadResult>"
        return Answer(200, XML, text.encode())

    def uploadpart(self, _key: str, request: Request) -> Answer:
        upload = self.uploads.get(request.query["uploadId"])
        if upload is None:
            return s3_error(404, "NoSuchUpload")
        if (said := request.headers.get("x-amz-checksum-crc32")) and said != _crc32(request.body):
            return s3_error(400, "BadDigest")
        upload.parts[int(request.query["partNumber"])] = request.body
        tag = f'"{hashlib.md5(request.body).hexdigest()}"'  # noqa: S324 - as S3 makes its ETags
        return Answer(200, (("ETag", tag), ("x-amz-checksum-crc32", _crc32(request.body))))

    def completemultipartupload(self, key: str, request: Request) -> Answer:
        upload = self.uploads.get(request.query["uploadId"])
        if upload is None:
            return s3_error(404, "NoSuchUpload")
        if refusal := self._condition(key, request):
            return refusal
        named = [int(each) for each in re.findall(rb"<PartNumber>(\d+)</PartNumber>", request.body)]
        if any(each not in upload.parts for each in named):
            return s3_error(400, "InvalidPart")
        body = b"".join(upload.parts[each] for each in sorted(named))
        if (said := request.headers.get("x-amz-checksum-crc32")) and said != _crc32(body):
            return s3_error(400, "BadDigest")
        del self.uploads[request.query["uploadId"]]
        self._keep(key, body, upload.headers)
        held = self.objects[key]
        checksum = (
            f"<ChecksumCRC32>{held.crc32}</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType>"
            if self.ways.checksums
            else ""
        )
        words = f"<Key>{escape(key)}</Key><ETag>{escape(held.etag)}</ETag>{checksum}"
        text = f"<CompleteMultipartUploadResult>{words}</CompleteMultipartUploadResult>"
        return Answer(200, XML, text.encode())

    def abortmultipartupload(self, _key: str, request: Request) -> Answer:
        return Answer(204) if self.uploads.pop(request.query["uploadId"], None) else s3_error(404, "NoSuchUpload")

    def listparts(self, _key: str, request: Request) -> Answer:
        upload = self.uploads.get(request.query["uploadId"])
        if upload is None:
            return s3_error(404, "NoSuchUpload")
        rows = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{number}</ETag><Size>{len(part)}</Size></Part>"
            for number, part in sorted(upload.parts.items())
        )
        return Answer(200, XML, f"<ListPartsResult><IsTruncated>false</IsTruncated>{rows}</ListPartsResult>".encode())


def operation_of(request: Request, key: str) -> str:
    """Name the operation as S3 does."""
    asked, method = request.query, request.method
    if not key:
        named = {"uploads": "ListMultipartUploads", "location": "GetBucketLocation", "list-type": "ListObjectsV2"}
        return next(
            (name for sign, name in named.items() if sign in asked), "HeadBucket" if method == "HEAD" else "Other"
        )
    if "uploads" in asked:
        return "CreateMultipartUpload"
    if "uploadId" in asked:
        return {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}.get(
            method, "ListParts"
        )
    return {"PUT": "PutObject", "HEAD": "HeadObject", "GET": "GetObject"}.get(method, "Other")


def _crc32(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
