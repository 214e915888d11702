"""A bucket in memory that speaks as much S3 as moving recordings needs; signatures are not looked at."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import unquote
from xml.sax.saxutils import escape

from aiohttp import web

from tests.trials.webex import Handler, ranged, s3_error

NAME = "trials"
KEPT = ("content-type", "cache-control", "content-encoding", "content-disposition")
CHECKSUM = "x-amz-checksum-crc32"


@dataclass
class Stored:
    """An object: its bytes, and what was said of it."""

    body: bytes
    etag: str
    head: dict[str, str] = field(default_factory=dict)


@dataclass
class Upload:
    """A multipart upload under way."""

    key: str
    head: dict[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()  # noqa: S324 - as S3 has it


def crc32(data: bytes) -> str:
    """Write a CRC-32 as S3 does."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


class Bucket:
    """One bucket on one port, path style; a test puts its own handler in the place of ``s3``."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, Upload] = {}
        self.seen: Counter[str] = Counter()
        self.s3: Handler = self.plain_s3

    def app(self) -> web.Application:
        """Return the application; which handler answers is looked up at each request."""
        app = web.Application(client_max_size=1 << 30)

        async def answer(request: web.Request) -> web.StreamResponse:
            return await self.s3(request)

        app.router.add_route("*", "/{path:.*}", answer)
        return app

    async def plain_s3(self, request: web.Request) -> web.StreamResponse:
        """Do as S3 does."""
        name, _, key = unquote(request.raw_path.partition("?")[0]).lstrip("/").partition("/")
        body = _unchunked(request, await request.read())
        if name != NAME:
            return s3_error(404, "NoSuchBucket")
        operation = _operation(request, key)
        self.seen[operation] += 1
        action: _Action | None = getattr(self, f"_{operation}", None)
        return s3_error(405, "MethodNotAllowed") if action is None else action(request, key, body)

    def _put(self, request: web.Request, key: str, body: bytes) -> web.Response:
        if refused := self._taken(request, key) or _damaged(request, body):
            return refused
        self.objects[key] = Stored(body, f'"{md5(body)}"', _kept(request))
        return web.Response(headers=self._described(key))

    def _get(self, request: web.Request, key: str, _: bytes) -> web.Response:
        if key not in self.objects:
            return s3_error(404, "NoSuchKey")
        return ranged(request, self.objects[key].body, self._described(key) | self.objects[key].head)

    def _head(self, _: web.Request, key: str, __: bytes) -> web.Response:
        if key not in self.objects:
            return web.Response(status=404)
        stored = self.objects[key]
        head = self._described(key) | stored.head
        return web.Response(headers=head | {"Content-Length": str(len(stored.body))})

    def _described(self, key: str) -> dict[str, str]:
        stored = self.objects[key]
        return {"ETag": stored.etag, CHECKSUM: crc32(stored.body), "x-amz-checksum-type": "FULL_OBJECT"}

    def _delete(self, _: web.Request, key: str, __: bytes) -> web.Response:
        self.objects.pop(key, None)
        return web.Response(status=204)

    def _create(self, request: web.Request, key: str, _: bytes) -> web.Response:
        upload_id = f"upload-{self.seen['create']}"
        self.uploads[upload_id] = Upload(key, _kept(request))
        return _xml("InitiateMultipartUploadResult", Bucket=NAME, Key=key, UploadId=upload_id)

    def _part(self, request: web.Request, _: str, body: bytes) -> web.Response:
        upload = self.uploads.get(request.query["uploadId"])
        if upload is None:
            return s3_error(404, "NoSuchUpload")
        if refused := _damaged(request, body):
            return refused
        upload.parts[int(request.query["partNumber"])] = body
        return web.Response(headers={"ETag": f'"{md5(body)}"', CHECKSUM: crc32(body)})

    def _complete(self, request: web.Request, key: str, body: bytes) -> web.Response:
        upload = self.uploads.get(request.query["uploadId"])
        if upload is None:
            return s3_error(404, "NoSuchUpload")
        listed = _listed_parts(body.decode())
        if any(md5(upload.parts.get(number, b"")) != tag for number, tag in listed):
            return s3_error(400, "InvalidPart", "One or more of the specified parts could not be found.")
        whole = b"".join(upload.parts[number] for number, _ in listed)
        if refused := self._taken(request, key) or _damaged(request, whole):
            return refused
        del self.uploads[request.query["uploadId"]]
        tag = f'"{md5(b"".join(bytes.fromhex(tag) for _, tag in listed))}-{len(listed)}"'
        self.objects[key] = Stored(whole, tag, upload.head)
        return _xml("CompleteMultipartUploadResult", Bucket=NAME, Key=key, ETag=tag, ChecksumCRC32=crc32(whole))

    def _abort(self, request: web.Request, _: str, __: bytes) -> web.Response:
        gone = self.uploads.pop(request.query["uploadId"], None) is None
        return s3_error(404, "NoSuchUpload") if gone else web.Response(status=204)

    def _list_parts(self, request: web.Request, _: str, __: bytes) -> web.Response:
        upload = self.uploads.get(request.query["uploadId"])
        if upload is None:
            return s3_error(404, "NoSuchUpload")
        parts = "".join(f"<Part><PartNumber>{n}</PartNumber></Part>" for n in sorted(upload.parts))
        return _listing("ListPartsResult", parts)

    def _list_uploads(self, request: web.Request, _: str, __: bytes) -> web.Response:
        prefix = request.query.get("prefix", "")
        found = {name: upload.key for name, upload in self.uploads.items() if upload.key.startswith(prefix)}
        rows = (f"<Upload><Key>{escape(key)}</Key><UploadId>{name}</UploadId></Upload>" for name, key in found.items())
        return _listing("ListMultipartUploadsResult", "".join(rows))

    def _list(self, request: web.Request, _: str, __: bytes) -> web.Response:
        prefix = request.query.get("prefix", "")
        keys = sorted(key for key in self.objects if key.startswith(prefix))
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[key].body)}</Size></Contents>" for key in keys
        )
        return _listing("ListBucketResult", f"<KeyCount>{len(keys)}</KeyCount>{rows}")

    def _bucket(self, _: web.Request, __: str, ___: bytes) -> web.Response:
        return web.Response()

    def _taken(self, request: web.Request, key: str) -> web.Response | None:
        if "If-None-Match" in request.headers and key in self.objects:
            return s3_error(412, "PreconditionFailed")
        return None


class _Action:
    """The form of what does an operation."""

    def __call__(self, request: web.Request, key: str, body: bytes, /) -> web.Response:
        raise NotImplementedError


def _operation(request: web.Request, key: str) -> str:
    query, method = request.query, request.method
    if not key:
        on_bucket = {"list-type": "list", "uploads": "list_uploads"}
        return next((name for word, name in on_bucket.items() if word in query), "bucket" if method == "HEAD" else "?")
    if "uploadId" in query:
        return {"PUT": "part", "POST": "complete", "DELETE": "abort", "GET": "list_parts"}.get(method, "?")
    return {"PUT": "put", "POST": "create", "HEAD": "head", "GET": "get", "DELETE": "delete"}.get(method, "?")


def _kept(request: web.Request) -> dict[str, str]:
    return {
        name: value
        for name, value in request.headers.items()
        if name.lower() in KEPT or name.lower().startswith("x-amz-meta-")
    }


def _damaged(request: web.Request, body: bytes) -> web.Response | None:
    """Refuse a body that is not what its checksum says."""
    said = request.headers.get(CHECKSUM)
    return s3_error(400, "BadDigest") if said not in (None, crc32(body)) else None


def _unchunked(request: web.Request, body: bytes) -> bytes:
    """Take the frames of ``aws-chunked`` off."""
    if not request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        return body
    whole = bytearray()
    while body:
        size, _, body = body.partition(b"\r\n")
        count = int(size.partition(b";")[0], 16)
        if not count:
            break
        whole += body[:count]
        body = body[count + 2 :]
    return bytes(whole)


def _listed_parts(text: str) -> list[tuple[int, str]]:
    found = []
    for part in re.findall(r"<Part>(.*?)</Part>", text, re.DOTALL):
        number, tag = re.search(r"<PartNumber>(\d+)<", part), re.search(r"<ETag>(.*?)<", part)
        assert number
        assert tag
        found.append((int(number[1]), tag[1].replace("&quot;", "").strip('"')))
    return found


def _xml(root: str, **named: str) -> web.Response:
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in named.items())
    return _document(root, inner)


def _listing(root: str, inner: str) -> web.Response:
    return _document(root, f"<IsTruncated>false</IsTruncated>{inner}")


def _document(root: str, inner: str) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{inner}</{root}>'
    return web.Response(text=text, content_type="application/xml")
