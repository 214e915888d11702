"""Contact records in sidecars: what Search has of each call, for few calls of Search."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.canaries import found_in
from tests.evidence.kit import said
from tests.verify.site import Site, open_site
from wxrec_async import Backfill
from wxrec_async.events import Event, Warned
from wxrec_async.rules import keys
from wxrec_async.sandbox.faults import Rule

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the setting says."""
    monkeypatch.setenv("WXREC_WEBEX__CONTACT_RECORDS", "true")


def sidecars(site: Site) -> list[str]:
    return sorted(key for key in site.objects if keys.is_sidecar(key, template=site.settings.s3.key))


async def test_every_sidecar_has_the_record_of_its_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queue, wrap-up and sizes as Search tells them, numbers masked, a hundred calls a question."""
    async with open_site(tmp_path, monkeypatch, tasks=20, s3={"sidecar": True}) as site:
        assert (await site.run()).exit_code == 0
        records = [said(site, key)["contact_record"] for key in sidecars(site)]
        assert records
        for record in records:
            assert {"status", "channelType", "createdTime", "lastTeam", "recordingCount"} <= set(record)
        assert any("lastQueue" in record for record in records)  # an outdial call has none
        assert not any(found_in(site.bytes_of(key).decode()) for key in sidecars(site))
        assert 1 <= site.requests("search") <= 2
        before = {key: site.bytes_of(key) for key in site.objects}
        assert (await site.run()).exit_code == 0
        assert {key: site.bytes_of(key) for key in site.objects} == before


async def test_without_search_sidecars_are_written_all_the_same_and_stay_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, ends no run, and the next run asks again."""
    async with open_site(tmp_path, monkeypatch, tasks=6, s3={"sidecar": True}) as site:
        site.sandbox.faults.extend([Rule("search", "error", attempts=None, limit=1, parameters={"status": 404})])
        told: list[Event] = []
        async with Backfill(site.settings, on_event=told.append) as backfill:
            assert (await backfill.run()).exit_code == 0
        assert [each.code for each in told if isinstance(each, Warned)] == ["contact_records_missing"]
        assert sidecars(site)
        assert all(said(site, key)["contact_record"] is None for key in sidecars(site))
        assert (await site.run()).exit_code == 0
        assert all(said(site, key)["contact_record"] for key in sidecars(site))
