"""A proven day gets its evidence, and a changed bucket or chain is found by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from wxrec_async.evidence import Problem, ProblemKind, audit
from wxrec_async.ledger import open_reader
from wxrec_async.ledger.report_queries import ListLimits
from wxrec_async.reporting.calendar import build_calendar
from wxrec_async.rules.coverage import DayState
from wxrec_async.sandbox.organisation import SandboxTask

from .kit import Month, Told, month

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Month]:
    """An organisation of five days whose recordings are all stored."""
    async with month(tmp_path, monkeypatch, tasks=60, days=5) as site:
        assert (await site.run()).exit_code == 0
        yield site


async def test_every_whole_day_that_is_complete_gets_a_certificate_once(site: Month) -> None:
    """The second reconciliation finds the same and writes nothing; the chain and the bucket are sound."""
    first = (await site.reconcile()).report
    whole = [day for day in first.days if day.is_whole_day]
    assert first.exit_code == 0
    assert len(whole) >= 3
    assert all(day.certificate for day in whole)
    puts = site.requests("s3.PutObject")
    again = (await site.reconcile()).report
    assert (again.exit_code, site.requests("s3.PutObject")) == (0, puts)
    audited = await audit(site.settings)
    assert (audited.exit_code, audited.certificates) == (0, len(whole))


async def test_one_byte_of_one_manifest_is_found_by_the_audit(site: Month) -> None:
    """One byte of one manifest: the audit names it."""
    assert (await site.reconcile()).report.exit_code == 0
    manifest = next(key for key in site.objects if "manifest" in key and site.objects[key].size > 0)
    site.flip_byte(manifest)
    problems: list[Problem] = []
    audited = await audit(site.settings, on_problem=problems.append)
    assert audited.exit_code == 3
    assert ProblemKind.MANIFEST_CHANGED in {each.wrong for each in problems}


async def test_evidence_that_may_not_be_written_is_said_and_the_rest_is_reconciled_all_the_same(site: Month) -> None:
    """Every day is looked at, none is called certified without its certificate, and the exit code is 4."""
    site.sandbox.s3.denied = frozenset({"s3:PutObject"})
    report = (await site.reconcile()).report
    whole = [day for day in report.days if day.is_whole_day]
    assert report.exit_code == 4
    assert report.counts["stored"] > 0
    assert not any(day.certified for day in whole)
    assert all("no certificate" in " ".join(day.why_not()) for day in whole)


async def calendar_of(site: Month) -> set[int]:
    """The days the report calls certified."""
    async with open_reader(site.ledger) as reader:
        facts = await reader.report_facts(None, ListLimits())
    days = build_calendar(facts, None, round(site.clock() * 1000)).days
    return {day.ms for day in days if day.state is DayState.CERTIFIED}


def certified_in(told: Told) -> set[int]:
    return {day.window.from_ms for day in told.report.days if day.certified and day.is_whole_day}


async def test_report_and_reconciliation_agree_on_certified_days_when_asking_again_brought_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent call is asked again hours later; nothing came, no certificate is due, and the day is certified still."""
    async with month(tmp_path, monkeypatch, tasks=40, days=4, late=1, searches=False) as site:
        site.change("backfill", days_back=6)
        await site.run()
        first = await site.reconcile()
        assert first.report.exit_code == 0
        assert await calendar_of(site) == certified_in(first)
        site.pass_days(0.1)
        asked = site.requests("captures")
        again = await site.reconcile(period=first.report.period)  # of today's six days one may have become another
        assert site.requests("captures") > asked
        assert (again.report.exit_code, any(day.certificate for day in again.report.days)) == (0, False)
        assert await calendar_of(site) == certified_in(again) == certified_in(first)


@pytest.mark.parametrize("kind", ["manifests", "certificates"])
@pytest.mark.parametrize("harm", ["remove", "replace"])
async def test_a_day_whose_evidence_was_tampered_with_is_not_called_certified(
    site: Month, kind: str, harm: str
) -> None:
    """A day that has its certificate is certified only as long as the bucket has it, too."""
    assert (await site.reconcile()).report.exit_code == 0
    victim = next(key for key in sorted(site.objects) if f"/{kind}/" in key and site.objects[key].size > 0)
    await site.tampering.objects({harm: [victim]})
    report = (await site.reconcile()).report
    assert report.exit_code == 3
    assert not report.certified
    assert victim in " ".join(words for day in report.days for words in day.why_not())


async def test_a_row_that_only_says_more_of_a_call_keeps_its_day_certified(
    site: Month, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No manifest speaks of a call's status or queue: proven anew, the day needs no further certificate."""
    first = await site.reconcile()
    async with open_reader(site.ledger) as reader:
        (row, *_) = await reader.task_rows(first.report.days[1].window, after=None, limit=1)
    attributes = site.organisation.attributes

    def touched(task: SandboxTask, now_ms: int | None = None, *, gaps: bool = False) -> dict[str, Any]:
        more = {"status": "wrapped", "lastUpdatedTime": 2**41} if task.id == row.task.id else {}
        return attributes(task, now_ms, gaps=gaps) | more

    monkeypatch.setattr(site.organisation, "attributes", touched)
    again = await site.reconcile()
    assert not any(day.certificate for day in again.report.days)
    assert await calendar_of(site) == certified_in(again) == certified_in(first)
