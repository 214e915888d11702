"""A proven day gets its evidence, and a changed bucket or chain is found by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wxrec_async.evidence import Problem, Wrong, audit

from .kit import Month, month

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


async def test_a_changed_manifest_keeps_everything_from_being_certified_on_top_of_it(site: Month) -> None:
    """One byte of one manifest: the audit names it, and the next reconciliation is not certified either."""
    assert (await site.reconcile()).report.exit_code == 0
    manifest = next(key for key in site.objects if "manifest" in key and site.objects[key].size > 0)
    site.flip_byte(manifest)
    problems: list[Problem] = []
    audited = await audit(site.settings, on_problem=problems.append)
    assert audited.exit_code == 3
    assert Wrong.MANIFEST_CHANGED in {each.wrong for each in problems}


async def test_evidence_that_may_not_be_written_is_said_and_the_rest_is_reconciled_all_the_same(site: Month) -> None:
    """Every day is looked at, none is called certified without its certificate, and the exit code is 4."""
    site.sandbox.s3.denied = frozenset({"s3:PutObject"})
    report = (await site.reconcile()).report
    whole = [day for day in report.days if day.is_whole_day]
    assert report.exit_code == 4
    assert report.counts["stored"] > 0
    assert not any(day.certified for day in whole)
    assert all("no certificate" in " ".join(day.why_not()) for day in whole)
