"""What the ledger's tests share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from wxrec_async.events import Event
from wxrec_async.ledger import Identity, SqliteLedger, open_ledger

from .contract import HOME, masked


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the ledger of this test lies."""
    return tmp_path / "wxrec.db"


@pytest.fixture
def told() -> list[Event]:
    """What the ledger emitted."""
    return []


@pytest.fixture
def opener(path: Path, told: list[Event]) -> Callable[..., AbstractAsyncContextManager[SqliteLedger]]:
    """Open the ledger of this test."""

    def opened(
        identity: Identity = HOME, mask: Callable[[str], str] = masked
    ) -> AbstractAsyncContextManager[SqliteLedger]:
        return open_ledger(path, identity, mask=mask, emit=told.append)

    return opened
