"""A bounded queue that is emptied in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

import anyio

from wxrec_async.plumbing.signal import ChangeNotifier

T = TypeVar("T")


class BatchQueue(Generic[T]):
    """Any number of writers and readers; `put` waits while ``capacity`` items are inside.

    A reader gets what is there, but waits up to ``linger_s`` seconds for its
    batch to fill: a full batch costs no more than a small one.
    """

    def __init__(self, capacity: int, *, linger_s: float = 1.0) -> None:
        if capacity < 1:
            raise ValueError("a queue holds at least one item")
        self._capacity, self._linger_s = capacity, linger_s
        self._items: deque[T] = deque()
        self._closed = False
        self._changed = ChangeNotifier()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def ended(self) -> bool:
        """Closed, and nothing left to take."""
        return self._closed and not self._items

    async def put(self, items: Iterable[T]) -> None:
        """Add items in order, waiting for room before each."""
        for item in items:
            while len(self._items) >= self._capacity:
                await self._changed.wait()
            self._items.append(item)
            self._changed.notify()

    def close(self) -> None:
        """Say that nothing more will be put.  May be called twice."""
        self._closed = True
        self._changed.notify()

    async def take(self, most: int) -> list[T]:
        """Return 1 to ``most`` items, or none when the queue has ended."""
        while not self.ended:
            if not self._items:
                await self._changed.wait()
                continue
            # It begins with the first item and not with the call: an empty queue is waited for without end.
            with anyio.move_on_after(self._linger_s):
                # A batch that is larger than the queue would never be there.
                while len(self._items) < min(most, self._capacity) and not self._closed:
                    await self._changed.wait()
            # Somebody else may have emptied the queue while we lingered.
            if batch := [self._items.popleft() for _ in range(min(most, len(self._items)))]:
                self._changed.notify()
                return batch
        return []
