"""The run's memory: what was listed, stored, owed, absent and failed.

`open_ledger` opens it for the one process that writes, `open_reader` for those who look on.
"""

from wxrec_async.ledger.evidence import CertificateRow, EvidenceBooks
from wxrec_async.ledger.inventory import FoundRecording
from wxrec_async.ledger.protocol import (
    ALL_WORK,
    AskedBefore,
    Author,
    BacklogTask,
    Counts,
    Everything,
    Failure,
    Identity,
    Incomplete,
    InPeriod,
    KnownRecording,
    KnownTask,
    Lag,
    Ledger,
    LedgerReader,
    NamedFor,
    RunRecord,
    Scope,
    StartedKey,
    StoredRow,
    Work,
)
from wxrec_async.ledger.replacing import Replacement, open_replacement
from wxrec_async.ledger.sightings import Sighting, Sightings, open_sightings
from wxrec_async.ledger.standing import TaskRow
from wxrec_async.ledger.store import SqliteLedger, SqliteReader, open_ledger, open_reader

__all__ = [
    "ALL_WORK",
    "AskedBefore",
    "Author",
    "BacklogTask",
    "CertificateRow",
    "Counts",
    "Everything",
    "EvidenceBooks",
    "Failure",
    "FoundRecording",
    "Identity",
    "InPeriod",
    "Incomplete",
    "KnownRecording",
    "KnownTask",
    "Lag",
    "Ledger",
    "LedgerReader",
    "NamedFor",
    "Replacement",
    "RunRecord",
    "Scope",
    "Sighting",
    "Sightings",
    "SqliteLedger",
    "SqliteReader",
    "StartedKey",
    "StoredRow",
    "TaskRow",
    "Work",
    "open_ledger",
    "open_reader",
    "open_replacement",
    "open_sightings",
]
