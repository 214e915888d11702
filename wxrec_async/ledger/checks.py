"""Is this file the ledger we wrote?  Everything that is looked at before a ledger is trusted.

What is found: a changed byte in any row (each carries a CRC-32), in any index
(compared with its table), in the definitions, in the file's structure.  What is
not: a damaged write-ahead log loses its last commits, as after a power loss, and
the ledger then lags the bucket, which the next run mends.  A file that was put
back to an older state as a whole looks sound.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from wxrec_async.errors import LedgerDamaged, LedgerError
from wxrec_async.ledger.migrations import VERSION, schema_seal, seal, user_version
from wxrec_async.ledger.sqlite_errors import SQLITE_ERRORS, SqliteError, damaged, explain

APPLICATION_ID = 0x77787263  # "wxrc", in the header of every ledger
MAGIC = b"SQLite format 3\x00"
_ALL_ROWS = {
    "identity": "SELECT * FROM identity",
    "runs": "SELECT * FROM runs",
    "closed_windows": "SELECT * FROM closed_windows",
    "tasks": "SELECT * FROM tasks",
    "run_tasks": "SELECT * FROM run_tasks",
    "recordings": "SELECT * FROM recordings",
    "open_uploads": "SELECT * FROM open_uploads",
    "left_alone": "SELECT * FROM left_alone",
    "certificates": "SELECT * FROM certificates",
}


def check_header(path: Path) -> None:
    """Refuse what is no SQLite database before SQLite touches it."""
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError as error:
        raise LedgerError(f"ledger {path} cannot be read: {error.strerror}") from None
    # SQLite itself takes an empty file for a new and empty database.
    if not head:
        raise damaged(path, "it is empty")
    if not head.startswith(MAGIC):
        raise damaged(path, "it is not a SQLite database")


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Read the whole ledger once.  LedgerDamaged, or LedgerError for a file that is not ours or too new."""
    try:
        # First whose file it is: one of another program, or of a newer one, is not damaged.
        check_version(connection, path)
        _check_structure(connection, path)
        _check_seals(connection, path)
    except SQLITE_ERRORS as error:
        raise _as_damage(error, path) from None


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema version; LedgerError when the file is another program's or a newer program's."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise LedgerError(f"{path} is the database of another program; name another file with --ledger")
    version = user_version(connection)
    if version > VERSION:
        raise LedgerError(
            f"ledger {path} has schema version {version}, this program knows up to {VERSION}; use a newer program"
        )
    if version < 1:
        raise damaged(path, "it has no schema version")
    return version


def _check_structure(connection: sqlite3.Connection, path: Path) -> None:
    # integrity_check, not quick_check: only the former compares indexes with
    # their tables, and counts are read from an index.
    first = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if first != "ok":
        raise damaged(path, " ".join(str(first).split())[:200])
    kept = connection.execute("SELECT schema_seal FROM identity").fetchall()
    if kept != [(schema_seal(connection),)]:
        raise damaged(path, "its definitions were changed")


def _check_seals(connection: sqlite3.Connection, path: Path) -> None:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for table in sorted(_ALL_ROWS.keys() & {name for (name,) in rows}):  # an older version may have fewer
        query = _ALL_ROWS[table]
        for row in connection.execute(query):
            # In every table the seal is the last column, over all columns before it.
            if seal(*row[:-1]) != row[-1]:
                raise damaged(path, f"a row of {table} was changed")


def _as_damage(error: SqliteError, path: Path) -> LedgerError:
    """Judge an error met while checking: unless the outside is to blame, the file is."""
    told = explain(error, path)
    outside = {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
    }
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in outside or isinstance(told, LedgerDamaged):
        return told
    return damaged(path, str(error))
