"""Where a ledger may lie, who may have it, and what is refused before it is touched."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wxrec_async.errors import ConfigError, LedgerDamaged, LedgerError, LedgerFull, LedgerInUse
from wxrec_async.events import Event, Warned, ignore
from wxrec_async.ledger import (
    Everything,
    Identity,
    checks,
    database_files,
    migrations,
    open_ledger,
    open_reader,
    opening,
)
from wxrec_async.model import Task
from wxrec_async.plumbing import private_files

from .contract import DAY, HOME, PHONE, Opener, add, masked

pytestmark = pytest.mark.anyio

NOBODY = 65_534
MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /data rw shared:2 - nfs4 host:/export rw
31 30 8:2 / /data/local rw - xfs /dev/sdb rw
32 22 0:41 / /my\040share rw - cifs //host/share rw
33 22 0:42 / /s3 rw - fuse.s3fs s3fs rw
a broken line
"""

HOLDER = """
import sys
from pathlib import Path
from wxrec_async.ledger.opening import open_for_writing
from wxrec_async.ledger import Identity
open_for_writing(Path(sys.argv[1]), Identity(*sys.argv[2:5]))
print("held", flush=True)
sys.stdin.read()
"""


async def refuse(path: Path, error: type[Exception], words: str) -> None:
    """Opening fails with one plain line, and leaves every byte where it was."""
    before = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    with pytest.raises(error, match=words) as caught:
        async with open_ledger(path, HOME, mask=masked, emit=ignore):
            pass
    assert "\n" not in str(caught.value)
    after = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.name in before}
    after.pop(f"{path.name}.lock", None)
    before.pop(f"{path.name}.lock", None)
    before.pop(f"{path.name}-shm", None)  # an index of the log, made anew by everybody who reads it
    after.pop(f"{path.name}-shm", None)
    assert after == before


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def take_away(path: Path) -> None:
    path.unlink()


def make_mode(path: Path, mode: int) -> None:
    path.chmod(mode)


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


@pytest.mark.fault("L15", "X10")
async def test_every_file_is_private_whatever_the_umask(path: Path, opener: Opener) -> None:
    """Database, log, index and lock are 0600 with umask 000, while it is open and afterwards."""
    before = os.umask(0)
    try:
        async with opener() as ledger:
            await add(ledger, "t1")
            assert modes(path.parent) == dict.fromkeys(
                ["wxrec.db", "wxrec.db-wal", "wxrec.db-shm", "wxrec.db.lock"], 0o600
            )
        async with open_reader(path) as reader:
            await reader.counts(Everything(), None)
        assert set(modes(path.parent).values()) == {0o600}
    finally:
        os.umask(before)


@pytest.mark.fault("X10")
async def test_a_readable_ledger_is_made_private_and_told(path: Path, opener: Opener, told: list[Event]) -> None:
    """An older 0644 file is tightened, with a warning that names it."""
    async with opener():
        pass
    make_mode(path, 0o644)
    async with opener():
        assert modes(path.parent)["wxrec.db"] == 0o600
    (warned,) = told
    assert isinstance(warned, Warned)
    assert warned.code == "ledger_was_readable"
    assert "wxrec.db" in warned.message


@pytest.mark.fault("X10")
async def test_links_are_refused(path: Path, opener: Opener) -> None:
    """A second name would pass by the lock; a symbolic link could point anywhere."""
    async with opener():
        pass
    link = path.with_name("link.db")
    link.symlink_to(path)
    await refuse(link, LedgerError, "symbolic link")
    link.unlink()
    link.hardlink_to(path)
    await refuse(link, LedgerError, "one name")
    link.unlink()
    lock = path.with_name("other.db.lock")
    lock.symlink_to(path)
    await refuse(path.with_name("other.db"), LedgerError, "symbolic link")


@pytest.mark.fault("L06")
async def test_places_that_cannot_be(tmp_path: Path) -> None:
    """A folder, a missing folder and a device are named as what they are."""
    (tmp_path / "folder").mkdir()
    await refuse(tmp_path / "folder", LedgerError, "is a folder")
    await refuse_without_listing(tmp_path / "nowhere" / "wxrec.db", "does not exist")
    os.mkfifo(tmp_path / "pipe")
    await refuse_without_listing(tmp_path / "pipe", "not a plain file")
    assert not (tmp_path / "nowhere").exists()


async def refuse_without_listing(path: Path, words: str) -> None:
    with pytest.raises(LedgerError, match=words):
        async with open_ledger(path, HOME, mask=masked, emit=ignore):
            pass


@contextmanager
def a_place_of_nobodys() -> Iterator[Path]:
    """Give a folder and the rights of an ordinary user in it: root, who writes everywhere, becomes one meanwhile."""
    with tempfile.TemporaryDirectory(prefix="wxrec-ledger-") as name:
        folder, root = Path(name), os.geteuid() == 0
        if root:
            os.chown(folder, NOBODY, NOBODY)
            os.setegid(NOBODY)
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
                os.setegid(0)
            folder.chmod(0o700)


@pytest.mark.fault("L06")
@pytest.mark.parametrize("what", ["folder", "file", "both"])
async def test_what_cannot_be_written_is_refused_at_the_start(what: str) -> None:
    """A folder or a ledger that is read-only: refused in one line before anything is begun, and left as it is."""
    with a_place_of_nobodys() as folder:
        path = folder / "wxrec.db"
        if what != "folder":
            async with open_ledger(path, HOME, mask=masked, emit=ignore) as ledger:
                await add(ledger, "t1")
            path.chmod(0o400)
            path.with_name("wxrec.db.lock").unlink()
        if what != "file":
            folder.chmod(0o500)
        before = path.read_bytes() if path.exists() else None
        await refuse_without_listing(path, r"cannot be (opened|used)|readonly|read-only|Permission denied")
        assert (path.read_bytes() if path.exists() else None) == before


@pytest.mark.fault("L07")
async def test_a_second_process_is_refused_and_a_killed_one_lets_go(path: Path, opener: Opener) -> None:
    """The holder is named by its pid; kill -9 frees the ledger at once."""
    command = [sys.executable, "-c", HOLDER, str(path), HOME.org_id, HOME.bucket, HOME.key_template]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:  # noqa: ASYNC220
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LedgerInUse, match=f"in use by pid {holder.pid}"):
            async with opener():
                pass
        async with open_reader(path) as reader:
            assert (await reader.counts(Everything(), None)).tasks_listed == 0
        holder.kill()
        holder.wait()
    async with opener() as ledger:
        assert await add(ledger, "t1") == ["t1"]


@pytest.mark.fault("L07", "L19")
async def test_a_second_opening_in_one_process_is_refused(opener: Opener) -> None:
    """The lock belongs to the opening, not to the process."""
    async with opener():
        with pytest.raises(LedgerInUse, match=f"pid {os.getpid()}"):
            async with opener():
                pass
    async with opener():
        pass


@pytest.mark.fault("L19")
async def test_a_reader_sees_commits_while_the_writer_works(path: Path, opener: Opener) -> None:
    """`status` needs no lock, sees what is committed, and cannot write."""
    async with opener() as ledger:
        await add(ledger, "t1")
        async with open_reader(path) as reader:
            assert (await reader.counts(Everything(), None)).tasks_listed == 1
            await add(ledger, "t2")
            assert (await reader.counts(Everything(), None)).tasks_listed == 2
            assert await reader.identity() == HOME
    connection = opening.open_for_reading(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM tasks")
    connection.close()


async def test_a_reader_creates_nothing(path: Path) -> None:
    """Asking for the status of a ledger that is not there leaves no file behind."""
    with pytest.raises(LedgerError, match="no ledger at"):
        async with open_reader(path):
            pass
    assert list(path.parent.iterdir()) == []


@pytest.mark.fault("L08")
async def test_what_is_no_ledger_is_refused(path: Path, opener: Opener) -> None:
    """Text, an empty file, another program's database, an orphaned log: kept, named, never replaced."""
    put(path, b"hello, I am a text of some length\n" * 100)
    await refuse(path, LedgerDamaged, "not a SQLite database")
    put(path, b"")
    await refuse(path, LedgerDamaged, "it is empty")
    put(path.with_name("wxrec.db-wal"), b"x" * 100)
    await refuse(path, LedgerDamaged, "it is empty")
    take_away(path)
    await refuse(path, LedgerDamaged, "missing but its -wal")
    take_away(path.with_name("wxrec.db-wal"))
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    await refuse(path, LedgerError, "another program")


@pytest.mark.fault("L08")
async def test_a_newer_ledger_is_refused(path: Path, opener: Opener) -> None:
    """What a newer program wrote is not guessed at, neither by the writer nor by a reader."""
    async with opener():
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    await refuse(path, LedgerError, "schema version 99")
    with pytest.raises(LedgerError, match="schema version 99"):
        async with open_reader(path):
            pass


@pytest.mark.fault("L09")
async def test_on_a_network_file_system_there_is_no_shared_log(
    path: Path, opener: Opener, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """WAL needs shared memory, which it does not give: a rollback journal is used, and that is said."""
    async with opener() as ledger:
        await add(ledger, "t1")
    monkeypatch.setattr(database_files, "network_kind", lambda _: "nfs4")
    async with opener() as ledger:
        await add(ledger, "t2")
        assert not path.with_name("wxrec.db-wal").exists()
        async with open_reader(path) as reader:
            assert (await reader.counts(Everything(), None)).tasks_listed == 2
    assert [event.code for event in told if isinstance(event, Warned)] == ["ledger_on_network"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/home/a/x.db", "ext4"), ("/data/x.db", "nfs4"), ("/data/local/x.db", "xfs"), ("/my share/x.db", "cifs"),
     ("/database/x.db", "ext4"), ("/s3/x.db", "fuse.s3fs")],
)  # fmt: skip
def test_the_file_system_is_that_of_the_longest_mount(path: str, kind: str) -> None:
    """Mount points nest, carry escaped blanks, and are compared by whole names."""
    assert database_files.kind_of(Path(path), MOUNTS) == kind


@pytest.mark.fault("L09", "K19")
async def test_a_half_written_transaction_is_rolled_back_without_a_log(
    path: Path, opener: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a rollback journal a killed writer leaves changed pages in the file itself; opening puts them back."""
    async with opener() as ledger:
        await add(ledger, *(f"t{i}" for i in range(50)))
    killed = tmp_path / "killed" / "wxrec.db"
    assert leave_hot_journal(path, killed) > 0
    monkeypatch.setattr(database_files, "network_kind", lambda _: "nfs4")
    async with open_ledger(killed, HOME, mask=masked, emit=ignore) as ledger:
        assert (await ledger.counts(Everything(), None)).owed == 0
        assert (await ledger.counts(Everything(), None)).tasks_listed == 50
    another = tmp_path / "another" / "wxrec.db"
    leave_hot_journal(path, another)
    with pytest.raises(ConfigError):
        async with open_ledger(another, Identity("x", "y", "z"), mask=masked, emit=ignore):
            pass


def leave_hot_journal(path: Path, copy: Path) -> int:
    """Copy a ledger with its journal in the midst of a transaction that changed the file; return the journal's size."""
    copy.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    migrations.register(connection)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN")
    connection.execute("UPDATE tasks SET state = 'owed', reason = hex(zeroblob(2000))")
    for suffix in ("", "-journal"):
        source = database_files.beside(path, suffix)
        database_files.beside(copy, suffix).write_bytes(source.read_bytes())
        database_files.beside(copy, suffix).chmod(0o600)
    assert b"owed" in copy.read_bytes().replace(b"'owed'", b"")
    connection.execute("ROLLBACK")
    connection.close()
    return database_files.beside(copy, "-journal").stat().st_size


def test_a_system_without_mountinfo_counts_as_local(tmp_path: Path) -> None:
    """Not knowing is no reason to refuse."""
    assert database_files.network_kind(tmp_path, tmp_path / "missing") is None


async def test_a_killed_creation_leaves_no_half_ledger(
    path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file takes its name only when it is whole; an unfinished draft is replaced by the next opening."""
    path.with_name("wxrec.db.new").write_bytes(b"half")

    def die(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(private_files, "sync", die)
        with pytest.raises(LedgerFull):
            async with opener():
                pass
    assert [file.name for file in path.parent.iterdir()] == ["wxrec.db.lock"]
    async with opener() as ledger:
        assert await add(ledger, "t1") == ["t1"]


@pytest.mark.fault("X07", "X08")
async def test_no_phone_number_reaches_the_disk_when_masked(path: Path, opener: Opener) -> None:
    """The bytes of all files are searched while the log is still there, and after it was merged."""
    task = Task("t1", origin=PHONE, destination=PHONE, created_ms=5)
    async with opener() as ledger:
        await ledger.begin_run("run-1", 1, DAY)
        await ledger.add_tasks([task], listed_in=DAY, now_ms=1)
        await ledger.end_run("run-1", 1, 0, {"note": f"{PHONE} https://h/?X-Amz-Signature=CANARY"})
        during = b"".join(file.read_bytes() for file in path.parent.iterdir())
    after = b"".join(file.read_bytes() for file in path.parent.iterdir())
    for found in (during, after):
        assert b"t1" in found
        assert PHONE[1:].encode() not in found
        assert b"CANARY" not in found


@pytest.mark.shows_canaries("the ledger is told to keep numbers as they come")
async def test_plain_numbers_are_kept_on_request(opener: Opener) -> None:
    """With a mask that returns its argument the ledger keeps what came."""
    async with opener(mask=str) as ledger:
        await ledger.add_tasks([Task("t1", origin=PHONE)], listed_in=DAY, now_ms=1)
        (entry,) = await ledger.backlog(Everything(), now_ms=1)
    assert entry.task.origin == PHONE


@pytest.mark.fault("L18")
async def test_settings_of_the_connection(path: Path, opener: Opener) -> None:
    """A commit that returned survives power loss: the log is synced at every commit."""
    async with opener():
        pass
    opened = opening.open_for_writing(path, HOME)
    try:
        assert opened.connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert opened.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        opened.connection.close()
        opened.close()


def new_ledger() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrations.register(connection)
    migrations.create(connection, ("org", "bucket", "key"))
    return connection


def old_ledger() -> sqlite3.Connection:
    """A ledger of version 1 with a row in every table, made by the schema that was shipped then."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrations.register(connection)
    for statement in migrations.statements((Path(__file__).parent / "schema_1.sql").read_text("utf-8")):
        connection.execute(statement)
    rows = """
        INSERT INTO identity (one, org_id, bucket, key_template, schema_seal) VALUES (1, 'org', 'bucket', 'key', 0);
        INSERT INTO runs (id, started_ms, exit_code) VALUES ('r1', 5, 0);
        INSERT INTO tasks (id, first_seen_ms, place_ms, changed_ms, state) VALUES ('t1', 1, 2, 3, 'captured');
        INSERT INTO recordings (task, id, state, object_key, size, crc32, main_place, run, listed_ms, changed_ms)
            VALUES (1, 'rec', 'stored', 'k', 7, 9, 1, 1, 4, 5);
        INSERT INTO run_tasks (run, task) VALUES (1, 1);
        INSERT INTO closed_windows (from_ms, to_ms, closed_ms) VALUES (1, 2, 3);
    """
    for statement in migrations.statements(rows):
        connection.execute(statement)
    connection.execute("UPDATE identity SET schema_seal = ?", (migrations.schema_seal(connection),))
    return connection


def test_the_schema_carries_its_version() -> None:
    """schema.sql and the list of steps name the same version."""
    assert migrations.user_version(new_ledger()) == migrations.VERSION


def test_a_ledger_of_version_1_becomes_todays() -> None:
    """Its definitions are then those of a new one, its rows are all there, and every seal is right."""
    connection = old_ledger()
    assert migrations.migrate(connection) == migrations.VERSION - 1
    definitions = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    assert connection.execute(definitions).fetchall() == new_ledger().execute(definitions).fetchall()
    assert connection.execute("SELECT id, exit_code FROM runs").fetchall() == [("r1", 0)]
    assert connection.execute("SELECT id, state, place_ms FROM tasks").fetchall() == [("t1", "captured", 2)]
    stored = connection.execute("SELECT id, state, object_key, size, crc32, main_place, segment FROM recordings")
    assert stored.fetchall() == [("rec", "stored", "k", 7, 9, 1, 0)]
    checks.check(connection, Path("ledger.db"))


def test_migration_steps_are_taken_in_order_and_once() -> None:
    """An old ledger is brought up to date with its rows, and its definitions are sealed anew."""
    steps = [
        "ALTER TABLE runs ADD COLUMN host TEXT;\n-- a comment; with a semicolon\nPRAGMA user_version = 2;\n",
        "CREATE TABLE notes (x);\nINSERT INTO notes SELECT count(*) FROM identity;\nPRAGMA user_version = 3;\n",
    ]
    connection = old_ledger()
    assert migrations.migrate(connection, steps) == 2
    assert migrations.migrate(connection, steps) == 0
    assert connection.execute("SELECT x FROM notes").fetchall() == [(1,)]
    kept = connection.execute("SELECT schema_seal FROM identity").fetchone()[0]
    assert kept == migrations.schema_seal(connection)


def test_a_failing_migration_leaves_the_old_version() -> None:
    """A step is whole or not at all."""
    connection = old_ledger()
    with pytest.raises(sqlite3.OperationalError):
        migrations.migrate(connection, ["CREATE TABLE notes (x);\nPRAGMA user_version = 2;\nSELECT nonsense;\n"])
    assert migrations.user_version(connection) == 1
    assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'notes'").fetchall() == []
