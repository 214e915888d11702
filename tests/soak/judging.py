"""A list of figures, each with what it must be."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field

COMPARED = {"==": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Line:
    """One figure; ``wanted`` is empty when it is only told."""

    name: str
    shown: str
    wanted: str
    kept: bool


@dataclass(slots=True)
class Judgement:
    """What was found, line by line."""

    lines: list[Line] = field(default_factory=list)

    def hold(self, name: str, value: float, relation: str, bound: float) -> None:
        """Note a figure and whether it is what it must be."""
        kept = bool(COMPARED[relation](value, bound))
        self.lines.append(Line(name, f"{value:,.6g}", f"{relation} {bound:,.6g}", kept))

    def note(self, name: str, value: float | str) -> None:
        """Note a figure that may be anything."""
        self.lines.append(Line(name, value if isinstance(value, str) else f"{value:,.6g}", "", True))

    @property
    def green(self) -> bool:
        return all(each.kept for each in self.lines)

    @property
    def broken(self) -> list[str]:
        return [f"{each.name}: {each.shown}, not {each.wanted}" for each in self.lines if not each.kept]

    def text(self) -> str:
        rows = [
            f"  {each.name:36} {each.shown:>16}  {each.wanted:16}{'' if each.kept else '  <-- BROKEN'}".rstrip()
            for each in self.lines
        ]
        return "\n".join([*rows, "  green" if self.green else "  RED"]) + "\n"
