"""``status`` and ``config show``: what the ledger holds, and which settings are in force."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import anyio

from wxrec_async.cli.command import run_command, settings_of
from wxrec_async.cli.console import Console
from wxrec_async.cli.flags import ShowFlags, StatusFlags
from wxrec_async.cli.json_events import failure_record, incomplete_record
from wxrec_async.cli.parsing import overrides
from wxrec_async.cli.summary_lines import (
    NAMED,
    exit_line,
    failure_line,
    failure_lines,
    flag_lines,
    not_moved_lines,
    table_lines,
)
from wxrec_async.cli.text import harmless, size, visible
from wxrec_async.config import Loaded, known_keys, load_config_with_origins, secret_free
from wxrec_async.flow.summary import EXIT_OK
from wxrec_async.ledger import CatchUp, Counts, Everything, Failure, Identity, Incomplete, RunRecord, open_reader
from wxrec_async.model import iso
from wxrec_async.rules.failure_groups import grouped

# More than any ledger holds: to machines every failure is named.
ALL = 1 << 31
NO_LAG = CatchUp()


def run_status(flags: StatusFlags) -> int:
    """Show what the ledger holds."""
    return run_command(Console(flags), lambda console: _status(flags, console))


def show_config(flags: ShowFlags) -> int:
    """Show the effective settings."""
    return run_command(Console(flags), lambda console: _show_config(flags, console))


def _status(flags: StatusFlags, console: Console) -> int:
    path = settings_of(flags, console).ledger.path
    # No signals are listened for: it only reads, and may be ended anywhere.
    found = anyio.run(ledger_status, path, ALL, backend="asyncio")
    if console.json:
        for failure in found.failures:
            console.out.later(failure_record(failure))
        for task in found.incomplete:
            console.out.later(incomplete_record(task))
        console.out.record(found.as_json())
    else:
        for line in _lines(found, flags):
            console.out.line(line)
    return EXIT_OK


def _lines(found: LedgerStatus, flags: StatusFlags) -> Iterator[str]:
    if flags.failed:
        yield from map(failure_line, found.failures)
    else:
        yield from found.lines()


def _show_config(flags: ShowFlags, console: Console) -> int:
    shown = settings_shown(load_config_with_origins(flags.config, overrides=overrides(flags)))
    if console.json:
        console.out.record({"event": "config", "schema": 1, "settings": {each.key: asdict(each) for each in shown}})
    else:
        for each in shown:
            console.out.line(setting_line(each))
    return EXIT_OK


@dataclass(frozen=True, slots=True)
class LedgerStatus:
    """What a ledger holds, over everything it ever listed."""

    path: Path
    identity: Identity
    counts: Counts
    failures: tuple[Failure, ...]
    last_run: RunRecord | None
    seen_and_left: Mapping[str, int] = field(default_factory=dict)
    incomplete: tuple[Incomplete, ...] = ()
    lag: CatchUp = NO_LAG
    flags: Mapping[str, int] = field(default_factory=dict)
    certified: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return the last line of ``status --json``; ``stored`` is by whatever run."""
        counts = asdict(self.counts)
        counts["stored"] += counts.pop("already_stored")
        counts["bytes"] = counts.pop("bytes_total")
        counts["by_kind"] = {kind: _whoever(sums) for kind, sums in self.counts.by_kind.items()}
        record: dict[str, object] = {"event": "status", "schema": 1, "ledger": str(self.path)}
        record |= asdict(self.identity) | {"recordings": self.counts.recordings} | counts
        record |= {"seen_and_left": dict(self.seen_and_left), "flags": dict(self.flags), "behind": self._behind()}
        record |= {"failure_groups": [group.as_json() for group in grouped(self.failures)]}
        record |= {"certified": {"days": sum(self.certified.values()), "search": dict(self.certified)}}
        return record | {"last_run": self._last_run()}

    def _behind(self) -> dict[str, object]:
        """Return how far the ledger is behind; ``next_poll`` is that of the last follower, running or not."""
        lag, followed = self.lag, self.lag.followed or {}
        return {
            "caught_up_to": iso(lag.caught_up_ms),
            "listed_to": followed.get("listed_to") or iso(lag.listed_to_ms),
            "oldest_owed": iso(lag.oldest_owed_ms),
            "next_question": iso(lag.next_ask_ms),
            "next_poll": followed.get("next_poll"),
        }

    def _last_run(self) -> dict[str, object] | None:
        run = self.last_run
        if run is None:
            return None
        times = {"started": iso(run.started_ms), "ended": iso(run.ended_ms), "exit_code": run.exit_code}
        scope = run.scope
        period = {"from": iso(scope.from_ms), "to": iso(scope.to_ms)} if scope else {"from": None, "to": None}
        author = {"tool_version": run.author.tool_version, "who": run.author.who} if run.author else {}
        return {"run_id": run.run_id, **times, **period, **author}

    def lines(self) -> Iterator[str]:
        """Write it for people."""
        yield f"{self.path}   organisation {self.identity.org_id}, bucket {self.identity.bucket}"
        counts = self.counts
        yield from failure_lines(self.failures, counts.failed + counts.failed_tasks)
        yield from table_lines(replace(counts, stored=counts.stored + counts.already_stored, already_stored=0))
        yield f"  bytes       {size(counts.bytes_total)} stored"
        yield from not_moved_lines(counts, self.seen_and_left)
        yield from flag_lines(self.flags)
        if self.certified:
            searched = ", ".join(
                f"Search {how.replace('_', ' ')} {days}" for how, days in sorted(self.certified.items())
            )
            yield f"  certified   {sum(self.certified.values())} days: {searched}"
        yield from self._behind_lines()
        for each in self.incomplete[:NAMED]:
            yield f"incomplete: task {visible(each.task_id)}: {each.found} of {each.witnessed} recordings"
        run = self.last_run
        if run is None:
            yield "no run yet"
        # The ledger cannot tell which: a process that is killed writes no end.
        elif run.ended_ms is None:
            yield f"last run {run.run_id}, begun {iso(run.started_ms)}: still going on, or killed"
        else:
            yield f"last run {run.run_id}, begun {iso(run.started_ms)}, ended {iso(run.ended_ms)}"
            yield exit_line(run.exit_code or 0)

    def _behind_lines(self) -> Iterator[str]:
        behind = {name: value for name, value in self._behind().items() if value is not None}
        if behind:
            yield "  behind      " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in behind.items())


def _whoever(sums: Mapping[str, int]) -> dict[str, int]:
    """Return the sums of a kind with ``stored`` by whatever run."""
    told = dict(sums)
    told["stored"] += told.pop("already_stored")
    told["bytes"] = told.pop("bytes_total")
    return told


async def ledger_status(path: Path, failures: int) -> LedgerStatus:
    """Read a ledger, also while a run writes to it; raises `LedgerError`."""
    async with open_reader(path) as ledger:
        return LedgerStatus(
            path,
            await ledger.identity(),
            await ledger.counts(Everything(), None),
            tuple(await ledger.failures(Everything(), limit=failures)),
            await ledger.last_run(),
            await ledger.left_alone(Everything()),
            tuple(await ledger.incomplete(Everything(), limit=failures)),
            await ledger.lag(),
            await ledger.flag_counts(Everything()),
            await ledger.certified_days(),
        )


@dataclass(frozen=True, slots=True)
class Setting:
    """One effective setting; ``origin`` is ``default``, ``flag``, the variable's or the file's name."""

    key: str
    value: object
    origin: str


def settings_shown(loaded: Loaded) -> list[Setting]:
    """Return every setting, in the order of the classes."""
    values = secret_free(loaded.settings)
    # Twice on purpose: the known place of a secret, then whatever looks like one elsewhere.
    return [Setting(key, _masked(_at(values, key)), loaded.origins.get(key, "default")) for key in known_keys()]


def setting_line(setting: Setting) -> str:
    """Write one setting for people, as the file would have it."""
    section, _, name = setting.key.rpartition(".")
    shown = f"[{section}] {name}" if section else name
    return f"{shown + ' = ' + json.dumps(setting.value, ensure_ascii=False):<64}  # {setting.origin}"


def _at(values: dict[str, object], key: str) -> object:
    section, _, name = key.rpartition(".")
    table = values[section] if section else values
    return table[name] if isinstance(table, dict) else None


def _masked(value: object) -> object:
    """Mask what may stand in a setting all the same, such as a password in a proxy's URL."""
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    return harmless(value) if isinstance(value, str) else value
