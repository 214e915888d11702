"""A month of an organisation with trouble planted in it, and what `reconcile` says of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.verify.site import Site
from wxrec_async import Backfill
from wxrec_async.evidence.manifests import EndedTasks
from wxrec_async.flow.summary import Summary
from wxrec_async.model import DAY_MS
from wxrec_async.reconciliation import Difference, ReconcileReport, reconcile
from wxrec_async.rules.evidence import Basis, Claim, Ended
from wxrec_async.sandbox import Options, Organisation, Sandbox
from wxrec_async.sandbox.tampering import Tampering


@dataclass
class Certificates:
    """A `Certifier` that remembers; a day whose numbers it has seen needs no further certificate."""

    issued: dict[int, list[Mapping[str, int | None]]] = field(default_factory=dict)
    bases: dict[int, Basis] = field(default_factory=dict)
    ended: dict[int, list[Ended]] = field(default_factory=dict)

    async def certify(self, claim: Claim, ended: EndedTasks) -> str | None:
        day, counts = claim.day, claim.counts
        self.bases[day.from_ms] = claim.basis
        self.ended[day.from_ms] = await ended.ended(limit=100_000)
        before = self.issued.setdefault(day.from_ms, [])
        if before and before[-1] == counts:
            return None
        before.append(counts)
        return f"_evidence/{day.from_ms}-{len(before)}"


@dataclass
class Told:
    """What one reconciliation said."""

    report: ReconcileReport
    differences: list[Difference]

    def reasons(self) -> dict[str, str]:
        """What is wrong with each task, the two lists' disagreement apart."""
        plain = ("not_in_search", "not_in_tasks")
        return {each.task_id: each.reason for each in self.differences if each.reason not in plain}

    def named(self, reason: str) -> set[str]:
        return {each.task_id for each in self.differences if each.reason == reason}


class Month(Site):
    """One organisation; ``days_later`` moves the program's clock and that of the captures."""

    days_later = 0.0

    @property
    def organisation(self) -> Organisation:
        return self.sandbox.organisation

    @property
    def tampering(self) -> Tampering:
        return Tampering(self.organisation, self.sandbox.store)

    def clock(self) -> float:
        return time.time() + self.days_later * 86_400

    def pass_days(self, days: float) -> None:
        self.days_later += days
        self.organisation.ahead_ms = round(self.days_later * DAY_MS)

    async def run(self, **options: Any) -> Summary:
        async with Backfill(self.settings, clock=self.clock) as backfill:
            return await backfill.run(**options)

    async def retry(self) -> Summary:
        async with Backfill(self.settings, clock=self.clock) as backfill:
            return await backfill.retry()

    async def reconcile(self, **options: Any) -> Told:
        differences: list[Difference] = []
        report = await reconcile(self.settings, on_difference=differences.append, clock=self.clock, **options)
        return Told(report, differences)

    def change(self, section: str, **values: Any) -> None:
        """Change settings."""
        changed = getattr(self.settings, section).model_copy(update=values)
        self.settings = self.settings.model_copy(update={section: changed})


@asynccontextmanager
async def month(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    tasks: int = 150,
    days: int = 30,
    searches: bool = True,
    max_search_rows: int = 100_000,
    **organisation: Any,
) -> AsyncIterator[Month]:
    """Start a sandbox of ``days`` days and tiny recordings."""
    made = Organisation(tasks, 3, days=days, seconds=(0.2, 0.4), large=False, odd_names=False, **organisation)
    options = Options(organisation=made, requests_per_minute=0, searches=searches, max_search_rows=max_search_rows)
    async with Sandbox(options) as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        yield Month(sandbox, sandbox.write_config(folder, webex={"requests_per_minute": 1_000_000}))
