"""Figures into what is seen: a few lines at the bottom of a terminal, a line every half minute off it."""

from __future__ import annotations

from typing import Protocol

from wxrec_async.cli.progress_state import Figures, ProgressState
from wxrec_async.cli.terminal import Terminal
from wxrec_async.cli.text import size, span

REFRESH_S = 0.5
LINE_EVERY_S = 30.0


class ProgressDisplay(Protocol):
    """Shows a run; `tick` is called every ``REFRESH_S`` seconds."""

    def tick(self) -> None: ...

    def close(self) -> None: ...


class NoProgress:
    """Shows nothing."""

    def tick(self) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Have shown nothing."""


class TerminalProgress:
    """The lines at the bottom of a terminal."""

    def __init__(self, state: ProgressState, terminal: Terminal) -> None:
        self._state, self._terminal = state, terminal

    def tick(self) -> None:
        """Show the figures of this moment."""
        self._terminal.show(self._state.figures())

    def close(self) -> None:
        """Take the display away."""
        self._terminal.hide()


class LineProgress:
    """A line every half minute."""

    def __init__(self, state: ProgressState, write: WriteFigures, every_s: float = LINE_EVERY_S) -> None:
        self._state, self._write, self._every_s = state, write, every_s
        self._next_s = every_s

    def tick(self) -> None:
        """Write the figures of this moment when it is time."""
        figures = self._state.figures()
        if figures.elapsed_s >= self._next_s:
            # From when it was due, not from now: a late tick shifts none of those to come.
            self._next_s += self._every_s
            self._write(sentence(figures), fields(figures))

    def close(self) -> None:
        """Leave the lines where they are."""


class WriteFigures(Protocol):
    """Writes a message: a sentence for people, or the same as fields for machines."""

    def __call__(self, text: str, fields: dict[str, object]) -> None: ...


def sentence(figures: Figures) -> str:
    """Write the figures as one line."""
    totals = figures.totals
    pieces = [
        f"{figures.done} of {totals.recordings_found} recordings",
        f"{size(totals.bytes)} at {size(figures.bytes_per_s)}/s",
        f"{totals.tasks_listed} tasks" + (f" in {figures.windows_text}" if totals.windows else ""),
        f"{totals.failed} failed",
        f"{totals.retries} retries",
    ]
    if figures.waiting_s:
        pieces.append(figures.waiting_text)
    if figures.eta_s is not None and not figures.draining:
        pieces.append(f"about {span(figures.eta_s)} left")
    return "progress: " + ", ".join(pieces)


def fields(figures: Figures) -> dict[str, object]:
    """Write the figures as fields."""
    totals = figures.totals
    return {
        "recordings_done": figures.done,
        "recordings_found": totals.recordings_found,
        "tasks_listed": totals.tasks_listed,
        "windows": totals.windows,
        "windows_listed": totals.windows_listed,
        "bytes": totals.bytes,
        "bytes_per_s": round(figures.bytes_per_s),
        "failed": totals.failed,
        "retries": totals.retries,
        "eta_s": None if figures.eta_s is None else round(figures.eta_s),
    }
