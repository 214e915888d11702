"""SQLite's errors in our words."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from wxrec_async.errors import LedgerDamaged, LedgerError, LedgerFull
from wxrec_async.ledger.disk_room import disk_trouble

# The sqlite3 module meets text that is no UTF-8 in a damaged row, and in the
# message SQLite makes of a damaged definition.
SqliteError = sqlite3.Error | UnicodeDecodeError
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
_READING_FAILED = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)
# What SQLite says, in as many words, of a disk that is full, read-only, or has no inodes.
_OF_THE_DISK = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
_PRIMARY = 0xFF  # the low byte of an extended result code is the primary one


def explain(error: SqliteError, path: Path) -> LedgerError:
    """Translate; the result carries the path and SQLite's words, never a value of ours."""
    if isinstance(error, UnicodeDecodeError):
        return damaged(path, "it holds text that is not UTF-8")
    code = getattr(error, "sqlite_errorcode", 0)
    primary = code & _PRIMARY
    # These two alone are what SQLite calls damage.  A disk that fails or is full leaves the file as it was.
    if primary in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return damaged(path, str(error))
    if primary in _OF_THE_DISK and (trouble := disk_trouble(path)):
        return trouble
    if code in _READING_FAILED:
        return LedgerError(f"ledger {path} cannot be read ({error}); look at its disk, the system's log may say more")
    if primary in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
        return LedgerFull(
            f"ledger {path} cannot be written, is the disk full? ({error}); free some space and run again"
        )
    return LedgerError(f"ledger {path}: {error}")


def damaged(path: Path, why: str) -> LedgerDamaged:
    """Say that the file is damaged, and that nothing was done to it."""
    return LedgerDamaged(
        f"ledger {path} is damaged ({why}); it was left as it is. Restore it from a backup, or have a new one made "
        f"from the bucket, which sets this one aside: wxrec-async ledger rebuild --replace"
    )
