"""A row of the ledger as a record: the columns of the CSV and the keys of the JSON lines, which are the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from wxrec_async.ledger.all_rows import ExportRow
from wxrec_async.model import iso
from wxrec_async.rules.sanitize import number_shown, spreadsheet_cell, words_shown

Value = str | int | float | bool | None
Record = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Privacy:
    """What of people may be shown.  ``plain_numbers`` shows phone numbers as far as the ledger has them plain."""

    plain_numbers: bool = False
    agent_names: bool = False


@dataclass(frozen=True, slots=True)
class _Columns:
    privacy: Privacy

    def words(self, value: str | None) -> str | None:
        return None if value is None else _words(value, self.privacy.plain_numbers)

    def number(self, value: str | None) -> str | None:
        return None if value is None else number_shown(value, plain=self.privacy.plain_numbers)


_words = lru_cache(maxsize=4096)(lambda value, plain: words_shown(value, plain=plain))  # queues repeat


def moment(ms: int | None) -> str | None:
    """Write a time as ISO 8601 UTC; one outside the calendar, which only a broken row has, as its number."""
    try:
        return iso(ms)
    except (OverflowError, ValueError, OSError):
        return f"{ms} ms"


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


# Scripts read these names: a column may be added, none renamed.
COLUMNS: Mapping[str, Callable[[ExportRow, _Columns], Value]] = {
    "kind": lambda row, _: "recording" if row.recording_id else "task",
    "task_id": lambda row, _: row.task.id,
    "recording_id": lambda row, _: row.recording_id or None,
    "state": lambda row, _: row.state,
    "reason": lambda row, show: show.words(row.reason) or None,
    "detail": lambda row, show: show.words(row.detail) or None,
    "created": lambda row, _: moment(row.task.created_ms),
    "ended": lambda row, _: moment(row.task.ended_ms),
    "placed": lambda row, _: moment(row.place_ms),
    "duration_s": lambda row, _: _seconds(row.task.duration_ms),
    "channel_type": lambda row, show: show.words(row.task.channel_type),
    "status": lambda row, show: show.words(row.task.status),
    "direction": lambda row, show: show.words(row.task.direction),
    "queue_id": lambda row, _: row.task.queue_id,
    "queue_name": lambda row, show: show.words(row.task.queue_name),
    "agent_id": lambda row, _: row.task.agent_id,
    # The column stays when names are not wanted: the keys are always the same and in the same order.
    "agent_name": lambda row, show: show.words(row.task.agent_name) if show.privacy.agent_names else None,
    "origin": lambda row, show: show.number(row.task.origin),
    "destination": lambda row, show: show.number(row.task.destination),
    "capture_requested": lambda row, _: row.task.capture_requested,
    "transcripts": lambda row, _: row.transcripts,
    "search_recordings": lambda row, _: row.witness_recordings,
    "search_deleted": lambda row, _: _flag(row.witness_deleted),
    "first_seen": lambda row, _: moment(row.first_seen_ms),
    "empty_answers": lambda row, _: row.empty_answers,
    "ask_again": lambda row, _: moment(row.next_ask_ms),
    "call_type": lambda row, show: show.words(row.call_type),
    "segment": lambda row, _: _flag(row.segment),
    "recording_start": lambda row, _: moment(row.start_ms),
    "recording_stop": lambda row, _: moment(row.stop_ms),
    "key": lambda row, _: row.object_key,
    "bytes": lambda row, _: row.size,
    "crc32": lambda row, _: None if row.crc32 is None else f"{row.crc32:08x}",
    "sha256": lambda row, _: row.sha256,
    "etag": lambda row, _: row.etag or None,
    "version_id": lambda row, _: row.version_id,
    "flags": lambda row, _: row.flags or None,
    "found_stored": lambda row, _: _flag(row.already),
    "stored": lambda row, _: moment(row.stored_ms),
    "run_id": lambda row, _: row.run_id,
    "tracking_id": lambda row, _: row.tracking_id,
    "changed": lambda row, _: moment(row.changed_ms),
    "recording_kind": lambda row, _: row.recording_kind,
}


def record_of(row: ExportRow, privacy: Privacy) -> Record:
    """Return the record of a row; the keys are always the same and in the same order."""
    show = _Columns(privacy)
    return {name: read(row, show) for name, read in COLUMNS.items()}


def cells_of(record: Record) -> list[str]:
    """Return a record as cells that no spreadsheet executes; a missing value is an empty cell."""
    return [_cell(value) for value in record.values()]


def _cell(value: Value) -> str:
    match value:
        case None:
            return ""
        # Python would write True; the JSON lines have true, and the two files say the same.
        case bool():
            return "true" if value else "false"
        case _:
            return spreadsheet_cell(str(value))
