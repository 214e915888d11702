"""Ledgers of any size for the report, made in seconds: the rows a month of nightly runs would leave.

``python -m tests.report.ledgers FILE --tasks 20000 --days 30`` writes one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wxrec_async.ledger import migrations
from wxrec_async.model import DAY_MS, iso

LAST_DAY_MS = 1_795_996_800_000  # 2026-11-30
NOW_MS = LAST_DAY_MS + 9 * 3_600_000
QUEUES = ("Support", "Second line", "Sales Asia-Pacific", "Rückfragen", "اللغة العربية", "Claims", "Callbacks", "")
HOSTILE = '<script>alert("x")</script>'
DIRECTIONS = ("inbound", "inbound", "inbound", "outbound", "outdial")
REASONS = (
    ("http_403", "the address of the recording was refused five times in a row"),
    ("missing", "promised, and not there after seven days"),
    ("truncated", "three fetches ended before their announced length"),
)

_TASK = """
INSERT INTO tasks (n, id, channel_type, status, direction, origin, destination, created_ms, ended_ms, updated_ms,
    queue_id, queue_name, agent_id, agent_name, duration_ms, capture_requested, state, reason, first_seen_ms, place_ms,
    empty_answers, next_ask_ms, changed_ms)
VALUES (:n, :id, 'telephony', 'ended', :direction, :origin, :destination, :created_ms, :ended_ms, :ended_ms,
    :queue_id, :queue_name, :agent_id, :agent_name, :duration_ms, 1, :state, :reason, :seen_ms, :created_ms,
    :empty_answers, :next_ask_ms, :changed_ms)
"""
_RECORDING = """
INSERT INTO recordings (task, id, state, call_type, start_ms, stop_ms, object_key, size, crc32, etag, flags, main_place,
    run, already, reason, detail, listed_ms, stored_ms, changed_ms, sha256)
VALUES (:task, :id, :state, 'main', :start_ms, :stop_ms, :object_key, :size, :crc32, :etag, :flags, :main_place, :run,
    :already, :reason, :detail, :listed_ms, :stored_ms, :changed_ms, :sha256)
"""
_RUN = """
INSERT INTO runs (n, id, started_ms, ended_ms, exit_code, from_ms, to_ms, summary, tool_version, who)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_CERTIFICATE = """
INSERT INTO certificates (day_ms, number, certified_ms, certificate_key, certificate_sha256, manifest_key,
    manifest_sha256, content_sha256, schema, tasks_key, tasks_sha256, witnesses)
VALUES (:day, :number, :at, :certificate, :hash, :manifest, :hash, :hash, 2, :tasks, :hash, :witnesses)
"""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a ledger, made if it is not there, to write rows past the program."""
    new = not path.exists()
    connection = sqlite3.connect(path, isolation_level=None)
    migrations.register(connection)
    if new:
        path.chmod(0o600)
        migrations.create(
            connection,
            ("ff33d2aa-723d-4599-8c27-af86f7dee1e4", "your-bucket-name", "call-detail/{task_id}/recording{ext}"),
        )
        connection.execute("PRAGMA journal_mode = WAL")
    try:
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()


@dataclass
class Month:
    """What is planted.  Days count from the first; those behind ``certified`` are not certified."""

    tasks: int = 20_000
    days: int = 30
    seed: int = 7
    certified: int = 20
    failing: dict[int, int] = field(default_factory=lambda: {9: 14, 22: 31, 25: 6})
    owing: dict[int, int] = field(default_factory=lambda: {26: 9, 27: 24, 28: 120})
    changed_late: int = 4
    unlisted: int = 23

    @property
    def first_ms(self) -> int:
        return LAST_DAY_MS - (self.days - 1) * DAY_MS

    def write(self, path: Path) -> None:
        """Write the ledger."""
        with writing(path) as connection:
            self._runs(connection)
            self._listing(connection)
            connection.executemany(_TASK, self._tasks())
            connection.executemany(_RECORDING, self._recordings())
            self._certificates(connection)

    def _runs(self, connection: sqlite3.Connection) -> None:
        for place in range(self.days):
            day = self.first_ms + place * DAY_MS
            began = day + DAY_MS + 7_200_000
            running = place == self.days - 1
            ended = None if running else began + 1_900_000 + place * 13_000
            code = None if running else 3 if place in self.failing else 5 if place in self.owing else 0
            if running:
                began = NOW_MS - 1_200_000
            summary = {"recordings": 1, "failed": self.failing.get(place, 0), "owed": self.owing.get(place, 0)}
            period = (max(self.first_ms, day - 6 * DAY_MS), began)
            who = "wxrec@recorder-1"
            row = (
                place + 1,
                f"{place:04x}c0ffee{place:02x}",
                began,
                ended,
                code,
                *period,
                json.dumps(summary),
                "0.1.0",
                who,
            )
            connection.execute(_RUN, row)

    def _listing(self, connection: sqlite3.Connection) -> None:
        gap = self.first_ms + self.unlisted * DAY_MS
        spans = [(self.first_ms, gap + 32_400_000), (gap + 43_200_000, NOW_MS - 1_800_000)]
        if not 0 <= self.unlisted < self.days - 1:
            spans = [(self.first_ms, NOW_MS - 1_800_000)]
        for from_ms, to_ms in spans:
            connection.execute(
                "INSERT INTO closed_windows (from_ms, to_ms, closed_ms) VALUES (?, ?, ?)", (from_ms, to_ms, NOW_MS)
            )

    def _places(self) -> Iterator[tuple[int, int, random.Random]]:
        """Yield each task's number, its day's place and its own dice."""
        weights = [(0.25 if (self.first_ms // DAY_MS + place + 3) % 7 >= 5 else 1.0) for place in range(self.days)]
        weights[-1] = 0.3
        bounds, total = [], 0.0
        for weight in weights:
            total += weight
            bounds.append(total)
        place = 0
        for n in range(1, self.tasks + 1):
            while n / self.tasks > bounds[place] / total and place < self.days - 1:
                place += 1
            yield n, place, random.Random(self.seed * 1_000_003 + n)

    def _fate(self, n: int, place: int, seen: dict[int, int]) -> str:
        seen[place] = seen.get(place, 0) + 1
        number = seen[place]
        if number <= self.failing.get(place, 0):
            return "failed_recording" if number % 3 else "failed"
        if number <= self.failing.get(place, 0) + self.owing.get(place, 0):
            return "owed"
        if place == self.days - 1 and n % 3 == 0:
            return "listed"
        if n % 911 == 0:
            return "gone"
        return "no_recording" if n % 8 == 0 else "captured"

    def _each(self) -> Iterator[tuple[int, int, str, int, random.Random]]:
        seen: dict[int, int] = {}
        for n, place, dice in self._places():
            created = self.first_ms + place * DAY_MS + dice.randrange(6 * 3_600_000, 20 * 3_600_000)
            if place == self.days - 1:
                created = self.first_ms + place * DAY_MS + dice.randrange(8 * 3_600_000)
            yield n, place, self._fate(n, place, seen), created, dice

    def _settled_at(self, n: int, place: int) -> int:
        if place == self.days - 1:
            return NOW_MS - 1_200_000 + n * 7919 % 1_100_000
        at = self.first_ms + (place + 1) * DAY_MS + 7_200_000 + n * 7919 % 1_800_000
        late = place == self.changed_late and n % 60 == 0
        return LAST_DAY_MS - DAY_MS if late else at

    def _tasks(self) -> Iterator[dict[str, Any]]:
        for n, place, fate, created, dice in self._each():
            state = "captured" if fate in {"gone", "failed_recording"} else fate
            queue = HOSTILE if n % 1999 == 0 else dice.choice(QUEUES)
            length = dice.randrange(20_000, 1_800_000)
            yield {
                "n": n,
                "id": task_id(n),
                "direction": dice.choice(DIRECTIONS),
                "origin": "***23",
                "destination": "***00",
                "created_ms": created,
                "ended_ms": created + length,
                "queue_id": f"q-{QUEUES.index(queue) if queue in QUEUES else 99}",
                "queue_name": queue,
                "agent_id": f"a-{n % 40}",
                "agent_name": f"Agent {n % 40}",
                "duration_ms": length,
                "state": state,
                "reason": {"failed": "missing", "owed": "capture_pending"}.get(state, ""),
                "seen_ms": created + length,
                "empty_answers": 2 if state == "owed" else 0,
                "next_ask_ms": NOW_MS + 3_600_000 + n * 1000 if state == "owed" else None,
                "changed_ms": self._settled_at(n, place),
            }

    def _recordings(self) -> Iterator[dict[str, Any]]:
        for n, place, fate, created, dice in self._each():
            if fate not in {"captured", "gone", "failed_recording"}:
                continue
            for number in range(2 if n % 10 == 1 else 1):
                name = task_id(n) if not number else f"{task_id(n)}-{number}"
                state = {"captured": "stored", "failed_recording": "failed"}.get(fate, fate)
                at = self._settled_at(n, place)
                reason, detail = REASONS[n % 3] if state == "failed" else ("", "")
                stored = state == "stored"
                yield {
                    "task": n,
                    "id": name,
                    "state": state,
                    "start_ms": created,
                    "stop_ms": created + 60_000,
                    "object_key": f"call-detail/{task_id(n)}/recording{f'-{name}' if number else ''}.wav"
                    if stored
                    else None,
                    "size": dice.randrange(200_000, 9_000_000) if stored else None,
                    "crc32": n * 2_654_435_761 % (1 << 32) if stored else None,
                    "etag": f'"{n:032x}"' if stored else None,
                    "flags": "riff_disagrees" if n % 2500 == 0 and stored else "",
                    "main_place": int(stored and not number),
                    "run": place + 1 if stored else None,
                    "already": 0 if stored else None,
                    "reason": reason,
                    "detail": detail,
                    "listed_ms": at,
                    "stored_ms": at if stored else None,
                    "changed_ms": at,
                    "sha256": f"{n:064x}" if stored else None,
                }

    def _certificates(self, connection: sqlite3.Connection) -> None:
        for place in range(min(self.certified, self.days)):
            day = self.first_ms + place * DAY_MS
            if place in self.failing or place in self.owing:
                continue
            folder = f"call-detail/_evidence/{(iso(day) or '')[:10]}"
            columns = {"day": day, "number": 1, "at": day + 3 * DAY_MS, "hash": f"{place + 1:064x}"}
            keys = {"certificate": f"{folder}/certificate-1.json", "manifest": f"{folder}/manifest-1.jsonl"}
            keys |= {"tasks": f"{folder}/tasks-1.jsonl", "witnesses": '{"search": "absent", "tasks": "present"}'}
            connection.execute(_CERTIFICATE, columns | keys)


def task_id(n: int) -> str:
    """Return the id of the ``n``-th task."""
    return f"{n:08x}-6a11-4bee-a257-{n * 40_503 % (1 << 48):012x}"


def main() -> None:
    """Write a ledger for the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=30)
    given = parser.parse_args()
    if given.file.exists():
        sys.exit(f"{given.file} is there already")
    Month(tasks=given.tasks, days=given.days).write(given.file)


if __name__ == "__main__":
    main()
