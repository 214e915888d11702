"""What the exit summary is made of: counts and failures of a scope."""

from __future__ import annotations

import sqlite3

from wxrec_async.ledger.protocol import Counts, Failure, Scope
from wxrec_async.ledger.rows import key
from wxrec_async.ledger.tasks import FEWER_THAN_WITNESSED, scope_parameters
from wxrec_async.model import RecordingState, TaskState

# SQLite leaves out an arm whose condition is constant and false before it reads a row.
_COUNT = f"""
WITH scope (n, state) AS (
    SELECT n, state FROM tasks WHERE :kind = 'period' AND place_ms >= :from_ms AND place_ms < :to_ms
    UNION ALL SELECT n, state FROM tasks WHERE :kind = 'everything'
    UNION ALL SELECT n, state FROM run_tasks CROSS JOIN tasks ON n = task WHERE :kind = 'named' AND run = :run
)
SELECT 'task', state, 0, count(*), 0 FROM scope GROUP BY state
UNION ALL
SELECT 'recording', recordings.state, recordings.run IS :counted AND recordings.already = 0, count(*),
    coalesce(sum(size), 0)
FROM scope CROSS JOIN recordings ON recordings.task = scope.n GROUP BY 2, 3
UNION ALL
SELECT 'incomplete', 'captured', 0, count(*), 0 FROM scope CROSS JOIN tasks ON tasks.n = scope.n
WHERE scope.state = 'captured' AND witness_recordings IS NOT NULL AND {FEWER_THAN_WITNESSED}
UNION ALL
SELECT 'unfinished', 'captured', 0, count(DISTINCT recordings.task), 0
FROM recordings CROSS JOIN tasks ON n = task
WHERE recordings.state IN ('listed', 'started', 'failed') AND recordings.state <> 'failed'
    AND CASE :kind WHEN 'period' THEN place_ms >= :from_ms AND place_ms < :to_ms
        WHEN 'named' THEN EXISTS (SELECT 1 FROM run_tasks WHERE run = :run AND task = n) ELSE 1 END
"""  # noqa: S608 - put together from constants
_FAILURES = """
SELECT id, recording, reason, detail FROM (
    SELECT n, id, '' AS recording, reason, '' AS detail FROM tasks
    WHERE state IN ('listed', 'owed', 'failed') AND state = 'failed'
        AND CASE :kind WHEN 'period' THEN place_ms >= :from_ms AND place_ms < :to_ms
            WHEN 'named' THEN EXISTS (SELECT 1 FROM run_tasks WHERE run = :run AND task = n) ELSE 1 END
    UNION ALL
    SELECT n, tasks.id, recordings.id, recordings.reason, detail
    FROM recordings CROSS JOIN tasks ON n = task
    WHERE recordings.state IN ('listed', 'started', 'failed') AND recordings.state = 'failed'
        AND CASE :kind WHEN 'period' THEN place_ms >= :from_ms AND place_ms < :to_ms
            WHEN 'named' THEN EXISTS (SELECT 1 FROM run_tasks WHERE run = :run AND task = n) ELSE 1 END
) ORDER BY n, recording LIMIT :limit
"""


def counts(connection: sqlite3.Connection, scope: Scope, run_id: str | None) -> Counts:
    """Count a scope; see `Counts` for what adds up to what."""
    found = None
    if run_id is not None:
        found = connection.execute("SELECT n FROM runs WHERE id = ?", (key(run_id),)).fetchone()
    counted = found[0] if found else -1  # no run has the row -1, NULL would match what no run stored
    rows = connection.execute(_COUNT, scope_parameters(connection, scope) | {"counted": counted}).fetchall()
    number = {(what, state, bool(mine)): count for what, state, mine, count, _ in rows}
    size = {bool(mine): total for what, state, mine, _, total in rows if (what, state) == ("recording", "stored")}
    return _add_up(number, size)


def _add_up(number: dict[tuple[str, str, bool], int], size: dict[bool, int]) -> Counts:
    def tasks(state: TaskState) -> int:
        return number.get(("task", state, False), 0)

    def recordings(state: RecordingState) -> int:
        return number.get(("recording", state, False), 0) + number.get(("recording", state, True), 0)

    unfinished = number.get(("unfinished", "captured", False), 0)
    stored = number.get(("recording", "stored", True), 0)
    return Counts(
        tasks_listed=sum(tasks(state) for state in TaskState),
        tasks_with_recordings=tasks(TaskState.CAPTURED) - unfinished,
        no_recording=tasks(TaskState.NO_RECORDING),
        owed=tasks(TaskState.OWED),
        failed_tasks=tasks(TaskState.FAILED),
        unfinished_tasks=tasks(TaskState.LISTED) + unfinished,
        stored=stored,
        already_stored=recordings(RecordingState.STORED) - stored,
        failed=recordings(RecordingState.FAILED),
        gone=recordings(RecordingState.GONE),
        unfinished_recordings=recordings(RecordingState.LISTED) + recordings(RecordingState.STARTED),
        bytes=size.get(True, 0),
        bytes_total=sum(size.values()),
        incomplete=number.get(("incomplete", "captured", False), 0),
    )


def failures(connection: sqlite3.Connection, scope: Scope, limit: int) -> list[Failure]:
    """Name failed tasks and recordings, in the order they were listed."""
    parameters = scope_parameters(connection, scope) | {"limit": limit}
    return [Failure(*row) for row in connection.execute(_FAILURES, parameters)]
