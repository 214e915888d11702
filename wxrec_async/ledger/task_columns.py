"""The columns of a task that a list tells of: one line a field, named and ordered as in `model.Task`.

A further field of the list is kept by a line here, a column in schema.sql, and a
script ``schema_<n>.sql`` that writes the table of the ledgers there are anew, for
their seal is over all columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wxrec_async.ledger.records import AskedBefore
from wxrec_async.ledger.rows import Hash, Mask, flag, number, spelling, text
from wxrec_async.model import Task, TaskState
from wxrec_async.rules import said


@dataclass(frozen=True, slots=True)
class Column:
    """How a value is kept; ``news`` when another value is a change that a certified day must tell of.

    What ledgers of before did not keep is no news: filling it in changes no day.
    """

    keep: Callable[[Any, Mask], Any]
    news: bool = True


def _text(value: str | None, _mask: Mask) -> str | None:
    return text(value)


def _masked(value: str | None, mask: Mask) -> str | None:
    return None if value is None else text(mask(value))


def _said(value: str | None, mask: Mask) -> str | None:
    return None if value is None else said.masked(value, mask)


def _number(value: int | None, _mask: Mask) -> int | None:
    return number(value)


def _id(value: str, _mask: Mask) -> str:
    return spelling(value)


def _flag(value: bool | None, _mask: Mask) -> bool | None:
    return value


COLUMNS: Mapping[str, Column] = {
    "id": Column(_id),
    "channel_type": Column(_text),
    "status": Column(_text),
    "direction": Column(_text),
    "origin": Column(_masked),
    "destination": Column(_masked),
    "created_ms": Column(_number),
    "ended_ms": Column(_number),
    "updated_ms": Column(_number, news=False),
    "queue_id": Column(_text),
    "queue_name": Column(_text),
    "agent_id": Column(_text),
    "agent_name": Column(_text),
    "duration_ms": Column(_number),
    "capture_requested": Column(_flag, news=False),  # a promise alone is none, what becomes of it is
    # Ledgers of before did not keep it.
    "active": Column(_flag, news=False),
    "reason_code": Column(_text, news=False),
    "origin_hash": Column(_text, news=False),
    "destination_hash": Column(_text, news=False),
    "said": Column(_said, news=False),
}
# What else was said is read by those who write it down for others: nobody on the way to the recordings needs it, and
# a queue of tasks, or a page of an export, shall not carry it.
_READ = [name for name in COLUMNS if name != "said"]
TASK = ", ".join(_READ)
TASK_WIDTH = len(_READ)
ASKED = "state, first_seen_ms, empty_answers, first_empty_ms, last_empty_ms, next_ask_ms"
ASKED_WIDTH = 6
_FLAGS = [place for place, name in enumerate(_READ) if COLUMNS[name].keep is _flag]


def of_table(alias: str) -> str:
    """Return `TASK` for a query in which the table goes by ``alias``."""
    return ", ".join(f"{alias}.{name}" for name in _READ)


def kept_columns(task: Task, mask: Mask, hashed: Hash | None = None) -> dict[str, Any]:
    """Return what is kept of a task, by column; nothing that must not get into the ledger is in it.

    ``hashed`` makes the hashes of numbers that come without one.
    """
    columns = {name: column.keep(getattr(task, name), mask) for name, column in COLUMNS.items()}
    if hashed is not None:
        for name in ("origin", "destination"):
            columns[f"{name}_hash"] = columns[f"{name}_hash"] or hashed(getattr(task, name))
    return columns


def task_of(row: Sequence[Any]) -> Task:
    """Read the columns `TASK`; ``said`` stays behind."""
    values = list(row)
    for place in _FLAGS:
        values[place] = flag(values[place])
    return Task(*values)


def asked_of(row: Sequence[Any]) -> AskedBefore:
    """Read the columns `ASKED`, and behind them, where it was asked for, ``named``."""
    return AskedBefore(TaskState(row[0]), *row[1:])
