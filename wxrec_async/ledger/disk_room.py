"""What the disk that a ledger lies on allows: room, inodes, writing at all.

Looked at before SQLite is let near it.  The shared memory of a write-ahead log is
mapped, and where an almost full disk has no block for a page of it, the kernel
ends the process (SIGBUS) instead of saying so.
"""

from __future__ import annotations

import os
from pathlib import Path

from wxrec_async.errors import LedgerError, LedgerFull

ROOM = 1 << 20  # bytes: a log's shared memory is 32 KiB, and the first commits are to fit as well


def check_disk(path: Path) -> None:
    """Raise LedgerFull, or LedgerError on a disk that is read-only, when a ledger at ``path`` cannot be worked on."""
    if trouble := disk_trouble(path):
        raise trouble


def disk_trouble(path: Path, room: int | None = None) -> LedgerError | None:
    """Return what the disk of ``path`` does not allow; None when it allows all, or does not say.

    ``room`` is the bytes that are to be free, by default `ROOM`.
    """
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return None
    if found.f_flag & os.ST_RDONLY:
        return LedgerError(f"ledger {path} lies on a disk that is read-only; mount it writable, or use --ledger")
    # Without a limit on inodes a file system says 0 of 0.
    if found.f_files and not (found.f_ffree if os.geteuid() == 0 else found.f_favail):
        return LedgerFull(f"ledger {path}: its disk has no inodes left; remove files and run again")
    free = (found.f_bfree if os.geteuid() == 0 else found.f_bavail) * found.f_frsize
    if free < (ROOM if room is None else room):
        return LedgerFull(f"ledger {path}: only {free >> 10} KiB are free on its disk; free some space and run again")
    return None
