"""What the progress display shows: events folded into figures, rates and an estimate."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from wxrec_async import events
from wxrec_async.events import Event, RunTotals

RATE_OVER_S = 30.0


@dataclass(frozen=True, slots=True)
class Figures:
    """A run at one moment.  ``eta_s`` is None while it cannot be estimated; ``waiting_s`` is 0 when nobody waits."""

    totals: RunTotals
    done: int
    bytes_per_s: float
    recordings_per_s: float
    elapsed_s: float
    eta_s: float | None = None
    waiting_s: float = 0.0
    waiting_for: str = ""
    draining: str = ""

    @property
    def windows_text(self) -> str:
        """Write how many windows are listed."""
        return f"{self.totals.windows_listed}/{self.totals.windows} windows"

    @property
    def waiting_text(self) -> str:
        """Write how long is waited yet, and for whom."""
        return f"waiting {self.waiting_s:.0f} s: {self.waiting_for}"


class ProgressState:
    """A listener that counts.  ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.totals = RunTotals()
        self._clock = clock
        self._begun = clock()
        self._samples: deque[tuple[float, int, int]] = deque([(self._begun, 0, 0)])
        self._asked = 0
        self._paused_until, self._paused_for = 0.0, ""
        self._draining = ""

    def on_event(self, event: Event) -> None:
        """Fold one event in."""
        self.totals.add(event)
        match event:
            case events.CapturesAsked(tasks=tasks):
                self._asked += tasks
            case events.Paused(after_s=after_s, reason=reason):
                self._paused_until, self._paused_for = self._clock() + after_s, reason
            case events.Draining(reason=reason):
                self._draining = reason
            case _:
                pass

    def figures(self) -> Figures:
        """Take the figures of this moment; call it every second or so, rates come of the last half minute."""
        now, totals = self._clock(), self.totals
        done = totals.stored + totals.already_stored + totals.failed + totals.gone
        self._samples.append((now, totals.bytes, done))
        # Two are kept whatever their age: a rate needs a distance.
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_OVER_S:
            self._samples.popleft()
        then, bytes_then, done_then = self._samples[0]
        # Over less than a second a rate could be anything.
        seconds = max(now - then, 1.0)
        speed = (done - done_then) / seconds
        return Figures(
            totals=totals,
            done=done,
            bytes_per_s=(totals.bytes - bytes_then) / seconds,
            recordings_per_s=speed,
            elapsed_s=now - self._begun,
            eta_s=self._eta(done, speed, now - self._begun),
            waiting_s=max(0.0, self._paused_until - now),
            waiting_for=self._paused_for,
            draining=self._draining,
        )

    def _eta(self, done: int, speed: float, elapsed_s: float) -> float | None:
        """Estimate by windows while some are unlisted (the lister is but a queue ahead of workers), then by work."""
        totals = self.totals
        listed = totals.windows_listed + totals.windows_incomplete
        if not totals.windows or not listed:
            return None
        if listed < totals.windows:
            return elapsed_s * (totals.windows - listed) / listed
        left = totals.recordings_found - done + self._unasked() * totals.recordings_found / max(self._asked, 1)
        return max(0.0, left) / speed if speed else None

    def _unasked(self) -> int:
        """About how many listed tasks still wait: neither settled nor, as far as can be told, captured."""
        totals = self.totals
        captured = min(self._asked, totals.recordings_found)
        return max(0, totals.tasks_listed - sum(totals.tasks_settled.values()) - captured)
