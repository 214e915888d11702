"""A new ledger in the place of one that is lost or damaged; the old one is set aside, never overwritten."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio import CancelScope, to_thread

from wxrec_async.errors import LedgerDamaged, LedgerError
from wxrec_async.events import Emit
from wxrec_async.ledger import database_files, opening
from wxrec_async.ledger.records import Identity
from wxrec_async.ledger.rows import Mask
from wxrec_async.ledger.store import SqliteLedger, open_ledger
from wxrec_async.plumbing.private_files import put_in_place

DRAFT = ".rebuilt"  # one fixed name: what a killed process left is replaced


@dataclass(frozen=True, slots=True)
class Replacement:
    """The new ledger, and the name that the damaged one gets in the end; None when there was none."""

    ledger: SqliteLedger
    set_aside: Path | None


@asynccontextmanager
async def open_replacement(
    path: Path, identity: Identity, *, replace: bool, stamp: str, emit: Emit, mask: Mask = str
) -> AsyncIterator[Replacement]:
    """Lend a new ledger, which takes the name ``path`` only when the block ends well.

    What lies there is refused with LedgerError, unless ``replace`` is given and
    it is damaged: then it becomes ``<name>.damaged-<stamp>``, with its companions.
    The lock of ``path`` is held all the while; LedgerInUse when another has it.  ``mask`` is that of `open_ledger`.
    """
    draft = database_files.beside(path, DRAFT)
    # A thread cannot be cancelled: unshielded, it would take a lock of which nobody learns, for as
    # long as we live.
    with CancelScope(shield=True):
        lock, damaged = await to_thread.run_sync(_hold, path, replace)
    try:
        await to_thread.run_sync(_discard, draft)
        aside = database_files.beside(path, f".damaged-{stamp}") if damaged else None
        # Closed before it is put in place, so that SQLite has written its WAL back into the one
        # file that is renamed.
        async with open_ledger(draft, identity, mask=mask, emit=emit) as ledger:
            yield Replacement(ledger, aside)
        with CancelScope(shield=True):
            await to_thread.run_sync(_exchange, draft, path, aside)
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(_discard, draft)
        os.close(lock)


def _hold(path: Path, replace: bool) -> tuple[int, bool]:
    """Take the lock of ``path``; return it, and whether something damaged is to be set aside."""
    database_files.check_place(path)
    lock = database_files.take_lock(path)
    try:
        return lock, _must_go(path, replace)
    except BaseException:
        os.close(lock)
        raise


def _must_go(path: Path, replace: bool) -> bool:
    if not _remains(path):
        return False
    if not replace:
        raise LedgerError(
            f"ledger {path} is there and was left as it is; say --merge to add what the bucket has more, as after a "
            "restore, or, if it is damaged, --replace to have it set aside"
        )
    if not path.exists():
        return True  # a -wal without its ledger
    try:
        opening.check(path)
    except LedgerDamaged:
        return True
    raise LedgerError(
        f"ledger {path} is sound and was left as it is; say --merge to add what the bucket has more, "
        "or move it away first"
    )


def _remains(path: Path) -> list[str]:
    """Name what lies there of a ledger, by suffix; SQLite makes its -shm anew."""
    return [suffix for suffix in ("", "-wal", "-journal") if database_files.beside(path, suffix).exists()]


def _exchange(draft: Path, path: Path, aside: Path | None) -> None:
    # A clean close leaves no WAL; with one beside it the file is not whole by itself.
    if _remains(draft) != [""]:
        raise LedgerError(f"ledger {path}: the new one could not be finished; run again")
    # With its companions, or SQLite would take an old WAL for that of the new file.
    if aside is not None:
        for suffix in ("", *database_files.COMPANIONS):
            if (file := database_files.beside(path, suffix)).exists():
                file.rename(database_files.beside(aside, suffix))
    put_in_place(draft, path)


def _discard(draft: Path) -> None:
    for suffix in ("", ".lock", ".new", *database_files.COMPANIONS):
        database_files.beside(draft, suffix).unlink(missing_ok=True)
