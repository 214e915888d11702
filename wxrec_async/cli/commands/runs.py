"""``runs`` and ``runs show``: what was run on a ledger, by whom, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import anyio

from wxrec_async.cli.command import run_command, settings_of
from wxrec_async.cli.console import Console
from wxrec_async.cli.flags import RunDetailFlags, RunsFlags
from wxrec_async.cli.summary_lines import exit_line
from wxrec_async.cli.text import harmless, span, visible
from wxrec_async.errors import ConfigError
from wxrec_async.flow.summary import EXIT_OK
from wxrec_async.ledger import RunRecord, open_reader
from wxrec_async.model import iso

GOES_ON = "goes on, or was killed"  # which, the ledger cannot tell: a process that is killed writes no end
MOST = 20  # runs that are listed where nothing else is asked for
HEADING = ("run", "begun", "took", "exit", "command", "stored", "failed", "who")
COUNTED = ("stored", "already_stored", "failed", "owed", "gone")


def list_runs(flags: RunsFlags) -> int:
    """Show the last runs, the latest first."""
    return run_command(Console(flags), lambda console: _list(flags, console))


def show_run(flags: RunDetailFlags) -> int:
    """Show one run with its whole summary."""
    return run_command(Console(flags), lambda console: _show(flags, console))


def _list(flags: RunsFlags, console: Console) -> int:
    found = anyio.run(_latest, settings_of(flags, console).ledger.path, flags.last or MOST, backend="asyncio")
    if console.json:
        for run in found:
            console.out.later(run_record(run))
        console.out.record({"event": "runs", "schema": 1, "count": len(found)})
    else:
        for line in runs_table(found):
            console.out.line(line)
    return EXIT_OK


def _show(flags: RunDetailFlags, console: Console) -> int:
    if not flags.run_id:
        raise ConfigError("name a run: wxrec-async runs show RUN; `wxrec-async runs` lists them")
    found = anyio.run(_named, settings_of(flags, console).ledger.path, flags.run_id, backend="asyncio")
    run = _only(found, flags.run_id)
    if console.json:
        console.out.record(run_record(run) | {"schema": 1, "summary": dict(run.summary)})
    else:
        for line in run_details(run):
            console.out.line(line)
    return EXIT_OK


async def _latest(path: Path, most: int) -> list[RunRecord]:
    async with open_reader(path) as ledger:
        return await ledger.latest_runs(limit=most)


async def _named(path: Path, beginning: str) -> list[RunRecord]:
    async with open_reader(path) as ledger:
        return await ledger.runs_named(beginning)


def _only(found: list[RunRecord], asked: str) -> RunRecord:
    if not found:
        raise ConfigError(f"the ledger knows no run {visible(asked)}; `wxrec-async runs` lists them")
    if len(found) > 1:
        names = ", ".join(visible(each.run_id) for each in found[:5])
        raise ConfigError(f"{len(found)} runs begin with {visible(asked)}: {names}; write more of it")
    return found[0]


def run_record(run: RunRecord) -> dict[str, object]:
    """Return the JSON line for a run; counts are those of its summary, null where it has none."""
    record: dict[str, object] = {"event": "run", "run_id": run.run_id, "command": run.command or None}
    record |= {"started": iso(run.started_ms), "ended": iso(run.ended_ms), "exit_code": run.exit_code}
    record |= {"from": iso(run.scope.from_ms), "to": iso(run.scope.to_ms)} if run.scope else {"from": None, "to": None}
    author = run.author
    record |= {"who": author.who if author else None, "tool_version": author.tool_version if author else None}
    return record | {name: run.summary.get(name) for name in COUNTED}


def runs_table(found: list[RunRecord]) -> Iterator[str]:
    """Write a line for each run under a heading, columns as wide as what is in them."""
    if not found:
        yield "no run yet"
        return
    rows = [HEADING, *(_cells(run) for run in found)]
    widths = [max(len(row[number]) for row in rows) for number in range(len(HEADING))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(run: RunRecord) -> tuple[str, ...]:
    ended = run.ended_ms is not None
    took = span((run.ended_ms - run.started_ms) / 1000) if run.ended_ms is not None else GOES_ON
    counts = (str(run.summary.get(name, "")) for name in ("stored", "failed"))
    code = str(run.exit_code) if ended else ""
    who = visible(run.author.who) if run.author else ""
    return visible(run.run_id), iso(run.started_ms) or "", took, code, visible(run.command), *counts, who


def run_details(run: RunRecord) -> Iterator[str]:
    """Write a run for people: what it was, then every field of its summary."""
    yield f"run {visible(run.run_id)}   {visible(run.command)}".rstrip()
    yield f"  begun       {iso(run.started_ms)}"
    yield f"  ended       {iso(run.ended_ms) or GOES_ON}"
    if run.scope:
        yield f"  period      {run.scope}"
    if run.author:
        yield f"  by          {visible(run.author.who)}, version {visible(run.author.tool_version)}"
    for name, value in run.summary.items():
        yield f"  {visible(str(name))} = {harmless(json.dumps(value, ensure_ascii=False))}"
    if run.ended_ms is not None:
        yield exit_line(run.exit_code or 0)
