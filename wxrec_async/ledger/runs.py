"""The tables of runs and of closed windows, and what the ledger belongs to.

Plain functions on a connection, each run inside a transaction; those that
`store` makes methods of say here what a caller may expect.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from wxrec_async.errors import LedgerError
from wxrec_async.ledger.records import Identity, Operator, RunRecord
from wxrec_async.ledger.rows import key, read_summary, text, words
from wxrec_async.model import Window
from wxrec_async.rules.sanitize import each_text
from wxrec_async.rules.sources import Source
from wxrec_async.rules.windows import united

TEXT_CHARS = 2000  # of one text in a summary: an error's words, not a page
_TOUCHED = """
SELECT min(from_ms), max(to_ms) FROM closed_windows WHERE source = :source AND from_ms <= :to AND to_ms >= :from
"""
_RUNS = "SELECT id, started_ms, ended_ms, exit_code, from_ms, to_ms, summary, tool_version, who, command FROM runs"
_LATEST = f"{_RUNS} ORDER BY n DESC LIMIT ?"
_NAMED = f"{_RUNS} WHERE substr(id, 1, length(?1)) = ?1 ORDER BY n DESC"
_DROP_TOUCHED = "DELETE FROM closed_windows WHERE source = :source AND from_ms <= :to AND to_ms >= :from"


def begin_run(
    connection: sqlite3.Connection,
    run_id: str,
    now_ms: int,
    scope: Window | None,
    *,
    author: Operator | None = None,
    command: str | None = None,
) -> int:
    """Add a run and return its row."""
    # May come twice: a fleet repeats what it got no answer to.
    span = (scope.from_ms, scope.to_ms) if scope is not None else (None, None)
    connection.execute(
        """INSERT OR IGNORE INTO runs (id, started_ms, from_ms, to_ms, tool_version, who, command)
           VALUES (?, ?, ?, ?, ?, ?, ?)""",
        (
            key(run_id),
            now_ms,
            *span,
            text(author.tool_version) if author else None,
            text(author.who) if author else None,
            text(command),
        ),
    )
    return run_row(connection, run_id)


def run_row(connection: sqlite3.Connection, run_id: str) -> int:
    """Return a run's row; LedgerError when it was never begun."""
    found = connection.execute("SELECT n FROM runs WHERE id = ?", (key(run_id),)).fetchone()
    if found is None:
        raise LedgerError(f"run {key(run_id)} was not begun in this ledger")
    return int(found[0])


def end_run(
    connection: sqlite3.Connection, run_id: str, now_ms: int, exit_code: int, summary: Mapping[str, object]
) -> None:
    """Close a run; ``summary`` must be JSON."""
    # Masked before it becomes JSON, whose quotes a mask could swallow; never cut: half of it cannot be read again.
    told = json.dumps(each_text(summary, partial(words, limit=TEXT_CHARS)))
    connection.execute(
        "UPDATE runs SET ended_ms = ?, exit_code = ?, summary = ? WHERE n = ?",
        (now_ms, exit_code, told, run_row(connection, run_id)),
    )


def last_run(connection: sqlite3.Connection) -> RunRecord | None:
    """Return the run begun last."""
    return next(iter(latest_runs(connection, limit=1)), None)


def latest_runs(connection: sqlite3.Connection, *, limit: int) -> list[RunRecord]:
    """Return up to ``limit`` runs, the one begun last first."""
    return [_record(row) for row in connection.execute(_LATEST, (limit,))]


def runs_named(connection: sqlite3.Connection, beginning: str) -> list[RunRecord]:
    """Return the run of this id, else all whose ids begin so, the one begun last first."""
    found = [_record(row) for row in connection.execute(_NAMED, (beginning,))]
    return [each for each in found if each.run_id == beginning] or found


def _record(row: Sequence[Any]) -> RunRecord:
    known_as, started_ms, ended_ms, exit_code, from_ms, to_ms, summary, tool_version, who, command = row
    scope = Window(from_ms, to_ms) if from_ms is not None else None
    author = Operator(tool_version, who or "") if tool_version else None
    told = read_summary(summary)
    return RunRecord(known_as, started_ms, ended_ms, exit_code, scope, told, author, command or "")


def close_window(connection: sqlite3.Connection, window: Window, now_ms: int, source: str = Source.TASKS) -> None:
    """Remember that ``window`` never needs to be listed again, by either list.  May be called twice.

    It is melted together with those that it touches and the same list closed: the table stays as short as the gaps
    are few.
    """
    span = {"from": window.from_ms, "to": window.to_ms, "source": str(source)}
    first, last = connection.execute(_TOUCHED, span).fetchone()
    connection.execute(_DROP_TOUCHED, span)
    if first is not None:
        span |= {"from": min(first, window.from_ms), "to": max(last, window.to_ms)}
    connection.execute(
        "INSERT INTO closed_windows (source, from_ms, to_ms, closed_ms) VALUES (:source, :from, :to, :now)",
        span | {"now": now_ms},
    )


def closed_windows(connection: sqlite3.Connection, period: Window) -> list[Window]:
    """Return the closed spans that overlap ``period``, whichever list closed them: ascending, merged, not cut to it."""
    rows = connection.execute(
        "SELECT from_ms, to_ms FROM closed_windows WHERE from_ms < ? AND to_ms > ? ORDER BY from_ms",
        (period.to_ms, period.from_ms),
    )
    return united(Window(*row) for row in rows)


def read_identity(connection: sqlite3.Connection) -> Identity:
    """Return what the ledger belongs to."""
    return Identity(*connection.execute("SELECT org_id, bucket, key_template FROM identity").fetchone())
