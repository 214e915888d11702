"""What the tests of the flow share."""

from __future__ import annotations

import pytest

from wxrec_async.ledger import opening
from wxrec_async.plumbing import private_files
from wxrec_async.rules import parts

from .kit import PART


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a part be 1 KiB, so that many of them cost nothing."""
    monkeypatch.setattr(parts, "MIN_PART", PART)


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Durability is what the ledger's own tests are about; here hundreds of ledgers are opened."""
    monkeypatch.setattr(opening, "_PRAGMAS", (*opening._PRAGMAS, "PRAGMA synchronous = OFF"))
    monkeypatch.setattr(private_files, "sync", lambda _path: None)
