"""What is purged before a run gets to it, and how much there is to move: arithmetic, from what is known beforehand.

Webex deletes recordings when they have reached the age the organisation has set.
A run works oldest first, asks captures for ten tasks at a time and may ask so
often a minute; with a limit on its bandwidth the bytes take their time, too.
"""

from __future__ import annotations

from dataclasses import dataclass

from wxrec_async.model import DAY_MS, MINUTE_MS, Task, iso

BYTES_PER_SECOND = (16_000, 32_000)  # WAV of Webex: stereo G.711, stereo 16 bit linear, at 8 kHz
LIKELY_BYTES_PER_SECOND = sum(BYTES_PER_SECOND) // 2
# Ids that one call to captures takes.
BATCH = 10


@dataclass(frozen=True, slots=True)
class AtRisk:
    """A task, when its recordings are purged and when a run that begins now would ask for them."""

    task_id: str
    created_ms: int
    purge_ms: int
    reached_ms: int

    @property
    def is_late(self) -> bool:
        """Whether the purge comes first."""
        return self.purge_ms <= self.reached_ms

    def as_json(self) -> dict[str, object]:
        """Return it as ``plan --json`` has it."""
        return {
            "task_id": self.task_id,
            "created": iso(self.created_ms),
            "purged": iso(self.purge_ms),
            "reached": iso(self.reached_ms),
        }


class Timeline:
    """A run in the order it works: tell it of every call to list and of every task to ask for.

    ``retention_days`` 0 means that nothing is ever purged, ``bytes_per_s`` 0 that
    bytes take no time of their own.
    """

    def __init__(self, now_ms: int, requests_per_minute: float, retention_days: int, bytes_per_s: float = 0.0) -> None:
        self._now_ms, self._per_minute = now_ms, requests_per_minute
        self._retention_ms, self._bytes_per_s = retention_days * DAY_MS, bytes_per_s
        self._listing = self._tasks = self._bytes = 0

    def list(self, calls: int) -> None:
        """Spend calls on listing."""
        self._listing += calls

    def ask(self, task: Task, size: int) -> AtRisk | None:
        """Reach the next task, with about ``size`` bytes to move; None when it is never purged, or of unknown age."""
        self._tasks += 1
        # Before its own bytes are added: captures is asked before they are moved.
        reached_ms = self._now_ms + self._elapsed_ms()
        self._bytes += size
        if not self._retention_ms or task.created_ms is None:
            return None
        return AtRisk(task.id, task.created_ms, task.created_ms + self._retention_ms, reached_ms)

    def _elapsed_ms(self) -> int:
        calls = self._listing + -(-self._tasks // BATCH)
        by_bytes = self._bytes / self._bytes_per_s * 1000 if self._bytes_per_s else 0.0
        # The greater, not the sum: downloads go on while captures is asked.
        return round(max(calls / self._per_minute * MINUTE_MS, by_bytes))


def length_ms(task: Task) -> int | None:
    """Return how long a call took, None when Webex does not tell."""
    if task.duration_ms is not None:
        return task.duration_ms
    if task.created_ms is None or task.ended_ms is None:
        return None
    return max(0, task.ended_ms - task.created_ms)
