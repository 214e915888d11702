"""Filters and the bandwidth limit, against a whole simulated organisation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.verify.site import Site, open_site
from wxrec_async import Backfill, load_config
from wxrec_async.flow.summary import Summary
from wxrec_async.planning.plan import Plan
from wxrec_async.sandbox import Options, Organisation, Sandbox

pytestmark = pytest.mark.anyio

TASKS = 120


def add_up(summary: Summary) -> dict[str, Any]:
    """Return the summary line, once every listed task was found in one count."""
    line = summary.as_json()
    parts = ("tasks_with_recordings", "no_recording", "owed", "failed_tasks", "unfinished_tasks", "left_out")
    assert line["tasks_listed"] == sum(line[name] for name in parts)  # type: ignore[misc]
    assert line["left_out"] == sum(line["left_out_by"].values())  # type: ignore[attr-defined]
    assert line["recordings"] == summary.counts.stored + summary.counts.already_stored  # nothing failed
    return line


def wanted_keys(site: Site, wants: Callable[[dict[str, Any]], bool]) -> set[str]:
    """Return the keys that belong in the bucket, by what the organisation says of their tasks."""
    organisation = site.sandbox.organisation
    tasks = {task.id for task in organisation.tasks if wants(organisation.attributes(task, gaps=True))}
    return {item.key for item in site.sandbox.truth() if item.task_id in tasks}


def name_of(row: dict[str, Any], what: str) -> str:
    return str((row.get(what) or {}).get("name", ""))


def asked_of(site: Site) -> set[str]:
    entries = [entry for entry in site.sandbox.log.entries if entry.operation == "captures"]
    return {task_id for entry in entries for task_id in entry.key.split(",")}


async def run(site: Site, **filters: Any) -> Summary:
    settings = load_config(site.config, overrides={f"filters.{name}": value for name, value in filters.items()})
    async with Backfill(settings) as backfill:
        return await backfill.run()


async def plan(site: Site, *, read_only: bool = True, **filters: Any) -> Plan:
    settings = load_config(site.config, overrides={f"filters.{name}": value for name, value in filters.items()})
    async with Backfill(settings, read_only=read_only) as backfill:
        return await backfill.plan()


@pytest.mark.parametrize(
    ("filters", "wants"),
    [
        ({"queues": ["s*"]}, lambda row: name_of(row, "queue").startswith("S")),
        ({"exclude_queues": ["SUPPORT", "billing"]}, lambda row: name_of(row, "queue") not in ("Support", "Billing")),
        ({"agents": ["Agent ?"]}, lambda row: len(name_of(row, "owner")) == len("Agent 1")),
        ({"exclude_agents": ["Agent *"]}, lambda row: not row.get("owner")),
        ({"directions": ["outbound", "outdial"]}, lambda row: row.get("direction") in ("outbound", "outdial")),
        ({"min_duration_seconds": 4.5}, lambda row: row.get("totalDuration", 9999) >= 4500),
        (
            {"queues": ["Sales"], "exclude_agents": ["Agent 1*"], "directions": ["inbound"]},
            lambda row: (
                name_of(row, "queue") == "Sales"
                and not name_of(row, "owner").startswith("Agent 1")
                and row.get("direction") == "inbound"
            ),
        ),
    ],
)
async def test_the_bucket_holds_what_the_filter_wants_and_then_the_rest(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    filters: dict[str, Any],
    wants: Callable[[dict[str, Any]], bool],
) -> None:
    """Exit 0 with the wanted recordings and none besides; without the filter the bucket becomes complete."""
    async with open_site(tmp_path, monkeypatch, tasks=TASKS) as site:
        site.sandbox.faults.add("tasks", "gaps", attempts=None)  # only live rows have a length, or lack an owner
        keys = wanted_keys(site, wants)
        assert 0 < len(keys) < len(site.sandbox.truth())
        summary = await run(site, **filters)
        assert summary.exit_code == 0, summary
        assert set(site.objects) == keys
        line = add_up(summary)
        assert line["stored"] == len(keys)
        organisation = site.sandbox.organisation
        unwanted = {task.id for task in organisation.tasks if not wants(organisation.attributes(task, gaps=True))}
        assert not asked_of(site) & unwanted
        assert line["left_out"] == len(unwanted & {row.id for row in organisation.tasks if row.channel == "telephony"})

        again = add_up(await run(site, **filters))
        assert (again["left_out_by"], again["already_stored"], again["exit_code"]) == (
            line["left_out_by"],
            line["stored"],
            0,
        )

        rest = await run(site)
        assert (rest.exit_code, rest.left_out) == (0, 0)
        assert await site.sandbox.differences() == []
        assert add_up(rest)["already_stored"] == len(keys)


async def test_a_plan_leaves_out_what_a_run_will(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Window by window before the first run, from the ledger after it, and nothing is left to ask then."""
    async with open_site(tmp_path, monkeypatch, tasks=TASKS) as site:
        site.sandbox.faults.add("tasks", "gaps", attempts=None)  # only live rows have a length, or lack an owner
        before = await plan(site, queues=["Sales"])
        assert before.left_out == sum(window.left_out for window in before.windows) > 0
        whole = await plan(site)
        assert (whole.tasks, whole.left_out) == (before.tasks, 0)
        assert before.to_ask < whole.to_ask
        asked = len(asked_of(site))
        assert asked == 0

        summary = await run(site, queues=["Sales"])
        assert summary.left_out == before.left_out
        assert len(asked_of(site)) == before.to_ask

        for read_only in (True, False):
            after = await plan(site, read_only=read_only, queues=["Sales"])
            assert (after.to_ask, after.left_out) == (0, before.left_out)
            assert after.as_json()["left_out"] == before.left_out
        rest = await plan(site)
        assert (rest.to_ask, rest.left_out) == (whole.to_ask - before.to_ask, 0)
        assert (await run(site)).exit_code == 0
        assert await site.sandbox.differences() == []


async def test_tasks_named_by_id_pass_the_filters_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a task wants it; that the settings' filters do not apply is said."""
    async with open_site(tmp_path, monkeypatch, filters={"queues": ["no such queue"]}) as site:
        item = site.sandbox.truth()[0]
        async with Backfill(site.settings) as backfill:
            summary = await backfill.archive([item.task_id])
        assert item.key in site.objects
        assert (summary.exit_code, summary.left_out) == (0, 0)
        assert summary.notes == ("the filters of the settings do not apply to tasks that are named by id",)


async def test_the_command_line_filters_and_says_what_it_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repeated flags reach the run; people and machines are told the number and the filter."""
    async with open_site(tmp_path, monkeypatch, tasks=TASKS) as site:
        site.sandbox.faults.add("tasks", "gaps", attempts=None)  # only live rows have a length, or lack an owner
        flags = ("--queue", "Sales", "--queue", "Second*", "--exclude-agent", "Agent 1?", "--min-duration", "4s")
        keys = wanted_keys(
            site,
            lambda row: (
                name_of(row, "queue") in ("Sales", "Second Line")
                and not (len(name_of(row, "owner")) == 8 and name_of(row, "owner").startswith("Agent 1"))
            ),
        )
        planned = await site.call("run", "--dry-run", *flags)
        assert planned.code == 0, planned.err
        told = await site.call("run", *flags, "--json", "--no-progress")
        assert told.code == 0, told.err
        assert set(site.objects) == keys
        left = told.lines[-1]["left_out"]
        assert set(told.lines[-1]["left_out_by"]) == {"queue", "queue_unknown", "agent"}
        assert f"  left out            {left} tasks by filters\n" in planned.out

        again = await site.call("run", *flags, "--no-progress")
        assert again.code == 0, again.err
        assert f"\n  left out    {left} by filters: " in again.out
        assert f"{left} left out\n" in again.out
        refused = await site.call("run", *flags, "--task-ids-from", "-")
        assert refused.code == 2
        assert "--task-ids-from names the tasks" in refused.err


@pytest.mark.parametrize("workers", [1, 16])
async def test_a_run_with_a_bandwidth_limit_takes_as_long_as_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """However many workers: all bytes over the rate, less what may come at once in the beginning; nothing is lost."""
    organisation = Organisation(40, 3, seconds=(2, 10), large=False)
    async with Sandbox(Options(organisation=organisation, requests_per_minute=0)) as sandbox:
        for name, value in sandbox.environment().items():
            monkeypatch.setenv(name, value)
        total = sum(item.size for item in sandbox.truth())
        rate = total / 2 / (1 << 20)  # MiB a second: two seconds in all
        config = sandbox.write_config(tmp_path, backfill={"max_mib_per_second": rate, "concurrency": workers})
        async with Backfill(load_config(config)) as backfill:
            summary = await backfill.run()
        assert summary.exit_code == 0, summary
        assert await sandbox.differences() == []
        assert summary.counts.bytes == total
        assert 2 - 0.25 <= summary.seconds < 20
