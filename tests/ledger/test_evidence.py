"""What the ledger keeps for manifests, certificates and sidecars."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.ledgers import captured
from wxrec_async.errors import LedgerError
from wxrec_async.events import ignore
from wxrec_async.ledger import (
    CertificateRow,
    Everything,
    Identity,
    InPeriod,
    Operator,
    SqliteLedger,
    StoredRow,
    open_ledger,
)
from wxrec_async.model import Recording, StoredObject, Task, Window
from wxrec_async.rules.evidence import Item

pytestmark = pytest.mark.anyio
DAY = Window(0, 1000)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    """A ledger with a run under way."""
    home = Identity("org", "bucket", "c/{task_id}/recording{ext}")
    async with open_ledger(tmp_path / "l.db", home, mask=str, emit=ignore) as ledger:
        await ledger.begin_run("run-1", 1, DAY, author=Operator("1.2", "op@host"))
        yield ledger


async def stored(
    ledger: SqliteLedger, task: str, *recordings: str, created_ms: int = 5, sha256: str | None = "a" * 64
) -> None:
    """Have a task with these recordings stored."""
    await ledger.add_tasks([Task(task, created_ms=created_ms)], listed_in=DAY, now_ms=10)
    found = [Recording(task, name, tracking_id="TRACK-1") for name in recordings]
    await captured(ledger, task, found, 11)
    for name in recordings:
        await store(ledger, task, name, sha256=sha256)


async def store(
    ledger: SqliteLedger, task: str, name: str, *, sha256: str | None = "a" * 64, size: int = 10, already: bool = False
) -> None:
    body = StoredObject(f"c/{task}/{name}", size, crc32=7, etag='"e"', version_id="v", sha256=sha256)
    await ledger.stored(task, name, body, run_id="run-1", already=already, main_place=False, now_ms=12)


async def test_items_say_all_that_a_manifest_needs(ledger: SqliteLedger) -> None:
    """The run's version and the tracking id of the answer are with every recording."""
    await stored(ledger, "t1", "r1")
    assert await ledger.items(DAY) == [
        Item(
            5, "t1", "r1", "c/t1/r1", 10, 7, "a" * 64, '"e"', "v", None, False, 5, None, None, 12, "TRACK-1", "run-1",
            "1.2",
        )
    ]  # fmt: skip


async def test_items_come_in_pages_by_time_and_id(ledger: SqliteLedger) -> None:
    """Not in the order the ledger heard of them; other days and what is not stored are left out."""
    await stored(ledger, "t9", "r1", created_ms=7)
    await stored(ledger, "t2", "r2", "r1", created_ms=7)
    await stored(ledger, "t5", "r1", created_ms=3)
    await stored(ledger, "t0", "r1", created_ms=1000)
    await captured(ledger, "t5", [Recording("t5", "open")], 20)
    found: list[Item] = []
    while page := await ledger.items(DAY, after=found[-1] if found else None, limit=2):
        assert len(page) <= 2
        found += page
    assert [(each.task_id, each.recording_id) for each in found] == [
        ("t5", "r1"), ("t2", "r1"), ("t2", "r2"), ("t9", "r1"),
    ]  # fmt: skip


async def test_a_tracking_id_stays_with_what_was_stored(ledger: SqliteLedger) -> None:
    """A later answer about a stored recording does not change which one it came by; before, the newest counts."""
    await stored(ledger, "t1", "r1")
    await captured(ledger, "t1", [Recording("t1", "r1", tracking_id="TRACK-2"), Recording("t1", "r2")], 20)
    await captured(ledger, "t1", [Recording("t1", "r2", tracking_id="TRACK-3")], 21)
    await store(ledger, "t1", "r2")
    assert [item.tracking_id for item in await ledger.items(DAY)] == ["TRACK-1", "TRACK-3"]


async def test_a_hash_survives_only_the_same_bytes(ledger: SqliteLedger) -> None:
    """Found again without being read, a recording keeps its SHA-256; with other bytes it does not."""
    await stored(ledger, "t1", "r1")
    await store(ledger, "t1", "r1", sha256=None, already=True)
    assert (await ledger.items(DAY))[0].sha256 == "a" * 64
    await store(ledger, "t1", "r1", sha256=None, size=11)
    assert (await ledger.items(DAY))[0].sha256 is None


async def test_a_hash_is_filled_in_once(ledger: SqliteLedger) -> None:
    """Only where none is known."""
    await stored(ledger, "t1", "r1", sha256=None)
    (row,) = await ledger.stored_rows()
    assert isinstance(row, StoredRow)
    assert row.sha256 is None
    assert await ledger.note_sha256(row, "b" * 64)
    assert not await ledger.note_sha256(row, "c" * 64)
    assert (await ledger.stored_rows())[0].sha256 == "b" * 64


async def test_a_certificate_of_schema_2_is_kept_with_what_it_rests_on(ledger: SqliteLedger) -> None:
    """Its file of tasks and its witnesses; certified days are counted by how Search was heard."""
    plain = certificate(1)
    row = replace(
        certificate(2, day_ms=86_400_000),
        schema=2,
        tasks_key="t2",
        tasks_sha256="4" * 64,
        witnesses='{"search": "absent"}',
    )
    for each in (plain, row, row):
        await ledger.add_certificate(each)
    assert await ledger.last_certificate() == row
    assert await ledger.certified_days() == {"absent": 1, "not_said": 1}


def certificate(n: int, day_ms: int = 0, number: int = 1, key: str = "") -> CertificateRow:
    return CertificateRow(n, day_ms, number, 50 + n, key or f"c{n}", "1" * 64, f"m{n}", "2" * 64, "3" * 64)


async def test_certificates_are_kept_in_the_order_they_were_issued(ledger: SqliteLedger) -> None:
    """The last of all, and those of a day with the newest last; another one under a number that is taken is refused."""
    assert await ledger.last_certificate() is None
    rows = [certificate(1), certificate(2, day_ms=86_400_000), certificate(3, number=2)]
    for row in [*rows, rows[0]]:
        await ledger.add_certificate(row)
    assert await ledger.last_certificate() == rows[2]
    assert await ledger.certificates_of(0) == [rows[0], rows[2]]
    with pytest.raises(LedgerError, match="another certificate 2"):
        await ledger.add_certificate(certificate(2, key="elsewhere"))


async def test_a_sidecar_is_due_until_it_says_how_the_task_stands(ledger: SqliteLedger) -> None:
    """Once all is at rest, and again after anything changed."""
    await ledger.add_tasks([Task("t1", created_ms=5)], listed_in=DAY, now_ms=10)
    await captured(ledger, "t1", [Recording("t1", "r1"), Recording("t1", "r2")], 11)
    await store(ledger, "t1", "r1")
    assert (await ledger.described("t1"), await ledger.sidecars_due(Everything())) == (None, [])
    await ledger.recording_gone("t1", "r2", 12, evidence="captures_unnamed")
    described = await ledger.described("t1")
    assert described is not None
    assert [(each.id, each.state, each.key) for each in described.recordings] == [
        ("r1", "stored", "c/t1/r1"), ("r2", "gone", None),
    ]  # fmt: skip
    assert [task for _, task in await ledger.sidecars_due(InPeriod(DAY))] == ["t1"]
    assert await ledger.sidecars_due(InPeriod(Window(1000, 2000))) == []
    await ledger.note_sidecar("t1", 1, "d" * 64)
    described = await ledger.described("t1")
    assert described is not None
    assert (described.number, described.current) == (1, True)
    assert await ledger.sidecars_due(Everything()) == []
    await store(ledger, "t1", "r1", size=99)
    described = await ledger.described("t1")
    assert described is not None
    assert (described.number, described.current) == (1, False)
    assert len(await ledger.sidecars_due(Everything())) == 1


async def test_a_sidecar_is_due_again_when_webex_deleted_what_came_later(ledger: SqliteLedger) -> None:
    """A consult leg that was found after the sidecar was written, and deleted before it was stored, is to be told."""
    await ledger.add_tasks([Task("t9", created_ms=5)], listed_in=DAY, now_ms=1)
    await captured(ledger, "t9", [Recording("t9", "r")], 2)
    await ledger.recording_gone("t9", "r", 3, evidence="captures_unnamed")
    await ledger.note_sidecar("t9", 1, "d" * 64)
    await captured(ledger, "t9", [Recording("t9", "r"), Recording("t9", "leg")], 4)
    (row,) = (await ledger.rows_of(["t9"])).values()
    await ledger.deleted_at_webex(row, 5)
    assert [task for _, task in await ledger.sidecars_due(Everything())] == ["t9"]
