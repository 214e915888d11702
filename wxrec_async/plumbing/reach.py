"""Is it this host, or is it the network?

When nothing anywhere has answered since an operation first failed to connect,
the fault is not the host's, and a million items must not be failed for it.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio

# In a row: a single reset between two answers is no outage.
QUORUM = 3
MIN_OUTAGE_S = 5.0  # many workers fail at one dead host within milliseconds; others must have had time to answer


class NetworkMonitor:
    """What every world tells of its connections, in one place.

    ``on_down`` is called once when several connections in a row failed and for
    `MIN_OUTAGE_S` none succeeded, ``on_up`` once when one succeeds again, with the
    seconds between.  Times are the event loop's monotonic clock.
    """

    def __init__(
        self,
        on_down: Callable[[], None] = lambda: None,
        on_up: Callable[[float], None] = lambda _seconds: None,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._on_down, self._on_up, self._clock = on_down, on_up, clock
        self._last_success: float | None = None
        self._failing_since: float | None = None
        self._failures = 0
        self._down = False

    def succeeded(self) -> None:
        """Somebody answered, whatever it said."""
        self._last_success = self._clock()
        if self._down and self._failing_since is not None:
            self._on_up(self._last_success - self._failing_since)
        self._failures, self._failing_since, self._down = 0, None, False

    def failed(self) -> float:
        """A connection could not be made; return for how many seconds nothing has answered (0: something did)."""
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        self._failures += 1
        seconds = now - self._failing_since
        if self._last_success is None or self._failures < QUORUM or seconds < MIN_OUTAGE_S:
            return 0.0  # where nothing ever worked it is a wrong address, not an outage
        if not self._down:
            self._down = True
            self._on_down()
        return seconds
