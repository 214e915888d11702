"""A connection to the ledger's file, with what one opening of it knows besides the rows."""

from __future__ import annotations

import sqlite3

from wxrec_async.ledger.rows import Hash, Mask


class LedgerConnection(sqlite3.Connection):
    """``mask`` is applied to phone numbers and addresses before they are kept; ``hashed`` makes what they are found by.

    ``current_run`` is the row of the run under way, to which tasks are handed out
    once; None before a run was begun, and for those who only look on.
    """

    mask: Mask = str
    hashed: Hash | None = None
    current_run: int | None = None
