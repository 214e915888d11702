"""Round after round, for as long as it is wanted: what a follower does between two runs.

It keeps nothing that a restart would lose: what is owed and when to ask again
is in the ledger, and so is how far it has listed, in the summary of its last
round.  A round that ends badly is one round; only a refused login or permission
ends the follower, because nobody but a person can mend it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import anyio

from wxrec_async.events import Draining, Emit, Polled
from wxrec_async.flow.summary import EXIT_AUTH, Following, Summary
from wxrec_async.ledger.records import CatchUp
from wxrec_async.model import DAY_MS
from wxrec_async.rules import follow_schedule
from wxrec_async.rules.follow_schedule import Look, Rhythm

Pause = Callable[[float], Awaitable[None]]
OnRound = Callable[[Summary], None]
Shape = Callable[[Summary], Summary]


class RoundRunner(Protocol):
    """What a follower has done for it."""

    async def round(self, look: Look, shape: Shape) -> Summary:
        """List and work once; ``shape`` completes the summary before it is written down."""

    async def lag(self) -> CatchUp: ...


@dataclass(slots=True)
class FollowProgress:
    """How far a follower has come; milliseconds since the epoch."""

    number: int = 0
    listed_to_ms: int | None = None
    full_ms: int | None = None

    def take(self, look: Look, summary: Summary) -> None:
        """Move on by one round; what could not be listed to its end is listed again."""
        self.number += 1
        ending = summary.ending
        # Listed again from the first gap on; where a round broke off without one, it is not known
        # how far it came.
        if ending.incomplete:
            self.listed_to_ms = min(window.from_ms for window in ending.incomplete)
        elif not (ending.error or ending.stopped):
            self.listed_to_ms = look.window.to_ms
            self.full_ms = look.window.to_ms if look.full else self.full_ms


class FollowLoop:
    """Polls until it is stopped.  ``now_ms`` is epoch milliseconds, ``monotonic`` and ``pause`` are in seconds."""

    def __init__(  # noqa: PLR0913 - its clocks, each replaceable
        self,
        rounds: RoundRunner,
        rhythm: Rhythm,
        *,
        lookback_days: int,
        now_ms: Callable[[], int],
        emit: Emit,
        monotonic: Callable[[], float] = anyio.current_time,
        pause: Pause = anyio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        # An hour less than Webex looks back, because that edge moves on while a round lists.
        self._rounds, self._rhythm, self._lookback_ms = rounds, rhythm, lookback_days * DAY_MS - DAY_MS // 24
        self._now_ms, self._emit = now_ms, emit
        self._monotonic, self._pause, self._chance = monotonic, pause, chance
        self._stopping = anyio.Event()
        self._reason: str | None = None
        self._progress = FollowProgress()

    def stop(self, reason: str) -> None:
        """End after the round that is under way, or at once between two."""
        self._reason = self._reason or reason
        self._stopping.set()

    async def run(self, on_round: OnRound) -> Summary:
        """Go round until stopped or refused; return the last summary."""
        self._progress.listed_to_ms = _listed_to(await self._rounds.lag())
        while True:
            summary = await self._round()
            on_round(summary)
            if summary.ending.stopped or summary.ending.error_exit == EXIT_AUTH:
                return summary
            next_ms = summary.follow.next_poll_ms if summary.follow else self._now_ms()
            await self._tell(summary, next_ms)
            if not await self._waited(next_ms):
                return replace(summary, ending=replace(summary.ending, stopped=self._reason))

    async def _round(self) -> Summary:
        progress = self._progress
        look = follow_schedule.look(
            self._now_ms(),
            self._rhythm,
            listed_to_ms=progress.listed_to_ms,
            full_ms=progress.full_ms,
            lookback_ms=self._lookback_ms,
        )

        def shape(summary: Summary) -> Summary:
            # Before the summary is written: how far was listed stands in it, and nowhere else for a restart.
            progress.take(look, summary)
            next_ms = follow_schedule.next_poll(self._now_ms(), self._rhythm, self._chance())
            follow = Following(progress.number, look.full, progress.listed_to_ms, next_ms)
            return replace(summary, follow=follow)

        return await self._rounds.round(look, shape)

    async def _tell(self, summary: Summary, next_ms: int) -> None:
        lag, counts = await self._rounds.lag(), summary.counts
        self._emit(
            Polled(
                summary.run_id,
                self._progress.number,
                summary.exit_code,
                counts.stored,
                counts.owed,
                counts.failed + counts.failed_tasks,
                lag.caught_up_ms or 0,
                next_ms,
            )
        )

    async def _waited(self, next_ms: int) -> bool:
        """Wait for the next round; False when stopped."""
        begun = self._monotonic()
        while not self._stopping.is_set():
            if follow_schedule.is_due(self._now_ms(), next_ms, self._monotonic() - begun, self._rhythm):
                return True
            # In short naps: after a suspended machine wakes, or its clock is set, what was planned
            # is looked at anew.
            await self._nap(follow_schedule.nap_s(self._now_ms(), next_ms))
        self._emit(Draining(self._reason or "", 0.0))
        return False

    async def _nap(self, seconds: float) -> None:
        """Sleep, or less when stopped: no longer than it takes to notice that the clock was changed."""
        async with anyio.create_task_group() as group:

            async def wake() -> None:
                await self._stopping.wait()
                group.cancel_scope.cancel()

            group.start_soon(wake)
            await self._pause(seconds)
            group.cancel_scope.cancel()


def _listed_to(lag: CatchUp) -> int | None:
    """Read where the last follower was; the ledger knows it as text."""
    told = (lag.followed or {}).get("listed_to")
    return round(datetime.fromisoformat(told).timestamp() * 1000) if isinstance(told, str) else None
