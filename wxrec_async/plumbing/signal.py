"""Tell everybody who waits that something changed."""

from __future__ import annotations

import anyio


class ChangeNotifier:
    """Waiters look at the state, find it wanting, and wait; whoever changes the state notifies.

    There is no lock: state is changed between awaits, so a waiter that looks and
    waits without an await in between misses nothing.
    """

    def __init__(self) -> None:
        self._event = anyio.Event()

    def notify(self) -> None:
        """Wake everybody who waits now."""
        self._event.set()
        # Those who wait have the old one; whoever comes now waits for the next change.
        self._event = anyio.Event()

    async def wait(self) -> None:
        """Return at the next `notify`."""
        await self._event.wait()
