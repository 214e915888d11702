"""A connection to the ledger's file, with what one opening of it knows besides the rows."""

from __future__ import annotations

import sqlite3
import tempfile

from wxrec_async.ledger.rows import Hash, Mask


class LedgerConnection(sqlite3.Connection):
    """``mask`` is applied to phone numbers and addresses before they are kept; ``hashed`` makes what they are found by.

    ``current_run`` is the row of the run under way, to which tasks are handed out
    once; None before a run was begun, and for those who only look on.  ``scratch``
    is the folder of a copy that is read in the ledger's place, and goes with the connection.
    """

    mask: Mask = str
    hashed: Hash | None = None
    current_run: int | None = None
    scratch: tempfile.TemporaryDirectory[str] | None = None

    def close(self) -> None:
        """Close it, and remove the copy it read."""
        super().close()
        if self.scratch is not None:
            self.scratch.cleanup()
