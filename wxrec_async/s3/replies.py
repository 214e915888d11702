"""What S3 says of an object, and how it writes a CRC-32."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from wxrec_async.errors import RunStopped
from wxrec_async.model import StoredObject
from wxrec_async.rules.parts import strong_etag

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")

Reply = Mapping[str, Any]


def crc32_text(crc32: int) -> str:
    """Write a CRC-32 as S3 does: base64 of its four bytes, the highest first."""
    return base64.b64encode(crc32.to_bytes(4, "big")).decode("ascii")


def crc32_of(text: str | None) -> int | None:
    """Read S3's form of a CRC-32; None for anything else."""
    try:
        raw = base64.b64decode(text or "", validate=True)
    except (binascii.Error, ValueError):
        return None
    return int.from_bytes(raw, "big") if len(raw) == 4 else None


def full_checksums(reply: Reply) -> dict[str, str]:
    """Return the checksums over the whole object's bytes, by algorithm, as S3 wrote them.

    Those of the composite type, a checksum of the parts' checksums, are left
    out: S3 names the type, or appends ``-<parts>``; a store that does neither
    is believed only when the object has one part, which its ETag shows.
    """
    kind = reply.get("ChecksumType")
    if kind == "COMPOSITE" or (kind is None and "-" in str(reply.get("ETag", ""))):
        return {}
    named = {name: reply.get(f"Checksum{name}") for name in ALGORITHMS}
    return {name: str(text) for name, text in named.items() if text and "-" not in text}


def stored_object(key: str, reply: Reply, *, size: int | None = None) -> StoredObject:
    """Read the answer to HEAD, or with ``size`` given the one to a put or complete."""
    checksums = full_checksums(reply)
    return StoredObject(
        key=key,
        size=int(reply.get("ContentLength", 0)) if size is None else size,
        crc32=crc32_of(checksums.get("CRC32")),
        checksums=checksums,
        etag=strong_etag(str(reply.get("ETag") or "")),
        version_id=reply.get("VersionId"),
        content_type=reply.get("ContentType"),
        metadata=dict(reply.get("Metadata", {})),
    )


def check_encryption(reply: Reply, *, sse: str, kms_key_id: str, may_be_silent: bool = False) -> None:
    """Raise `RunStopped` when encryption was asked for and S3 does not say that it was done that way.

    ``may_be_silent`` lets an answer pass that says nothing of it.  An alias
    cannot be compared with the key that S3 names.
    """
    said, key = reply.get("ServerSideEncryption"), str(reply.get("SSEKMSKeyId") or "")
    # A store may pass over the header that asks for it: only what the answer says is believed.
    if sse and said != sse and not (may_be_silent and said is None):
        raise RunStopped(f"[s3] sse = {sse!r} was asked for, but S3 answered {said!r}; nothing more is uploaded")
    # S3 names a key by its ARN, the settings may name it by its id, which the ARN ends with.
    if kms_key_id and key and "alias/" not in kms_key_id and not key.endswith(kms_key_id):
        raise RunStopped("[s3] kms_key_id: S3 encrypted with another key; nothing more is uploaded")
