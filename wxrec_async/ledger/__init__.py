"""The run's memory: what was listed, stored, owed, absent and failed.

`open_ledger` opens it for the one process that writes, `open_reader` for those who look on.
"""

from wxrec_async.ledger.certificates import CertificateRow
from wxrec_async.ledger.records import (
    ALL_REASONS,
    AskedBefore,
    BacklogReason,
    BacklogTask,
    CatchUp,
    Counts,
    Everything,
    Failure,
    FoundRecording,
    Identity,
    Incomplete,
    InPeriod,
    KnownRecording,
    KnownTask,
    NamedFor,
    Operator,
    RunRecord,
    Scope,
    StartedKey,
    StoredRow,
    TaskRow,
)
from wxrec_async.ledger.replace import Replacement, open_replacement
from wxrec_async.ledger.seen_tasks import SeenTask, SeenTasks, open_seen_tasks
from wxrec_async.ledger.store import SqliteLedger, SqliteReader, open_ledger, open_reader

__all__ = [
    "ALL_REASONS",
    "AskedBefore",
    "BacklogReason",
    "BacklogTask",
    "CatchUp",
    "CertificateRow",
    "Counts",
    "Everything",
    "Failure",
    "FoundRecording",
    "Identity",
    "InPeriod",
    "Incomplete",
    "KnownRecording",
    "KnownTask",
    "NamedFor",
    "Operator",
    "Replacement",
    "RunRecord",
    "Scope",
    "SeenTask",
    "SeenTasks",
    "SqliteLedger",
    "SqliteReader",
    "StartedKey",
    "StoredRow",
    "TaskRow",
    "open_ledger",
    "open_reader",
    "open_replacement",
    "open_seen_tasks",
]
