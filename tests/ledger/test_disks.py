"""Disks that are full, out of inodes or read-only: each is called what it is, and none is a damaged ledger."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disks import block_disk, fill, make_read_only, memory_disk
from wxrec_async.errors import LedgerDamaged, LedgerError, LedgerFull
from wxrec_async.events import ignore
from wxrec_async.ledger import Everything, disk_room, open_ledger, open_reader, opening

from .contract import HOME, add, masked
from .test_opening import a_place_of_nobodys
from .test_released import RELEASED

pytestmark = [pytest.mark.anyio, pytest.mark.fault("L06", "L08")]


async def make(path: Path, *names: str) -> None:
    async with open_ledger(path, HOME, mask=masked, emit=ignore) as ledger:
        await add(ledger, *(names or ("t1",)))


async def refusal(path: Path) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        await make(path, "t2")
    assert "\n" not in str(caught.value)
    return caught.value


def contents(disk: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in disk.iterdir()}


async def listed(path: Path) -> int:
    async with open_reader(path) as reader:
        return (await reader.counts(Everything(), None)).tasks_listed


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with memory_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.mark.parametrize("leave", [0, 20 << 10, 200 << 10])
async def test_a_full_disk_is_no_damaged_ledger(disk: Path, leave: int) -> None:
    """Whether a ledger is there or is to be made; and what is there can still be read."""
    await make(disk / "wxrec.db")
    fill(disk, leave)
    before = (disk / "wxrec.db").read_bytes()
    for name in ("wxrec.db", "another.db"):
        told = await refusal(disk / name)
        assert isinstance(told, LedgerFull)
        assert "free on its disk" in str(told)
    assert await listed(disk / "wxrec.db") == 1
    assert (disk / "wxrec.db").read_bytes() == before
    assert sorted(contents(disk)) == ["filling", "wxrec.db", "wxrec.db.lock"]


@pytest.mark.parametrize("what", ["made", "migrated"])
async def test_a_disk_that_fills_up_meanwhile_is_named(disk: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite rolls back by itself then; what we say is the disk, and what was there stays."""
    path = disk / "wxrec.db"
    old = gzip.decompress((RELEASED / "schema_2.db.gz").read_bytes())
    if what == "migrated":
        path.write_bytes(old)
        path.chmod(0o600)
    monkeypatch.setattr(disk_room, "ROOM", 0)  # it was free when it was looked at
    monkeypatch.setattr(opening, "_refuse_foreign", lambda *_: None)
    fill(disk, 48 << 10)
    told = await refusal(path)
    assert isinstance(told, LedgerFull)
    assert "disk" in str(told)
    assert "rollback" not in str(told)
    if what == "migrated":
        monkeypatch.undo()
        (disk / "filling").unlink()
        assert await listed(path) > 0
    else:
        assert not path.exists()


async def test_a_disk_without_inodes_is_named(tmp_path: Path) -> None:
    """There is room, and no file can be made."""
    with memory_disk(tmp_path / "disk", "size=8m,nr_inodes=3") as disk:
        (disk / "one").touch()
        (disk / "two").touch()
        told = await refusal(disk / "wxrec.db")
    assert isinstance(told, LedgerFull)
    assert "no inodes" in str(told)


CHILD = """
import sys
from pathlib import Path
from tests.disks import fill
from wxrec_async.errors import LedgerFull
from wxrec_async.ledger import Identity
from wxrec_async.ledger.opening import open_for_writing
path = Path(sys.argv[1])
for leave in range(0, 200 << 10, 3 << 10):
    fill(path.parent, leave)
    try:
        opened = open_for_writing(path, Identity(*sys.argv[2:5]))
    except LedgerFull:
        pass
    else:
        opened.connection.close()
        opened.close()
    path.with_name("filling").unlink()
print("alive")
"""


async def test_an_almost_full_disk_of_small_blocks_kills_nobody(tmp_path: Path) -> None:
    """The shared memory of a WAL is mapped page by page: where the disk has no block for one, the kernel kills."""
    with block_disk(tmp_path / "disk") as disk:
        path = disk / "wxrec.db"
        await make(path)
        command = [sys.executable, "-c", CHILD, str(path), HOME.org_id, HOME.bucket, HOME.key_template]
        root = str(Path(__file__).parents[2])
        done = subprocess.run(  # noqa: ASYNC221
            command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": root}
        )
        assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr[-500:]


@pytest.mark.parametrize("ending", ["closed", "killed", "copied"])
async def test_a_ledger_on_a_disk_that_is_read_only_is_read(disk: Path, ending: str) -> None:
    """As a killed run left it, too: the last commits lie in the log beside it. To write on it is refused as such."""
    path = disk / "wxrec.db"
    if ending == "closed":
        await make(path, "t1", "t2")
    else:
        killed_after_two(path)
        assert path.with_name("wxrec.db-wal").stat().st_size > 0
        if ending == "copied":  # as it comes out of a backup, which has no shared memory
            path.with_name("wxrec.db-shm").unlink()
    make_read_only(disk)
    assert await listed(path) == 2
    told = await refusal(path)
    assert not isinstance(told, LedgerDamaged | LedgerFull)
    assert "ead-only" in str(told)


async def test_a_full_disk_with_the_log_of_a_killed_run_is_read(disk: Path) -> None:
    """SQLite would make the log's index anew there; a copy elsewhere is read instead."""
    path = disk / "wxrec.db"
    killed_after_two(path)
    fill(disk)
    before = contents(disk)
    assert await listed(path) == 2
    assert contents(disk) == before


async def test_beside_a_run_on_a_full_disk_its_last_commit_is_seen(disk: Path) -> None:
    """It is read in place: a copy of files that somebody writes would be of two moments."""
    path = disk / "wxrec.db"
    async with open_ledger(path, HOME, mask=masked, emit=ignore) as ledger:
        await add(ledger, "t1", "t2")
        fill(disk)
        assert await listed(path) == 2


async def test_a_ledger_in_a_folder_of_somebody_else_is_read() -> None:
    """An ordinary user who may read it and can lay nothing beside it."""
    with a_place_of_nobodys() as folder:
        await make(folder / "wxrec.db")
        folder.chmod(0o500)
        assert await listed(folder / "wxrec.db") == 1


def killed_after_two(path: Path) -> None:
    """Leave a ledger as a process does that is killed after a commit."""
    script = (
        "import anyio, os, sys\nfrom pathlib import Path\nfrom ledger.test_disks import HOME, add, ignore, masked\n"
        "from wxrec_async.ledger import open_ledger\n"
        "async def main():\n"
        "    async with open_ledger(Path(sys.argv[1]), HOME, mask=masked, emit=ignore) as ledger:\n"
        "        await add(ledger, 't1', 't2')\n        os.kill(os.getpid(), 9)\n"
        "anyio.run(main)\n"
    )
    root = Path(__file__).parents[2]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")])}
    assert subprocess.run([sys.executable, "-c", script, str(path)], env=env, check=False).returncode == -9


async def test_what_sqlite_does_not_call_damage_is_none(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check itself meets a full disk: nothing is said of restoring or rebuilding."""
    path = disk / "wxrec.db"
    await make(path)
    monkeypatch.setattr(disk_room, "ROOM", 0)
    fill(disk)
    told = await refusal(path)
    assert isinstance(told, LedgerFull)
    assert "rebuild" not in str(told)
