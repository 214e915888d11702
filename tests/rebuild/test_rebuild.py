"""A ledger is lost or damaged, and made anew from the bucket."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from tests.evidence.kit import replace_bytes
from tests.verify.site import Site, open_site
from wxrec_async import Backfill
from wxrec_async.errors import AuthError, LedgerError
from wxrec_async.ledger import Counts, Everything, InPeriod, migrations, open_reader
from wxrec_async.maintenance.rebuild import RebuildReport, Why, rebuild
from wxrec_async.maintenance.verify import verify
from wxrec_async.model import Window
from wxrec_async.reporting.table_rows import Privacy, Record, record_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """An organisation with calls of several legs, whose recordings are all stored."""
    async with open_site(tmp_path, monkeypatch) as site:
        assert any("/recording-" in item.key for item in site.sandbox.truth())
        assert (await site.run()).exit_code == 0
        yield site


async def counted(site: Site, period: Window | None = None) -> Counts:
    async with open_reader(site.ledger) as reader:
        return await reader.counts(InPeriod(period) if period else Everything(), None)


def left_out(report: RebuildReport) -> dict[str, Why]:
    return {left.key: left.why for left in report.named}


async def test_after_a_rebuild_nothing_is_downloaded_again(site: Site) -> None:
    """Run, lose the ledger, rebuild, run: no media GET, everything already stored, the bucket as it was."""
    before, moved = await counted(site), site.requests("media.get")
    site.lose_ledger()
    report = await rebuild(site.settings)
    assert (report.exit_code, report.recordings, report.objects) == (0, len(site.objects), len(site.objects))
    assert report.bytes == before.bytes_total
    assert (await verify(site.settings)).exit_code == 0

    heads = site.requests("s3.HeadObject")
    summary = await site.run()
    assert summary.exit_code == 0
    assert (summary.counts.stored, summary.counts.already_stored) == (0, len(site.objects))
    assert site.requests("media.get") == moved
    assert site.requests("s3.HeadObject") == heads
    after = await counted(site)
    assert after.tasks_with_recordings == before.tasks_with_recordings
    assert after.no_recording == before.no_recording
    assert await site.sandbox.differences() == []


async def test_what_the_bucket_lacks_is_found_by_the_next_run(site: Site) -> None:
    """The bucket does not tell that a leg is missing: the tasks are asked again, and exactly that leg is fetched."""
    further = next(key for key in sorted(site.objects) if "/recording-" in key)
    main = next(key for key in site.objects if key.startswith(further.partition("/recording-")[0] + "/recording."))
    for lost in (further, main):
        site.lose_ledger()
        del site.objects[lost]
        assert (await rebuild(site.settings)).recordings == len(site.objects)
        moved = site.requests("media.get")
        summary = await site.run()
        assert (summary.exit_code, summary.counts.stored) == (0, 1)
        assert site.requests("media.get") == moved + 1
        assert await site.sandbox.differences() == []


async def test_a_rebuilt_task_whose_window_is_closed_is_still_asked(site: Site) -> None:
    """The work is the ledger's, not the listing's: `run` finds it in the backlog even if nothing is listed any more."""
    further = next(key for key in sorted(site.objects) if "/recording-" in key)
    task_id = further.split("/")[1]
    site.lose_ledger()
    del site.objects[further]
    await rebuild(site.settings)
    async with Backfill(site.settings) as backfill:
        period = backfill.period().period
        assert backfill._storage is not None
        await backfill._storage.ledger.close_window(period, 1)
        summary = await backfill.run(period)
    assert (summary.counts.stored, summary.counts.unfinished_tasks) == (1, 0)
    assert further in site.objects
    assert task_id in {row.partition("/")[2].partition("/")[0] for row in site.objects}


async def test_purged_at_webex_a_rebuilt_task_keeps_what_is_stored(site: Site) -> None:
    """Captures that answer nothing any more do not turn a stored call into one without a recording."""
    site.lose_ledger()
    await rebuild(site.settings)
    purged = site.sandbox.truth()[0].task_id
    site.sandbox.organisation.purge(purged)
    summary = await site.run()
    assert summary.exit_code == 0
    assert summary.counts.already_stored == len(site.objects)


async def test_tasks_land_in_their_period(site: Site) -> None:
    """The metadata names when a call was created; older objects, which do not, stand where their recording began."""
    created = sorted(task.created_ms for task in site.sandbox.organisation.tasks)
    halves = [Window(created[0], created[6]), Window(created[6], created[-1] + 1)]
    before = [(await counted(site, half)).stored + (await counted(site, half)).already_stored for half in halves]
    site.lose_ledger()
    await rebuild(site.settings)
    assert [(await counted(site, half)).already_stored for half in halves] == before

    old = min(site.objects)
    site.relabel(old, wx_created=None)
    site.lose_ledger()
    await rebuild(site.settings)
    whole = Window(created[0], created[-1] + 60_000)
    assert (await counted(site, whole)).already_stored == len(site.objects)


async def test_what_is_not_ours_is_named_and_not_taken(site: Site) -> None:
    """Without our metadata, with ids that were cut, of another organisation, copied, twice: each by its reason."""
    truth = sorted(site.objects)
    plain, cut, other, again = truth[:4]
    again_id = site.objects[again].metadata["wx-recording-id"]
    copies = {"call-detail/copy/x.wav": truth[4], f"{again.rpartition('/')[0]}/recording-{again_id}.wav": again}
    for to, key in copies.items():
        site.copy(key, to)
    site.copy(plain, "call-detail/_evidence/2026-01-01.jsonl")
    site.copy(plain, "elsewhere/recording.wav")
    site.relabel(plain, wx_task_id=None)
    site.relabel(cut, wx_task_id="a" * 115 + "~" + "0" * 64)
    site.relabel(other, wx_org_id="another")
    site.lose_ledger()
    report = await rebuild(site.settings)
    found = left_out(report)
    duplicate = next(key for key, why in found.items() if why is Why.DUPLICATE)
    assert duplicate.startswith(again.rpartition("/")[0])
    del found[duplicate]
    assert found == {
        plain: Why.UNLABELLED,
        cut: Why.HASHED,
        other: Why.OTHER_ORGANISATION,
        "call-detail/copy/x.wav": Why.MISPLACED,
    }
    assert (report.recordings, report.exit_code) == (len(truth) - 3, 0)


async def test_every_page_of_the_listing_is_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket larger than one page of keys, and faults between the pages."""
    monkeypatch.setattr("wxrec_async.sandbox.s3.listing.PAGE", 3)
    site.sandbox.faults.add("s3.ListObjectsV2", "internal_error", attempts=(2, 4))
    site.lose_ledger()
    report = await rebuild(site.settings)
    assert report.recordings == len(site.objects)
    assert site.requests("s3.ListObjectsV2") > len(site.objects) // 3


async def test_an_existing_ledger_is_left_alone(site: Site) -> None:
    """Refused without --replace, refused with it when it is sound, refused while a run holds it."""
    before = site.ledger.read_bytes()
    with pytest.raises(LedgerError, match="--replace"):
        await rebuild(site.settings)
    with pytest.raises(LedgerError, match="is sound"):
        await rebuild(site.settings, replace=True)
    async with Backfill(site.settings):
        with pytest.raises(LedgerError, match="in use"):
            await rebuild(site.settings, replace=True)
    assert site.ledger.read_bytes() == before
    assert {file.name for file in site.ledger.parent.glob("wxrec.db*")} == {"wxrec.db", "wxrec.db.lock"}


async def test_a_restored_backup_gets_what_was_stored_since(site: Site) -> None:
    """An older ledger is put back: merged with the bucket, the next run downloads nothing again."""
    moved, whole = site.requests("media.get"), await counted(site)
    forget_half(site.ledger)
    assert (await counted(site)).stored < whole.stored + whole.already_stored
    told = await site.call("ledger", "rebuild", "--merge", "--json")
    assert told.code == 0, told.err
    summary = told.lines[-1]
    assert 0 < summary["recordings"] < len(site.objects)
    assert summary["recordings"] + summary["left_out"]["known"] == summary["objects"] == len(site.objects)
    assert (await site.run()).exit_code == 0
    after = await counted(site)
    assert (after.recordings, after.bytes_total) == (whole.recordings, whole.bytes_total)
    assert site.requests("media.get") == moved
    again = await rebuild(site.settings, merge=True)
    assert (again.exit_code, again.recordings) == (0, 0)
    assert (await site.call("ledger", "rebuild", "--merge", "--replace")).code == 2


def forget_half(path: Path) -> None:
    """Make the ledger what it was before half of it was done: some recordings unknown, some only listed."""
    connection = sqlite3.connect(path, isolation_level=None)
    migrations.register(connection)
    connection.execute("DELETE FROM recordings WHERE task % 3 = 0")
    connection.execute(
        "UPDATE recordings SET state = 'listed', object_key = NULL, size = NULL, crc32 = NULL, stored_ms = NULL, "
        "run = NULL, already = NULL, main_place = 0 WHERE task % 3 = 1"
    )
    connection.close()


@pytest.mark.fault("L08")
async def test_a_damaged_ledger_is_set_aside(site: Site) -> None:
    """It keeps its bytes under a name that says when; without --replace it is not touched."""
    damaged = bytearray(site.ledger.read_bytes())
    damaged[len(damaged) // 2 :] = bytes(len(damaged) - len(damaged) // 2)
    site.ledger.write_bytes(damaged)
    with pytest.raises(LedgerError, match="rebuild --replace"):
        await site.run()
    with pytest.raises(LedgerError, match="--replace"):
        await rebuild(site.settings)
    report = await rebuild(site.settings, replace=True, clock=lambda: 1_764_000_000.0)
    assert report.set_aside == site.ledger.with_name("wxrec.db.damaged-20251124T160000Z")
    assert report.set_aside.read_bytes() == damaged
    assert (await site.run()).exit_code == 0


async def test_a_log_without_its_ledger_is_set_aside_too(site: Site) -> None:
    """A lost main file leaves a log that SQLite would apply to the new one."""
    for number, suffix in enumerate(("-wal", "-journal")):
        site.lose_ledger()
        site.ledger.with_name(f"wxrec.db{suffix}").write_bytes(b"what was left")
        report = await rebuild(site.settings, replace=True, clock=lambda: 1_764_000_000.0 + number)  # noqa: B023
        assert report.set_aside is not None
        assert report.set_aside.with_name(report.set_aside.name + suffix).read_bytes() == b"what was left"
        assert report.recordings == len(site.objects)


@pytest.mark.parametrize("denied", ["s3:ListBucket", "s3:GetObject"])
async def test_a_rebuild_that_fails_leaves_everything_as_it_was(site: Site, denied: str) -> None:
    """No permission: the damaged ledger stays where it is, and no half-made one is left."""
    site.ledger.write_bytes(b"SQLite format 3\x00 and nothing else")
    site.sandbox.s3.denied = frozenset({denied})
    settings = site.settings.model_copy(
        update={"backfill": site.settings.backfill.model_copy(update={"max_failures_in_row": 3})}
    )
    with pytest.raises(AuthError):
        await rebuild(settings, replace=True)
    assert site.ledger.read_bytes() == b"SQLite format 3\x00 and nothing else"
    assert {file.name for file in site.ledger.parent.glob("wxrec.db*")} == {"wxrec.db", "wxrec.db.lock"}


async def test_cancelled_from_outside_nothing_half_made_is_left(site: Site) -> None:
    """A rebuild that is broken off leaves the place free, and the next one begins anew."""
    site.sandbox.faults.add("s3.HeadObject", "stall", key=min(site.objects))
    site.lose_ledger()
    with anyio.move_on_after(1.0) as scope:
        await rebuild(site.settings)
    assert scope.cancelled_caught
    assert {file.name for file in site.ledger.parent.glob("wxrec.db*")} == {"wxrec.db.lock"}
    assert (await rebuild(site.settings)).recordings == len(site.objects)


async def test_objects_that_cannot_be_looked_at_are_counted(site: Site) -> None:
    """One refused object does not end the rebuild; it is named, and the exit code is that of a permission."""
    refused = min(site.objects)
    site.sandbox.faults.add("s3.HeadObject", "access_denied", key=refused, attempts=None)
    site.lose_ledger()
    report = await rebuild(site.settings)
    assert left_out(report) == {refused: Why.UNREADABLE}
    assert (report.exit_code, report.recordings) == (4, len(site.objects) - 1)


async def test_the_command_says_what_it_did(site: Site) -> None:
    """A summary at the end, with where the damaged ledger lies now, and exit 0."""
    site.ledger.write_bytes(b"no ledger")
    told = await site.call("ledger", "rebuild", "--replace", "--json")
    assert told.code == 0, told.err
    assert told.lines[-1]["recordings"] == len(site.objects)
    aside = site.ledger.with_name(told.lines[-1]["set_aside"].rpartition("/")[2])
    assert aside.read_bytes() == b"no ledger"


# With sidecars

NOT_IN_THE_BUCKET = {
    "reason", "detail", "found_stored", "stored", "run_id", "tracking_id", "changed", "first_seen", "empty_answers",
    "ask_again", "transcripts", "search_recordings", "search_deleted",
}  # fmt: skip


async def rows(site: Site) -> list[Record]:
    """The rows of the report, by task and recording; tasks without recordings lie nowhere in the bucket."""
    async with open_reader(site.ledger) as reader:
        found = [
            dict(record_of(row, Privacy(plain_numbers=True, agent_names=True))) for row in await reader.export_rows()
        ]
    told = [row for row in found if row["kind"] == "recording"]
    return sorted(told, key=lambda row: (str(row["task_id"]), str(row["recording_id"])))


async def test_the_report_of_the_rebuilt_ledger_is_that_of_the_lost_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Column by column, from the bucket alone, but for what the README says is nowhere in it."""
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    assert all(f"`{name}`" in readme for name in NOT_IN_THE_BUCKET)
    async with open_site(tmp_path, monkeypatch, s3={"sidecar": True}) as site:
        assert (await site.run()).exit_code == 0
        before = await rows(site)
        site.lose_ledger()
        report = await rebuild(site.settings)
        assert (report.exit_code, sum(report.left_out.values())) == (0, 0)
        assert report.sidecars == report.tasks == len({row["task_id"] for row in before})
        after = await rows(site)
        assert len(before) > 5
        for lost, made in zip(before, after, strict=True):
            assert {name for name in lost if lost[name] != made[name]} <= NOT_IN_THE_BUCKET
        for name in ("queue_name", "agent_name", "direction", "origin", "sha256", "recording_start"):
            assert any(row[name] for row in after), name
        objects = {key: site.bytes_of(key) for key in site.objects}
        assert (await site.run()).exit_code == 0
        assert {key: site.bytes_of(key) for key in site.objects} == objects


async def test_numbers_of_a_plain_sidecar_are_masked_when_the_ledger_shall_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting of the day of the rebuild counts."""
    async with open_site(tmp_path, monkeypatch, tasks=4, s3={"sidecar": True}) as site:
        await site.run()
        key = next(key for key in site.objects if key.endswith("/metadata.json"))
        told = json.loads(site.bytes_of(key)) | {"origin": "+41446681800", "said": {"callbackNumber": "+41446681800"}}
        replace_bytes(site, key, json.dumps(told).encode())
        site.lose_ledger()
        await rebuild(site.settings)
        with sqlite3.connect(site.ledger) as ledger:
            query = "SELECT origin, said FROM tasks WHERE id = ?"
            assert ledger.execute(query, (told["task_id"],)).fetchone() == ("***00", '{"callbackNumber":"***00"}')


async def test_of_several_sidecars_the_highest_wins_and_what_is_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier releases numbered them; a foreign file under such a key is left out by name."""
    async with open_site(tmp_path, monkeypatch, tasks=4, s3={"sidecar": True}) as site:
        await site.run()
        first, second, *_ = sorted(key for key in site.objects if key.endswith("/metadata.json"))
        told = json.loads(site.bytes_of(first))
        lost = {"recording_id": "deleted", "state": "gone", "evidence": "search_deleted"}
        for number in (2, 10):
            key = first.replace("metadata.json", f"metadata-{number}.json")
            site.copy(first, key)
            body = told | {"queue_name": f"queue {number}", "recordings": [*told["recordings"], lost]}
            replace_bytes(site, key, json.dumps(body).encode())
        replace_bytes(site, second, b"no json")
        elsewhere = second.replace("metadata.json", "metadata-7.json")
        site.copy(first, elsewhere)
        site.lose_ledger()
        report = await rebuild(site.settings)
        assert left_out(report) == {second: Why.NO_SIDECAR, elsewhere: Why.NO_SIDECAR}
        assert report.exit_code == 0
        of_first = [row for row in await rows(site) if row["task_id"] == told["task_id"]]
        assert {row["queue_name"] for row in of_first} == {"queue 10"}
        assert [row["state"] for row in of_first if row["recording_id"] == "deleted"] == ["gone"]
