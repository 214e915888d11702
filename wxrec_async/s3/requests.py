"""The parameters of each S3 call, from the settings and what is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from wxrec_async.config import S3Settings
from wxrec_async.model import ObjectTarget, Part, PartReceipt
from wxrec_async.s3.body import PartBody
from wxrec_async.s3.replies import crc32_text

Params = dict[str, Any]
ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")  # a GET is refused until the object was restored


def utc_now() -> datetime:
    return datetime.now(UTC)


class Requests:
    """Writes what is asked of S3, the same way every time; ``now`` is what object lock counts its days from."""

    def __init__(self, settings: S3Settings, now: Callable[[], datetime] = utc_now) -> None:
        self._settings, self._now = settings, now
        self._everywhere: Params = {"Bucket": settings.bucket}
        if settings.expected_bucket_owner:
            self._everywhere["ExpectedBucketOwner"] = settings.expected_bucket_owner
        self._of_new_objects = _given(
            ServerSideEncryption=settings.sse,
            SSEKMSKeyId=settings.kms_key_id,
            StorageClass=settings.storage_class,
            Tagging=urlencode(settings.tags),
            ObjectLockMode=settings.object_lock_mode,
        )

    def bucket(self, **more: object) -> Params:
        """Ask about the bucket."""
        return {**self._everywhere, **more}

    def key(self, key: str, **more: object) -> Params:
        """Ask about one object."""
        return {**self._everywhere, "Key": key, **more}

    def put(self, target: ObjectTarget, part: Part, *, overwrite: bool, instead_of: str = "") -> Params:
        """Store a whole object with its checksum, where there is none or, ``instead_of``, only the one of this ETag."""
        return {
            **self._new_object(target),
            **_condition(overwrite, instead_of),
            # The checksum is ours and in a header.  So S3 compares while it receives, and the
            # request is the same on http and https: left to the SDK it becomes a trailer in chunks,
            # which some compatible stores refuse.
            "Body": PartBody(part),
            "ChecksumCRC32": crc32_text(part.crc32),
        }

    def create(self, target: ObjectTarget) -> Params:
        """Begin a multipart upload whose checksum S3 computes over the whole object."""
        return {**self._new_object(target), "ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}

    def part(self, key: str, upload_id: str, part: Part) -> Params:
        """Upload one part with its checksum."""
        return self.key(
            key,
            UploadId=upload_id,
            PartNumber=part.number,
            Body=PartBody(part),
            ChecksumCRC32=crc32_text(part.crc32),
        )

    def complete(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[PartReceipt],
        *,
        size: int,
        crc32: int,
        overwrite: bool,
    ) -> Params:
        """Make the object of its parts, if size and checksum agree, only where there is none."""
        # In ascending order, or S3 refuses them; they were finished in any.
        listed = [
            {"PartNumber": part.number, "ETag": part.etag, "ChecksumCRC32": crc32_text(part.crc32)}
            for part in sorted(parts, key=lambda part: part.number)
        ]
        return {
            **self.key(key, UploadId=upload_id, MultipartUpload={"Parts": listed}),
            **_condition(overwrite),
            "ChecksumCRC32": crc32_text(crc32),
            "ChecksumType": "FULL_OBJECT",
            # With the checksum over the whole: S3 compares both before it makes the object, so no
            # part is lost or doubled.
            "MpuObjectSize": size,
        }

    def _new_object(self, target: ObjectTarget) -> Params:
        params = self.key(target.key, ContentType=target.content_type, Metadata=target.metadata)
        params.update(self._of_new_objects)
        # Sidecars and manifests are read again before the next of them is written.
        if target.at_hand and self._settings.storage_class in ARCHIVES:
            del params["StorageClass"]
        if self._settings.object_lock_mode:
            params["ObjectLockRetainUntilDate"] = self._now() + timedelta(days=self._settings.object_lock_days)
        return params


def _given(**params: str) -> Params:
    return {name: value for name, value in params.items() if value}


def _condition(overwrite: bool, instead_of: str = "") -> Params:
    # Only S3 itself can decide between two writers of one key: whoever looks before may be overtaken.
    if instead_of:
        return {"IfMatch": instead_of}
    return {} if overwrite else {"IfNoneMatch": "*"}
