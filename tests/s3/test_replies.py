"""Reading S3's words about an object."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxrec_async.errors import RunStopped
from wxrec_async.s3.replies import check_encryption, crc32_of, crc32_text, full_checksums, stored_object


@given(st.integers(0, 2**32 - 1))
def test_a_crc32_survives_s3s_spelling(crc32: int) -> None:
    """Writing and reading gives the same number."""
    assert crc32_of(crc32_text(crc32)) == crc32


def test_crc32_is_written_with_the_highest_byte_first() -> None:
    """The CRC-32 of 123456789 is 0xCBF43926, in S3's form y/Q5Jg== (AWS, Checking object integrity)."""
    assert crc32_text(0xCBF43926) == "y/Q5Jg=="


@pytest.mark.parametrize("text", [None, "", "y/Q5Jg==-3", "AAAA", "not base64!"])
def test_what_is_no_crc32_is_none(text: str | None) -> None:
    """Missing, composite, too short or malformed texts are not taken for a checksum."""
    assert crc32_of(text) is None


@pytest.mark.fault("S24")
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ({"ChecksumCRC32": "y/Q5Jg==", "ETag": '"abc"'}, {"CRC32": "y/Q5Jg=="}),
        ({"ChecksumCRC32": "y/Q5Jg==", "ETag": '"abc-3"'}, {}),
        ({"ChecksumCRC32": "y/Q5Jg==", "ETag": '"abc-3"', "ChecksumType": "FULL_OBJECT"}, {"CRC32": "y/Q5Jg=="}),
        ({"ChecksumCRC32": "y/Q5Jg==-3", "ETag": '"abc"', "ChecksumType": "COMPOSITE"}, {}),
        ({"ChecksumCRC32": "y/Q5Jg==-3", "ETag": '"abc"'}, {}),
        ({"ChecksumCRC64NVME": "rosUhgp5mIg=", "ChecksumType": "FULL_OBJECT"}, {"CRC64NVME": "rosUhgp5mIg="}),
        ({"ETag": '"d41d8cd98f00b204e9800998ecf8427e"'}, {}),
    ],
)
def test_only_checksums_over_the_whole_object_count(reply: dict[str, Any], expected: dict[str, str]) -> None:
    """Composite checksums and ETags are never taken for a checksum of the bytes."""
    assert full_checksums(reply) == expected


def test_head_is_read_into_an_object() -> None:
    """Size, type, metadata, version and checksum of a HEAD answer arrive in our words."""
    reply = {
        "ContentLength": 9,
        "ChecksumCRC32": "y/Q5Jg==",
        "ETag": '"e"',
        "VersionId": "v1",
        "ContentType": "audio/wav",
        "Metadata": {"wx-task-id": "t"},
    }
    found = stored_object("k", reply)
    assert (found.size, found.crc32, found.version_id, found.content_type) == (9, 0xCBF43926, "v1", "audio/wav")
    assert found.metadata == {"wx-task-id": "t"}


@pytest.mark.fault("X23")
@pytest.mark.parametrize(
    ("reply", "sse", "key"),
    [
        ({}, "AES256", ""),
        ({"ServerSideEncryption": "AES256"}, "aws:kms", ""),
        ({"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:eu-west-1:1:key/b"}, "aws:kms", "a"),
    ],
)
def test_missing_encryption_stops_the_run(reply: dict[str, Any], sse: str, key: str) -> None:
    """When S3 did not encrypt as it was told to, nothing more is uploaded."""
    with pytest.raises(RunStopped):
        check_encryption(reply, sse=sse, kms_key_id=key)


@pytest.mark.fault("X23")
@pytest.mark.parametrize("key", ["", "b", "arn:aws:kms:eu-west-1:1:key/b", "alias/mine"])
def test_encryption_as_asked_passes(key: str) -> None:
    """The key may be given as id, ARN or alias; the last cannot be compared."""
    reply = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:eu-west-1:1:key/b"}
    check_encryption(reply, sse="aws:kms", kms_key_id=key)
