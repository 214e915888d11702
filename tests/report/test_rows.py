"""CSV and JSON lines: every task and recording once, whole, harmless in a spreadsheet, in constant memory."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from tests import canaries
from tests.report.kit import counts_of, rows_of, written
from tests.report.ledgers import Month, task_id, writing
from tests.report.test_page import FIRST, hostile_ledger
from wxrec_async.model import DAY_MS, Window
from wxrec_async.reporting import Wanted
from wxrec_async.reporting import writing as writing_room
from wxrec_async.reporting.table_rows import COLUMNS, Privacy


def test_every_task_and_recording_is_there_once(month: Path) -> None:
    """A row a recording, one for every task without; states add up to the ledger's counts."""
    as_csv, records = rows_of(month)
    counts = counts_of(month)
    assert len({(row["task_id"], row["recording_id"]) for row in records}) == len(records)
    assert len({row["task_id"] for row in records}) == counts.tasks_listed
    states = Counter((row["kind"], row["state"]) for row in records)
    assert states["recording", "stored"] == counts.already_stored
    assert states["recording", "failed"] == counts.failed
    assert states["recording", "gone"] == counts.gone
    assert states["task", "owed"] == counts.owed
    assert states["task", "failed"] == counts.failed_tasks
    assert states["task", "no_recording"] == counts.no_recording
    assert sum(row["bytes"] or 0 for row in records if row["state"] == "stored") == counts.bytes_total
    assert [[row["task_id"], row["recording_id"]] for row in as_csv] == [
        [row["task_id"], row["recording_id"] or ""] for row in records
    ]


def test_a_row_says_all_there_is(month: Path) -> None:
    """Names, places, sizes, checksums and times of one recording."""
    _, records = rows_of(month)
    row = next(each for each in records if each["recording_id"] == f"{task_id(1)}-1")
    assert list(row) == list(COLUMNS)
    expected = {
        "kind": "recording", "task_id": task_id(1), "state": "stored", "channel_type": "telephony", "crc32": "9e3779b1",
        "key": f"call-detail/{task_id(1)}/recording-{task_id(1)}-1.wav", "sha256": f"{1:064x}",
        "run_id": "0000c0ffee00", "found_stored": False, "capture_requested": True,
        "origin": "***23", "agent_id": "a-1", "agent_name": None,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert row["created"].endswith("Z")


def test_a_period_takes_only_its_tasks(month: Path) -> None:
    """Half-open, by the same days as everything else."""
    period = Window(FIRST + DAY_MS, FIRST + 3 * DAY_MS)
    _, records = rows_of(month, period=period)
    assert len({row["task_id"] for row in records}) == counts_of(month, period).tasks_listed
    assert {row["placed"][:10] for row in records} == {"2026-11-02", "2026-11-03"}


@pytest.mark.fault("X17")
@pytest.mark.shows_canaries("a ledger that keeps numbers as they come; its report is searched by the test itself")
def test_no_cell_is_executed_and_json_keeps_the_text(tmp_path: Path) -> None:
    """RFC 4180 with one line a row whatever is in a name; JSON has the name as the ledger has it."""
    path = tmp_path / "wxrec.db"
    hostile_ledger(path)
    stream = io.StringIO(newline="")
    written(path, Wanted(csv=stream))
    lines = stream.getvalue().split("\r\n")
    assert lines[-1] == ""
    assert not [line for line in lines if "\n" in line or "\r" in line or "\0" in line]
    rows = [*csv.reader(io.StringIO(stream.getvalue(), newline=""), strict=True)]
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert not [cell for row in rows for cell in row if cell.lstrip().startswith(tuple("=+-@"))]
    as_csv, records = rows_of(path)
    assert "'=cmd|'/c calc'!A0" in {row["queue_name"] for row in as_csv}
    assert "nul\\x00 and\\x0aline" in {row["queue_name"] for row in as_csv}
    assert {"=cmd|'/c calc'!A0", "nul\x00 and\nline", "x\u202eexe.wav"} <= {row["queue_name"] for row in records}
    assert {"4611686018427387904 ms", "-4611686018427387904 ms"} <= {row["created"] for row in records}


@pytest.mark.fault("X07")
@pytest.mark.shows_canaries("a ledger that keeps numbers as they come; its report is searched by the test itself")
def test_numbers_and_names_are_shown_only_when_asked_for(tmp_path: Path) -> None:
    """A ledger that keeps them plain is masked on the way out; names of agents are left out."""
    path = tmp_path / "wxrec.db"
    hostile_ledger(path)
    stream = io.StringIO(newline="")
    written(path, Wanted(csv=stream, jsonl=stream))
    assert canaries.found_in(stream.getvalue()) == []
    assert "Agent 7" not in stream.getvalue()
    _, records = rows_of(path, privacy=Privacy(plain_numbers=True, agent_names=True))
    assert {row["origin"] for row in records} == {canaries.PHONE_NUMBER}
    assert "Agent 7" in {row["agent_name"] for row in records}


def test_memory_does_not_grow_with_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the pages take no more memory: they come and go."""
    monkeypatch.setattr(writing_room, "PAGE_ROWS", 100)
    peaks = []
    for tasks in (500, 2_000):
        path = tmp_path / f"{tasks}.db"
        Month(tasks=tasks).write(path)
        wanted = Wanted(csv=tmp_path / f"{tasks}.csv", jsonl=tmp_path / f"{tasks}.jsonl")
        written(path, wanted)  # once to fill what is kept by design
        tracemalloc.start()
        done = written(path, wanted)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert done.rows is not None
        assert done.rows > tasks
    assert peaks[1] < peaks[0] * 1.2


def test_a_run_may_go_on_meanwhile(tmp_path: Path) -> None:
    """Rows written between two pages neither disturb the export nor are counted twice."""
    path = tmp_path / "wxrec.db"
    Month(tasks=4500).write(path)

    class Meddling(io.StringIO):
        pages = 0

        def writelines(self, lines: object) -> None:
            super().writelines(lines)  # type: ignore[arg-type]  # as the writer calls it
            self.pages += 1
            with writing(path) as connection:
                connection.execute("UPDATE tasks SET changed_ms = changed_ms + 1 WHERE n % 7 = 0")

    stream = Meddling()
    done = written(path, Wanted(jsonl=stream))
    assert stream.pages > 1
    lines = stream.getvalue().splitlines()
    assert len(lines) == len({*lines}) == done.rows
