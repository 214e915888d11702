"""Ledgers that released versions wrote: each opens, loses nothing, and is gone on with."""

from __future__ import annotations

import gzip
import sqlite3
from collections import Counter
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.ledgers import captured
from wxrec_async.events import ignore
from wxrec_async.ledger import Everything, Identity, SqliteLedger, migrations, open_ledger, open_reader
from wxrec_async.model import Recording, RecordingState, StoredObject, Task, Window

pytestmark = pytest.mark.anyio

RELEASED = Path(__file__).parent / "released"
ALL_TIME = Window(0, 1 << 60)
TASK = "00000000-0000-4000-8000-0000000000{:02}"
UPPER = "ABCDEF00-0000-4000-8000-00000000000A"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A copy of the ledger of schema 2."""
    path = tmp_path / "wxrec.db"
    path.write_bytes(gzip.decompress((RELEASED / "schema_2.db.gz").read_bytes()))
    path.chmod(0o600)
    return path


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def opened(path: Path) -> AbstractAsyncContextManager[SqliteLedger]:
    (identity,) = rows(path, "SELECT org_id, bucket, key_template FROM identity")
    return open_ledger(path, Identity(*map(str, identity)), mask=str, emit=ignore)


TABLES = {
    "runs": "id, started_ms, ended_ms, exit_code, from_ms, to_ms, summary, tool_version, who",
    "closed_windows": "from_ms, to_ms, closed_ms",
    "tasks": "n, id, status, created_ms, updated_ms, state, reason, place_ms, empty_answers, next_ask_ms, witness_ms",
    "run_tasks": "run, task",
    "open_uploads": "upload_id, object_key, task_id, recording_id, size",
    "left_alone": "id, kind, place_ms",
    "certificates": "n, day_ms, number, certificate_key, certificate_sha256, manifest_key, content_sha256",
}
UNTOUCHED = """
SELECT task, id, state, start_ms, stop_ms, object_key, size, crc32, sha256, etag, flags, main_place, run, stored_ms
FROM recordings WHERE state <> 'gone' AND reason <> 'gone_unproven' ORDER BY task, id
"""


async def test_a_released_ledger_keeps_everything(path: Path) -> None:
    """Every row of every table is there after the migration, and every recording but those gone is as it was."""
    before = {name: rows(path, f"SELECT {columns} FROM {name}") for name, columns in TABLES.items()}  # noqa: S608
    recordings = rows(path, UNTOUCHED)
    async with opened(path):
        pass
    assert all(before.values()) or before["run_tasks"] == []
    unproven = [TASK.format(number) for number in (3, 5)]
    for name, columns in TABLES.items():
        after = rows(path, f"SELECT {columns} FROM {name}")  # noqa: S608
        if name == "tasks":  # the next question is what is due now
            assert [row[:9] for row in after] == [row[:9] for row in before[name]]
            assert {row[1] for row in after if row not in before[name]} <= set(unproven)
        else:
            assert after == before[name]
    assert rows(path, UNTOUCHED) == recordings
    assert rows(path, "PRAGMA user_version") == [(migrations.VERSION,)]
    assert rows(path, "SELECT DISTINCT source FROM tasks UNION SELECT DISTINCT source FROM closed_windows") == [
        ("tasks",)
    ]
    assert rows(path, "SELECT DISTINCT schema, witnesses FROM certificates") == [(1, "")]


async def test_what_one_404_made_gone_is_looked_at_once_more(path: Path) -> None:
    """It is failed work until it is proven; what Search said was deleted rests on that."""
    states = "SELECT state, reason, evidence, count(*) FROM recordings GROUP BY 1, 2, 3 ORDER BY 1, 2"
    assert ("gone", "", 3) in rows(path, "SELECT state, reason, count(*) FROM recordings GROUP BY 1, 2")
    async with opened(path) as ledger:
        counts = await ledger.counts(Everything(), None)
        due = {row.task.id for row in await ledger.backlog(Everything(), now_ms=1, patient=True)}
    assert rows(path, states) == [
        ("failed", "gone_unproven", "earlier_release", 3), ("failed", "truncated", "", 2), ("gone", "deleted_at_webex",
        "search_deleted", 1), ("listed", "", "", 1), ("started", "", "", 1), ("stored", "", "", 52),
    ]  # fmt: skip
    assert (counts.stored + counts.already_stored, counts.failed, counts.gone) == (52, 5, 1)
    assert {TASK.format(3), TASK.format(5)} <= due


async def test_a_released_ledger_goes_on(path: Path) -> None:
    """A run over it finds its work, proves what was unproven, and knows a task in capitals by its id of today."""
    async with opened(path) as ledger:
        await ledger.begin_run("run-4", 10, None)
        handed = Counter(row.task.id for row in await ledger.backlog(Everything(), now_ms=1 << 60))
        assert handed[TASK.format(3)] == 1
        for recording_id in (TASK.format(3), "second-03"):
            await ledger.recording_gone(TASK.format(3), recording_id, 11, evidence="captures_unnamed")
        known = await captured(ledger, TASK.format(5), [Recording(TASK.format(5), "second-05")], 12)
        assert known.recordings == {TASK.format(5): RecordingState.STORED, "second-05": RecordingState.FAILED}
        await ledger.stored(
            TASK.format(5),
            "second-05",
            StoredObject("k", 5),
            run_id="run-4",
            already=False,
            main_place=False,
            now_ms=13,
        )
        assert await ledger.add_tasks([Task(UPPER.lower())], listed_in=None, now_ms=14) == []
        known = await captured(ledger, UPPER.lower(), [Recording(UPPER, UPPER.lower())], 15)
        assert known.holder == UPPER.lower()
        counts = await ledger.counts(Everything(), "run-4")
        assert (counts.stored, counts.gone) == (1, 3)
        await ledger.end_run("run-4", 20, 0, {})
        assert (await ledger.lag()).listed_to_ms is not None
    async with open_reader(path) as reader:
        rows_read = await reader.task_rows(ALL_TIME, limit=1000)
        assert [each.task.id for each in rows_read if each.task.id.upper() == UPPER] == [UPPER]


def rows_and_bytes(path: Path) -> tuple[object, bytes]:
    return rows(path, "PRAGMA user_version"), path.read_bytes()


async def test_a_reader_of_today_reads_it_as_it_is(path: Path) -> None:
    """Looking on changes nothing: after an upgrade `status` and `report` need no run first."""
    before = rows_and_bytes(path)
    async with open_reader(path) as reader:
        seen = await reader.counts(Everything(), None)
        assert await reader.failures(Everything()) is not None
        assert len(await reader.task_rows(ALL_TIME, limit=1000)) == seen.tasks_listed
    assert rows_and_bytes(path) == before
    async with opened(path) as ledger:
        assert await ledger.counts(Everything(), None) == seen
