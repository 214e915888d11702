"""One request budget, and one gate that closes for everybody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

PROBE_PATIENCE_S = 10.0
CATCH_UP_S = 0.25


class CircuitBreaker:
    """A door in front of one server.

    ``close(seconds)`` shuts it for everybody.  When the time is over it stands
    half open: one caller at a time goes through until one of them comes back
    without having closed it again.
    """

    def __init__(
        self,
        *,
        on_close: Callable[[float], None] = lambda _seconds: None,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._clock, self._on_close = clock, on_close
        self._closed_until = 0.0
        self._half_open = False
        self._probe: anyio.Event | None = None

    def close(self, seconds: float) -> None:
        """Shut the door for ``seconds`` from now, or leave it shut for longer if it already is."""
        now = self._clock()
        until = now + max(0.0, seconds)
        if until > self._closed_until:
            # Told once for each time it was open: that it stays shut for longer is no news.
            if now >= self._closed_until:
                self._on_close(seconds)
            self._closed_until = until
        self._half_open = True

    @property
    def closed_for_s(self) -> float:
        """Seconds until it opens by half; 0 when it is open."""
        return max(0.0, self._closed_until - self._clock())

    async def wait_open(self) -> None:
        """Return when the door is not shut (it may be half open)."""
        while (wait := self._closed_until - self._clock()) > 0:
            await anyio.sleep(wait)

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Go through, waiting while the door is shut or somebody else is probing."""
        probe = await self._enter()
        # Compared on the way out: whoever closed it meanwhile, it is shut for us as well.
        closed_until = self._closed_until
        try:
            yield
        # A probe that failed or was cancelled has shown nothing: the door stays half open for the next one.
        except BaseException:
            self._left(probe, opened=False)
            raise
        self._left(probe, opened=self._closed_until == closed_until)

    async def _enter(self) -> anyio.Event | None:
        while True:
            await self.wait_open()
            if not self._half_open:
                return None
            if self._probe is None:
                self._probe = anyio.Event()
                return self._probe
            await self._wait_for(self._probe)

    async def _wait_for(self, probe: anyio.Event) -> None:
        """Wait until the probe is back; one that is not refused for so long was let in, however long it takes."""
        with anyio.move_on_after(PROBE_PATIENCE_S):
            await probe.wait()
        # Somebody else may have lost patience first, or a newer probe be under way.
        if probe is self._probe and not self.closed_for_s:
            self._half_open, self._probe = False, None

    def _left(self, probe: anyio.Event | None, *, opened: bool) -> None:
        if probe is None:
            return
        # Not ours any more when others have lost patience with us: then it is theirs to say what is open.
        if probe is self._probe:
            self._probe = None
            if opened:
                self._half_open = False
        probe.set()


class Pacer:
    """The request budget of one client id, for all who share it.

    ``per_minute`` requests a minute, evenly spaced once ``burst`` of them have
    gone at once.  In any 60 seconds at most ``ceil(per_minute) + burst - 1`` requests
    pass.  Callers are served in the order they came.  A turn that came late,
    because the loop was busy, does not move those after it: up to `CATCH_UP_S`
    are made up for, and as much of every minute is kept back for that, so it
    takes so much longer to use up ``per_minute``.
    """

    def __init__(
        self,
        per_minute: float,
        *,
        burst: int = 1,
        gate: CircuitBreaker | None = None,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        if per_minute <= 0 or burst < 1:
            raise ValueError("a budget is more than nothing")
        self._interval = (60.0 + CATCH_UP_S) / per_minute
        self._tolerance = (burst - 1) * self._interval
        self._clock = clock
        self._due = 0.0
        self._line = anyio.Lock()
        self.gate = gate or CircuitBreaker(clock=clock)
        self.passed = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold one request of the budget; send it inside, and leave when its answer's head is there."""
        came = self._clock()
        async with AsyncExitStack() as passage:
            # The gate comes last: those in line when it shuts find it half open, too, and go through one by one.
            async with self._line:
                while (wait := self._due - self._tolerance - self._clock()) > 0:
                    await anyio.sleep(wait)
                await passage.enter_async_context(self.gate.request())
                # `came`: time in which nobody asked is not saved up, nor is lateness of ours beyond `CATCH_UP_S`.
                self._due = max(self._due, came, self._clock() - CATCH_UP_S) + self._interval
                self.passed += 1
            yield


def burst_for(per_minute: float, allowed: float) -> int:
    """How many requests may go at once so that no 60 seconds see more than ``allowed``; at most 50."""
    return int(min(50, max(1, allowed - per_minute)))
