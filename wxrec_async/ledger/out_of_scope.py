"""What was seen and left where it is.  Plain functions on a connection, each run inside a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence

from wxrec_async.ledger.records import Scope
from wxrec_async.ledger.rows import key
from wxrec_async.ledger.tasks import row_of, scope_parameters
from wxrec_async.model import DAY_MS, LeftAlone, Window
from wxrec_async.rules.artefacts import LEFT_BEHIND

KIND_CHARS = 40
_COUNT = """
SELECT kind, count(*) FROM left_alone
WHERE :kind <> 'named' AND (:kind <> 'period' OR (place_ms >= :from_ms AND place_ms < :to_ms)) GROUP BY kind
"""


# A task is due again of which something was left that is wanted now; `left_id` has its id before its last signs.
_LEFT_OF = f"""
n IN (SELECT n FROM tasks WHERE id IN (
    SELECT substr(id, 1, length(id) - {LEFT_BEHIND}) FROM left_alone
    WHERE substr(id, -{LEFT_BEHIND}, 1) = '#' AND kind IN (SELECT value FROM json_each(:kinds))))
"""  # noqa: S608 - a constant
# Since it was seen first, not since now: by the servers' time, heard of later in the run, that may be ahead yet.
_LOOK_AGAIN = f"""
UPDATE tasks SET next_ask_ms = first_seen_ms WHERE state = 'captured' AND {_LEFT_OF}
"""  # noqa: S608 - likewise
# Of these nothing was known but their rows, which speak of recordings alone, or an answer that had no audio.
_ASK = f"""
UPDATE tasks SET state = 'listed', reason = '', evidence = '', changed_ms = :now
WHERE state = 'no_recording' AND ({_LEFT_OF}
    OR (:row_speaks = 0 AND reason = 'capture_not_requested' AND evidence <> 'empty_entry'))
"""  # noqa: S608 - likewise
_TAKEN = f"""
DELETE FROM left_alone
WHERE substr(id, -{LEFT_BEHIND}, 1) = '#' AND kind IN (SELECT value FROM json_each(:kinds))
"""  # noqa: S608 - likewise
_KNOWN = """
DELETE FROM left_alone
WHERE kind IN (SELECT value FROM json_each(:channels)) AND EXISTS (SELECT 1 FROM tasks WHERE tasks.id = left_alone.id)
"""
_SPANS = f"""
SELECT min(place_ms), max(place_ms) + 1 FROM left_alone
WHERE kind IN (SELECT value FROM json_each(:channels)) AND place_ms >= :from_ms AND place_ms < :to_ms
GROUP BY (place_ms - ((place_ms % {DAY_MS}) + {DAY_MS}) % {DAY_MS}) ORDER BY 1
"""  # noqa: S608 - likewise


def want(connection: sqlite3.Connection, kinds: Sequence[str], channels: Sequence[str], now_ms: int) -> None:
    """Make work of what was left alone and is wanted by now: files of ``kinds``, contacts of ``channels``.

    Contacts become work as they are listed (`left_spans`); those that were are no longer left.
    """
    wanted = {"kinds": json.dumps(list(kinds)), "channels": json.dumps([each.lower() for each in channels])}
    wanted_now: dict[str, object] = wanted | {"now": now_ms, "row_speaks": "transcript" not in kinds}
    for change in (_LOOK_AGAIN, _ASK, _TAKEN) if kinds else ():
        connection.execute(change, wanted_now)
    connection.execute(_KNOWN, wanted)


def left_spans(connection: sqlite3.Connection, period: Window, channels: Sequence[str]) -> list[Window]:
    """Return when contacts of ``channels`` were created that were left alone, as a window for each UTC day."""
    names = {"channels": json.dumps([each.lower() for each in channels])}
    rows = connection.execute(_SPANS, names | {"from_ms": period.from_ms, "to_ms": period.to_ms})
    return [Window(*row) for row in rows]


def leave_alone(connection: sqlite3.Connection, seen: Sequence[LeftAlone], transcripts: Mapping[str, int]) -> None:
    """Note what was seen and left, and how many transcripts each known task has.  May be called twice."""
    connection.executemany(
        "INSERT OR IGNORE INTO left_alone (id, kind, place_ms) VALUES (?, ?, ?)",
        [(key(each.id), key(each.kind)[:KIND_CHARS], each.place_ms) for each in seen],
    )
    for task_id, count in transcripts.items():
        connection.execute("UPDATE tasks SET transcripts = ? WHERE n = ?", (count, row_of(connection, task_id)))


def left_alone(connection: sqlite3.Connection, scope: Scope) -> dict[str, int]:
    """Count what was seen and left, by kind; nothing for `NamedFor`: named tasks have no place of their own."""
    return dict(connection.execute(_COUNT, scope_parameters(connection, scope)).fetchall())
