"""The one list of what is kept of a task."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from wxrec_async.ledger import Everything
from wxrec_async.ledger.task_columns import COLUMNS, task_columns, task_of
from wxrec_async.model import Task

from .contract import DAY, Opener, masked

TASK = Task(
    "t1", "telephony", "ended", "inbound", "+15550100123", "sip:a@b", 5, 6, 7, "q", "Queue", "a", "Agent", 1,
    capture_requested=True, active=False,
)  # fmt: skip


def test_the_columns_are_the_fields_of_the_model() -> None:
    """In the same order, by which rows become tasks again."""
    assert tuple(COLUMNS) == tuple(each.name for each in fields(Task))
    assert None not in [getattr(TASK, name) for name in COLUMNS]


def test_what_is_kept_is_read_back() -> None:
    """Numbers are masked on the way in; yes, no and not known come back as such."""
    kept = replace(TASK, origin="masked", destination="masked")
    assert task_of([*task_columns(TASK, masked).values()]) == kept
    stored = [int(value) if isinstance(value, bool) else value for value in task_columns(TASK, masked).values()]
    assert task_of(stored) == kept
    assert task_of(stored).active is False
    assert task_of([*task_columns(Task("t1"), masked).values()]) == Task("t1")


@pytest.mark.anyio
async def test_every_reader_gives_all_fields(opener: Opener) -> None:
    """Handed out from a list, from the backlog and with its details, a task is the same."""
    kept = replace(TASK, origin="masked", destination="masked")
    async with opener() as ledger:
        assert await ledger.add_tasks([TASK], listed_in=DAY, now_ms=9) == [TASK]
        for handed in (
            await ledger.backlog(Everything(), now_ms=9),
            await ledger.oldest_work(Everything(), now_ms=9),
        ):
            assert [each.task for each in handed] == [kept]
        assert [row.task for row in await ledger.task_rows(DAY)] == [kept]
        assert [row.task for row in await ledger.export_rows()] == [kept]
