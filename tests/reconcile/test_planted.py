"""A month with trouble planted in it: named by id, healed as far as it can be, certified then and not before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ledgers import captured
from wxrec_async.events import ignore
from wxrec_async.ledger import Everything, Identity, open_ledger, open_reader
from wxrec_async.model import DAY_MS, Recording
from wxrec_async.rules.day_comparison import Disagreement, TaskStatus
from wxrec_async.sandbox.organisation import SandboxTask

from .kit import Certificates, month

pytestmark = pytest.mark.anyio


@pytest.mark.fault("W35", "W22", "W21")
async def test_a_month_with_planted_trouble_is_named_healed_and_certified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every planted trouble is named by its id and keeps its day from a certificate; what can be healed is healed."""
    async with month(tmp_path, monkeypatch, late=4) as site:
        calls = [task.id for task in site.organisation.tasks if task.recordings and not task.ready_ms]
        only_search, only_list, deleted = calls[3:6], calls[10:12], calls[20:22]
        late = set(site.organisation.planted()["late"])
        site.tampering.organise({"hide_from_list": only_search, "hide_from_search": only_list, "delete": deleted})
        certificates = Certificates()
        assert (await site.run()).exit_code == 5
        stored = {item.task_id: item.key for item in site.sandbox.truth() if item.key in site.objects}
        (gone, gone_key), (other, other_key), *_ = sorted(stored.items())
        await site.tampering.objects({"remove": [gone_key], "replace": [other_key]})

        first = await site.reconcile(certifier=certificates)
        assert first.report.exit_code == 3
        assert not first.report.certified
        reasons = first.reasons()
        assert {reasons[task_id] for task_id in only_search} == {"only_in_search"}
        assert first.named("not_in_search") == set(only_list)
        assert {reasons[task_id] for task_id in deleted} == {"deleted_at_webex"}
        assert (reasons[gone], reasons[other]) == ("missing_in_bucket", "differs_in_bucket")
        promised = {task_id for task_id in late if site.organisation.get(task_id).capture_requested}  # type: ignore[union-attr]
        assert first.named("capture_awaited") == promised != set()
        assert set(reasons) == {*only_search, *deleted, gone, other, *promised}
        refused = {day.window.from_ms for day in first.report.days if not day.certified}
        assert refused
        assert not refused & certificates.issued.keys()

        site.pass_days(2)
        late_found = await site.reconcile(certifier=certificates)
        assert late_found.named("not_fetched") == late - promised
        await site.run()
        await site.retry()
        last = await site.reconcile(certifier=certificates)
        assert last.reasons() == {other: "conflict"} | dict.fromkeys(deleted, "deleted_at_webex")
        assert [len(day.why_not()) for day in last.report.days if not day.certified] == [1]
        assert last.report.exit_code == 3
        assert last.report.counts["unknown"] == 0
        assert {line.split()[0] for line in await site.sandbox.differences()} == {"other"}  # the planted object

        whole = [day.window.from_ms for day in last.report.days if day.is_whole_day]
        assert len(set(whole) & certificates.issued.keys()) == len(whole) - 1


async def test_a_day_that_changes_is_certified_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture comes two days late to a call Webex had promised nothing for: its day gets a further certificate."""
    async with month(tmp_path, monkeypatch, tasks=40, days=4, late=1) as site:
        (late,) = site.organisation.planted()["late"]
        created = site.organisation.get(late).created_ms  # type: ignore[union-attr]
        certificates = Certificates()
        site.change("backfill", days_back=6)
        await site.run()
        assert (await site.reconcile(certifier=certificates)).report.exit_code == 0
        site.pass_days(2)
        assert (await site.reconcile(certifier=certificates)).reasons() == {late: "not_fetched"}
        await site.run()
        last = await site.reconcile(certifier=certificates)
        assert last.report.exit_code == 0
        again = [day_ms for day_ms, issued in certificates.issued.items() if len(issued) > 1]
        assert again == [created // DAY_MS * DAY_MS]
        before, after = (
            {name: count or 0 for name, count in issued.items()} for issued in certificates.issued[again[0]]
        )
        assert (before["no_recording"] - after["no_recording"], after["stored"] - before["stored"]) == (1, 1)


async def test_deleted_recordings_are_rows_that_keep_the_counts_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Webex deleted before it was stored is a recording in state gone; what was stored before stays stored."""
    async with month(tmp_path, monkeypatch, tasks=40, days=4) as site:
        calls = [task.id for task in site.organisation.tasks if task.recordings == 1]
        site.organisation.purge(calls[0])
        await site.run()
        site.organisation.purge(calls[1])
        told = await site.reconcile()
        assert told.reasons() == {calls[0]: "deleted_at_webex"}
        assert (told.report.exit_code, told.report.counts[TaskStatus.DELETED.value]) == (0, 1)
        async with open_reader(site.ledger) as reader:
            counts = await reader.counts(Everything(), None)
        assert (counts.gone, counts.failed, counts.owed) == (1, 0, 0)
        assert counts.recordings == counts.already_stored + counts.gone
        assert (await site.run()).exit_code == 0


async def test_a_recording_deleted_while_another_of_its_call_was_stored_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Search counts two and says that Webex deleted; only one is stored, so the other one is gone, and said to be."""
    async with month(tmp_path, monkeypatch, tasks=60, days=9) as site:
        await site.run()
        halved, whole = [task for task in site.organisation.tasks if task.recordings == 1][:2]
        row = site.organisation.search_row

        def search_row(each: SandboxTask, now_ms: int) -> dict[str, Any]:
            deleted = {"isRecordingDeleted": True, "recordingCount": 2 if each is halved else 1}
            return row(each, now_ms) | (deleted if each in (halved, whole) else {})

        monkeypatch.setattr(site.organisation, "search_row", search_row)
        told = await site.reconcile()
        assert told.reasons() == {halved.id: "deleted_at_webex"}
        assert (told.report.exit_code, told.report.counts[TaskStatus.DELETED.value]) == (0, 1)


async def test_a_leg_deleted_at_webex_is_at_rest_though_captures_names_the_rest_of_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One recording is stored, the other was known and is deleted by now: nothing is owed and nothing failed."""
    async with month(tmp_path, monkeypatch, tasks=60, days=9) as site:
        await site.run()
        task = next(task for task in site.organisation.tasks if task.recordings == 1)
        identity = Identity(site.sandbox.org_id, site.settings.s3.bucket, site.settings.s3.key)
        async with open_ledger(site.ledger, identity, mask=str, emit=ignore) as ledger:
            await captured(ledger, task.id, [Recording(task.id, "leg")], round(site.clock() * 1000))
        row = site.organisation.search_row
        monkeypatch.setattr(
            site.organisation,
            "search_row",
            lambda each, now_ms: row(each, now_ms) | ({"isRecordingDeleted": True} if each is task else {}),
        )
        told = await site.reconcile()
        assert [(each.recording_id, each.reason) for each in told.differences] == [("leg", "deleted_at_webex")]
        assert told.report.exit_code == 0
        summary = await site.run()
        assert (summary.exit_code, summary.counts.gone, summary.counts.failed) == (0, 1, 0)


async def test_what_is_lost_after_webex_deleted_it_is_never_excused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that vanished from the bucket and cannot be had again is a failure, whatever Search says."""
    async with month(tmp_path, monkeypatch, tasks=40, days=4) as site:
        await site.run()
        victim = next(item for item in site.sandbox.truth() if item.task_id == item.recording_id)
        await site.tampering.objects({"remove": [victim.key]})
        site.organisation.purge(victim.task_id)
        assert (await site.reconcile()).reasons() == {victim.task_id: "missing_in_bucket"}
        await site.run()
        told = await site.reconcile()
        assert told.reasons() == {victim.task_id: "lost"}
        assert told.report.exit_code == 3
        assert not told.report.certified


async def test_fewer_recordings_than_search_counts_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Search counts two, captures names one: that is named and counted, and keeps no day from being certified."""
    async with month(tmp_path, monkeypatch, tasks=60, days=9) as site:
        await site.run()
        task = next(task for task in site.organisation.tasks if task.recordings == 1)
        row = site.organisation.search_row
        monkeypatch.setattr(
            site.organisation,
            "search_row",
            lambda each, now_ms: row(each, now_ms) | ({"recordingCount": 2} if each.id == task.id else {}),
        )
        certificates = Certificates()
        told = await site.reconcile(certifier=certificates)
        assert told.reasons() == {task.id: "fewer_than_search"}
        assert (told.report.exit_code, told.report.certified) == (0, True)
        day = task.created_ms // DAY_MS * DAY_MS
        if day in certificates.bases:
            assert certificates.bases[day].disagreements["fewer_than_search"] == 1
        site.change("webex", search_counts=False)
        told = await site.reconcile()
        assert (told.report.exit_code, told.differences) == (0, [])
        assert (await site.run()).exit_code == 0


async def test_a_recording_that_only_search_knows_of_is_a_promise_for_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captures names none: it is owed, and missing in the end, by the word of `run` as much as of `reconcile`."""
    async with month(tmp_path, monkeypatch, tasks=60, days=9) as site:
        await site.run()
        task = next(task for task in site.organisation.tasks if task.kind == "unknown" and task.channel == "telephony")
        row = site.organisation.search_row
        monkeypatch.setattr(
            site.organisation,
            "search_row",
            lambda each, now_ms: row(each, now_ms) | ({"recordingCount": 1} if each.id == task.id else {}),
        )
        assert set((await site.reconcile()).reasons()) == {task.id}
        assert (await site.run()).exit_code == 5
        site.pass_days(8)
        site.change("backfill", days_back=18)
        assert (await site.run()).exit_code == 3
        told = await site.reconcile()
        assert told.reasons() == {task.id: "missing"}
        assert (await site.retry()).exit_code == 3


async def test_what_a_whole_tenant_counts_otherwise_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Search counts every call twice it counts something else: one note a day, certified, and no call named."""
    async with month(tmp_path, monkeypatch, tasks=100, days=3) as site:
        await site.run()
        row = site.organisation.search_row

        def twice(each: SandboxTask, now_ms: int) -> dict[str, Any]:
            said = row(each, now_ms)
            return said | {"recordingCount": 2 * (said.get("recordingCount") or 0)}

        monkeypatch.setattr(site.organisation, "search_row", twice)
        told = await site.reconcile()
        crowded = [day for day in told.report.days if day.notes]
        assert crowded
        for day in crowded:
            count = day.disagreements[Disagreement.FEWER]
            assert day.notes == [f"{count} of {day.tasks} tasks: Search counts more recordings than captures names"]
        named = {each.day for each in told.differences if each.reason == "fewer_than_search"}
        assert named.isdisjoint(day.window for day in crowded)
        assert (told.report.exit_code, told.report.certified) == (0, True)


async def test_the_tasks_that_have_nothing_are_named_in_the_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that is counted as no_recording or deleted, once, with what it rests on."""
    async with month(tmp_path, monkeypatch, tasks=60, days=5) as site:
        deleted = next(task.id for task in site.organisation.tasks if task.recordings == 1)
        site.organisation.purge(deleted)
        await site.run()
        certificates = Certificates()
        told = await site.reconcile(certifier=certificates)
        assert told.report.exit_code == 0
        for day_ms, ended in certificates.ended.items():
            states = [each.state for each in ended]
            issued = certificates.issued[day_ms][-1]
            assert (states.count("no_recording"), states.count("deleted")) == (
                issued["no_recording"],
                issued["deleted"],
            )
            assert all(each.evidence for each in ended)
        named = {each.task_id: each for ended in certificates.ended.values() for each in ended}
        if deleted in named:
            assert (named[deleted].state, named[deleted].evidence) == ("deleted", "search_deleted")
