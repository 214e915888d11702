"""Cancelled while it is being opened, a ledger is free again at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from wxrec_async.events import ignore
from wxrec_async.ledger import open_ledger, open_reader, opening

from .contract import HOME

pytestmark = pytest.mark.anyio


class Held:
    """An opening that goes on in its thread until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        work = getattr(opening, name)

        def held(*arguments: Any) -> Any:
            found = work(*arguments)
            self.begun.set()
            self.go_on.wait(10)
            return found

        monkeypatch.setattr(opening, name, held)

    async def cancelled(self, opener: AbstractAsyncContextManager[object]) -> None:
        """Cancel as asyncio does, which no shield of anyio's holds off, once the file is open in the thread."""

        async def use() -> None:
            async with opener:
                raise AssertionError("was cancelled before")

        task = asyncio.create_task(use())
        await asyncio.to_thread(self.begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0.01)
        self.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[None]:
    async with open_ledger(path, HOME, mask=str, emit=ignore):
        yield


@pytest.mark.fault("C8", "L07", "R12")
async def test_a_ledger_whose_opening_was_cancelled_is_not_in_use(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that gives up with ``asyncio.timeout`` opens it again in the same process, and gets it."""
    with monkeypatch.context() as patched:
        await Held(patched, "open_for_writing").cancelled(opened(path))
    async with opened(path):
        pass


@pytest.mark.fault("C8", "R12")
async def test_a_reader_whose_opening_was_cancelled_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite removes its log when the last connection goes: so it was the last."""
    async with opened(path):
        pass
    await Held(monkeypatch, "open_for_reading").cancelled(open_reader(path))
    monkeypatch.undo()
    async with opened(path):
        pass
    assert not path.with_name(path.name + "-wal").exists()
