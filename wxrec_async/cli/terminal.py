"""stderr, where messages go, with or without a progress display below them."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live


class Terminal:
    """Lines on stderr.  While a display is shown they appear above it and do not tear it."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live: Live | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether a display can be shown: a terminal that can move its cursor."""
        if not self._stream.isatty():
            return False
        from rich.console import Console  # noqa: PLC0415 - heavy, and not needed off a terminal

        return not Console(file=self._stream).is_dumb_terminal

    def line(self, text: str) -> None:
        """Write a line; a closed or full stderr is nobody's failure."""
        with contextlib.suppress(OSError, ValueError):
            if self._live is None:
                self._stream.write(text + "\n")
                self._stream.flush()
            else:
                from rich.text import Text  # noqa: PLC0415 - loaded with the display

                self._live.console.print(Text.from_ansi(text), soft_wrap=True)

    def show(self, display: RenderableType) -> None:
        """Show ``display`` at the bottom, in the place of the one before."""
        from rich.console import Console  # noqa: PLC0415 - heavy, and not needed off a terminal
        from rich.live import Live  # noqa: PLC0415

        with contextlib.suppress(OSError, ValueError):
            if self._live is None:
                # No thread of rich's own: the ticker refreshes.
                console = Console(file=self._stream)
                live = Live(
                    console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
                )
                live.start()
                self._live = live
            self._live.update(display, refresh=True)

    def hide(self) -> None:
        """Take the display away."""
        if self._live is not None:
            live, self._live = self._live, None
            with contextlib.suppress(OSError, ValueError):
                live.stop()
