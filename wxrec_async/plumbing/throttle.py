"""One byte rate for all who share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import anyio

BURST_S = 0.25


class Throttle:
    """A token bucket, filled with ``bytes_per_s``, that holds what comes in ``burst_s`` seconds.

    In any ``t`` seconds at most ``bytes_per_s * (t + burst_s)`` bytes pass.
    Callers are served in the order they came, a slice at a time, so that a
    large chunk keeps nobody waiting for longer than ``burst_s``.  A caller may
    be cancelled while it waits; what it waited for is not booked.
    """

    def __init__(
        self,
        bytes_per_s: float,
        *,
        burst_s: float = BURST_S,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        if bytes_per_s <= 0 or burst_s <= 0:
            raise ValueError("a rate is more than nothing")
        self._rate, self._clock = bytes_per_s, clock
        self.largest = max(1, int(bytes_per_s * burst_s))
        self._burst_s = max(burst_s, 1 / bytes_per_s)  # or not even one byte could pass
        self._due = 0.0  # when the bucket will be full again
        self._line = anyio.Lock()
        self.passed = 0

    async def take(self, size: int) -> None:
        """Return when ``size`` bytes may pass, at most `largest`; see `slices`."""
        if size > self.largest:
            raise ValueError(f"at most {self.largest} bytes pass at once")
        seconds = size / self._rate
        async with self._line:
            if (wait := self._due + seconds - self._burst_s - self._clock()) > 0:
                await anyio.sleep(wait)  # nobody else books meanwhile: whoever does stands in the same line
            # Booked after the sleep: what is cancelled while it waits has not passed.
            self._due = max(self._due, self._clock()) + seconds
            self.passed += size

    def slices(self, chunk: bytes) -> Iterator[bytes]:
        """Cut a chunk into pieces that may pass; one that is small enough is handed on as it is."""
        if len(chunk) <= self.largest:
            yield chunk
            return
        for start in range(0, len(chunk), self.largest):
            yield chunk[start : start + self.largest]
