"""How far the ledger is behind the organisation, on a connection.

Every query walks an index that holds only what is not at rest, or stops at its
first row, so that `status` costs the same however much is done already.
"""

from __future__ import annotations

import sqlite3

from wxrec_async.ledger.records import CatchUp, Incomplete, Scope
from wxrec_async.ledger.rows import read_summary
from wxrec_async.ledger.tasks import FEWER_THAN_WITNESSED, scope_parameters

# See `counts._UNFINISHED` for the IN beside the state.
_OPEN = """
SELECT min(place_ms) FROM (
    SELECT min(place_ms) AS place_ms FROM tasks WHERE state IN ('listed', 'owed', 'failed') AND state <> 'failed'
    UNION ALL
    SELECT min(place_ms) FROM recordings CROSS JOIN tasks ON tasks.n = recordings.task
    WHERE recordings.state IN ('listed', 'started', 'failed') AND recordings.state <> 'failed'
)
"""
_OWED = """
SELECT min(place_ms), min(next_ask_ms) FROM tasks WHERE state IN ('listed', 'owed', 'failed') AND state = 'owed'
"""
# As json.dumps writes it: only the rounds of a follower have it, and no other summary is parsed.
_FOLLOWED = """
SELECT summary FROM runs WHERE ended_ms IS NOT NULL AND summary LIKE '%"follow": {%' ORDER BY n DESC LIMIT 1
"""
_INCOMPLETE = f"""
SELECT id, witness_recordings, (SELECT count(*) FROM recordings WHERE task = n AND segment = 0
    AND recordings.kind = 'audio') FROM tasks
WHERE state = 'captured' AND witness_recordings IS NOT NULL AND {FEWER_THAN_WITNESSED}
    AND CASE :kind WHEN 'period' THEN place_ms >= :from_ms AND place_ms < :to_ms
        WHEN 'named' THEN EXISTS (SELECT 1 FROM run_tasks WHERE run = :run AND task = n) ELSE 1 END
ORDER BY n LIMIT :limit
"""  # noqa: S608 - put together from constants


def catch_up(connection: sqlite3.Connection) -> CatchUp:
    """Say how far behind the ledger is: up to when everything listed has come to rest, and what comes next."""
    (listed_to,) = connection.execute("SELECT max(to_ms) FROM closed_windows").fetchone()
    (oldest_open,) = connection.execute(_OPEN).fetchone()
    oldest_owed, next_ask = connection.execute(_OWED).fetchone()
    known = [moment for moment in (listed_to, oldest_open) if moment is not None]
    # Where nothing was listed to its end, nothing is known to be all there, however old the oldest open task is.
    caught_up = min(known) if listed_to is not None else None
    return CatchUp(listed_to, caught_up, oldest_owed, next_ask, _followed(connection))


def _followed(connection: sqlite3.Connection) -> dict[str, object] | None:
    found = connection.execute(_FOLLOWED).fetchone()
    told = read_summary(found[0]).get("follow") if found else None
    return told if isinstance(told, dict) else None


def incomplete(connection: sqlite3.Connection, scope: Scope, *, limit: int = 1000) -> list[Incomplete]:
    """Name the tasks of which Search counts more recordings than came, in the order they were listed."""
    parameters = scope_parameters(connection, scope) | {"limit": limit}
    return [Incomplete(*row) for row in connection.execute(_INCOMPLETE, parameters)]
