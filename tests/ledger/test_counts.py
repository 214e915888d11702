"""Counting at the end of a run: right, and without holding a list of all tasks in memory."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from wxrec_async.events import ignore
from wxrec_async.ledger import Everything, InPeriod, NamedFor, Scope, counts, open_ledger
from wxrec_async.ledger.tasks import scope_parameters
from wxrec_async.model import Window

from .contract import HOME

pytestmark = pytest.mark.anyio


@pytest.mark.fault("R04")
@pytest.mark.parametrize(
    "scope", [Everything(), InPeriod(Window(0, 100)), NamedFor("run")], ids=lambda s: type(s).__name__
)
async def test_counting_a_million_tasks_keeps_none_of_them(path: Path, scope: Scope) -> None:
    """SQLite neither sorts nor materialises the tasks: with ``temp_store = MEMORY`` that would be 6 MiB for 100,000."""
    async with open_ledger(path, HOME, mask=str, emit=ignore) as ledger:
        await ledger.begin_run("run", 1, None)
        with sqlite3.connect(path) as db:
            parameters = scope_parameters(db, scope) | {"counted": 1}
            for query in (counts._TASKS, counts._RECORDINGS):
                plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", parameters)]
                assert plan
                assert not [step for step in plan if "MATERIALIZE" in step or "TEMP B-TREE" in step]
        db.close()
