"""Unfinished uploads in a real bucket: which are aborted, and which are nobody's business of ours."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.ledgers import captured
from tests.verify.site import Site, open_site
from wxrec_async import Backfill
from wxrec_async.errors import ConfigError, LedgerError
from wxrec_async.events import ignore
from wxrec_async.ledger import Identity, SqliteLedger, open_ledger
from wxrec_async.maintenance.cleanup import Cleaned, UploadFate, cleanup
from wxrec_async.model import Recording, Task, Window

pytestmark = pytest.mark.anyio

DAY_S = 86_400


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """An organisation with an empty bucket."""
    async with open_site(tmp_path, monkeypatch, tasks=2) as site:
        yield site


def ledger_of(site: Site) -> AbstractAsyncContextManager[SqliteLedger]:
    identity = Identity(site.sandbox.org_id, site.settings.s3.bucket, site.settings.s3.key)
    return open_ledger(site.ledger, identity, mask=str, emit=ignore)


def plant(site: Site, key: str, days: float = 0) -> str:
    """Begin an upload as another process would have, so many days ago."""
    upload = site.sandbox.store.begin(key, {"x-amz-server-side-encryption": "AES256"}, {}, "crc32", "FULL_OBJECT")
    upload.begun = time.time() - days * DAY_S
    return upload.id


def left(site: Site) -> set[str]:
    return {upload.id for upload in site.sandbox.uploads()}


def gets(site: Site, recording_id: str) -> int:
    found = [entry for entry in site.sandbox.log.entries if entry.operation == "media.get"]
    return sum(recording_id in entry.key for entry in found)


async def begin(ledger: SqliteLedger, task_id: str, key: str) -> None:
    await ledger.add_tasks([Task(task_id)], listed_in=Window(0, 1), now_ms=1)
    await captured(ledger, task_id, [Recording(task_id, task_id)], 1)
    await ledger.started(task_id, task_id, key, 1)


async def known_and_unknown(site: Site) -> tuple[str, str, str]:
    """Plant an upload the ledger knows, one under a key it began, and one beside that key."""
    known, begun = "call-detail/t1/recording.wav", "call-detail/t2/recording.wav"
    ids = plant(site, known), plant(site, begun), plant(site, f"{begun}.other")
    async with ledger_of(site) as ledger:
        await begin(ledger, "t1", known)
        await begin(ledger, "t2", begun)
        await ledger.upload_created(known, ids[0], "t1", "t1", 1)
    return ids


async def test_the_ledgers_uploads_are_aborted_and_no_other(site: Site) -> None:
    """Those written down, and those under exactly the keys that were begun; a neighbour of such a key is not ours."""
    known, begun, neighbour = await known_and_unknown(site)
    seen: list[Cleaned] = []
    report = await cleanup(site.settings, on_upload=seen.append)
    assert left(site) == {neighbour}
    assert (report.exit_code, report.counts[UploadFate.ABORTED], report.found) == (0, 2, 2)
    assert [each.fate for each in seen] == [UploadFate.FOUND] * 2 + [UploadFate.ABORTED] * 2
    assert {each.upload.upload_id for each in seen} == {known, begun}
    assert (await cleanup(site.settings)).found == 0


async def test_a_dry_run_only_lists(site: Site) -> None:
    """Nothing is aborted, neither of the ledger's nor under the prefix."""
    ids = await known_and_unknown(site)
    old = plant(site, "call-detail/t9/recording.wav", days=30)
    report = await cleanup(site.settings, dry_run=True, all_under_prefix=True)
    assert left(site) == {*ids, old}
    assert (report.found, report.counts[UploadFate.ABORTED], report.exit_code) == (3, 0, 0)


async def test_under_the_prefix_only_what_is_old_goes(site: Site) -> None:
    """Younger ones may be another machine's run; outside the prefix nothing is touched however old it is."""
    await site.run()
    old = plant(site, "call-detail/t1/recording.wav", days=8)
    young = plant(site, "call-detail/t2/recording.wav", days=6)
    outside = [plant(site, key, days=400) for key in ("call-detailed/x", "other/call-detail/x", "x")]
    assert (await cleanup(site.settings)).found == 0
    report = await cleanup(site.settings, all_under_prefix=True)
    assert left(site) == {young, *outside}
    assert (report.counts[UploadFate.ABORTED], report.counts[UploadFate.YOUNG]) == (1, 1)
    assert old not in left(site)
    await cleanup(site.settings, all_under_prefix=True, older_than_s=5 * DAY_S)
    assert left(site) == set(outside)


async def test_a_key_that_begins_with_a_placeholder_has_no_prefix_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every upload of the bucket would lie under it, so it is refused."""
    async with open_site(tmp_path, monkeypatch, tasks=2, s3={"key": "{task_id}{ext}"}) as site:
        other = plant(site, "anybody", days=400)
        with pytest.raises(ConfigError, match="placeholder"):
            await cleanup(site.settings, all_under_prefix=True)
        assert left(site) == {other}


async def test_a_lost_ledger_is_not_made_anew(site: Site) -> None:
    """Without one nothing is known to be ours; the prefix still works."""
    old = plant(site, "call-detail/t1/recording.wav", days=8)
    with pytest.raises(LedgerError, match="--all-under-prefix"):
        await cleanup(site.settings)
    assert left(site) == {old}
    assert (await cleanup(site.settings, all_under_prefix=True)).exit_code == 0
    assert left(site) == set()
    assert not site.ledger.exists()


async def test_a_run_that_goes_on_is_not_disturbed(site: Site) -> None:
    """The ledger is held, so its uploads are in use."""
    ids = await known_and_unknown(site)
    async with Backfill(site.settings):
        with pytest.raises(LedgerError, match="in use"):
            await cleanup(site.settings)
    assert left(site) == set(ids)


async def test_what_cannot_be_aborted_is_left_and_said(site: Site) -> None:
    """Without the permission to abort: exit 3, the upload stays in the ledger for the next time."""
    known, begun, neighbour = await known_and_unknown(site)
    site.sandbox.s3.denied = frozenset({"s3:AbortMultipartUpload"})
    report = await cleanup(site.settings)
    assert (report.exit_code, report.counts[UploadFate.LEFT]) == (3, 2)
    site.sandbox.s3.denied = frozenset({"s3:ListBucketMultipartUploads"})
    report = await cleanup(site.settings)
    assert (report.exit_code, report.counts[UploadFate.ABORTED]) == (4, 1)
    assert "s3:ListBucketMultipartUploads" in report.problems[0]
    assert left(site) == {begun, neighbour}
    assert known not in left(site)


async def test_an_upload_that_became_its_object_is_left_to_the_next_run(site: Site) -> None:
    """A run killed after its last request: the object is whole, and the next run notes it without a download."""
    await site.run()
    key = min(site.objects)
    item = next(item for item in site.sandbox.truth() if item.key == key)
    site.lose_ledger()
    async with ledger_of(site) as ledger:
        await ledger.add_tasks([Task(item.task_id)], listed_in=Window(0, 1), now_ms=1)
        await captured(ledger, item.task_id, [Recording(item.task_id, item.recording_id)], 1)
        await ledger.started(item.task_id, item.recording_id, key, 1)
        await ledger.upload_created(key, "u1", item.task_id, item.recording_id, 1)
        await ledger.completing("u1", item.size, item.crc32)
    report = await cleanup(site.settings)
    assert (report.exit_code, report.counts[UploadFate.COMPLETED], report.counts[UploadFate.ABORTED]) == (0, 1, 0)
    fetched = gets(site, item.recording_id)
    assert (await site.run()).exit_code == 0
    assert gets(site, item.recording_id) == fetched


async def test_the_command_lists_before_it_aborts(site: Site) -> None:
    """People and scripts read what is there first, then what became of it."""
    await known_and_unknown(site)
    plant(site, "call-detail/t9/recording.wav", days=1)
    told = await site.call("cleanup", "--all-under-prefix", "--older-than", "8h")
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert [line.partition(":")[0] for line in lines[:6]].count("found") == 3
    assert "3 unfinished uploads: 3 aborted" in told.out
    told = await site.call("cleanup", "--older-than", "8h")
    assert told.code == 2
    assert "--all-under-prefix" in told.err


async def test_what_may_be_a_live_runs_is_aborted_only_when_that_is_said(site: Site) -> None:
    """Beside a run of another ledger: what would go is shown, a script says --yes."""
    _, _, neighbour = await known_and_unknown(site)
    live = plant(site, "call-detail/t9/recording.wav", days=0.5)
    for more in ((), ("--json",)):
        told = await site.call("cleanup", "--all-under-prefix", "--older-than", "8h", *more)
        assert told.code == 2
        assert live in told.out
        assert (
            "nothing was aborted: 1 of them, not in this ledger and begun less than a day ago, may be those of a run "
            "that goes on; wait, name a longer --older-than, or say --yes"
        ) in told.err
        assert {live, neighbour} < left(site)
    told = await site.call("cleanup", "--all-under-prefix", "--older-than", "8h", "--dry-run")
    assert (told.code, len(left(site))) == (0, 4)
    told = await site.call("cleanup", "--all-under-prefix", "--older-than", "8h", "--yes")
    assert (told.code, left(site)) == (0, {neighbour})
