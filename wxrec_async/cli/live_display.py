"""The lines at the bottom of a terminal, drawn by rich, which structlog has loaded anyway."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console as RichConsole
from rich.live import Live
from rich.text import Text

from wxrec_async.cli.progress_state import Figures
from wxrec_async.cli.text import size, span

BAR = 28  # columns


def is_dumb(stream: TextIO) -> bool:
    """Whether it is a terminal that cannot draw twice in the same place."""
    return RichConsole(file=stream).is_dumb_terminal


class LiveDisplay:
    """Begins with its first figures and stays below what is printed."""

    def __init__(self, stream: TextIO) -> None:
        # No thread of rich's own: whoever calls `show` refreshes.
        self._live = Live(
            console=RichConsole(file=stream),
            auto_refresh=False,
            # Gone in the end: the summary takes its place.
            transient=True,
            # stdout is data, and lines for stderr come by `print_above`.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def show(self, figures: Figures) -> None:
        """Draw these in the place of those before."""
        self._live.update(_drawn(figures), refresh=True)

    def print_above(self, text: str) -> None:
        """Write a line, with its colours, and draw again below it."""
        # soft_wrap: rich would otherwise break ids and paths where the line ends.
        self._live.console.print(Text.from_ansi(text), soft_wrap=True)

    def close(self) -> None:
        """Take the lines away."""
        self._live.stop()


def _drawn(figures: Figures) -> Text:
    totals = figures.totals
    share = figures.done / totals.recordings_found if totals.recordings_found else 0.0
    full = round(share * BAR)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append("━" * full, "green").append("·" * (BAR - full), "bright_black")
    text.append(f"  {figures.done}", "bold").append(f" of {totals.recordings_found} recordings found")
    if figures.eta_s is not None and not figures.draining:
        text.append("   about ").append(span(figures.eta_s), "cyan").append(" left")
    text.append(f"\n{size(totals.bytes)}  ").append(f"{size(figures.bytes_per_s)}/s", "cyan")
    text.append(f"  {figures.recordings_per_s:.1f} recordings/s   {totals.tasks_listed} tasks")
    text.append(f"   {figures.windows_text}" if totals.windows else "").append(f"   {totals.in_flight} in flight\n")
    text.append(f"{totals.failed} failed", "bold red" if totals.failed else "").append(f"   {totals.retries} retries")
    text.append(f"   {span(figures.elapsed_s)} so far")
    if figures.waiting_s:
        text.append(f"   {figures.waiting_text}", "yellow")
    if figures.draining:
        text.append(f"   stopping ({figures.draining}): finishing what is in flight", "yellow")
    return text
