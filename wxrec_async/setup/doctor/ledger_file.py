"""The ledger's file and the folder it lies in."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from anyio import to_thread

from wxrec_async.config import Settings
from wxrec_async.errors import LedgerError
from wxrec_async.ledger.database_files import check_place, network_kind
from wxrec_async.ledger.records import Identity
from wxrec_async.ledger.store import open_reader
from wxrec_async.rules import diagnosis
from wxrec_async.rules.diagnosis import EXIT_USAGE, Finding, bad, failed


async def examine_place(settings: Settings, org_id: str) -> Finding:
    """Say whether a ledger can be kept where the settings want it, and whether the one there is this backfill's.

    ``org_id`` is empty when it is not known.  The lock is not taken: a run may go on.
    """
    path = settings.ledger.path
    try:
        # In a thread: on a network file system that hangs each of these calls may.
        exists, free, network = await to_thread.run_sync(_look, path)
        if exists and (foreign := await _foreign(settings, path, org_id)):
            return foreign
    except LedgerError as error:
        return failed("ledger", error)
    return diagnosis.disk(str(path), free, network)


def _look(path: Path) -> tuple[bool, int, str | None]:
    """Return whether the ledger exists, the free bytes beside it, and the kind of a network file system."""
    exists = check_place(path)
    folder = path.parent
    try:
        # Tried instead of asked for: permission bits know nothing of a mount that is read-only.
        with tempfile.TemporaryFile(dir=folder):  # without a name where the system can, gone at once where not
            free = shutil.disk_usage(folder).free
    except OSError as error:
        raise LedgerError(f"ledger {path}: the folder {folder} cannot be written to: {error.strerror}") from None
    return exists, free, network_kind(folder)


async def _foreign(settings: Settings, path: Path, org_id: str) -> Finding | None:
    wanted = Identity(org_id, settings.s3.bucket, settings.s3.key)
    async with open_reader(path) as reader:
        kept = await reader.identity()
    pairs = (
        ("organisation", kept.org_id, wanted.org_id),
        ("bucket", kept.bucket, wanted.bucket),
        ("key template", kept.key_template, wanted.key_template),
    )
    for what, theirs, ours in pairs:
        # What is not known on one side, mostly the organisation before a login, contradicts nothing.
        if theirs and ours and theirs != ours:
            words = f"{path} belongs to {what} {theirs!r}, the settings say {ours!r}"
            return bad("ledger", words, "name another file in [ledger] path, or correct the settings", EXIT_USAGE)
    return None
