"""Opening a ledger: lock it, look at it, and only then touch it.  Blocking; runs in a worker thread."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wxrec_async.errors import ConfigError, LedgerError, LedgerFull
from wxrec_async.events import Warned
from wxrec_async.ledger import checks, database_files, disk_room, migrations, runs
from wxrec_async.ledger.connection import LedgerConnection
from wxrec_async.ledger.records import Identity
from wxrec_async.ledger.sqlite_errors import SQLITE_ERRORS, damaged, explain
from wxrec_async.plumbing import private_files

BUSY_S = 30.0  # only a reader on a network file system ever makes us wait
OLDEST_SQLITE = (3, 31, 0)  # generated columns


@dataclass(slots=True)
class Opened:
    """A connection that may be written on, the descriptor that holds the lock, and what the operator should know."""

    connection: LedgerConnection
    lock: int
    warnings: list[Warned] = field(default_factory=list)

    def close(self) -> None:
        """Let go of the lock; the connection is closed by whoever uses it."""
        os.close(self.lock)


def open_for_writing(path: Path, identity: Identity) -> Opened:
    """Open or create the ledger at ``path``.

    ConfigError when it belongs to something else, LedgerInUse, LedgerDamaged,
    LedgerFull, or LedgerError for everything else that keeps it from being used;
    a file that is refused is left as it was.
    """
    _check_sqlite()
    with _in_our_words(path), contextlib.ExitStack() as undo:
        exists = database_files.check_place(path)
        disk_room.check_disk(path)
        # The lock comes before the file is opened: two who found no ledger would make two of one name.
        lock = database_files.take_lock(path)
        undo.callback(os.close, lock)
        exists = database_files.check_place(path)  # again: its holder may have made it meanwhile
        if not exists:
            _create(path, identity)
        warnings = _warn_of_loose(path)
        # Looked at through a connection that cannot write, unless a journal is left over, which
        # such a one cannot roll back.
        if not _has_hot_journal(path):
            _look_first(path, identity)
        connection = _connect(path, "rw")
        undo.callback(connection.close)
        if _has_hot_journal(path):  # only a writer can roll it back, so this one is looked at late
            checks.check(connection, path)
            _refuse_foreign(path, runs.read_identity(connection), identity)
        # Only now is it written on: setting the journal mode changes the header.
        warnings += _set_up(connection, path)
        migrations.migrate(connection)
        _adopt(connection, identity)
        # From here on connection and lock are the caller's to close.
        undo.pop_all()
        return Opened(connection, lock, warnings)


def open_for_reading(path: Path) -> LedgerConnection:
    """Open an existing ledger without a lock and without the right to change it; LedgerError when it cannot be read.

    One that an older program wrote is read as it is, by a copy that is brought up to date and goes with the connection.
    """
    with _in_our_words(path), contextlib.ExitStack() as undo:
        if not database_files.check_place(path):
            raise LedgerError(f"there is no ledger at {path}; name it with --ledger")
        checks.check_header(path)
        connection = _connect_to_read(path)
        undo.callback(connection.close)
        if checks.check_version(connection, path) < migrations.VERSION:
            # Queries of today do not fit yesterday's tables, and who looks on may not migrate what lies there.
            connection = _brought_up_to_date(connection)
            undo.callback(connection.close)
        undo.pop_all()
        return connection


def _connect_to_read(path: Path) -> LedgerConnection:
    """Connect to the file itself, or where SQLite cannot lay its shared memory beside it, to its bytes alone."""
    effective = os.access in os.supports_effective_ids
    in_place = disk_room.disk_trouble(path) is None and os.access(path.parent, os.W_OK, effective_ids=effective)
    # Who writes has laid it there already; and beside a writer nothing but SQLite sees a whole ledger.
    if in_place or database_files.is_held(path):
        return _connect(path, "ro")
    unmerged = [suffix for suffix in ("-wal", "-journal") if _holds_something(database_files.beside(path, suffix))]
    return _connect_to_copy(path, unmerged) if unmerged else _connect(path, "immutable")


def _connect_to_copy(path: Path, unmerged: Sequence[str]) -> LedgerConnection:
    """Copy the files and connect to the copy, where SQLite merges what a killed writer left in the log."""
    with _in_scratch(path.name) as (scratch, copy):
        for suffix in ("", *unmerged):
            shutil.copyfile(database_files.beside(path, suffix), database_files.beside(copy, suffix))
        connection = _connect(copy, "rw")
        connection.scratch = scratch
        return connection


def _brought_up_to_date(old: LedgerConnection) -> LedgerConnection:
    """Return a connection to a copy that is migrated; ``old`` is closed."""
    with contextlib.closing(old), _in_scratch("older.db") as (scratch, copy):
        copy.touch(private_files.PRIVATE)
        connection = _connect(copy, "rw")
        connection.scratch = scratch
        old.backup(connection)
        # It is thrown away, so nothing in it has to survive.
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")
        migrations.migrate(connection)
        return connection


@contextlib.contextmanager
def _in_scratch(name: str) -> Iterator[tuple[tempfile.TemporaryDirectory[str], Path]]:
    """Lend a private folder and the path of a file in it; it is removed when the block fails."""
    scratch = tempfile.TemporaryDirectory(prefix="wxrec-ledger-")
    try:
        yield scratch, Path(scratch.name) / name
    except BaseException:
        scratch.cleanup()
        raise


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise LedgerError(f"SQLite {sqlite3.sqlite_version} is too old for the ledger, it takes 3.31 or newer")


@contextlib.contextmanager
def _in_our_words(path: Path) -> Iterator[None]:
    try:
        yield
    except SQLITE_ERRORS as error:
        raise explain(error, path) from None
    except OSError as error:
        kind = LedgerFull if error.errno in database_files.NO_ROOM else LedgerError
        raise kind(f"ledger {path} cannot be used: {error.strerror}") from None


def _connect(path: Path, mode: str) -> LedgerConnection:
    """``mode`` is rw, ro or immutable (ro of what nobody writes): never rwc, a ledger is not made by accident."""
    how = "mode=ro&immutable=1" if mode == "immutable" else f"mode={mode}"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}",
        uri=True,
        timeout=BUSY_S,
        # Autocommit, or sqlite3 begins transactions by itself: `group_commit` begins and ends them.
        isolation_level=None,
        check_same_thread=False,  # group_commit.py lets one thread at a time near it
        factory=LedgerConnection,
    )
    migrations.register(connection)
    return connection


def _create(path: Path, identity: Identity) -> None:
    # The last commits may be in there.  A new ledger beside them would hide that the old one is lost.
    for suffix in ("-wal", "-journal"):
        if database_files.beside(path, suffix).exists():
            raise damaged(path, f"the file is missing but its {suffix} is there")
    with database_files.new_file(path) as draft, contextlib.closing(_connect(draft, "rw")) as connection:
        connection.execute("PRAGMA journal_mode = MEMORY")  # a draft needs no rollback on disk
        migrations.create(connection, (identity.org_id, identity.bucket, identity.key_template))


def _warn_of_loose(path: Path) -> list[Warned]:
    loose = database_files.tighten(path)
    if not loose:
        return []
    names = ", ".join(file.name for file in loose)
    return [Warned("ledger_was_readable", f"{names} could be read by other users; made private (0600)")]


def _has_hot_journal(path: Path) -> bool:
    # An empty one is how some journal modes end a transaction.
    return _holds_something(database_files.beside(path, "-journal"))


def _holds_something(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _look_first(path: Path, identity: Identity) -> None:
    """Check through a connection that cannot write: the one that can would change a damaged file by closing it."""
    with _looked_at(path) as connection:
        _refuse_foreign(path, runs.read_identity(connection), identity)


@contextlib.contextmanager
def _looked_at(path: Path) -> Iterator[sqlite3.Connection]:
    checks.check_header(path)
    with contextlib.closing(_connect(path, "ro")) as connection:
        checks.check(connection, path)
        yield connection


def check(path: Path) -> None:
    """Check the ledger at ``path`` as opening it does, without touching it; LedgerDamaged, or another LedgerError."""
    with _in_our_words(path), _looked_at(path):
        pass


def _refuse_foreign(path: Path, kept: Identity, given: Identity) -> None:
    pairs = (
        ("organisation", kept.org_id, given.org_id),
        ("bucket", kept.bucket, given.bucket),
        ("key template", kept.key_template, given.key_template),
    )
    for what, ours, theirs in pairs:
        if ours != theirs and not (what == "organisation" and not ours):
            raise ConfigError(
                f"ledger {path} belongs to {what} {ours!r}, this run is for {theirs!r}; "
                f"name another file with --ledger, or mend the configuration"
            )


def _adopt(connection: sqlite3.Connection, given: Identity) -> None:
    """Fill in the organisation of a ledger that was made before it was known."""
    connection.execute("UPDATE identity SET org_id = ? WHERE org_id = ''", (given.org_id,))


def _set_up(connection: sqlite3.Connection, path: Path) -> list[Warned]:
    kind = database_files.network_kind(path)
    # A WAL needs memory that all its users share, which no network file system gives.
    wanted = "delete" if kind else "wal"
    change = "PRAGMA journal_mode = DELETE" if kind else "PRAGMA journal_mode = WAL"
    got = connection.execute(change).fetchone()[0]
    if got != wanted:
        raise LedgerError(f"ledger {path}: SQLite keeps journal mode {got} instead of {wanted}; is it being read?")
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    if not kind:
        return []
    return [
        Warned(
            "ledger_on_network",
            f"ledger {path} lies on a network file system ({kind}): slower, and only as safe as its locks; "
            f"a local disk is better",
        )
    ]


_PRAGMAS = (
    # In WAL mode NORMAL loses the last commits with the power.  What was noted before it was acted on must be
    # there afterwards, and FULL still made about 1,000 commits a second.
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",  # macOS: fsync alone stops at the drive's cache
    "PRAGMA cache_size = -2048",  # KiB; what is not in it is in the system's, and read from there in microseconds
    "PRAGMA temp_store = MEMORY",
    # A WAL that one busy hour made long is cut back to this many bytes afterwards.
    "PRAGMA journal_size_limit = 67108864",
)
