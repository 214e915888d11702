"""A damaged ledger is refused or read correctly: never wrong, never changed, never silently begun anew."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from wxrec_async.errors import LedgerDamaged, LedgerError
from wxrec_async.ledger import Everything, InPeriod, SqliteLedger, counts, opening, tasks
from wxrec_async.ledger.connection import LedgerConnection
from wxrec_async.model import Task, TaskState, Window

from .contract import DAY, HOME, Opener, add, capture, store

pytestmark = [pytest.mark.anyio, pytest.mark.fault("L08")]

TABLES = ("identity", "runs", "closed_windows", "tasks", "run_tasks", "recordings", "open_uploads")


async def fill(ledger: SqliteLedger) -> None:
    """Give every table and every index several pages or at least a row."""
    await ledger.begin_run("run-1", 1, DAY)
    names = [f"task-{i:04}" for i in range(120)]
    await add(ledger, *names)
    for i, name in enumerate(names[:60]):
        await capture(ledger, name, "a", "b")
        await store(ledger, name, "a", main_place=True)
        if i % 3 == 0:
            await ledger.started(name, "b", f"key-{i}", 5)
            await ledger.upload_created(f"key-{i}", f"upload-{i}", name, "b", 6)
        elif i % 3 == 1:
            await ledger.recording_failed(name, "b", "cut", "after 7 bytes", 7)
    for name in names[60:80]:
        await ledger.settle_task(name, TaskState.OWED, "early", now_ms=9, empty_answer=True, next_ask_ms=50)
    await ledger.add_tasks([Task(name) for name in names[:20]], listed_in=None, now_ms=9, named_for="run-1")
    await ledger.close_window(Window(0, 500), 10)
    await ledger.end_run("run-1", 11, 3, {"stored": 60})


def everything(connection: LedgerConnection) -> object:
    """Read all rows, and what the queries make of them through the indexes."""
    rows = [connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES]  # noqa: S608 - own names
    return (
        rows,
        counts.count_scope(connection, InPeriod(DAY), "run-1"),
        counts.failures(connection, Everything()),
        tasks.backlog(connection, Everything(), now_ms=100, limit=1000, again=True),
    )


def opened_and_read(path: Path) -> object:
    opened = opening.open_for_writing(path, HOME)
    try:
        return everything(opened.connection)
    finally:
        opened.connection.close()
        opened.close()


@pytest.fixture
async def whole(path: Path, opener: Opener) -> tuple[bytes, object]:
    """Return the bytes of a filled ledger and all that can be read in it."""
    async with opener() as ledger:
        await fill(ledger)
    return bytes_at_rest(path), opened_and_read(path)


def bytes_at_rest(path: Path) -> bytes:
    assert not path.with_name("wxrec.db-wal").exists()
    return path.read_bytes()


def both_files(path: Path) -> tuple[bytes, bytes]:
    return path.read_bytes(), path.with_name("wxrec.db-wal").read_bytes()


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def damage(path: Path, content: bytes) -> None:
    for file in path.parent.iterdir():
        file.unlink()
    path.write_bytes(content)
    path.chmod(0o600)


def refused_or(path: Path, content: bytes, right: Callable[[object], bool]) -> bool:
    """Put ``content`` there; return whether it was refused.  What is read must be ``right``."""
    damage(path, content)
    try:
        found = opened_and_read(path)
    except LedgerError:
        assert path.read_bytes() == content
        return True
    assert right(found)
    return False


@pytest.mark.parametrize("seed", range(5))
async def test_a_flipped_byte_is_refused_or_harmless(seed: int, path: Path, whole: tuple[bytes, object]) -> None:
    """One changed byte anywhere in the file never changes an answer."""
    content, right = whole
    dice = random.Random(seed)
    for _ in range(40):
        damaged = bytearray(content)
        damaged[dice.randrange(len(damaged))] ^= dice.randrange(1, 256)
        refused_or(path, bytes(damaged), lambda found: found == right)


async def test_a_flipped_byte_of_the_header_is_refused_or_harmless(path: Path, whole: tuple[bytes, object]) -> None:
    """The first 100 bytes steer everything: each of them, one after the other."""
    content, right = whole
    refused = 0
    for offset in range(100):
        damaged = bytearray(content)
        damaged[offset] ^= 0xFF
        refused += refused_or(path, bytes(damaged), lambda found: found == right)
    assert refused > 40


async def test_changed_values_are_noticed(path: Path, whole: tuple[bytes, object]) -> None:
    """SQLite finds nothing wrong with another letter in a name or in a key; the seal of the row does."""
    content, _ = whole
    for old, new in ((b"key-3", b"key-4"), (b"after 7 bytes", b"after 8 bytes"), (b"bucket-1", b"bucket-2")):
        assert old in content
        damage(path, content.replace(old, new))
        with pytest.raises(LedgerDamaged, match="was changed"):
            opened_and_read(path)


async def test_changed_definitions_are_noticed(path: Path, whole: tuple[bytes, object]) -> None:
    """An index that leaves out rows would hide work; the definitions are sealed too."""
    content, _ = whole
    damage(
        path,
        content.replace(b"WHERE state IN ('listed', 'owed', 'failed')", b"WHERE state IN ('listed', 'owed', 'faileD')"),
    )
    with pytest.raises(LedgerDamaged):
        opened_and_read(path)


async def test_a_cut_file_is_refused(path: Path, whole: tuple[bytes, object]) -> None:
    """Cut at every page: none passes.  Cut inside a page: refused, unless only unused bytes went."""
    content, right = whole
    for size in range(0, len(content), 4096):
        assert refused_or(path, content[:size], lambda _: False), size
    for size in (50, *range(2000, len(content), 20_000), len(content) - 1):
        refused_or(path, content[:size], lambda found: found == right)


async def test_a_zeroed_page_is_refused_or_unused(path: Path, whole: tuple[bytes, object]) -> None:
    """A lost sector reads as zeros; whichever page it was, no answer changes."""
    content, right = whole
    for start in range(0, len(content), 4096):
        blank = content[:start] + bytes(4096) + content[start + 4096 :]
        refused_or(path, blank, lambda found: found == right)


async def test_damage_met_later_is_damage(path: Path, whole: tuple[bytes, object], opener: Opener) -> None:
    """A page that goes bad while the ledger is open ends the run as damaged, not as a wrong answer."""
    async with opener() as ledger:
        overwrite(path, 4096, b"\xff" * (len(whole[0]) - 4096))
        with pytest.raises(LedgerDamaged):
            await ledger.failures(Everything())


@pytest.mark.fault("K19")
async def test_a_damaged_log_loses_the_end_and_nothing_else(path: Path, opener: Opener, tmp_path: Path) -> None:
    """A flipped byte in the write-ahead log takes back the commits from there on: an older state, never a mixed one."""
    states = []
    copy = tmp_path / "copy" / "wxrec.db"
    copy.parent.mkdir()
    async with opener() as ledger:
        for number in range(12):
            await add(ledger, f"t{number}")
            states.append(await ledger.counts(Everything(), None))
        database, log = both_files(path)
    states.insert(0, type(states[0])())
    dice = random.Random(7)
    seen = set()
    for _ in range(40):
        damaged = bytearray(log)
        damaged[dice.randrange(len(damaged))] ^= 0xFF
        damage(copy, database)
        copy.with_name("wxrec.db-wal").write_bytes(damaged)
        opened = opening.open_for_writing(copy, HOME)
        seen.add(counts.count_scope(opened.connection, Everything(), None))
        opened.connection.close()
        opened.close()
    assert seen <= set(states)
    assert len(seen) > 1
    shutil.rmtree(copy.parent)
