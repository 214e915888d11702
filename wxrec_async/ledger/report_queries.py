"""What the report is made of: sums over the ledger, all read in one transaction so that they agree with each other.

Every query is bounded in what it returns, however hostile the ledger's content: names and days beyond
a limit are left out by SQLite, and counted.
"""

# ruff: noqa: S608 - queries are put together from the constants of this module, never from values

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wxrec_async.ledger.counts import count_scope
from wxrec_async.ledger.records import Counts, Everything, Identity, InPeriod
from wxrec_async.ledger.rows import read_summary
from wxrec_async.ledger.runs import read_identity
from wxrec_async.model import DAY_MS, Window

_FLOOR_DAY = f"(place_ms - ((place_ms % {DAY_MS}) + {DAY_MS}) % {DAY_MS})"  # SQLite divides towards zero
_IN_SCOPE = "(:from_ms IS NULL OR (place_ms >= :from_ms AND place_ms < :to_ms))"
# The sums of `Tally`, in its order; a captured task with a recording that is not at rest is unfinished.
_SUMS = """
    count(*),
    coalesce(sum(t.state = 'captured' AND NOT coalesce(r.open, 0)), 0), coalesce(sum(t.state = 'no_recording'), 0),
    coalesce(sum(t.state = 'owed'), 0), coalesce(sum(t.state = 'failed'), 0),
    coalesce(sum(t.state = 'listed' OR (t.state = 'captured' AND coalesce(r.open, 0))), 0),
    coalesce(sum(r.stored), 0), coalesce(sum(r.failed), 0), coalesce(sum(r.gone), 0), coalesce(sum(r.open), 0),
    coalesce(sum(r.bytes), 0), max(max(t.changed_ms, coalesce(r.changed_ms, 0)))
"""
# Two keys come out of one pass over the tasks; their recordings follow in the order of the primary key.
_TASKS = f"""
    FROM tasks AS t LEFT JOIN (
        SELECT task, sum(state = 'stored') AS stored, sum(state = 'failed') AS failed, sum(state = 'gone') AS gone,
            sum(state IN ('listed', 'started')) AS open, sum(CASE WHEN state = 'stored' THEN size END) AS bytes,
            max(changed_ms) AS changed_ms
        FROM recordings GROUP BY task
    ) AS r ON r.task = t.n
    WHERE {_IN_SCOPE}
"""
_NEWEST_DAYS = f"""
SELECT DISTINCT {_FLOOR_DAY} AS day FROM tasks WHERE place_ms IS NOT NULL AND {_IN_SCOPE} ORDER BY day DESC LIMIT :days
"""
_BY_DAY = f"SELECT {_FLOOR_DAY} AS day, {_SUMS} {_TASKS} AND place_ms >= :cutoff GROUP BY day"
_BY_QUEUE = f"""
SELECT coalesce(nullif(queue_name, ''), queue_id, '') AS name, {_SUMS} {_TASKS}
GROUP BY name ORDER BY 2 DESC, name LIMIT :names
"""
_BY_DIRECTION = f"""
SELECT coalesce(direction, '') AS name, {_SUMS} {_TASKS} GROUP BY name ORDER BY 2 DESC, name LIMIT :names
"""
_FAILED = f"""
    SELECT t.n AS n, place_ms, t.id AS task_id, '' AS recording_id, t.reason AS reason, '' AS detail,
        t.changed_ms AS changed_ms
    FROM tasks AS t
    WHERE t.state IN ('listed', 'owed', 'failed') AND t.state = 'failed' AND {_IN_SCOPE}
    UNION ALL
    SELECT t.n, place_ms, t.id, r.id, r.reason, r.detail, r.changed_ms
    FROM recordings AS r CROSS JOIN tasks AS t ON t.n = r.task
    WHERE r.state IN ('listed', 'started', 'failed') AND r.state = 'failed' AND {_IN_SCOPE}
"""
_FAILURES = f"""
SELECT task_id, recording_id, reason, detail, place_ms, changed_ms FROM ({_FAILED})
ORDER BY n, recording_id LIMIT :failures
"""
_REASONS = f"""
SELECT reason, count(*), count(DISTINCT task_id), min(place_ms), max(place_ms) FROM ({_FAILED})
GROUP BY reason ORDER BY 2 DESC, reason LIMIT :names
"""
_OWED = f"""
SELECT reason, count(*), min(place_ms), min(next_ask_ms), max(next_ask_ms) FROM tasks
WHERE state IN ('listed', 'owed', 'failed') AND state = 'owed' AND {_IN_SCOPE}
GROUP BY reason ORDER BY 2 DESC, reason LIMIT :names
"""
_FLAGGED = f"""
SELECT flags, count(*) FROM recordings AS r CROSS JOIN tasks AS t ON t.n = r.task
WHERE r.state = 'stored' AND flags <> '' AND {_IN_SCOPE} GROUP BY flags ORDER BY 2 DESC, flags LIMIT :names
"""
_LEFT_ALONE = (
    f"SELECT kind, count(*) FROM left_alone WHERE {_IN_SCOPE} GROUP BY kind ORDER BY 2 DESC, kind LIMIT :names"
)
_TRANSCRIPTS = f"SELECT coalesce(sum(transcripts), 0) FROM tasks WHERE transcripts > 0 AND {_IN_SCOPE}"
_RUNS = """
SELECT n, id, started_ms, ended_ms, exit_code, from_ms, to_ms, summary, tool_version, who
FROM runs ORDER BY n DESC LIMIT :runs
"""
_RUN_COUNT = "SELECT count(*) FROM runs"
_CERTIFICATES = """
SELECT day_ms, number, certified_ms, certificate_key, certificate_sha256, manifest_key, manifest_sha256, schema,
    tasks_key, tasks_sha256, witnesses
FROM certificates WHERE :from_ms IS NULL OR (day_ms + 86400000 > :from_ms AND day_ms < :to_ms)
ORDER BY n DESC LIMIT :certificates
"""
_CERTIFICATE_COUNT = """
SELECT count(*) FROM certificates WHERE :from_ms IS NULL OR (day_ms + 86400000 > :from_ms AND day_ms < :to_ms)
"""
_CERTIFIED_DAYS = """
SELECT day_ms, max(number), certified_ms FROM certificates
WHERE :from_ms IS NULL OR (day_ms + 86400000 > :from_ms AND day_ms < :to_ms)
GROUP BY day_ms ORDER BY day_ms DESC LIMIT :days
"""
# A day that was proven anew and needed no further certificate: what changed since is nothing that one speaks of.
_ATTESTED = """
SELECT CAST(strftime('%s', value) AS INTEGER) * 1000 AS day_ms, max(ended_ms)
FROM runs CROSS JOIN json_each(CASE WHEN json_valid(summary) THEN summary ELSE '{}' END, '$.attested_days')
WHERE runs.id GLOB 'reconcile-*' AND ended_ms IS NOT NULL
    AND (:from_ms IS NULL OR (day_ms + 86400000 > :from_ms AND day_ms < :to_ms))
GROUP BY day_ms ORDER BY day_ms DESC LIMIT :days
"""
_CLOSED = """
SELECT from_ms, to_ms FROM closed_windows
WHERE :from_ms IS NULL OR (from_ms < :to_ms AND to_ms > :from_ms)
ORDER BY from_ms DESC LIMIT :days
"""
# What was found to be there already says nothing of how fast anything was moved.
_STORED_SPAN = f"""
SELECT min(stored_ms), max(stored_ms) FROM recordings AS r CROSS JOIN tasks AS t ON t.n = r.task
WHERE r.state = 'stored' AND r.already = 0 AND (:run IS NULL OR r.run = :run) AND {_IN_SCOPE}
"""
_STORED_BY_TIME = f"""
SELECT (stored_ms - :begin) / :width, count(*), coalesce(sum(size), 0)
FROM recordings AS r CROSS JOIN tasks AS t ON t.n = r.task
WHERE r.state = 'stored' AND r.already = 0 AND (:run IS NULL OR r.run = :run) AND {_IN_SCOPE}
    AND stored_ms >= :begin AND stored_ms < :end
GROUP BY 1
"""
_FAILED_BY_TIME = f"""
SELECT (changed_ms - :begin) / :width, count(*) FROM ({_FAILED})
WHERE changed_ms >= :begin AND changed_ms < :end GROUP BY 1
"""
_LAST_STORING_RUN = "SELECT run FROM recordings WHERE state = 'stored' AND already = 0 ORDER BY stored_ms DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class ListLimits:
    """How much of each list is read, newest or greatest first; what is beyond is counted, not named."""

    days: int = 3720
    names: int = 60
    failures: int = 500
    runs: int = 100
    certificates: int = 100
    bars: int = 48


@dataclass(frozen=True, slots=True)
class Tally:
    """Tasks and recordings of a day, a queue or a direction, by the same identities as `Counts`.

    ``tasks == with_recordings + no_recording + owed + failed_tasks +
    unfinished_tasks``; ``changed_ms`` is the newest change of any of them.
    """

    tasks: int = 0
    with_recordings: int = 0
    no_recording: int = 0
    owed: int = 0
    failed_tasks: int = 0
    unfinished_tasks: int = 0
    stored: int = 0
    failed: int = 0
    gone: int = 0
    unfinished_recordings: int = 0
    bytes: int = 0
    changed_ms: int | None = None


@dataclass(frozen=True, slots=True)
class FailureFact:
    """What failed, why, on which day (None: it has none) and when that was last so."""

    task_id: str
    recording_id: str
    reason: str
    detail: str
    place_ms: int | None
    changed_ms: int


@dataclass(frozen=True, slots=True)
class ReasonFact:
    """A reason of failures: how many failures, how many tasks, and from when to when their calls were."""

    reason: str
    count: int
    tasks: int
    first_ms: int | None
    last_ms: int | None


@dataclass(frozen=True, slots=True)
class OwedFact:
    """A reason why Webex is waited for: how many tasks, the oldest, and when they are asked again."""

    reason: str
    count: int
    oldest_ms: int | None
    next_ms: int | None
    last_ms: int | None


@dataclass(frozen=True, slots=True)
class RunFact:
    """A run, for the audit trail; ``who`` and ``tool_version`` are None where they were not recorded."""

    row: int
    run_id: str
    started_ms: int
    ended_ms: int | None
    exit_code: int | None
    from_ms: int | None
    to_ms: int | None
    summary: Mapping[str, object]
    tool_version: str | None
    who: str | None


@dataclass(frozen=True, slots=True)
class CertificateFact:
    """A certificate; hashes are hexadecimal SHA-256, as the ledger has them.

    ``witnesses`` says of each list how it was heard; nothing where the certificate itself does not say.
    """

    day_ms: int
    number: int
    certified_ms: int
    certificate_key: str
    certificate_sha256: str
    manifest_key: str
    manifest_sha256: str
    schema: int = 1
    tasks_key: str | None = None
    tasks_sha256: str | None = None
    witnesses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bar:
    """What happened in ``width_ms`` from ``begin_ms`` on: recordings and bytes stored, failures that still stand."""

    begin_ms: int
    width_ms: int
    stored: int
    bytes: int
    failed: int


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """Everything the page shows.  Lists are cut by `ListLimits`; what counts them is not.

    ``progress`` is over all runs, ``last_progress`` over the run that stored last.
    ``certified`` has for each day the number of its newest certificate, and when a
    reconciliation last found that it says what is so.
    """

    identity: Identity
    counts: Counts
    days: Mapping[int, Tally]
    queues: Sequence[tuple[str, Tally]]
    directions: Sequence[tuple[str, Tally]]
    failures: Sequence[FailureFact]
    reasons: Sequence[ReasonFact]
    owed: Sequence[OwedFact]
    flagged: Sequence[tuple[str, int]]
    left_alone: Sequence[tuple[str, int]]
    transcripts: int
    runs: Sequence[RunFact]
    run_count: int
    certificates: Sequence[CertificateFact]
    certificate_count: int
    certified: Mapping[int, tuple[int, int]]
    closed: Sequence[Window]
    progress: Sequence[Bar]
    last_progress: Sequence[Bar]
    last_storing_run: str | None


def report_facts(connection: sqlite3.Connection, period: Window | None, limits: ListLimits) -> ReportFacts:
    """Return what the report shows, of the tasks of ``period`` (as `InPeriod` has it) or of all, at one moment."""
    reading = _Reading(connection, period, limits)
    last = reading.value(_LAST_STORING_RUN)
    runs = [_run_fact(row) for row in reading.rows(_RUNS)]
    return ReportFacts(
        identity=read_identity(connection),
        counts=count_scope(connection, InPeriod(period) if period else Everything(), None),
        days=reading.days(),
        queues=[(name, Tally(*sums)) for name, *sums in reading.rows(_BY_QUEUE)],
        directions=[(name, Tally(*sums)) for name, *sums in reading.rows(_BY_DIRECTION)],
        failures=[FailureFact(*row) for row in reading.rows(_FAILURES)],
        reasons=[ReasonFact(*row) for row in reading.rows(_REASONS)],
        owed=[OwedFact(*row) for row in reading.rows(_OWED)],
        flagged=reading.rows(_FLAGGED),
        left_alone=reading.rows(_LEFT_ALONE),
        transcripts=reading.value(_TRANSCRIPTS) or 0,
        runs=runs,
        run_count=reading.value(_RUN_COUNT) or 0,
        certificates=[_certificate_fact(row) for row in reading.rows(_CERTIFICATES)],
        certificate_count=reading.value(_CERTIFICATE_COUNT) or 0,
        certified=reading.certified(),
        closed=sorted(Window(*row) for row in reading.rows(_CLOSED)),
        progress=reading.progress(None),
        last_progress=reading.progress(last) if last is not None else [],
        last_storing_run=next((run.run_id for run in runs if run.row == last), None),
    )


class _Reading:
    def __init__(self, connection: sqlite3.Connection, period: Window | None, limits: ListLimits) -> None:
        self._connection = connection
        self._limits = limits
        self._parameters: dict[str, Any] = {
            "from_ms": period.from_ms if period else None,
            "to_ms": period.to_ms if period else None,
            "days": limits.days,
            "names": limits.names,
            "failures": limits.failures,
            "runs": limits.runs,
            "certificates": limits.certificates,
            "run": None,
        }

    def rows(self, query: str, **more: object) -> list[Any]:
        return self._connection.execute(query, self._parameters | more).fetchall()

    def value(self, query: str) -> Any:
        found = self._connection.execute(query, self._parameters).fetchone()
        return found[0] if found else None

    def days(self) -> dict[int, Tally]:
        newest = self.rows(_NEWEST_DAYS)
        cutoff = newest[-1][0] if newest else 0
        return {day: Tally(*sums) for day, *sums in self.rows(_BY_DAY, cutoff=cutoff)}

    def certified(self) -> dict[int, tuple[int, int]]:
        attested = dict(self.rows(_ATTESTED))
        found = self.rows(_CERTIFIED_DAYS)
        return {day: (number, max(issued, attested.get(day, issued))) for day, number, issued in found}

    def progress(self, run: int | None) -> list[Bar]:
        ((first, last),) = self.rows(_STORED_SPAN, run=run)
        if first is None:
            return []
        width = bar_width(first, last, self._limits.bars)
        # On round borders: a bar begins at a full minute, hour or day.
        begin = first // width * width
        span = {"run": run, "begin": begin, "width": width, "end": (last // width + 1) * width}
        stored = {place: (count, size) for place, count, size in self.rows(_STORED_BY_TIME, **span)}
        failed = dict(self.rows(_FAILED_BY_TIME, **span))
        places = range((span["end"] - begin) // width)
        return [Bar(begin + place * width, width, *stored.get(place, (0, 0)), failed.get(place, 0)) for place in places]


WIDTHS_MS = tuple(
    seconds * 1000
    for seconds in (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 7 * 86400, 28 * 86400)
)


def bar_width(first_ms: int, last_ms: int, most: int) -> int:
    """Return the narrowest round width with which at most ``most`` bars reach from first to last."""
    for width in WIDTHS_MS:
        if last_ms // width - first_ms // width < most:
            return width
    # Beyond the round widths, so many of the widest that no ledger's span brings more bars than were asked for.
    widest = WIDTHS_MS[-1]
    return widest * -(-(last_ms - first_ms + widest) // (widest * (most - 1)))


def _certificate_fact(row: Sequence[Any]) -> CertificateFact:
    values = list(row)
    values[-1] = {str(name): str(how) for name, how in json.loads(values[-1] or "{}").items()}
    return CertificateFact(*values)


def _run_fact(row: Sequence[Any]) -> RunFact:
    values = list(row)
    values[7] = read_summary(values[7])
    return RunFact(*values)
