"""What `plan` says of days, bytes and purges, against an organisation that is known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wxrec_async import Backfill
from wxrec_async.model import DAY_MS, Window
from wxrec_async.planning.plan import Plan
from wxrec_async.sandbox.faults import Rule

from .kit import Month, month

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Month]:
    """An organisation of nine days of which nothing is stored."""
    async with month(tmp_path, monkeypatch, tasks=80, days=9) as site:
        yield site


async def planned(site: Month) -> Plan:
    async with Backfill(site.settings, clock=site.clock, read_only=True) as backfill:
        return await backfill.plan()


async def test_days_add_up_to_what_a_run_does(site: Month) -> None:
    """Tasks, recordings to come and captures calls, day by day; nothing is asked of captures, nothing written."""
    plan = await planned(site)
    calls = [task for task in site.organisation.tasks if task.channel == "telephony"]
    assert plan.total("tasks") == plan.tasks == len(calls)
    assert plan.total("will_record") == sum(task.capture_requested is True for task in calls)
    assert plan.total("to_ask") == plan.to_ask
    assert plan.total("stored") == 0
    assert (site.requests("captures"), site.objects, site.ledger.exists()) == (0, {}, False)
    line = plan.as_json()
    days = line["days"]
    assert isinstance(days, list)
    assert sum(day["to_ask"] for day in days) == plan.to_ask
    assert all(day["captures_calls"] == -(-day["to_ask"] // 10) for day in days)
    assert line["bytes_per_second"] == [16_000, 32_000]
    assert (await site.run()).exit_code == 0
    after = await planned(site)
    assert (after.total("to_ask"), after.total("stored")) == (0, len(site.objects))
    assert after.total("will_record") == plan.total("will_record")
    assert (after.nearest, list(after.at_risk), after.total("bytes_high")) == (None, [], 0)


async def test_what_is_stored_in_a_window_that_is_still_open_is_not_counted_as_work(site: Month) -> None:
    """A reconciliation lists and closes no window; what `retry` has stored since is neither call nor minute."""
    await site.retry()  # makes the ledger
    await site.reconcile()
    assert (await site.retry()).exit_code == 0
    plan = await planned(site)
    assert plan.tasks > 0
    assert (plan.to_ask, plan.captures_calls) == (plan.total("to_ask"), 0) == (0, 0)
    asked = site.requests("captures")
    assert (await site.run()).exit_code == 0
    assert site.requests("captures") == asked


async def test_bytes_are_what_search_says_else_by_the_length_of_calls(site: Month) -> None:
    """With Search they are exact; without it they lie between 16 and 32 kB a second of call."""
    truth = sum(item.size for item in site.sandbox.truth())
    plan = await planned(site)
    assert plan.total("bytes_low") == plan.total("bytes_likely") == plan.total("bytes_high") == truth
    site.sandbox.faults.extend([Rule("search", "error", attempts=None, parameters={"status": 404})])
    site.sandbox.faults.extend([Rule("tasks", "gaps", attempts=None)])  # only live rows have a length
    plan = await planned(site)
    assert plan.total("measured") == 0
    low, likely, high = (plan.total(f"bytes_{name}") for name in ("low", "likely", "high"))
    assert 0 < low < likely < high
    rows = [site.organisation.attributes(task, gaps=True) for task in site.organisation.tasks]
    seconds = sum(row.get("totalDuration") or 0 for row in rows)
    assert low > seconds / 1000 * 16_000 * 0.5


async def test_what_is_purged_before_a_run_gets_to_it_is_named(site: Month) -> None:
    """By the organisation's retention: the oldest calls, each by id; all of them when the budget is tiny."""
    site.change("webex", retention_days=5)
    plan = await planned(site)
    now = round(site.clock() * 1000)
    wanted = [
        task for task in site.organisation.tasks if task.channel == "telephony" and task.capture_requested is not False
    ]
    old = {task.id for task in wanted if task.created_ms + 5 * DAY_MS <= now}
    assert {each.task_id for each in plan.at_risk} == old != set()
    assert plan.nearest is not None
    assert plan.nearest.task_id == wanted[0].id
    assert [each["task_id"] for each in plan.as_json()["purged_before"]] == [each.task_id for each in plan.at_risk]  # type: ignore[attr-defined]
    site.change("webex", retention_days=0)
    assert list((await planned(site)).at_risk) == []


async def test_the_command_says_it_in_lines(site: Month) -> None:
    """A line a day, the bytes with the rate they are reckoned at, and what is lost first."""
    site.change("webex", retention_days=5)
    site.sandbox.faults.extend([Rule("search", "error", attempts=None, parameters={"status": 404})])
    told = await site.call("plan", "-q")
    assert told.code == 0
    assert "at 16 to 32 kB a second" in told.out
    assert told.out.count(" with a recording, ") >= 7
    assert "purged first" in told.out


async def test_the_backlog_is_worked_oldest_first(site: Month) -> None:
    """Work of earlier runs, listed in whatever order, is asked for by the age of its calls."""
    site.sandbox.faults.extend([Rule("captures", "error", attempts=None, parameters={"status": 418})])
    newest_first = sorted(site.organisation.tasks, key=lambda task: -task.created_ms)
    site.change("backfill", max_failures_in_row=1000, concurrency=1)
    for half in (newest_first[:40], newest_first[40:]):
        from_ms, to_ms = min(task.created_ms for task in half), max(task.created_ms for task in half) + 1
        await site.run(period=Window(from_ms, to_ms))
    site.sandbox.faults.clear()
    start = len(site.sandbox.log.entries)
    await site.retry()
    asked = [entry.key.split(",") for entry in list(site.sandbox.log.entries)[start:] if entry.operation == "captures"]
    times = [max(site.organisation.get(task_id).created_ms for task_id in batch) for batch in asked]  # type: ignore[union-attr]
    assert len(times) > 3
    assert times == sorted(times)
