"""What the exit summary is made of: counts and failures of a scope."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence

from wxrec_async.ledger.records import Counts, Failure, Scope
from wxrec_async.ledger.rows import key, spelling
from wxrec_async.ledger.tasks import FEWER_THAN_WITNESSED, scope_parameters
from wxrec_async.model import Kind

# Nothing here may need a list of all tasks: what SQLite sorts or keeps for a query, it keeps in memory.  So states are
# counted as they are walked over, not grouped.  It leaves out an arm whose condition is constant and false before it
# reads a row.
_SCOPE = """
WITH scope (n, state) AS NOT MATERIALIZED (
    SELECT n, state FROM tasks WHERE :kind = 'period' AND place_ms >= :from_ms AND place_ms < :to_ms
    UNION ALL SELECT n, state FROM tasks WHERE :kind = 'everything'
    UNION ALL SELECT n, state FROM run_tasks CROSS JOIN tasks ON n = task WHERE :kind = 'named' AND run = :run
)
"""
_TASKS = f"""
{_SCOPE}
SELECT sum(state = 'listed'), sum(state = 'captured'), sum(state = 'no_recording'), sum(state = 'owed'),
    sum(state = 'failed')
FROM scope
"""  # noqa: S608 - a constant
_SUMS = """
    sum(recordings.state = 'stored'), sum(recordings.state = 'stored' AND mine), sum(recordings.state = 'failed'),
    sum(recordings.state = 'gone'), sum(recordings.state IN ('listed', 'started')),
    sum(size) FILTER (WHERE recordings.state = 'stored'), sum(size) FILTER (WHERE recordings.state = 'stored' AND mine)
"""
_OF_RECORDINGS = """
FROM scope CROSS JOIN (
    SELECT task, state, size, kind, run IS :counted AND already = 0 AS mine FROM recordings
) AS recordings ON recordings.task = scope.n
"""
_RECORDINGS = f"{_SCOPE} SELECT {_SUMS}, sum(kind <> 'audio') {_OF_RECORDINGS}"
_OF_KIND = f"{_SCOPE} SELECT {_SUMS} {_OF_RECORDINGS} WHERE kind = :of_kind"
# CROSS JOIN is SQLite's word for "in this order": statistics it has none, and the other way round
# it reads all rows.
_INCOMPLETE = f"""
{_SCOPE}
SELECT count(*) FROM scope CROSS JOIN tasks ON tasks.n = scope.n
WHERE scope.state = 'captured' AND witness_recordings IS NOT NULL AND {FEWER_THAN_WITNESSED}
"""  # noqa: S608 - constants
# The IN looks needless beside the second condition.  SQLite uses a partial index only where its own condition
# stands in the query as it is: so here and wherever one state of those not at rest is looked for.
_UNFINISHED = """
SELECT count(DISTINCT recordings.task)
FROM recordings CROSS JOIN tasks ON n = task
WHERE recordings.state IN ('listed', 'started', 'failed') AND recordings.state <> 'failed'
    AND tasks.state = 'captured' AND CASE :kind WHEN 'period' THEN place_ms >= :from_ms AND place_ms < :to_ms
        WHEN 'named' THEN EXISTS (SELECT 1 FROM run_tasks WHERE run = :run AND task = n) ELSE 1 END
"""
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


def count_scope(connection: sqlite3.Connection, scope: Scope, run_id: str | None) -> Counts:
    """Count what is in ``scope``; ``run_id`` says whose ``stored`` it is (None: nobody's)."""
    parameters = scope_parameters(connection, scope) | {"counted": _row_of_run(connection, run_id)}

    def numbers(query: str) -> list[int]:
        return [number or 0 for number in connection.execute(query, parameters).fetchone()]  # a sum of nothing is NULL

    (unfinished,), (incomplete,) = numbers(_UNFINISHED), numbers(_INCOMPLETE)
    listed, captured, no_recording, owed, failed_tasks = numbers(_TASKS)
    all_stored, stored, failed, gone, begun, bytes_total, bytes_stored, others = numbers(_RECORDINGS)
    return Counts(
        tasks_listed=listed + captured + no_recording + owed + failed_tasks,
        tasks_with_recordings=captured - unfinished,
        no_recording=no_recording,
        owed=owed,
        failed_tasks=failed_tasks,
        unfinished_tasks=listed + unfinished,
        stored=stored,
        already_stored=all_stored - stored,
        failed=failed,
        gone=gone,
        unfinished_recordings=begun,
        bytes=bytes_stored,
        bytes_total=bytes_total,
        incomplete=incomplete,
        by_kind=_by_kind(connection, parameters) if others else {},
    )


def _by_kind(connection: sqlite3.Connection, parameters: Mapping[str, object]) -> dict[str, dict[str, int]]:
    """Return the sums of the kinds besides audio of which there are any."""
    found = {}
    for kind in (Kind.TRANSCRIPT, Kind.SCREEN):
        sums = connection.execute(_OF_KIND, {**parameters, "of_kind": kind.value}).fetchone()
        if sums[0] is not None:
            found[kind.value] = _of_kind([number or 0 for number in sums])
    return found


def _of_kind(sums: Sequence[int]) -> dict[str, int]:
    """Return the numbers of one kind under the names that `Counts` has for all."""
    all_stored, stored, failed, gone, begun, bytes_total, bytes_stored = sums
    return {
        "recordings": all_stored + failed + gone,
        "stored": stored,
        "already_stored": all_stored - stored,
        "failed": failed,
        "gone": gone,
        "unfinished_recordings": begun,
        "bytes": bytes_stored,
        "bytes_total": bytes_total,
    }


_FLAGS = f"""
{_SCOPE}
SELECT flags FROM scope CROSS JOIN recordings ON recordings.task = scope.n
WHERE recordings.state = 'stored' AND flags <> '' AND (:run_id IS NULL OR run IS :counted)
"""  # noqa: S608 - a constant


def flag_counts(connection: sqlite3.Connection, scope: Scope, run_id: str | None = None) -> dict[str, int]:
    """Count what was odd about stored recordings, by flag; ``run_id`` counts those of one run only."""
    parameters = scope_parameters(connection, scope) | {"run_id": run_id, "counted": _row_of_run(connection, run_id)}
    counted: Counter[str] = Counter()
    for (flags,) in connection.execute(_FLAGS, parameters):
        counted.update(flags.split())
    return dict(sorted(counted.items()))


def _row_of_run(connection: sqlite3.Connection, run_id: str | None) -> int:
    found = None if run_id is None else connection.execute("SELECT n FROM runs WHERE id = ?", (key(run_id),)).fetchone()
    return found[0] if found else -1  # no run has the row -1, NULL would match what no run stored


def failures(connection: sqlite3.Connection, scope: Scope, *, limit: int = 1000) -> list[Failure]:
    """Name what failed in ``scope``, tasks and recordings, in the order it was listed."""
    parameters = scope_parameters(connection, scope) | {"limit": limit}
    return [Failure(spelling(task_id), *row) for task_id, *row in connection.execute(_FAILURES, parameters)]
