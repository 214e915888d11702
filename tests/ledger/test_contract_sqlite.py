"""The SQLite ledger keeps the contract."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from wxrec_async.events import ignore
from wxrec_async.ledger import Identity, SqliteLedger, open_ledger

from .contract import HOME, LedgerContract, Opener, masked


class TestSqliteLedger(LedgerContract):
    """Everything of the contract, on a file."""

    @pytest.fixture
    def opener(self, path: Path) -> Opener:
        def opened(
            identity: Identity = HOME, mask: Callable[[str], str] = masked
        ) -> AbstractAsyncContextManager[SqliteLedger]:
            return open_ledger(path, identity, mask=mask, emit=ignore)

        return opened
