"""What is asked of the bucket is sent with every new object, and what the bucket refuses is explained."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.verify.site import Site, open_site
from wxrec_async import Backfill, load_config
from wxrec_async.errors import ConfigError
from wxrec_async.flow.summary import Summary
from wxrec_async.sandbox import Options, Organisation, Sandbox
from wxrec_async.sandbox.front import Call, Refusal
from wxrec_async.sandbox.s3 import objects as sandbox_objects
from wxrec_async.sandbox.s3.context import Context
from wxrec_async.sandbox.s3.service import OPERATIONS, S3Service

pytestmark = pytest.mark.anyio

OWNER, ANOTHER = "123456789012", "999988887777"
KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
EVERYTHING: dict[str, Any] = {
    "storage_class": "STANDARD_IA",
    "sse": "aws:kms",
    "kms_key_id": KMS_KEY,
    "require_sse": True,
    "tags": {"team": "call centre", "a+b": "c&d=ü"},
    "object_lock_mode": "GOVERNANCE",
    "object_lock_days": 3,
    "expected_bucket_owner": OWNER,
    "part_size_mib": 5,
}


@asynccontextmanager
async def site_of(folder: Path, monkeypatch: pytest.MonkeyPatch, **s3: Any) -> AsyncIterator[Site]:
    async with open_site(folder, monkeypatch, s3=s3) as site:
        yield site


@pytest.fixture
def large_and_small() -> Organisation:
    """An organisation with recordings of one part and of several."""
    return Organisation(6, 5, seconds=(1, 500), large=False)


@pytest.mark.fault("S22", "X22", "X23")
async def test_every_option_lies_with_every_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large_and_small: Organisation
) -> None:
    """Storage class, encryption and its key, tags and lock, for single puts and for multipart uploads alike."""
    async with Sandbox(Options(organisation=large_and_small, requests_per_minute=0, bucket_owner=OWNER)) as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        begun = datetime.now(UTC)
        async with Backfill(load_config(sandbox.write_config(tmp_path, s3=EVERYTHING))) as backfill:
            summary = await backfill.run()
        assert summary.exit_code == 0, summary
        assert await sandbox.differences() == []
        rows = list((await sandbox.objects()).values())
        assert {row["parts"] > 1 for row in rows} == {True, False}, "one put and one multipart upload, at least"
        for row in rows:
            headers = row["headers"]
            assert headers["x-amz-storage-class"] == "STANDARD_IA"
            assert headers["x-amz-server-side-encryption"] == "aws:kms"
            assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == KMS_KEY
            assert headers["x-amz-object-lock-mode"] == "GOVERNANCE"
            until = datetime.fromisoformat(headers["x-amz-object-lock-retain-until-date"])
            assert timedelta(days=3, minutes=-1) < until - begun < timedelta(days=3, minutes=1)
            assert row["tags"] == EVERYTHING["tags"]
        asked = [entry for entry in sandbox.log.entries if entry.server == "s3"]
        assert {entry.headers.get("x-amz-expected-bucket-owner") for entry in asked} == {OWNER}


async def test_nothing_is_asked_of_the_bucket_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without options the bucket's own defaults decide."""
    async with site_of(tmp_path, monkeypatch) as site:
        assert (await site.run()).exit_code == 0
        sent = {name for entry in site.sandbox.log.entries if entry.server == "s3" for name in entry.header_names}
        for name in ("storage-class", "server-side-encryption", "tagging", "object-lock-mode", "expected-bucket-owner"):
            assert f"x-amz-{name}" not in sent
        assert {tuple(row["tags"]) for row in (await site.sandbox.objects()).values()} == {()}


@pytest.mark.fault("S13", "X22")
async def test_a_bucket_of_somebody_else_is_refused_before_anything_is_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2 and one line that names the setting, the bucket and the account; no ledger, no upload."""
    async with site_of(tmp_path, monkeypatch, expected_bucket_owner=ANOTHER) as site:
        told = await site.call("run", "--no-progress")
        assert (told.code, told.out) == (2, "")
        assert told.err == (
            f"error: [s3] expected_bucket_owner: bucket {site.sandbox.bucket} does not belong to account {ANOTHER}; "
            "correct [s3] bucket or expected_bucket_owner\n"
        )
        assert not site.ledger.exists()
        assert site.requests("media.get") == 0


@pytest.mark.fault("S12", "X22")
async def test_who_may_only_write_learns_of_a_foreign_bucket_from_the_first_puts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without s3:ListBucket the start cannot tell; the run ends with exit 4 and names the setting."""
    async with site_of(tmp_path, monkeypatch, expected_bucket_owner=ANOTHER) as site:
        site.sandbox.s3.denied = frozenset({"s3:ListBucket", "s3:ListBucketMultipartUploads"})
        summary = await site.run()
        assert summary.exit_code == 4
        assert f"the bucket may not belong to {ANOTHER} ([s3] expected_bucket_owner)" in (summary.ending.error or "")
        assert site.objects == {}


async def test_who_may_only_write_to_its_own_bucket_is_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions that are refused either way say nothing about the owner."""
    async with site_of(tmp_path, monkeypatch, expected_bucket_owner=OWNER) as site:
        site.sandbox.s3.denied = frozenset({"s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:GetObject"})
        assert (await site.run()).exit_code == 0
        assert await site.sandbox.differences() == []


def demand_kms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the bucket a policy: new objects only with ``aws:kms``, as AWS's own example denies everything else."""
    admit = S3Service._admit

    def admit_encrypted(self: S3Service, call: Call, action: str) -> None:
        admit(self, call, action)
        new = call.operation in ("s3.PutObject", "s3.CreateMultipartUpload")
        if new and call.request.headers.get("x-amz-server-side-encryption") != "aws:kms":
            raise Refusal(403, "AccessDenied", "with an explicit deny in a resource-based policy")

    monkeypatch.setattr(S3Service, "_admit", admit_encrypted)


@pytest.mark.fault("S12", "S22", "X23")
@pytest.mark.parametrize(("sse", "words"), [("", "(set [s3] sse)"), ("AES256", 'sse = "aws:kms" ([s3] sse)')])
async def test_a_policy_that_demands_encryption_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sse: str, words: str
) -> None:
    """The run ends with exit 4 and names the setting that is missing or another."""
    demand_kms(monkeypatch)
    async with site_of(tmp_path, monkeypatch, sse=sse) as site:
        told = await site.call("run", "--no-progress")
        assert told.code == 4, told.err
        ended = next(line for line in told.out.splitlines() if line.startswith("ended early: "))
        assert "AccessDenied" in ended
        assert words in ended
        assert site.objects == {}


@pytest.mark.fault("S22", "X23")
async def test_a_policy_that_demands_encryption_is_met(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large_and_small: Organisation
) -> None:
    """With ``sse`` set, puts and multipart uploads both get through."""
    demand_kms(monkeypatch)
    async with Sandbox(Options(organisation=large_and_small, requests_per_minute=0)) as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        config = sandbox.write_config(tmp_path, s3={"sse": "aws:kms", "part_size_mib": 5})
        async with Backfill(load_config(config)) as backfill:
            assert (await backfill.run()).exit_code == 0
        assert await sandbox.differences() == []


@pytest.mark.fault("X23")
async def test_encryption_that_is_required_must_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``require_sse`` alone ends at the start: exit 2, nothing sent."""
    async with site_of(tmp_path, monkeypatch) as site:
        with pytest.raises(ConfigError, match="require_sse is set"):
            load_config(site.config, overrides={"s3.require_sse": True})
        with pytest.raises(ConfigError, match="kms_key_id is used with"):
            load_config(site.config, overrides={"s3.kms_key_id": KMS_KEY})
        monkeypatch.setenv("WXREC_S3__REQUIRE_SSE", "true")
        told = await site.call("run")
        assert (told.code, told.out) == (2, "")
        assert "set sse to AES256, aws:kms or aws:kms:dsse" in told.err
        assert not list(site.sandbox.log.entries)


@pytest.mark.fault("X23")
@pytest.mark.parametrize("said", [None, "AES256"])
async def test_a_store_that_does_not_encrypt_as_asked_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None
) -> None:
    """An answer without the encryption that was asked for, or with another one, ends the run with one line."""

    async def silent_put(context: Context, call: Call) -> web.Response:
        response = await sandbox_objects.put_object(context, call)
        del response.headers["x-amz-server-side-encryption"]
        if said:
            response.headers["x-amz-server-side-encryption"] = said
        return response

    monkeypatch.setitem(OPERATIONS, "PutObject", (silent_put, "s3:PutObject"))
    async with site_of(tmp_path, monkeypatch, sse="aws:kms", require_sse=True) as site:
        summary: Summary = await site.run()
        assert summary.exit_code == 3
        assert f"sse = 'aws:kms' was asked for, but S3 answered {said!r}" in (summary.ending.error or "")
        assert site.sandbox.uploads() == []
