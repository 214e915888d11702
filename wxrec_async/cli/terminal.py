"""stderr, where messages go, with or without a progress display below them."""

from __future__ import annotations

import contextlib
import sys
from typing import TextIO

from wxrec_async.cli.live_display import LiveDisplay, is_dumb
from wxrec_async.cli.output import silence
from wxrec_async.cli.progress_state import Figures


class Terminal:
    """Lines on stderr.  While a display is shown they appear above it and do not tear it."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._display: LiveDisplay | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether a display can be shown: a terminal that can move its cursor."""
        return self._stream.isatty() and not is_dumb(self._stream)

    def line(self, text: str) -> None:
        """Write a line; a closed or full stderr is nobody's failure."""
        try:
            if self._display is None:
                self._stream.write(text + "\n")
                self._stream.flush()
            else:
                self._display.print_above(text)
        except (OSError, ValueError):
            silence(self._stream)  # what is left in its buffer would spoil the exit code at the interpreter's end

    def show(self, figures: Figures) -> None:
        """Show ``figures`` at the bottom, in the place of those before."""
        with contextlib.suppress(OSError, ValueError):
            if self._display is None:
                self._display = LiveDisplay(self._stream)
            self._display.show(figures)

    def hide(self) -> None:
        """Take the display away."""
        if self._display is not None:
            display, self._display = self._display, None
            with contextlib.suppress(OSError, ValueError):
                display.close()
