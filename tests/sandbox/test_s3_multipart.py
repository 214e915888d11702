"""Multipart uploads: what S3 refuses is refused, and the whole is what its parts were."""

from __future__ import annotations

import base64
import hashlib
import zlib
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from wxrec_async.sandbox import Options, Sandbox

from .kit import s3_client
from .test_s3_objects import crc_of, files_below, refusal

pytestmark = pytest.mark.anyio
MIB = 1 << 20
FIRST, LAST = bytes(range(256)) * (5 * MIB // 256), b"the end"
KEY = "call-detail/t/recording.wav"


class Upload:
    """One upload through the SDK, with everything said once."""

    def __init__(self, sandbox: Sandbox, s3: Any) -> None:
        self.sandbox, self.s3 = sandbox, s3
        self.parts: list[dict[str, Any]] = []

    @property
    def names(self) -> dict[str, str]:
        return {"Bucket": self.sandbox.bucket, "Key": KEY, "UploadId": self.id}

    async def begin(self, **options: Any) -> Upload:
        options = {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"} | options
        answer = await self.s3.create_multipart_upload(Bucket=self.sandbox.bucket, Key=KEY, **options)
        self.id = answer["UploadId"]
        return self

    async def part(self, number: int, body: bytes, **options: Any) -> None:
        answer = await self.s3.upload_part(**self.names, PartNumber=number, Body=body, **options)
        known = {name: answer[name] for name in ("ETag", "ChecksumCRC32") if name in answer}
        self.parts.append({"PartNumber": number, **known})

    async def both(self) -> Upload:
        await self.part(1, FIRST, ChecksumCRC32=crc_of(FIRST))
        await self.part(2, LAST, ChecksumCRC32=crc_of(LAST))
        return self

    async def complete(self, **options: Any) -> Any:
        options = {"MultipartUpload": {"Parts": self.parts}} | options
        return await self.s3.complete_multipart_upload(**self.names, **options)

    async def refused(self, **options: Any) -> tuple[int, str]:
        with pytest.raises(ClientError) as raised:
            await self.complete(**options)
        assert KEY not in self.sandbox.store.objects
        return refusal(raised)


@pytest.fixture
async def upload(sandbox: Sandbox, s3: Any) -> Upload:
    return await Upload(sandbox, s3).begin(ContentType="audio/wav", Metadata={"wx-task-id": "t"})


async def test_the_full_object_checksum_is_that_of_the_whole(upload: Upload) -> None:
    """Complete compares CRC32 and size, and HEAD shows them afterwards."""
    await upload.both()
    whole = FIRST + LAST
    answer = await upload.complete(
        ChecksumCRC32=crc_of(whole), ChecksumType="FULL_OBJECT", MpuObjectSize=len(whole), IfNoneMatch="*"
    )
    assert answer["ChecksumCRC32"] == crc_of(whole)
    head = await upload.s3.head_object(Bucket=upload.sandbox.bucket, Key=KEY, ChecksumMode="ENABLED")
    assert (head["ChecksumCRC32"], head["ChecksumType"]) == (crc_of(whole), "FULL_OBJECT")
    assert (head["ContentType"], head["Metadata"], head["ContentLength"]) == (
        "audio/wav",
        {"wx-task-id": "t"},
        len(whole),
    )
    objects = await upload.sandbox.objects(deep=True)
    assert objects[KEY]["sha256"] == hashlib.sha256(whole).hexdigest()
    assert objects[KEY]["crc32"] == zlib.crc32(whole)
    assert not upload.sandbox.uploads()


async def test_every_wrong_complete_is_refused_and_leaves_the_upload(upload: Upload) -> None:
    """Checksum, size, order, ETag, part checksum, type: each has its own refusal, then the right one passes."""
    await upload.both()
    one, two = upload.parts

    async def with_parts(*parts: dict[str, Any]) -> tuple[int, str]:
        return await upload.refused(MultipartUpload={"Parts": list(parts)})

    assert await upload.refused(ChecksumCRC32=crc_of(b"other")) == (400, "BadDigest")
    assert await upload.refused(MpuObjectSize=1) == (400, "InvalidRequest")
    assert await upload.refused(ChecksumType="COMPOSITE") == (400, "InvalidRequest")
    assert await upload.refused(ChecksumSHA256="A" * 43 + "=") == (400, "InvalidRequest")
    assert await with_parts(two, one) == (400, "InvalidPartOrder")
    assert await with_parts(one, two | {"ETag": '"0123"'}) == (400, "InvalidPart")
    assert await with_parts(one, two | {"ChecksumCRC32": crc_of(b"other")}) == (400, "InvalidPart")
    assert await with_parts(one, two, two | {"PartNumber": 3}) == (400, "InvalidPart")
    await upload.complete()
    assert KEY in upload.sandbox.store.objects


async def test_small_parts_are_refused_unless_last(upload: Upload) -> None:
    """Below five MiB only the last part may be."""
    await upload.part(1, FIRST[:-1], ChecksumCRC32=crc_of(FIRST[:-1]))
    await upload.part(2, LAST, ChecksumCRC32=crc_of(LAST))
    assert await upload.refused() == (400, "EntityTooSmall")


async def test_a_part_is_checked_when_it_arrives(upload: Upload) -> None:
    """A wrong checksum, another algorithm and an unknown upload are refused; a repeated number replaces."""
    with pytest.raises(ClientError) as raised:
        await upload.part(1, FIRST, ChecksumCRC32=crc_of(LAST))
    assert refusal(raised) == (400, "BadDigest")
    digest = base64.b64encode(hashlib.sha256(LAST).digest()).decode()
    with pytest.raises(ClientError) as raised:
        await upload.part(1, LAST, ChecksumSHA256=digest)
    assert refusal(raised) == (400, "InvalidRequest")
    await upload.part(1, b"first try", ChecksumCRC32=crc_of(b"first try"))
    upload.parts.clear()
    await upload.part(1, LAST, ChecksumCRC32=crc_of(LAST))
    answer = await upload.complete(MpuObjectSize=len(LAST))
    assert answer["ChecksumCRC32"] == crc_of(LAST)
    with pytest.raises(ClientError) as raised:
        await upload.part(2, LAST, ChecksumCRC32=crc_of(LAST))
    assert refusal(raised) == (404, "NoSuchUpload")


async def test_an_aborted_upload_is_gone(upload: Upload) -> None:
    """Abort, then nothing of it can be listed, added to, completed or aborted again."""
    await upload.both()
    await upload.s3.abort_multipart_upload(**upload.names)
    for call in (upload.s3.list_parts, upload.s3.abort_multipart_upload):
        with pytest.raises(ClientError) as raised:
            await call(**upload.names)
        assert refusal(raised) == (404, "NoSuchUpload")
    assert await upload.refused() == (404, "NoSuchUpload")


async def test_a_second_complete_is_answered_as_configured(upload: Upload) -> None:
    """AWS says 200 again for a while; NoSuchUpload and 412 can be chosen instead."""
    await upload.both()
    first = await upload.complete(IfNoneMatch="*")
    assert (await upload.complete(IfNoneMatch="*"))["ETag"] == first["ETag"]
    for choice, expected in (("no_such_upload", 404), ("precondition_failed", 412)):
        upload.sandbox.s3.second_complete = choice
        with pytest.raises(ClientError) as raised:
            await upload.complete(IfNoneMatch="*")
        assert refusal(raised)[0] == expected
    assert not upload.sandbox.store.replaced


async def test_complete_does_not_overwrite_when_told_not_to(upload: Upload) -> None:
    """If-None-Match holds at Complete, and without it the replacement is on record."""
    await upload.s3.put_object(Bucket=upload.sandbox.bucket, Key=KEY, Body=b"there")
    await upload.both()
    with pytest.raises(ClientError) as raised:
        await upload.complete(IfNoneMatch="*")
    assert refusal(raised) == (412, "PreconditionFailed")
    assert len(upload.sandbox.uploads()) == 1
    await upload.complete()
    assert upload.sandbox.store.replaced == [KEY]


async def test_a_composite_checksum_is_that_of_the_parts_checksums(sandbox: Sandbox, s3: Any) -> None:
    """The SDK's default multipart type works too, and needs every part's checksum."""
    upload = await (await Upload(sandbox, s3).begin(ChecksumType="COMPOSITE")).both()
    bare = [{name: part[name] for name in ("PartNumber", "ETag")} for part in upload.parts]
    assert await upload.refused(MultipartUpload={"Parts": bare}) == (400, "InvalidRequest")
    raw = b"".join(zlib.crc32(body).to_bytes(4, "big") for body in (FIRST, LAST))
    assert (await upload.complete())["ChecksumCRC32"] == crc_of(raw) + "-2"


async def test_uploads_and_parts_are_listed_by_page(upload: Upload) -> None:
    """Own leftovers can be found by prefix, parts with sizes and checksums."""
    await upload.both()
    others = [(await Upload(upload.sandbox, upload.s3).begin()).id for _ in range(2)]
    pages = upload.s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=upload.sandbox.bucket, Prefix="call-detail/", PaginationConfig={"PageSize": 1}
    )
    found = [row["UploadId"] async for page in pages for row in page.get("Uploads", [])]
    assert sorted(found) == sorted([upload.id, *others])
    parts = upload.s3.get_paginator("list_parts").paginate(**upload.names, PaginationConfig={"PageSize": 1})
    rows = [row async for page in parts for row in page["Parts"]]
    assert [(row["PartNumber"], row["Size"]) for row in rows] == [(1, len(FIRST)), (2, len(LAST))]
    assert rows[1]["ChecksumCRC32"] == crc_of(LAST)
    empty = await upload.s3.list_multipart_uploads(Bucket=upload.sandbox.bucket, Prefix="elsewhere/")
    assert "Uploads" not in empty


async def test_complete_can_fail_inside_a_200_or_succeed_in_silence(upload: Upload) -> None:
    """The two answers that make the commit point hard can be played."""
    await upload.both()
    upload.sandbox.faults.add("s3.CompleteMultipartUpload", "error_in_200", attempts=(1,))
    upload.sandbox.faults.add("s3.CompleteMultipartUpload", "reset_after", attempts=(2,))
    assert await upload.refused() == (500, "InternalError")
    with pytest.raises(BotoCoreError):
        await upload.complete()
    assert KEY in upload.sandbox.store.objects
    await upload.complete()


async def test_a_bit_that_flips_on_the_way_is_a_bad_digest(upload: Upload) -> None:
    """The checksum is computed over what arrived."""
    upload.sandbox.faults.add("s3.UploadPart", "flip_bit", key=f"{KEY}#1")
    with pytest.raises(ClientError) as raised:
        await upload.part(1, LAST, ChecksumCRC32=crc_of(LAST))
    assert refusal(raised)[1] in ("BadDigest", "XAmzContentSHA256Mismatch")
    assert not upload.sandbox.uploads()[0].parts


async def test_parts_become_one_file(tmp_path: Path) -> None:
    """On disk the object is the joined parts, and no part is left lying about."""
    async with Sandbox(Options(tasks=1, folder=tmp_path)) as sandbox, s3_client(sandbox) as client:
        await (await (await Upload(sandbox, client).begin()).both()).complete()
        found = files_below(tmp_path)
    assert found[f"{sandbox.bucket}/{KEY}"] == FIRST + LAST
    assert not any("/parts/" in name for name in found)


async def test_a_complete_may_take_its_time(upload: Upload) -> None:
    """Blanks come first, then the answer, be it an error or none."""
    await upload.both()
    upload.sandbox.faults.add("s3.CompleteMultipartUpload", "error_in_200", attempts=(1,), blanks=0.05)
    upload.sandbox.faults.add("s3.CompleteMultipartUpload", "blanks", attempts=(2,), seconds=0.05)
    assert await upload.refused() == (500, "InternalError")
    assert (await upload.complete())["ETag"]
    assert KEY in upload.sandbox.store.objects


async def test_a_part_can_land_after_the_abort(upload: Upload) -> None:
    """The abort is acknowledged and the upload is there again, with one part; the next abort takes it."""
    await upload.both()
    upload.sandbox.faults.add("s3.AbortMultipartUpload", "part_lands_late")
    await upload.s3.abort_multipart_upload(**upload.names)
    assert [sorted(left.parts) for left in upload.sandbox.uploads()] == [[1]]
    await upload.s3.abort_multipart_upload(**upload.names)
    assert upload.sandbox.uploads() == []
