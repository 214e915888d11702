"""What the strict front found: one entry a kind, with how often and an example."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Side = Literal["client", "upstream"]
Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")
EXAMPLE = 400


@dataclass(slots=True)
class Finding:
    """``error``: the contract says otherwise.  ``warning``: not in it.  ``note``: allowed, or seen all the same."""

    side: Side
    level: Level
    what: str
    where: str
    example: str
    count: int = 0

    def __str__(self) -> str:
        return f"{self.side} {self.level} {self.where}: {self.what} ({self.count} times, {self.example[:160]})"


class Findings:
    """Everything found so far."""

    def __init__(self) -> None:
        self._found: dict[tuple[Side, Level, str], Finding] = {}

    def note(self, side: Side, level: Level, what: str, where: str = "", example: object = "") -> None:
        new = Finding(side, level, what, where, str(example)[:EXAMPLE])
        self._found.setdefault((side, level, what), new).count += 1

    def of(self, side: Side | None = None, level: Level | None = None) -> list[Finding]:
        """Return the findings of a side and a level, the gravest first."""
        wanted = [each for each in self._found.values() if side in (None, each.side) and level in (None, each.level)]
        return sorted(wanted, key=lambda each: (each.side, LEVELS.index(each.level), -each.count))

    def rows(self) -> list[dict[str, Any]]:
        return [asdict(each) for each in self.of()]
