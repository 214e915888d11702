"""The request budget of a client id: a sliding minute, and a door that stays shut as long as it was said."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

MINUTE = 60.0


@dataclass(slots=True)
class RequestBudget:
    """``per_minute`` requests in any 60 seconds per client id; 0 means no limit.

    ``early`` counts the requests that came although they had been told to wait.
    """

    per_minute: int = 300
    clock: Callable[[], float] = time.monotonic
    refused: int = 0
    early: int = 0
    _spent: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))
    _shut_until: dict[str, float] = field(default_factory=dict)

    def spend(self, client_id: str) -> int | None:
        """Take one request from the budget; returns None, or the whole seconds to wait when it is refused."""
        now = self.clock()
        # Told to wait and not waiting earns another 429, as Cisco says, whatever the last minute holds.
        if now < (until := self._shut_until.get(client_id, 0.0)):
            self.early += 1
            self.refused += 1
            # Whole seconds, as Retry-After has them.
            return math.ceil(until - now)
        if not self.per_minute:
            return None
        spent = self._spent[client_id]
        # A sliding minute; whether Webex's slides or starts anew is not said, and this is the stricter one.
        while spent and spent[0] <= now - MINUTE:
            spent.popleft()
        if len(spent) < self.per_minute:
            spent.append(now)
            return None
        return self._shut(client_id, spent[0] + MINUTE - now, now)

    def shut(self, client_id: str, seconds: float) -> None:
        """Refuse everything for so long, as if the budget were used up."""
        self._shut_until[client_id] = self.clock() + seconds - 0.05

    def _shut(self, client_id: str, wait: float, now: float) -> int:
        seconds = max(1, math.ceil(wait))
        self._shut_until[client_id] = now + seconds - 0.05  # a timer may wake a hair early
        self.refused += 1
        return seconds
