"""What every object store must do for us.  Run it by importing all of it beside a fixture ``bench``.

What a store cannot do is left out by what ``bench`` says it can:

``verifies``
    it compares the bytes with the checksums sent along.  moto 5.2 does not: it takes a
    wrong CRC-32, a wrong full-object checksum and a wrong ``MpuObjectSize`` without a
    word, and checks no signature either.  Nothing shown against it is about integrity.
``authenticates``
    it checks signatures.
``knows NoSuchUpload``
    it says so for the part of an upload that was aborted (moto answers 500).
``names checksums``
    its answers and HEAD carry the full-object checksum (Swift's do not, moto's only for some).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from wxrec_async.errors import AuthError, ConfigError, HTTPStatusError, ObjectExists
from wxrec_async.model import ObjectTarget, Part, PartReceipt
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.s3.uploads import S3Store

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

MIB = 1 << 20
METADATA = {"wx-task-id": "0b2c", "wx-recording-id": "r-1"}
pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Bench:
    """A store to be tested, its bucket seen without our code, and what it can."""

    store: S3Store
    elsewhere: S3Store  # the same server, a bucket that is not there
    stranger: Callable[[], AbstractAsyncContextManager[S3Store]]  # the same bucket, a wrong secret
    client: S3Client
    bucket: str
    can: frozenset[str] = field(default_factory=frozenset)

    def needs(self, ability: str) -> None:
        """Skip the test when the store cannot do what it is about."""
        if ability not in self.can:
            pytest.skip(f"this store does not: {ability}")

    async def bytes_at(self, key: str) -> bytes:
        """Read an object past our code."""
        reply = await self.client.get_object(Bucket=self.bucket, Key=key)
        async with reply["Body"] as body:
            data: bytes = await body.read()
        return data


def target(key: str = "call-detail/0b2c/recording.wav") -> ObjectTarget:
    return ObjectTarget(key, "audio/wav", METADATA)


def part(data: bytes, number: int = 1, *, chunk: int = 256 << 10) -> Part:
    """Cut ``data`` into chunks as they come from a socket."""
    view = memoryview(data)
    return Part(number, [view[at : at + chunk] for at in range(0, len(data), chunk)], len(data), zlib.crc32(data))


def spoiled(whole: Part) -> Part:
    """Return the part with a checksum of other bytes, as a flipped bit on the way would have it."""
    return Part(whole.number, whole.chunks, whole.size, whole.crc32 ^ 1)


async def upload(store: S3Store, where: ObjectTarget, pieces: Sequence[bytes]) -> tuple[str, list[PartReceipt]]:
    upload_id = await store.create(where)
    parts = [part(data, number) for number, data in enumerate(pieces, 1)]
    return upload_id, [await store.upload_part(where.key, upload_id, one) for one in parts]


def three_parts() -> list[bytes]:
    return [os.urandom(5 * MIB), os.urandom(5 * MIB), os.urandom(MIB + 13)]


async def test_a_small_object_is_stored_as_it_is(bench: Bench) -> None:
    """A put's bytes are in the bucket, and the answer says their size and checksum."""
    data = os.urandom(100_001)
    stored = await bench.store.put(target(), part(data))
    assert (stored.size, stored.crc32, stored.key) == (len(data), zlib.crc32(data), target().key)
    assert await bench.bytes_at(target().key) == data


async def test_head_tells_what_was_stored(bench: Bench) -> None:
    """Size, content type and metadata come back from HEAD; a checksum that comes back is the right one."""
    data = os.urandom(4_000)
    await bench.store.put(target(), part(data))
    found = await bench.store.head(target().key)
    assert found is not None
    assert (found.size, found.content_type, found.metadata) == (len(data), "audio/wav", METADATA)
    assert found.crc32 == zlib.crc32(data) or (found.crc32 is None and "names checksums" not in bench.can)
    assert found.etag


async def test_head_of_nothing_is_none(bench: Bench) -> None:
    """A key that is not there is None, not a failure."""
    assert await bench.store.head("call-detail/nobody/recording.wav") is None


@pytest.mark.fault("S14")
async def test_a_taken_key_is_left_alone(bench: Bench) -> None:
    """A put where something lies raises ObjectExists and changes nothing."""
    await bench.store.put(target(), part(b"first"))
    with pytest.raises(ObjectExists):
        await bench.store.put(target(), part(b"second"))
    assert await bench.bytes_at(target().key) == b"first"


async def test_overwrite_replaces_when_told_to(bench: Bench) -> None:
    """With overwrite the new bytes lie under the key."""
    await bench.store.put(target(), part(b"first"))
    stored = await bench.store.put(target(), part(b"second, longer"), overwrite=True)
    assert (stored.size, await bench.bytes_at(target().key)) == (14, b"second, longer")


async def test_three_parts_become_one_object(bench: Bench) -> None:
    """A multipart upload's bytes, checksum, type and metadata are those of the whole."""
    pieces = three_parts()
    whole = b"".join(pieces)
    upload_id, receipts = await upload(bench.store, target(), pieces)
    stored = await bench.store.complete(target(), upload_id, receipts, size=len(whole), crc32=zlib.crc32(whole))
    assert (stored.size, stored.crc32) == (len(whole), zlib.crc32(whole))
    assert await bench.bytes_at(target().key) == whole
    found = await bench.store.head(target().key)
    assert found is not None
    assert (found.size, found.content_type, found.metadata) == (len(whole), "audio/wav", METADATA)
    assert found.crc32 == zlib.crc32(whole) or (found.crc32 is None and "names checksums" not in bench.can)
    assert await bench.store.open_uploads("") == []


@pytest.mark.fault("S14")
async def test_a_complete_onto_a_taken_key_changes_nothing(bench: Bench) -> None:
    """Complete raises ObjectExists when the key was taken meanwhile; the upload can still be aborted."""
    pieces = three_parts()
    upload_id, receipts = await upload(bench.store, target(), pieces)
    await bench.store.put(target(), part(b"first"))
    whole = b"".join(pieces)
    with pytest.raises(ObjectExists):
        await bench.store.complete(target(), upload_id, receipts, size=len(whole), crc32=zlib.crc32(whole))
    assert await bench.bytes_at(target().key) == b"first"
    assert await bench.store.abort(target().key, upload_id)


async def test_complete_overwrites_when_told_to(bench: Bench) -> None:
    """With overwrite a complete replaces what lies there."""
    await bench.store.put(target(), part(b"first"))
    upload_id, receipts = await upload(bench.store, target(), [b"a new one"])
    crc32 = zlib.crc32(b"a new one")
    await bench.store.complete(target(), upload_id, receipts, size=9, crc32=crc32, overwrite=True)
    assert await bench.bytes_at(target().key) == b"a new one"


@pytest.mark.fault("S19")
async def test_abort_leaves_nothing(bench: Bench) -> None:
    """After an abort no object and no upload is left, and aborting again is fine."""
    upload_id, _ = await upload(bench.store, target(), [os.urandom(5 * MIB)])
    assert await bench.store.abort(target().key, upload_id)
    assert await bench.store.abort(target().key, upload_id)
    assert await bench.store.open_uploads("") == []
    assert await bench.store.head(target().key) is None


@pytest.mark.fault("S20")
async def test_open_uploads_are_listed_by_prefix(bench: Bench) -> None:
    """Uploads under way are found by the beginning of their key, with their ids, and no others."""
    ids = {key: await bench.store.create(target(key)) for key in ("mine/a.wav", "mine/b.wav", "other/c.wav")}
    found = await bench.store.open_uploads("mine/")
    assert {upload.key: upload.upload_id for upload in found} == {key: ids[key] for key in ("mine/a.wav", "mine/b.wav")}
    assert all(upload.started_ms for upload in found)
    for key, upload_id in ids.items():
        assert await bench.store.abort(key, upload_id)


async def test_an_object_can_be_read_back(bench: Bench) -> None:
    """Reading back gives the size and CRC-32 of the bytes that are there."""
    data = os.urandom(3 * MIB + 1)
    await bench.store.put(target(), part(data))
    assert await bench.store.read_crc32(target().key) == (len(data), zlib.crc32(data))


@pytest.mark.parametrize(
    "key", ["a/with space+plus.wav", "a/ünïcode-名.wav", "a/per%cent&amp=eq.wav", "a/(b)'c~d!.wav"]
)
async def test_odd_keys_are_kept_as_they_are(bench: Bench, key: str) -> None:
    """Characters that URLs and XML treat specially neither break a request nor change the key."""
    await bench.store.put(target(key), part(b"odd"))
    upload_id, receipts = await upload(bench.store, target(key + "2"), [b"odd too"])
    crc32 = zlib.crc32(b"odd too")
    await bench.store.complete(target(key + "2"), upload_id, receipts, size=7, crc32=crc32)
    listed = await bench.client.list_objects_v2(Bucket=bench.bucket)
    assert sorted(item["Key"] for item in listed["Contents"]) == sorted([key, key + "2"])


@pytest.mark.fault("S09")
async def test_wrong_bytes_are_refused(bench: Bench) -> None:
    """A body that does not fit its checksum is refused twice, given up, and never in the bucket."""
    bench.needs("verifies")
    with pytest.raises(OperationFailed) as given_up:
        await bench.store.put(target(), spoiled(part(b"x" * 1000)))
    assert _reason(given_up) == "corrupting_path"
    assert await bench.store.head(target().key) is None


@pytest.mark.fault("S09")
async def test_a_wrong_part_is_refused(bench: Bench) -> None:
    """A part that does not fit its checksum is refused."""
    bench.needs("verifies")
    upload_id = await bench.store.create(target())
    with pytest.raises(OperationFailed) as given_up:
        await bench.store.upload_part(target().key, upload_id, spoiled(part(b"x" * 1000)))
    assert _reason(given_up) == "corrupting_path"
    assert await bench.store.abort(target().key, upload_id)


@pytest.mark.fault("S10")
async def test_a_wrong_whole_is_not_reported_stored(bench: Bench) -> None:
    """A complete whose full checksum is not that of the parts never counts as stored."""
    bench.needs("verifies")
    upload_id, receipts = await upload(bench.store, target(), [b"y" * 1000])
    with pytest.raises(OperationFailed):
        await bench.store.complete(target(), upload_id, receipts, size=1000, crc32=receipts[0].crc32 ^ 1)


@pytest.mark.fault("S07")
async def test_parts_that_are_too_small_are_refused_for_good(bench: Bench) -> None:
    """EntityTooSmall is our own mistake: given up at once, nothing stored."""
    pieces = [b"small", b"smaller"]
    upload_id, receipts = await upload(bench.store, target(), pieces)
    whole = b"".join(pieces)
    with pytest.raises(OperationFailed) as given_up:
        await bench.store.complete(target(), upload_id, receipts, size=len(whole), crc32=zlib.crc32(whole))
    assert isinstance(given_up.value.trouble, HTTPStatusError)
    assert given_up.value.trouble.code == "EntityTooSmall"
    assert await bench.store.abort(target().key, upload_id)


@pytest.mark.fault("S06")
async def test_a_part_of_an_aborted_upload_tells_that_it_is_gone(bench: Bench) -> None:
    """NoSuchUpload surfaces with its code, so that a new upload can be begun."""
    bench.needs("knows NoSuchUpload")
    upload_id = await bench.store.create(target())
    assert await bench.store.abort(target().key, upload_id)
    with pytest.raises(OperationFailed) as given_up:
        await bench.store.upload_part(target().key, upload_id, part(b"late"))
    assert isinstance(given_up.value.trouble, HTTPStatusError)
    assert given_up.value.trouble.code == "NoSuchUpload"


async def test_the_bucket_is_there(bench: Bench) -> None:
    """The check passes on a bucket that can be used."""
    await bench.store.check_bucket()


@pytest.mark.fault("S13")
async def test_a_missing_bucket_is_named(bench: Bench) -> None:
    """The check says which bucket is not there and what to do."""
    with pytest.raises(ConfigError, match=r"bucket .*-nowhere is not there; create it or correct \[s3\] bucket"):
        await bench.elsewhere.check_bucket()


@pytest.mark.fault("S11")
async def test_a_wrong_secret_is_refused(bench: Bench) -> None:
    """With a secret that is not ours, the check says that the credentials are refused; nothing is stored."""
    bench.needs("authenticates")
    async with bench.stranger() as stranger:
        with pytest.raises(AuthError, match="SignatureDoesNotMatch"):
            await stranger.check_bucket()
        with pytest.raises(AuthError, match="SignatureDoesNotMatch"):
            await stranger.put(target(), part(b"not let in"))
    assert await bench.store.head(target().key) is None


def _reason(given_up: pytest.ExceptionInfo[OperationFailed]) -> Any:
    return getattr(given_up.value.decision, "reason", None)
