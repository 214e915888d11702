"""An organisation of any size that is kept nowhere: which task is where follows from its number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wxrec_async.sandbox import Organisation
from wxrec_async.sandbox.audio import MULAW, SAMPLE_RATE, Audio
from wxrec_async.sandbox.organisation import Bounds, SandboxTask
from wxrec_async.sandbox.seeded import Draw

MOST_A_PAGE = 1001  # a page has a thousand rows at most; one more says that there are more
NONE, UNKNOWN, ONE = "none", "unknown", "one"


class Crowd(Organisation):
    """Telephone calls evenly spread over ``days``; a share of ``recorded`` in a thousand has one small recording.

    Another ``unknown`` in a thousand have ``captureRequested: null`` and none, the rest never had one.
    ``shown`` counts the rows that were listed.
    """

    def __init__(self, count: int, seed: int = 1, *, days: float = 7, recorded: int = 20, unknown: int = 10) -> None:
        super().__init__(0, seed, days=days, seconds=(0.05, 0.1), large=False, odd_names=False)
        self.count, self.recorded, self.unknown = count, recorded, unknown
        self.shown = 0
        self._step = max(1.0, (self._newest_ms - self._oldest_ms) / count)

    def __len__(self) -> int:
        return self.count

    @property
    def tasks(self) -> Sequence[SandboxTask]:
        return [self._numbered(number) for number in range(self.count)]

    def between(self, from_ms: int, to_ms: int, bounds: Bounds = "strict") -> Sequence[SandboxTask]:
        """Return the first of the contacts in a span, as many as a page can show."""
        first = max(0, int((from_ms - self._oldest_ms) / self._step) - 1)
        found: list[SandboxTask] = []
        inside = int(bounds == "inclusive")
        for number in range(first, self.count):
            task = self._numbered(number)
            if task.created_ms >= to_ms + inside or len(found) == MOST_A_PAGE:
                break
            if task.created_ms > from_ms - inside:
                found.append(task)
        return found

    def get(self, task_id: str) -> SandboxTask | None:
        number = task_id.rpartition("-")[2]
        return self._numbered(int(number)) if number.isdigit() and int(number) < self.count else None

    def attributes(self, task: SandboxTask, now_ms: int | None = None, *, gaps: bool = False) -> dict[str, Any]:
        self.shown += 1
        return super().attributes(task, now_ms, gaps=gaps)

    def _numbered(self, number: int) -> SandboxTask:
        share = number * 7919 % 1000  # spread, and the same in every run
        kind = ONE if share < self.recorded else UNKNOWN if share < self.recorded + self.unknown else NONE
        requested = {ONE: True, UNKNOWN: None, NONE: False}[kind]
        created = self._oldest_ms + int(number * self._step)
        task_id = f"00000000-0000-4000-8000-{number:012d}"
        return SandboxTask(number, task_id, created, "telephony", requested, kind, 0, int(kind == ONE))

    def _audio(self, task: SandboxTask, leg: int) -> Audio:
        frames = int(SAMPLE_RATE * (0.05 + 0.05 * Draw(self.seed, "audio", task.index, leg).unit(1)))
        return Audio(self.seed, f"sandbox task {task.id} leg {leg}", frames, MULAW)
