"""One pool of part buffers for everybody, counted in bytes."""

from __future__ import annotations

from collections import deque

import anyio


class MemoryPool:
    """Room for ``total`` bytes of parts.

    A holder of room never needs more of it to give it back (it fills the part,
    uploads it, releases), so nobody waits for somebody who waits for him.
    Callers are served in the order they came: a large part is not starved by
    small ones.  A wish for more than ``total`` is cut to it, so one recording
    always gets through.
    """

    def __init__(self, total: int) -> None:
        if total <= 0:
            raise ValueError("a pool holds at least one byte")
        self.total = total
        self.free = total
        self.most_held = 0
        self._line: deque[tuple[int, anyio.Event]] = deque()

    async def take(self, size: int) -> Reservation:
        """Wait for room for ``size`` bytes."""
        size = min(max(size, 1), self.total)
        if not self._line and size <= self.free:
            return self._granted(size)
        turn = anyio.Event()
        ticket = (size, turn)
        self._line.append(ticket)
        try:
            await turn.wait()
        except BaseException:
            self._withdraw(ticket)
            raise
        return Reservation(self, size)

    def _granted(self, size: int) -> Reservation:
        self.free -= size
        self.most_held = max(self.most_held, self.total - self.free)
        return Reservation(self, size)

    def _withdraw(self, ticket: tuple[int, anyio.Event]) -> None:
        size, turn = ticket
        # Granted in the very moment of the cancellation: nobody else knows of this room.
        if turn.is_set():
            self.give_back(size)
        else:
            # It may have been the large one that all others were waiting behind.
            self._line.remove(ticket)
            self._serve()

    def give_back(self, size: int) -> None:
        """Return room; `Reservation.release` calls this."""
        self.free += size
        self._serve()

    def _serve(self) -> None:
        while self._line and self._line[0][0] <= self.free:
            size, turn = self._line.popleft()
            self.free -= size
            self.most_held = max(self.most_held, self.total - self.free)
            turn.set()


class Reservation:
    """A share of the pool.  ``release`` may be called twice."""

    __slots__ = ("_pool", "size")

    def __init__(self, pool: MemoryPool, size: int) -> None:
        self._pool, self.size = pool, size

    def release(self) -> None:
        """Give it back."""
        # First, so that a second call finds nothing to give back.
        size, self.size = self.size, 0
        if size:
            self._pool.give_back(size)
