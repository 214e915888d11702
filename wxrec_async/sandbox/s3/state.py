"""What the bucket holds: objects, open uploads, and an index file that outlives the process."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wxrec_async.sandbox import checksums
from wxrec_async.sandbox.front import Refusal
from wxrec_async.sandbox.s3.blobs import Blob, BlobStorage, FileBlob, FileStorage, MemoryStorage, NoStorage
from wxrec_async.sandbox.s3.request_body import PREFIX

INDEX = "index.jsonl"


@dataclass(slots=True)
class StoredBody:
    """An object.  ``checksums`` are as S3 shows them, ``headers`` what was said with it (type, metadata, SSE …)."""

    key: str
    blob: Blob
    size: int
    etag: str
    headers: dict[str, str]
    checksums: dict[str, str]
    checksum_type: str = "FULL_OBJECT"
    tags: dict[str, str] = field(default_factory=dict)
    parts: int = 0
    modified: float = field(default_factory=time.time)

    @property
    def metadata(self) -> dict[str, str]:
        start = "x-amz-meta-"
        return {name.removeprefix(start): text for name, text in self.headers.items() if name.startswith(start)}

    def answer_headers(self, *, with_checksums: bool) -> dict[str, str]:
        """Return what HEAD says of it."""
        found = dict(self.headers)
        if self.tags:
            found["x-amz-tagging-count"] = str(len(self.tags))
        if with_checksums and self.checksums:
            found |= {PREFIX + name: text for name, text in self.checksums.items()}
            found["x-amz-checksum-type"] = self.checksum_type
        return found


@dataclass(slots=True)
class UploadedPart:
    """A part of an open upload."""

    number: int
    blob: Blob
    size: int
    etag: str
    checksums: dict[str, bytes]
    modified: float = field(default_factory=time.time)


@dataclass(slots=True)
class Upload:
    """A multipart upload.  ``algorithm`` is "" when the client named none."""

    id: str
    key: str
    headers: dict[str, str]
    tags: dict[str, str]
    algorithm: str
    checksum_type: str
    parts: dict[int, UploadedPart] = field(default_factory=dict)
    begun: float = field(default_factory=time.time)


@dataclass(slots=True)
class BucketState:
    """One bucket.  ``committing`` are the keys that are being written this very moment."""

    name: str
    storage: BlobStorage
    index: Path | None = None
    objects: dict[str, StoredBody] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    completed: dict[str, StoredBody] = field(default_factory=dict)
    committing: set[str] = field(default_factory=set)
    replaced: list[str] = field(default_factory=list)

    async def commit(self, body: StoredBody, parts: list[Blob], *, only_new: bool, seen: bool) -> StoredBody:
        """Let an object appear.

        ``only_new`` is If-None-Match: *, ``seen`` whether the key was taken
        when the request began; raises Refusal 412 or 409.
        """
        # Three cases of a key that is taken.  Taken when the request began: 412, it stays taken.  Taken since, or being
        # taken by another request at this moment: 409, as S3 has it, and the client has to find out what lies there.
        if only_new and seen:
            raise Refusal(412, "PreconditionFailed", "")
        if body.key in self.committing or (only_new and body.key in self.objects):
            raise Refusal(409, "ConditionalRequestConflict", "")
        self.committing.add(body.key)
        try:
            body.blob = await self.storage.keep(body.key, parts)
        finally:
            self.committing.discard(body.key)
        if body.key in self.objects:
            # For the tests: by default nothing may ever be replaced.
            self.replaced.append(body.key)
        self.objects[body.key] = body
        await asyncio.to_thread(self._remember, body)
        return body

    def begin(self, key: str, headers: dict[str, str], tags: dict[str, str], algorithm: str, kind: str) -> Upload:
        upload = Upload(uuid.uuid4().hex, key, headers, tags, algorithm, kind)
        self.uploads[upload.id] = upload
        return upload

    def upload(self, upload_id: str, key: str) -> Upload:
        """Return an open upload; raises Refusal NoSuchUpload."""
        upload = self.uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise Refusal(404, "NoSuchUpload", "")
        return upload

    def keys(self, prefix: str, after: str) -> list[str]:
        """Return the keys with a prefix that come after another, in S3's order (UTF-8 bytes)."""
        found = (key for key in self.objects if key.startswith(prefix) and key > after)
        return sorted(found, key=str.encode)

    def _remember(self, body: StoredBody) -> None:
        if self.index is None or not isinstance(body.blob, FileBlob):
            return
        row = {
            "key": body.key,
            "path": str(body.blob.path.relative_to(self.index.parent.parent)),
            "size": body.size,
            "etag": body.etag,
            "headers": body.headers,
            "checksums": body.checksums,
            "checksum_type": body.checksum_type,
            "tags": body.tags,
            "parts": body.parts,
            "modified": body.modified,
        }
        with self.index.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def open_bucket(name: str, folder: Path | None, *, discard: bool = False) -> BucketState:
    """Return a bucket in memory, or the one that lies in a folder."""
    if folder is None:
        return BucketState(name, NoStorage() if discard else MemoryStorage())
    folder = folder.resolve()
    storage = FileStorage(folder, name)
    index = folder / ".sandbox" / INDEX
    bucket = BucketState(name, storage, index)
    # A key that was written twice stands there twice, and the last line holds.
    bucket.objects = {body.key: body for body in _remembered(index)}
    return bucket


def _remembered(index: Path) -> Iterator[StoredBody]:
    """Yield the objects of an earlier process whose files are still there and whole."""
    if not index.exists():
        return
    for line in index.read_text(encoding="utf-8").splitlines():
        try:
            row: dict[str, Any] = json.loads(line)
        except ValueError:
            continue  # the last line of a process that was killed
        path = index.parent.parent / row.pop("path")
        if path.is_file() and path.stat().st_size == row["size"]:
            yield StoredBody(blob=FileBlob(path, row["size"]), **row)


def shown_checksums(digests: dict[str, bytes]) -> dict[str, str]:
    return {name: checksums.encode(digest) for name, digest in digests.items()}


def md5_of_md5s(etags: list[str]) -> str:
    """Return an ETag in the form S3 gives to multipart objects."""
    whole = hashlib.md5(b"".join(bytes.fromhex(etag) for etag in etags), usedforsecurity=False)
    return f"{whole.hexdigest()}-{len(etags)}"
