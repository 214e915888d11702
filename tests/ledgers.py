"""What tests do with a ledger that the program does otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from wxrec_async.ledger import KnownTask, SqliteLedger
from wxrec_async.model import Recording


async def captured(ledger: SqliteLedger, task_id: str, recordings: Sequence[Recording], now_ms: int) -> KnownTask:
    """Note the recordings of one task, as an answer about this task alone would."""
    return (await ledger.captured_many({task_id: recordings}, now_ms))[task_id]
