"""Tasks on a connection: listing, handing out, settling.  Plain functions, each run inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from wxrec_async.errors import LedgerError
from wxrec_async.ledger.protocol import AskedBefore, BacklogTask, Everything, InPeriod, NamedFor, Scope, Work
from wxrec_async.ledger.rows import Mask, asked_of, key, number, task_columns, task_of, words
from wxrec_async.model import Task, TaskState, Window

SETTLED = (TaskState.NO_RECORDING, TaskState.OWED, TaskState.FAILED)

_FIND = "SELECT n, state, handed_run, next_ask_ms FROM tasks WHERE id = ?"
_INSERT = """
INSERT INTO tasks (
    id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms, queue_id, queue_name,
    agent_id, agent_name, duration_ms, capture_requested, first_seen_ms, place_ms, changed_ms)
VALUES (
    :id, :channel_type, :status, :direction, :origin, :destination, :created_ms, :ended_ms, :updated_ms, :queue_id,
    :queue_name, :agent_id, :agent_name, :duration_ms, :capture_requested, :now_ms, :place_ms, :now_ms)
"""
# In an UPDATE every right-hand side sees the row as it was.
_REFRESH_NEWER = """
UPDATE tasks SET
    channel_type = coalesce(:channel_type, channel_type), status = coalesce(:status, status),
    direction = coalesce(:direction, direction), origin = coalesce(:origin, origin),
    destination = coalesce(:destination, destination), created_ms = coalesce(:created_ms, created_ms),
    ended_ms = coalesce(:ended_ms, ended_ms), updated_ms = coalesce(:updated_ms, updated_ms),
    queue_id = coalesce(:queue_id, queue_id), queue_name = coalesce(:queue_name, queue_name),
    agent_id = coalesce(:agent_id, agent_id), agent_name = coalesce(:agent_name, agent_name),
    duration_ms = coalesce(:duration_ms, duration_ms),
    state = CASE WHEN state = 'no_recording' AND :capture_requested = 1 AND capture_requested IS NOT 1
        THEN 'listed' ELSE state END,
    capture_requested = coalesce(:capture_requested, capture_requested),
    place_ms = coalesce(:created_ms, created_ms, place_ms, :place_ms), changed_ms = :now_ms
WHERE id = :id AND (updated_ms IS NULL OR :updated_ms >= updated_ms)
"""
_REFRESH_OLDER = """
UPDATE tasks SET
    channel_type = coalesce(channel_type, :channel_type), status = coalesce(status, :status),
    direction = coalesce(direction, :direction), origin = coalesce(origin, :origin),
    destination = coalesce(destination, :destination), created_ms = coalesce(created_ms, :created_ms),
    ended_ms = coalesce(ended_ms, :ended_ms), queue_id = coalesce(queue_id, :queue_id),
    queue_name = coalesce(queue_name, :queue_name), agent_id = coalesce(agent_id, :agent_id),
    agent_name = coalesce(agent_name, :agent_name), duration_ms = coalesce(duration_ms, :duration_ms),
    capture_requested = coalesce(capture_requested, :capture_requested),
    place_ms = coalesce(created_ms, :created_ms, place_ms, :place_ms), changed_ms = :now_ms
WHERE id = :id
"""
_HAS_OPEN = "SELECT EXISTS (SELECT 1 FROM recordings WHERE task = ? AND state IN ('listed', 'started', 'failed'))"
_HAS_ANY = "SELECT EXISTS (SELECT 1 FROM recordings WHERE task = ?)"

# Both halves walk a partial index that holds only what is not at rest, in row
# order, so a page costs the same however much is done already.
_BACKLOG = """
WITH wanted (n) AS (
    SELECT n FROM (
        SELECT n FROM tasks
        WHERE state IN ('listed', 'owed', 'failed') AND n > :after
            AND ((state = 'listed' AND :listed) OR (state = 'failed' AND :failed)
                OR (state = 'owed' AND :owed AND (NOT :due_only OR coalesce(next_ask_ms, 0) <= :now_ms)))
            AND (:again OR handed_run IS NULL OR handed_run IS NOT :current)
            AND CASE :kind WHEN 'period' THEN place_ms >= :from_ms AND place_ms < :to_ms
                WHEN 'named' THEN EXISTS (SELECT 1 FROM run_tasks WHERE run = :run AND task = n) ELSE 1 END
        ORDER BY n LIMIT :limit)
    UNION
    SELECT task FROM (
        SELECT DISTINCT recordings.task
        FROM recordings CROSS JOIN tasks ON tasks.n = recordings.task
        WHERE recordings.state IN ('listed', 'started', 'failed') AND recordings.task > :after
            AND ((recordings.state = 'failed' AND :failed) OR (recordings.state <> 'failed' AND :unfinished))
            AND (:again OR handed_run IS NULL OR handed_run IS NOT :current)
            AND CASE :kind WHEN 'period' THEN place_ms >= :from_ms AND place_ms < :to_ms
                WHEN 'named' THEN EXISTS (SELECT 1 FROM run_tasks WHERE run = :run AND task = n) ELSE 1 END
        ORDER BY recordings.task LIMIT :limit)
)
SELECT tasks.n, id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms, queue_id,
    queue_name, agent_id, agent_name, duration_ms, capture_requested,
    state, first_seen_ms, empty_answers, first_empty_ms, last_empty_ms, next_ask_ms
FROM wanted CROSS JOIN tasks ON tasks.n = wanted.n ORDER BY tasks.n LIMIT :limit
"""
# By place: one walk along tasks_by_place over all pages together, with a look at the open recordings of each task
# that has any.
_OLDEST = """
SELECT place_ms, tasks.n, id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms,
    queue_id, queue_name, agent_id, agent_name, duration_ms, capture_requested,
    state, first_seen_ms, empty_answers, first_empty_ms, last_empty_ms, next_ask_ms
FROM tasks
WHERE place_ms >= :place_ms AND place_ms < :to_ms AND (place_ms, n) > (:place_ms, :row)
    AND ((state = 'listed' AND :listed) OR (state = 'failed' AND :failed)
        OR (state = 'owed' AND :owed AND (NOT :due_only OR coalesce(next_ask_ms, 0) <= :now_ms))
        OR (state <> 'no_recording' AND EXISTS (
            SELECT 1 FROM recordings WHERE task = n AND state IN ('listed', 'started', 'failed')
                AND ((recordings.state = 'failed' AND :failed) OR (recordings.state <> 'failed' AND :unfinished)))))
    AND (handed_run IS NULL OR handed_run IS NOT :current)
ORDER BY place_ms, n LIMIT :limit
"""
_ONE = """
SELECT id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms, queue_id,
    queue_name, agent_id, agent_name, duration_ms, capture_requested
FROM tasks WHERE id = ?
"""
_TASK_WIDTH = 15  # the columns of a Task, after n


def row_of(connection: sqlite3.Connection, task_id: str) -> int:
    """Return a task's row number; LedgerError when it was never added."""
    found = connection.execute("SELECT n FROM tasks WHERE id = ?", (key(task_id),)).fetchone()
    if found is None:
        raise LedgerError(f"task {key(task_id)} is not in the ledger")
    return int(found[0])


def scope_parameters(connection: sqlite3.Connection, scope: Scope) -> dict[str, Any]:
    """Return what ``:kind``, ``:from_ms``, ``:to_ms`` and ``:run`` stand for in the queries."""
    match scope:
        case InPeriod(period):
            return {"kind": "period", "from_ms": period.from_ms, "to_ms": period.to_ms, "run": None}
        case NamedFor(run_id):
            found = connection.execute("SELECT n FROM runs WHERE id = ?", (key(run_id),)).fetchone()
            return {"kind": "named", "from_ms": None, "to_ms": None, "run": found[0] if found else None}
        case Everything():
            return {"kind": "everything", "from_ms": None, "to_ms": None, "run": None}


class Listing:
    """Adds the tasks of one answer, and tells which of them to work on.

    ``current`` is the row of the run that is under way, None when there is none.
    """

    def __init__(self, *, current: int | None, named: int | None, window: Window | None, now_ms: int) -> None:
        self._current = current
        self._named = named
        self._window = window
        self._now_ms = now_ms

    def add(self, connection: sqlite3.Connection, tasks: Sequence[Task], mask: Mask) -> list[Task]:
        """Add or refresh ``tasks`` in order; return those to work on, each once."""
        chosen: dict[str, Task] = {}
        for task in tasks:
            # The same task again in one answer: its later row.
            if self._add_one(connection, task, mask) or task.id in chosen:
                chosen[task.id] = _completed(connection, task)
        return list(chosen.values())

    def _add_one(self, connection: sqlite3.Connection, task: Task, mask: Mask) -> bool:
        self._write(connection, task_columns(task, mask))
        n, state, handed, next_ask = connection.execute(_FIND, (key(task.id),)).fetchone()
        if self._named is not None:
            name(connection, self._named, n)
        if self._is_taken(handed) or self._rests(connection, n, state, next_ask):
            return False
        hand_out(connection, n, self._current)
        return True

    def _write(self, connection: sqlite3.Connection, columns: dict[str, Any]) -> None:
        place = columns["created_ms"]
        if place is None and self._window is not None:
            place = self._window.from_ms
        columns |= {"now_ms": self._now_ms, "place_ms": place}
        if connection.execute("SELECT 1 FROM tasks WHERE id = :id", columns).fetchone() is None:
            connection.execute(_INSERT, columns)
        elif not connection.execute(_REFRESH_NEWER, columns).rowcount:
            connection.execute(_REFRESH_OLDER, columns)

    def _is_taken(self, handed: int | None) -> bool:
        return self._current is not None and handed == self._current

    def _rests(self, connection: sqlite3.Connection, n: int, state: str, next_ask: int | None) -> bool:
        if state == TaskState.CAPTURED:
            return not connection.execute(_HAS_OPEN, (n,)).fetchone()[0]
        if state == TaskState.OWED:
            return next_ask is not None and next_ask > self._now_ms
        return state == TaskState.NO_RECORDING


def _completed(connection: sqlite3.Connection, task: Task) -> Task:
    """Return the task with what the ledger knew of it before: a bare id must not make Webex forget a promise."""
    row = connection.execute(_ONE, (key(task.id),)).fetchone()
    kept = task_of(row)
    return replace(
        kept, id=task.id, origin=task.origin or kept.origin, destination=task.destination or kept.destination
    )


def name(connection: sqlite3.Connection, run: int, task: int) -> None:
    """Put a task into a run's scope."""
    connection.execute("INSERT OR IGNORE INTO run_tasks (run, task) VALUES (?, ?)", (run, task))


def hand_out(connection: sqlite3.Connection, n: int, run: int | None) -> None:
    """Remember that this run was handed the task."""
    if run is not None:
        connection.execute("UPDATE tasks SET handed_run = ? WHERE n = ?", (run, n))


def backlog(
    connection: sqlite3.Connection, scope: Scope, only: Collection[Work], current: int | None, options: dict[str, int]
) -> list[BacklogTask]:
    """Page through what is left to do and hand it out; ``options``: now_ms, after, limit, due_only, again."""
    wanted = {str(work): work in only for work in Work}
    parameters = scope_parameters(connection, scope) | wanted | options | {"current": current}
    found = []
    for row in connection.execute(_BACKLOG, parameters).fetchall():
        n, columns = row[0], row[1:]
        hand_out(connection, n, current)
        found.append(BacklogTask(n, task_of(columns[:_TASK_WIDTH]), asked_of(columns[_TASK_WIDTH:])))
    return found


def oldest_work(
    connection: sqlite3.Connection,
    to_ms: int,
    only: Collection[Work],
    current: int | None,
    options: dict[str, int],
) -> list[BacklogTask]:
    """Page through what is left to do by place and hand it out; ``options``: now_ms, place_ms, row, limit, due_only."""
    wanted = {str(work): work in only for work in Work}
    parameters = wanted | options | {"to_ms": to_ms, "current": current}
    found = []
    for place_ms, n, *columns in connection.execute(_OLDEST, parameters).fetchall():
        hand_out(connection, n, current)
        found.append(BacklogTask(n, task_of(columns[:_TASK_WIDTH]), asked_of(columns[_TASK_WIDTH:]), place_ms))
    return found


def asked(connection: sqlite3.Connection, task_ids: Sequence[str]) -> dict[str, AskedBefore]:
    """Return what earlier answers brought, for the tasks that are known."""
    query = """
        SELECT state, first_seen_ms, empty_answers, first_empty_ms, last_empty_ms, next_ask_ms FROM tasks WHERE id = ?
    """
    found = ((task_id, connection.execute(query, (key(task_id),)).fetchone()) for task_id in task_ids)
    return {task_id: asked_of(row) for task_id, row in found if row is not None}


def settle(  # noqa: PLR0913 - the facts of an answer
    connection: sqlite3.Connection,
    task_id: str,
    state: TaskState,
    reason: str,
    now_ms: int,
    *,
    empty_answer: bool,
    next_ask_ms: int | None,
) -> TaskState:
    """Note an answer without recordings; a task that has recordings keeps its state."""
    n = row_of(connection, task_id)
    if empty_answer:
        connection.execute(
            """UPDATE tasks SET empty_answers = empty_answers + 1, first_empty_ms = coalesce(first_empty_ms, :now),
               last_empty_ms = :now WHERE n = :n""",
            {"now": now_ms, "n": n},
        )
    if (empty_answer or state == TaskState.NO_RECORDING) and connection.execute(_HAS_ANY, (n,)).fetchone()[0]:
        # Known from the bucket, asked for the first time: whatever Webex has now, it had a recording.
        state, reason, next_ask_ms = TaskState.CAPTURED, "", None
    connection.execute(
        """UPDATE tasks SET state = ?, reason = ?, next_ask_ms = ?, changed_ms = ?
           WHERE n = ? AND state <> 'captured'""",
        (state.value, words(reason), number(next_ask_ms), now_ms, n),
    )
    return TaskState(connection.execute("SELECT state FROM tasks WHERE n = ?", (n,)).fetchone()[0])
