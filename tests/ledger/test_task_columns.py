"""The one list of what is kept of a task."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from wxrec_async.ledger import Everything
from wxrec_async.ledger.task_columns import COLUMNS, kept_columns, task_of
from wxrec_async.model import Task

from .contract import DAY, Opener, masked

VALUES: dict[str, object] = {"str": "words", "int": 5, "bool": True}  # by the type of a field
FULL = Task(**{each.name: VALUES[str(each.type).partition(" ")[0]] for each in fields(Task)})  # type: ignore[arg-type]
TASK = replace(FULL, id="t1", active=False, said='{"mood":"+15550100001"}')
SHOWN: dict[str, Any] = {"origin": "masked", "destination": "masked", "said": None}


def test_the_columns_are_the_fields_of_the_model() -> None:
    """In the same order, by which rows become tasks again."""
    assert tuple(COLUMNS) == tuple(each.name for each in fields(Task))


def test_what_is_kept_is_read_back() -> None:
    """Numbers are masked on the way in; yes, no and not known come back as such."""
    kept = replace(TASK, **SHOWN)
    columns = kept_columns(TASK, masked)
    assert columns.pop("said") == '{"mood":"masked"}'
    assert task_of([*columns.values()]) == kept
    stored = [int(value) if isinstance(value, bool) else value for value in columns.values()]
    assert task_of(stored) == kept
    assert task_of(stored).active is False
    assert task_of([*kept_columns(Task("t1"), masked).values()][:-1]) == Task("t1")


@pytest.mark.anyio
async def test_every_reader_gives_all_fields(opener: Opener) -> None:
    """Handed out from a list, from the backlog and with its details, a task is the same; what else was said stays."""
    kept = replace(TASK, **SHOWN)
    async with opener() as ledger:
        assert await ledger.add_tasks([TASK], listed_in=DAY, now_ms=9) == [replace(TASK, said=None)]
        for handed in (
            await ledger.backlog(Everything(), now_ms=9),
            await ledger.oldest_work(Everything(), now_ms=9),
        ):
            assert [each.task for each in handed] == [kept]
        assert [row.task for row in await ledger.task_rows(DAY)] == [kept]
        assert [row.task for row in await ledger.export_rows()] == [kept]
