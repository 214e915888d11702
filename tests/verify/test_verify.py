"""What `verify` finds in a real bucket after a real run."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.verify.site import Site, open_site
from wxrec_async import Backfill
from wxrec_async.errors import AuthError, ConfigError, LedgerError
from wxrec_async.ledger import Everything, open_reader
from wxrec_async.maintenance.verify import Level, ObjectFinding, ObjectVerdict, VerifyReport, verify
from wxrec_async.model import Window

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """An organisation whose recordings are all stored."""
    async with open_site(tmp_path, monkeypatch) as site:
        assert (await site.run()).exit_code == 0
        yield site


def named(report: VerifyReport) -> dict[str, tuple[ObjectVerdict, tuple[str, ...]]]:
    return {finding.row.key: (finding.verdict, finding.what) for finding in report.findings}


@pytest.mark.parametrize("level", list(Level))
async def test_an_untouched_bucket_is_all_well(site: Site, level: Level) -> None:
    """Every stored recording is looked at once; full reads every byte, head none."""
    report = await verify(site.settings, level=level)
    assert report.exit_code == 0
    assert report.counts == {ObjectVerdict.OK: len(site.objects)}
    assert site.requests("s3.GetObject") == (len(site.objects) if level is Level.FULL else 0)
    whole = sum(body.size for body in site.objects.values())
    assert report.bytes_read == (whole if level is Level.FULL else 0)


async def test_what_was_done_to_the_bucket_is_named(site: Site) -> None:
    """A deleted object, one of the same size, a longer one and one of another recording, each by what is wrong."""
    gone, same_size, longer, swapped, *_ = sorted(site.objects)
    del site.objects[gone]
    await site.overwrite(same_size, bytes(site.objects[same_size].size))
    await site.overwrite(longer, site.bytes_of(longer) + b"x")
    site.relabel(swapped, wx_recording_id="another")
    report = await verify(site.settings)
    assert named(report) == {
        gone: (ObjectVerdict.MISSING, ()),
        same_size: (ObjectVerdict.DIFFERENT, ("crc32",)),
        longer: (ObjectVerdict.DIFFERENT, ("size", "crc32")),
        swapped: (ObjectVerdict.DIFFERENT, ("ids",)),
    }
    assert report.exit_code == 3
    truth = {item.key: (item.task_id, item.recording_id) for item in site.sandbox.truth()}
    assert all(truth[each.row.key] == (each.row.task_id, each.row.recording_id) for each in report.findings)


async def test_a_rotten_byte_is_found_only_by_reading_it_back(site: Site) -> None:
    """S3 names the checksum it computed when the object was written: head believes it, full does not."""
    rotten = min(site.objects)
    site.flip_byte(rotten)
    assert (await verify(site.settings, level=Level.HEAD)).exit_code == 0
    report = await verify(site.settings, level=Level.FULL)
    assert named(report) == {rotten: (ObjectVerdict.DIFFERENT, ("bytes",))}
    assert report.exit_code == 3


async def test_an_equal_object_without_our_metadata_is_well(site: Site) -> None:
    """Bytes that lay there before a run count as stored, whoever put them there."""
    key = min(site.objects)
    await site.overwrite(key, site.bytes_of(key), metadata={})
    assert (await verify(site.settings)).exit_code == 0


async def test_looking_writes_nothing_and_goes_on_beside_a_run(site: Site) -> None:
    """Without marking, the ledger that another holds can be verified, and keeps its states."""
    del site.objects[min(site.objects)]
    async with Backfill(site.settings):
        assert (await verify(site.settings)).exit_code == 3
        with pytest.raises(LedgerError, match="in use"):
            await verify(site.settings, mark=True)
    async with open_reader(site.ledger) as reader:
        assert (await reader.counts(Everything(), None)).failed == 0


async def test_marked_recordings_are_fetched_again_and_never_overwrite(site: Site) -> None:
    """The missing one comes back at its place; the replaced one is a conflict that the run names and leaves."""
    gone, replaced, *_ = sorted(site.objects)
    before = site.bytes_of(gone)
    del site.objects[gone]
    await site.overwrite(replaced, bytes(site.objects[replaced].size))
    planted, moved = site.bytes_of(replaced), site.requests("media.get")
    report = await verify(site.settings, mark=True)
    assert (report.marked, report.exit_code) == (2, 3)
    async with open_reader(site.ledger) as reader:
        reasons = {failure.reason for failure in await reader.failures(Everything())}
    assert reasons == {"missing_in_bucket", "differs_in_bucket"}

    summary = await site.run()
    assert summary.exit_code == 3
    assert [failure.reason for failure in summary.failures] == ["conflict"]
    assert site.bytes_of(gone) == before
    assert site.bytes_of(replaced) == planted
    assert site.requests("media.get") == moved + 2


async def test_marking_a_further_recording_keeps_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole call of several legs is lost and comes back under the same keys."""
    async with open_site(tmp_path, monkeypatch) as site:
        await site.run()
        legs = [key for key in site.objects if "/recording-" in key]
        folder = legs[0].rpartition("/")[0]
        lost = [key for key in site.objects if key.startswith(f"{folder}/")]
        assert len(lost) > 1
        for key in lost:
            del site.objects[key]
        assert (await verify(site.settings, mark=True)).marked == len(lost)
        assert (await site.retry()).exit_code == 0
        assert await site.sandbox.differences() == []


async def test_faults_of_s3_are_never_taken_for_findings(site: Site) -> None:
    """Errors that pass cost time and nothing else, in looking and in reading back."""
    site.sandbox.faults.add("s3.HeadObject", "internal_error", share=0.5)
    site.sandbox.faults.add("s3.HeadObject", "slow_down", limit=2)
    site.sandbox.faults.add("s3.GetObject", "reset_before", share=0.5)
    site.sandbox.faults.add("s3.GetObject", "close_before", share=0.5)
    report = await verify(site.settings, level=Level.FULL)
    assert sum(site.sandbox.faults.hits.values()) > 5
    assert report.counts == {ObjectVerdict.OK: len(site.objects)}


async def test_what_may_not_be_known_is_neither_missing_nor_well(site: Site) -> None:
    """Without permission to list, S3 answers 403 for what is not there: unknown, exit 4, and never marked."""
    gone = min(site.objects)
    del site.objects[gone]
    site.sandbox.s3.denied = frozenset({"s3:ListBucket"})
    report = await verify(site.settings, mark=True)
    assert named(report) == {gone: (ObjectVerdict.UNKNOWN, ())}
    assert (report.exit_code, report.denied, report.marked) == (4, 1, 0)


async def test_a_bucket_that_goes_away_marks_nothing(site: Site) -> None:
    """HEAD answers 404 for a bucket that is gone as it does for an object: that is no reason to fetch everything."""

    def vanish() -> None:
        site.sandbox.store.name = "another"

    site.sandbox.faults.add("s3.HeadObject", "call", before=vanish)
    with pytest.raises(ConfigError, match="is not there"):
        await verify(site.settings, mark=True)
    async with open_reader(site.ledger) as reader:
        assert (await reader.counts(Everything(), None)).failed == 0


async def test_a_write_only_policy_ends_it_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing at all may be read, it stops instead of asking a million times."""
    async with open_site(tmp_path, monkeypatch, backfill={"max_failures_in_row": 5, "concurrency": 1}) as site:
        await site.run()
        site.sandbox.s3.denied = frozenset({"s3:GetObject"})
        asked = site.requests("s3.HeadObject")
        with pytest.raises(AuthError, match="5 objects in a row"):
            await verify(site.settings)
        assert site.requests("s3.HeadObject") == asked + 5


async def test_a_period_narrows_what_is_looked_at(site: Site) -> None:
    """Only recordings of tasks created in the period are asked for; the two halves are the whole."""
    created = sorted(task.created_ms for task in site.sandbox.organisation.tasks)
    middle = created[len(created) // 2]
    seen: list[ObjectFinding] = []
    first = await verify(site.settings, period=Window(created[0], middle), on_finding=seen.append)
    second = await verify(site.settings, period=Window(middle, created[-1] + 1))
    assert 0 < first.checked < len(site.objects)
    assert first.checked + second.checked == len(site.objects)
    by_id = {task.id: task.created_ms for task in site.sandbox.organisation.tasks}
    assert all(by_id[finding.row.task_id] < middle for finding in seen)


async def test_another_buckets_ledger_is_refused(site: Site) -> None:
    """A ledger says nothing about another bucket, and a ledger that is not there is not made."""
    other = site.settings.model_copy(update={"s3": site.settings.s3.model_copy(update={"bucket": "another"})})
    with pytest.raises(ConfigError, match="belongs to bucket"):
        await verify(other)
    site.lose_ledger()
    with pytest.raises(LedgerError, match="no ledger"):
        await verify(site.settings, mark=True)
    assert not site.ledger.exists()


async def test_the_command_names_what_is_wrong(site: Site) -> None:
    """A line for each on stdout, or JSON with a summary; exit 3."""
    gone = min(site.objects)
    del site.objects[gone]
    told = await site.call("verify", "--json")
    assert told.code == 3, told.err
    *lines, summary = told.lines
    assert len(lines) == summary["checked"] == len(site.objects) + 1
    assert [line["key"] for line in lines if line["event"] == "missing"] == [gone]
    assert (summary["missing"], summary["exit_code"]) == (1, 3)
    told = await site.call("verify", "--level", "full", "--mark", "--from", "2000-01-01", "-q")
    assert (told.code, told.err) == (3, "")
    assert f"missing: {gone}" in told.out
    assert "1 marked" in told.out
    assert "exit 3" in told.out


@pytest.mark.parametrize(
    ("level", "mark", "known"), [("full", True, True), ("full", False, False), ("head", True, False)]
)
async def test_reading_everything_back_fills_in_a_missing_sha256(
    site: Site, level: str, mark: bool, known: bool
) -> None:
    """A ledger made of the bucket has none; only who reads the bytes and may write the ledger can add it."""
    from wxrec_async.maintenance.rebuild import rebuild  # noqa: PLC0415

    site.lose_ledger()
    await rebuild(site.settings)
    assert (await verify(site.settings, level=Level(level), mark=mark)).exit_code == 0
    async with open_reader(site.ledger) as reader:
        rows = await reader.stored_rows()
    wanted = {key: hashlib.sha256(site.bytes_of(key)).hexdigest() if known else None for key in site.objects}
    assert {row.key: row.sha256 for row in rows} == wanted
    if known:
        site.flip_byte(min(site.objects))
        site.objects[min(site.objects)].checksums.clear()
        assert named(await verify(site.settings, level=Level.FULL)) == {
            min(site.objects): (ObjectVerdict.DIFFERENT, ("bytes",))
        }
