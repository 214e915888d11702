"""What a sound site looks like to `doctor`, and that it is left as it was."""

from __future__ import annotations

import asyncio
import time

import pytest

from wxrec_async.setup.doctor import Finding, examine

from .kit import Clinic

pytestmark = pytest.mark.anyio
KEY = "call-detail/a-task/recording.wav"
ORDER = [
    *("configuration", "credentials", "access_token", "refresh_token", "refresh", "organisation", "region"),
    *("tasks", "captures", "search", "clock", "bucket", "bucket_region", "bucket_owner", "write", "checksum"),
    *("conditional_write", "abort", "list_uploads", "lifecycle", "ledger"),
]


async def test_a_healthy_site_is_all_green(ward: Clinic) -> None:
    """Every line is good; only what cannot be known without leaving something, or was not asked for, is not known."""
    found = await ward.findings()
    assert [finding.name for finding in found.all] == ORDER
    assert found.failed == []
    assert found.unknown == ["refresh", "conditional_write"]
    assert [finding.todo for finding in found.all] == [""] * len(ORDER)
    assert found.exit_code == 0
    await ward.assert_nothing_left()


async def test_everything_is_known_when_the_token_may_be_renewed_and_an_object_is_there(ward: Clinic) -> None:
    """With both, every line is green, and the object is what it was."""
    await ward.put(KEY)
    before = (await ward.sandbox.objects(deep=True))[KEY]
    ward.sandbox.faults.add("s3.PutObject", "precondition_failed", key=KEY, attempts=None)
    found = await ward.findings(renew=True)
    assert [finding.state for finding in found.all] == ["ok"] * len(ORDER)
    assert (await ward.sandbox.objects(deep=True))[KEY] == before
    await ward.assert_nothing_left(KEY)


async def test_an_object_is_not_put_at_risk_to_learn_of_conditions(ward: Clinic) -> None:
    """A store that judges the checksum first stays unjudged: the put that tries it can never be carried out."""
    await ward.put(KEY)
    before = (await ward.sandbox.objects(deep=True))[KEY]
    found = await ward.findings()
    assert found["conditional_write"].ok is None
    assert "checksum first" in found["conditional_write"].words
    assert ward.sandbox.log.of("s3.PutObject", KEY)[-1].code == "BadDigest"
    assert (await ward.sandbox.objects(deep=True))[KEY] == before


async def test_findings_are_told_as_they_are_made(ward: Clinic) -> None:
    """The listener hears the same findings in the same order as the list has them."""
    told: list[Finding] = []
    found = await examine(ward.settings(), on_finding=told.append)
    assert told == found


async def test_a_cancelled_examination_leaves_no_upload(ward: Clinic) -> None:
    """Cancelled while its part is on the way, it aborts the upload before it goes."""
    ward.sandbox.faults.add("s3.UploadPart", "pause", seconds=3, attempts=None)
    task = asyncio.create_task(examine(ward.settings()))
    await ward.sandbox.log.wait_for("s3.UploadPart")
    assert len(ward.sandbox.uploads()) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ward.assert_nothing_left()


async def test_an_upload_whose_id_was_lost_is_found_and_aborted(ward: Clinic) -> None:
    """The reply to Create breaks off, the upload is there all the same, and gone in the end."""
    rule = ward.sandbox.faults.add("s3.CreateMultipartUpload", "reset_after", attempts=(1,))
    found = await ward.findings()
    assert rule.hits == 1
    assert found.failed == []
    await ward.assert_nothing_left()


async def test_a_busy_server_is_asked_again(ward: Clinic) -> None:
    """One answer of 503 here and there is no finding."""
    for operation in ("tasks", "tasks", "captures", "s3.HeadBucket", "s3.AbortMultipartUpload"):
        ward.sandbox.faults.add(operation, "error", status=503, limit=1)
    assert (await ward.findings()).failed == []
    assert ward.sandbox.faults.unhit() == []


async def test_a_stale_token_is_renewed_and_stored(ward: Clinic) -> None:
    """An access token near its end is traded for a new one, which lies in the file afterwards."""
    before = (ward.config.parent / "tokens.json").read_text()
    found = await ward.findings(clock=lambda: time.time() + 1_209_400)
    assert found["refresh"].state == "ok"
    assert (ward.config.parent / "tokens.json").read_text() != before
    assert ward.sandbox.desk.refreshes == 1
