"""The table of tasks: listing, handing out, settling.

Plain functions on a connection, each run inside a transaction; those that
`store` makes methods of say here what a caller may expect.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from wxrec_async.errors import LedgerError
from wxrec_async.ledger.connection import LedgerConnection
from wxrec_async.ledger.records import (
    ALL_REASONS,
    AskedBefore,
    BacklogReason,
    BacklogTask,
    Everything,
    InPeriod,
    NamedFor,
    Scope,
)
from wxrec_async.ledger.rows import is_uuid, key, number, spelling, words
from wxrec_async.ledger.runs import run_row
from wxrec_async.ledger.task_columns import ASKED, COLUMNS, TASK, TASK_WIDTH, asked_of, kept_columns, task_of
from wxrec_async.model import DAY_MS, Task, TaskState, Window
from wxrec_async.rules.finality import tells_of_end
from wxrec_async.rules.schedule import next_try
from wxrec_async.rules.selection import NEVER_ENDED, STILL_OPEN

SETTLED = (TaskState.NO_RECORDING, TaskState.OWED, TaskState.FAILED)

_FIND = "SELECT n, state, handed_run, next_ask_ms FROM tasks WHERE id = ?"
_SPELT_OTHERWISE = "SELECT id FROM tasks WHERE id = ? COLLATE NOCASE AND id <> lower(id)"  # a partial index has these
_INSERT = f"""
INSERT INTO tasks ({", ".join(COLUMNS)}, source, first_seen_ms, place_ms, changed_ms)
VALUES ({", ".join(f":{name}" for name in COLUMNS)}, :source, :now_ms, :place_ms, :now_ms)
"""  # noqa: S608 - put together from constants
_LISTED = tuple(name for name in COLUMNS if name not in {"id", "updated_ms"})


def _changed(values: Sequence[str]) -> str:
    """Leave ``changed_ms`` when a listing says nothing new: a certified day does not change by being read again.

    A promise alone is no change, what becomes of it is: Search and the list of tasks may contradict each other for
    ever (`task_details.witnessed`).  Nor is a word that ledgers of before did not keep.
    """
    news = {name: value for name, value in zip(_LISTED, values, strict=True) if COLUMNS[name].news}
    said, known = ", ".join(news.values()), ", ".join(news)
    return f"changed_ms = CASE WHEN ({known}) IS ({said}) THEN changed_ms ELSE :now_ms END"


_THEIRS = tuple(f"coalesce(:{name}, {name})" for name in _LISTED)
_OURS = tuple(f"coalesce({name}, :{name})" for name in _LISTED)
# What Webex has touched since is worth a question now, and so is a call that went on and is over.  What was not known
# before is no news: a list may say more than the one the task came from.
_NEWS = """(:updated_ms > updated_ms OR :active <> active OR :ended_ms <> ended_ms
        OR (:status <> status AND lower(status) NOT IN ('ended', 'completed', 'abandoned'))
        OR (:ended_ms IS NOT NULL AND ended_ms IS NULL AND status IS NOT NULL))"""
# A task moves to its creation once that is known; the window in which it was listed only stands in for it.
# In an UPDATE every right-hand side sees the row as it was.
_REFRESH_NEWER = f"""
UPDATE tasks SET
    {", ".join(f"{name} = {value}" for name, value in zip(_LISTED, _THEIRS, strict=True))},
    updated_ms = coalesce(:updated_ms, updated_ms),
    state = CASE WHEN state = 'no_recording' AND :capture_requested = 1 AND capture_requested IS NOT 1 THEN 'listed'
        WHEN state = 'no_recording' AND coalesce(:capture_requested, capture_requested) IS NULL
            AND {_NEWS} THEN 'listed'
        ELSE state END,
    next_ask_ms = CASE WHEN {_NEWS} AND state <> 'listed' THEN :now_ms ELSE next_ask_ms END,
    source = CASE WHEN :source = 'tasks' THEN 'tasks' ELSE source END,
    place_ms = coalesce(:created_ms, created_ms, place_ms, :place_ms),
    {_changed(_THEIRS)}
WHERE id = :id AND (:ends OR updated_ms IS NULL OR :updated_ms >= updated_ms)
"""  # noqa: S608 - put together from constants
_REFRESH_OLDER = f"""
UPDATE tasks SET
    {", ".join(f"{name} = {value}" for name, value in zip(_LISTED, _OURS, strict=True))},
    place_ms = coalesce(created_ms, :created_ms, place_ms, :place_ms),
    {_changed(_OURS)}
WHERE id = :id
"""  # noqa: S608 - likewise
_HAS_OPEN = "SELECT EXISTS (SELECT 1 FROM recordings WHERE task = ? AND state IN ('listed', 'started', 'failed'))"
_HAS_UNFINISHED = "SELECT EXISTS (SELECT 1 FROM recordings WHERE task = ? AND state IN ('listed', 'started'))"
_HAS_ANY = "SELECT EXISTS (SELECT 1 FROM recordings WHERE task = ?)"

# Whether a call that goes on is over, the list says; captures is asked only when that has taken too long.
_NOT_WATCHED = f"""(reason <> '{STILL_OPEN}' OR :open_since_ms IS NULL OR place_ms IS NULL
                        OR place_ms < :open_since_ms)"""
# Before a run is begun ``:current`` is NULL, and then IS NOT alone would leave out what was never handed out.
# Both halves walk a partial index that holds only what is not at rest, in row
# order, so a page costs the same however much is done already.
_BACKLOG = f"""
WITH wanted (n) AS (
    SELECT n FROM (
        SELECT n FROM tasks
        WHERE state IN ('listed', 'owed', 'failed') AND n > :after
            AND ((state = 'listed' AND :listed)
                OR (state = 'failed' AND :failed AND (NOT :patient OR coalesce(next_ask_ms, 0) <= :now_ms))
                OR (state = 'owed' AND :owed AND (NOT :due_only OR coalesce(next_ask_ms, 0) <= :now_ms)
                    AND {_NOT_WATCHED}))
            AND (:again OR handed_run IS NULL OR handed_run IS NOT :current)
            AND CASE :kind WHEN 'period' THEN place_ms >= :from_ms AND place_ms < :to_ms
                WHEN 'named' THEN EXISTS (SELECT 1 FROM run_tasks WHERE run = :run AND task = n) ELSE 1 END
        ORDER BY n LIMIT :limit)
    UNION
    SELECT task FROM (
        SELECT DISTINCT recordings.task
        FROM recordings CROSS JOIN tasks ON tasks.n = recordings.task
        WHERE recordings.state IN ('listed', 'started', 'failed') AND recordings.task > :after
            AND ((recordings.state <> 'failed' AND :unfinished)
                OR (recordings.state = 'failed' AND :failed AND (NOT :patient OR coalesce(next_ask_ms, 0) <= :now_ms)))
            AND (:again OR handed_run IS NULL OR handed_run IS NOT :current)
            AND CASE :kind WHEN 'period' THEN place_ms >= :from_ms AND place_ms < :to_ms
                WHEN 'named' THEN EXISTS (SELECT 1 FROM run_tasks WHERE run = :run AND task = n) ELSE 1 END
        ORDER BY recordings.task LIMIT :limit)
)
SELECT tasks.n, {TASK}, {ASKED}
FROM wanted CROSS JOIN tasks ON tasks.n = wanted.n ORDER BY tasks.n LIMIT :limit
"""  # noqa: S608 - put together from constants
# Recordings that Search counts and captures has not named; segments, and what is no audio, are in no count.
FEWER_THAN_WITNESSED = """witness_recordings > (
    SELECT count(*) FROM recordings WHERE recordings.task = tasks.n AND recordings.segment = 0
        AND recordings.kind = 'audio'
) AND coalesce(witness_deleted, 0) = 0"""
_LATE = f"""
SELECT n, {TASK}, {ASKED}
FROM tasks INDEXED BY tasks_by_place
WHERE place_ms >= :from_ms AND place_ms < :to_ms AND state = 'captured' AND n > :after
    AND (next_ask_ms IS NOT NULL OR witness_recordings IS NOT NULL)
    AND (next_ask_ms <= :now_ms
        OR ((NOT :due_only OR next_ask_ms IS NULL) AND {FEWER_THAN_WITNESSED}))
    AND (handed_run IS NULL OR handed_run IS NOT :current)
    AND NOT EXISTS (SELECT 1 FROM recordings WHERE task = n AND state IN ('listed', 'started', 'failed'))
ORDER BY n LIMIT :limit
"""  # noqa: S608 - put together from constants
_FEWER = f"SELECT {FEWER_THAN_WITNESSED}, first_seen_ms FROM tasks WHERE n = ?"  # noqa: S608 - likewise
# By place: one walk along tasks_by_place over all pages together, with a look at the open recordings of each task
# that has any.
_OLDEST = f"""
SELECT place_ms, n, {TASK}, {ASKED}
FROM tasks
WHERE place_ms >= :place_ms AND place_ms < :to_ms AND (place_ms, n) > (:place_ms, :row)
    AND ((state = 'listed' AND :listed)
        OR (state = 'failed' AND :failed AND (NOT :patient OR coalesce(next_ask_ms, 0) <= :now_ms))
        OR (state = 'owed' AND :owed AND (NOT :due_only OR coalesce(next_ask_ms, 0) <= :now_ms) AND {_NOT_WATCHED})
        OR (state <> 'no_recording' AND EXISTS (
            SELECT 1 FROM recordings WHERE task = n AND state IN ('listed', 'started', 'failed')
                AND ((recordings.state <> 'failed' AND :unfinished)
                    OR (recordings.state = 'failed' AND :failed
                        AND (NOT :patient OR coalesce(next_ask_ms, 0) <= :now_ms))))))
    AND (handed_run IS NULL OR handed_run IS NOT :current)
ORDER BY place_ms, n LIMIT :limit
"""  # noqa: S608 - put together from constants
# Calls that go on are listed again, by the days they began on; the range of one day is small, however many there are.
_OPEN_SPANS = f"""
SELECT min(place_ms), max(place_ms) + 1 FROM tasks
WHERE state IN ('listed', 'owed', 'failed') AND reason IN ('{STILL_OPEN}', '{NEVER_ENDED}') AND place_ms IS NOT NULL
    AND (NOT :due_only OR coalesce(next_ask_ms, 0) <= :now_ms)
    AND CASE :kind WHEN 'period' THEN place_ms >= :from_ms AND place_ms < :to_ms
        WHEN 'named' THEN EXISTS (SELECT 1 FROM run_tasks WHERE run = :run AND task = n) ELSE 1 END
GROUP BY (place_ms - ((place_ms % {DAY_MS}) + {DAY_MS}) % {DAY_MS}) ORDER BY 1
"""  # noqa: S608 - likewise
_ONE = f"SELECT {TASK} FROM tasks WHERE id = ?"  # noqa: S608 - likewise
_SETTLE = """
UPDATE tasks SET state = :state, reason = :reason, evidence = :evidence, next_ask_ms = :next,
    changed_ms = CASE WHEN state = :state AND reason = :reason AND state <> 'failed' THEN changed_ms ELSE :now END
WHERE n = :n AND state <> 'captured'
"""
_ASKED = f"SELECT {ASKED}, coalesce(named, 0) FROM tasks WHERE id = ?"  # noqa: S608 - likewise
_ALL_TIME = (-(1 << 63), (1 << 63) - 1)


# Finding a row


def kept_id(connection: sqlite3.Connection, task_id: str) -> str:
    """Return the id as a row has it or would: a UUID in its lower-case form, unless an older ledger has capitals."""
    wanted = spelling(task_id)
    if is_uuid(wanted) and connection.execute("SELECT 1 FROM tasks WHERE id = ?", (wanted,)).fetchone() is None:
        found = connection.execute(_SPELT_OTHERWISE, (wanted,)).fetchone()
        return str(found[0]) if found else wanted
    return wanted


def row_of(connection: sqlite3.Connection, task_id: str) -> int:
    """Return a task's row number; LedgerError when it was never added."""
    query = "SELECT n FROM tasks WHERE id = ?"
    # One look in the common case; only a ledger of before may have the id in capitals.
    found = connection.execute(query, (spelling(task_id),)).fetchone()
    if found is None:
        found = connection.execute(query, (kept_id(connection, task_id),)).fetchone()
    if found is None:
        raise LedgerError(f"task {key(task_id)} is not in the ledger")
    return int(found[0])


def scope_parameters(connection: sqlite3.Connection, scope: Scope) -> dict[str, Any]:
    """Return what ``:kind``, ``:from_ms``, ``:to_ms`` and ``:run`` stand for in the queries."""
    match scope:
        case InPeriod(period):
            return {"kind": "period", "from_ms": period.from_ms, "to_ms": period.to_ms, "run": None}
        case NamedFor(run_id):
            # A run that nobody began named nothing: no row's run equals NULL.
            found = connection.execute("SELECT n FROM runs WHERE id = ?", (key(run_id),)).fetchone()
            return {"kind": "named", "from_ms": None, "to_ms": None, "run": found[0] if found else None}
        case Everything():
            return {"kind": "everything", "from_ms": None, "to_ms": None, "run": None}


# Listing


def add_tasks(  # noqa: PLR0913 - what a list says, and of what list it is
    connection: LedgerConnection,
    tasks: Sequence[Task],
    *,
    listed_in: Window | None,
    now_ms: int,
    named_for: str | None = None,
    patient: bool = False,
    source: str = "",
) -> list[Task]:
    """Add or refresh tasks, and return those to work on, each once, in order.

    ``source`` is where they were listed: ``tasks``, ``search`` or ``file``;
    when it is not said, ``file`` for what is named without a window.
    ``named_for`` puts them into the scope ``NamedFor`` of that run.

    A null never overwrites a value, and an attribute of a row with an older
    ``updated_ms`` never overwrites one of a newer row, unless it tells of an
    end that was not known.  Left out of the
    answer: tasks that are final, owed tasks whose ``next_ask_ms`` is still to
    come, and tasks this run was handed before, here or by `backlog`.  A task
    that had ``no_recording`` is taken up again when Webex now says
    ``capture_requested`` and did not before, and any task is due when its
    ``updated_ms`` grew, or its status, ``active`` or end is another one.
    ``patient`` leaves out what failed and is not due.
    """
    listing = TaskListing(
        current=connection.current_run,
        named=None if named_for is None else run_row(connection, named_for),
        window=listed_in,
        now_ms=now_ms,
        patient=patient,
        source=source or ("file" if listed_in is None and named_for is not None else "tasks"),
    )
    return listing.add(connection, tasks)


class TaskListing:
    """Adds the tasks of one answer, and tells which of them to work on.

    ``current`` is the row of the run that is under way, None when there is none.
    """

    def __init__(
        self,
        *,
        current: int | None,
        named: int | None,
        window: Window | None,
        now_ms: int,
        patient: bool = False,
        source: str = "tasks",
    ) -> None:
        self._current = current
        self._patient = patient
        self._named = named
        self._window = window
        self._now_ms = now_ms
        self._source = source

    def add(self, connection: LedgerConnection, tasks: Sequence[Task]) -> list[Task]:
        """Add or refresh ``tasks`` in order; return those to work on, each once."""
        chosen: dict[str, Task] = {}
        for task in tasks:
            # The same task again in one answer: its later row.
            kept = kept_id(connection, task.id)
            if self._add_one(connection, kept, self._columns(connection, task) | {"id": kept}) or kept in chosen:
                chosen[kept] = _completed(connection, kept, task)
        return list(chosen.values())

    def _columns(self, connection: LedgerConnection, task: Task) -> dict[str, Any]:
        return kept_columns(task, connection.mask, connection.hashed)

    def _add_one(self, connection: sqlite3.Connection, kept: str, columns: dict[str, Any]) -> bool:
        self._write(connection, columns)
        n, state, handed, next_ask = connection.execute(_FIND, (kept,)).fetchone()
        # Before it is said whether there is work: what is named belongs to the run's sums in any case.
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
        columns |= {"now_ms": self._now_ms, "place_ms": place, "source": self._source}
        if connection.execute("SELECT 1 FROM tasks WHERE id = :id", columns).fetchone() is None:
            connection.execute(_INSERT, columns)
        # Whether the row is newer its WHERE says: when nothing was changed, ours is the older one
        # and only fills gaps, unless it tells of the end.
        elif not connection.execute(_REFRESH_NEWER, columns | {"ends": False}).rowcount:
            known = task_of(connection.execute(_ONE, (columns["id"],)).fetchone())
            ends = tells_of_end(known, task_of([columns[name] for name in COLUMNS]))
            connection.execute(_REFRESH_NEWER if ends else _REFRESH_OLDER, columns | {"ends": ends})

    def _is_taken(self, handed: int | None) -> bool:
        return self._current is not None and handed == self._current

    def _rests(self, connection: sqlite3.Connection, n: int, state: str, next_ask: int | None) -> bool:
        early = next_ask is not None and next_ask > self._now_ms
        if state == TaskState.CAPTURED:
            # Patience is for what failed; what was found or begun is taken up by every run.
            query = _HAS_UNFINISHED if self._patient and early else _HAS_OPEN
            return not connection.execute(query, (n,)).fetchone()[0]
        if state == TaskState.OWED or (state == TaskState.FAILED and self._patient):
            return early
        return state == TaskState.NO_RECORDING


def _completed(connection: sqlite3.Connection, kept_as: str, task: Task) -> Task:
    """Return the task with what the ledger knew of it before: a bare id must not make Webex forget a promise."""
    kept = task_of(connection.execute(_ONE, (kept_as,)).fetchone())
    # Numbers as the list has them now: those that are kept may be masked.
    return replace(
        kept, id=task.id, origin=task.origin or kept.origin, destination=task.destination or kept.destination
    )


# Handing out


def name(connection: sqlite3.Connection, run: int, task: int) -> None:
    """Put a task into a run's scope."""
    connection.execute("INSERT OR IGNORE INTO run_tasks (run, task) VALUES (?, ?)", (run, task))


def hand_out(connection: sqlite3.Connection, n: int, run: int | None) -> None:
    """Remember that this run was handed the task."""
    if run is not None:
        connection.execute("UPDATE tasks SET handed_run = ? WHERE n = ?", (run, n))


def backlog(  # noqa: PLR0913 - what to take up has this many sides
    connection: LedgerConnection,
    scope: Scope,
    *,
    now_ms: int,
    after: int = 0,
    limit: int = 500,
    only: Collection[BacklogReason] = ALL_REASONS,
    due_only: bool = True,
    again: bool = False,
    patient: bool = False,
    open_since_ms: int | None = None,
) -> list[BacklogTask]:
    """Return up to ``limit`` tasks with work left, by ascending ``row``, beginning behind ``after``.

    ``due_only`` leaves out owed tasks whose ``next_ask_ms`` is still to come,
    ``patient`` what failed likewise.  Calls that go on (``still_open``) are left
    out when they were placed at ``open_since_ms`` or later; see `open_spans`.
    Tasks this run was handed before are left out unless ``again``.  An empty
    list is the end.
    """
    options = {"now_ms": now_ms, "after": after, "limit": limit, "open_since_ms": open_since_ms}
    options |= {"due_only": due_only, "again": again, "patient": patient, "current": connection.current_run}
    parameters = scope_parameters(connection, scope) | _wanted(only) | options
    return _handed_out(connection, connection.execute(_BACKLOG, parameters).fetchall())


def _wanted(only: Collection[BacklogReason]) -> dict[str, Any]:
    return {str(work): work in only for work in BacklogReason}


def late(
    connection: LedgerConnection,
    placed_in: Window,
    *,
    now_ms: int,
    after: int = 0,
    limit: int = 500,
    due_only: bool = True,
) -> list[BacklogTask]:
    """Return tasks at rest that deserve a second look, as `backlog` does.

    Those are tasks with recordings whose ``next_ask_ms`` has come, or of which
    Search counts more recordings than came (without ``due_only``: at once).
    """
    options = {"now_ms": now_ms, "after": after, "limit": limit, "due_only": due_only}
    options |= {"from_ms": placed_in.from_ms, "to_ms": placed_in.to_ms}
    rows = connection.execute(_LATE, options | {"current": connection.current_run}).fetchall()
    return _handed_out(connection, rows)


def _handed_out(connection: LedgerConnection, rows: list[Any]) -> list[BacklogTask]:
    return [_hand_out(connection, row, None) for row in rows]


def _hand_out(connection: LedgerConnection, row: Sequence[Any], place_ms: int | None) -> BacklogTask:
    """What is worked on is spelled as Webex spells it today, also where an older ledger has capitals."""
    n, columns = row[0], row[1:]
    hand_out(connection, n, connection.current_run)
    task = task_of(columns[:TASK_WIDTH])
    return BacklogTask(n, replace(task, id=spelling(task.id)), asked_of(columns[TASK_WIDTH:]), place_ms)


def open_spans(connection: sqlite3.Connection, scope: Scope, *, now_ms: int, due_only: bool = True) -> list[Window]:
    """Return when calls that go on were created, as one window for each UTC day, ascending.

    They are listed again to learn whether they are over; ``due_only`` leaves
    out those whose ``next_ask_ms`` is still to come.
    """
    options = {"now_ms": now_ms, "due_only": due_only}
    rows = connection.execute(_OPEN_SPANS, scope_parameters(connection, scope) | options)
    return [Window(*row) for row in rows]


def oldest_work(  # noqa: PLR0913 - what to take up has this many sides
    connection: LedgerConnection,
    scope: Everything | InPeriod,
    *,
    now_ms: int,
    after: BacklogTask | None = None,
    limit: int = 500,
    only: Collection[BacklogReason] = ALL_REASONS,
    due_only: bool = True,
    patient: bool = False,
    open_since_ms: int | None = None,
) -> list[BacklogTask]:
    """As `backlog`, but by ascending place, so that what would be purged first comes first.

    A task without a place is in no answer; it is left to `backlog`.
    """
    first, end = (scope.period.from_ms, scope.period.to_ms) if isinstance(scope, InPeriod) else _ALL_TIME
    options = {
        "place_ms": first if after is None or after.place_ms is None else after.place_ms,
        "row": after.row if after else 0,
        "to_ms": end,
    }
    options |= {"now_ms": now_ms, "limit": limit, "due_only": due_only, "patient": patient}
    parameters = _wanted(only) | options | {"open_since_ms": open_since_ms, "current": connection.current_run}
    rows = connection.execute(_OLDEST, parameters).fetchall()
    return [_hand_out(connection, row, place_ms) for place_ms, *row in rows]


# What captures answered


def asked(connection: sqlite3.Connection, task_ids: Sequence[str]) -> dict[str, AskedBefore]:
    """Return what is known of each task; unknown ones are left out."""
    found = ((task_id, connection.execute(_ASKED, (kept_id(connection, task_id),)).fetchone()) for task_id in task_ids)
    return {task_id: asked_of(row) for task_id, row in found if row is not None}


def settle_task(  # noqa: PLR0913 - the facts of an answer
    connection: sqlite3.Connection,
    task_id: str,
    state: TaskState,
    reason: str = "",
    *,
    now_ms: int,
    empty_answer: bool,
    next_ask_ms: int | None = None,
    evidence: str = "",
    named: int = 0,
) -> TaskState:
    """Note what became of a task without recordings, and return the state in force.

    ``named`` are recordings that were named and may not be fetched yet.

    ``state`` is NO_RECORDING, OWED or FAILED, else ValueError; what failed is
    due again after a while, unless ``next_ask_ms`` says when; ``evidence`` is
    what the state rests on, a stable word.  A task known
    to have recordings stays CAPTURED; only its answers are counted.
    """
    if state not in SETTLED:
        raise ValueError(f"a task does not settle as {state}")
    n = row_of(connection, task_id)
    note_named(connection, n, named)
    if empty_answer:
        _count_empty(connection, n, now_ms)
    if (empty_answer or state == TaskState.NO_RECORDING) and connection.execute(_HAS_ANY, (n,)).fetchone()[0]:
        # Known from the bucket, asked for the first time: whatever Webex has now, it had a recording.
        state, reason, next_ask_ms, evidence = TaskState.CAPTURED, "", None, ""
    if state == TaskState.NO_RECORDING and _named(connection, n):
        # An answer named a recording once: no row, and no silence, takes that back.
        state, reason, next_ask_ms, evidence = TaskState.OWED, "capture_awaited", None, ""
    if state == TaskState.FAILED and next_ask_ms is None:
        next_ask_ms = next_try(_first_seen(connection, n), now_ms)
    said = {"state": state.value, "reason": words(reason), "evidence": words(evidence)}
    connection.execute(_SETTLE, said | {"next": number(next_ask_ms), "now": now_ms, "n": n})
    if empty_answer:
        # Of what stayed CAPTURED this was the second look.
        looked_again(connection, n, None, now_ms)
    return TaskState(connection.execute("SELECT state FROM tasks WHERE n = ?", (n,)).fetchone()[0])


def _count_empty(connection: sqlite3.Connection, n: int, now_ms: int) -> None:
    connection.execute(
        """UPDATE tasks SET empty_answers = empty_answers + 1, first_empty_ms = coalesce(first_empty_ms, :now),
           last_empty_ms = :now WHERE n = :n""",
        {"now": now_ms, "n": n},
    )


def note_named(connection: sqlite3.Connection, n: int, count: int) -> None:
    """Remember the most recordings that one answer named: a later one that names fewer takes nothing back."""
    connection.execute("UPDATE tasks SET named = ? WHERE n = ? AND coalesce(named, 0) < ?", (count, n, count))


def _named(connection: sqlite3.Connection, n: int) -> int:
    return int(connection.execute("SELECT coalesce(named, 0) FROM tasks WHERE n = ?", (n,)).fetchone()[0])


def looked_again(connection: sqlite3.Connection, n: int, next_ask_ms: int | None, now_ms: int) -> None:
    """Note of a task that has recordings when the next look is due; as long as some are missing, one is."""
    fewer, first_seen = connection.execute(_FEWER, (n,)).fetchone()
    # Search counts more than came: then there is always a next look, however the last one ended.
    if fewer:
        next_ask_ms = next_try(first_seen, now_ms)
    connection.execute("UPDATE tasks SET next_ask_ms = ? WHERE n = ? AND state = 'captured'", (number(next_ask_ms), n))


def try_again(connection: sqlite3.Connection, n: int, first_ms: int, now_ms: int) -> None:
    """Note when a task of which a recording failed is worth another try."""
    connection.execute("UPDATE tasks SET next_ask_ms = ? WHERE n = ?", (next_try(first_ms, now_ms), n))


def _first_seen(connection: sqlite3.Connection, n: int) -> int:
    return int(connection.execute("SELECT first_seen_ms FROM tasks WHERE n = ?", (n,)).fetchone()[0])
