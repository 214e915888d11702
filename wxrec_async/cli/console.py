"""What a command talks through: stdout, stderr, the log, the progress display."""

from __future__ import annotations

import logging
import os
import sys

from wxrec_async.cli import logs
from wxrec_async.cli.flags import OutputFlags
from wxrec_async.cli.output import Output
from wxrec_async.cli.progress import LineProgress, NoProgress, ProgressDisplay, TerminalProgress
from wxrec_async.cli.progress_state import ProgressState
from wxrec_async.cli.terminal import Terminal
from wxrec_async.cli.text import harmless


class Console:
    """Set up from the flags, once a command.  ``moves`` says that the command is one with progress."""

    def __init__(self, flags: OutputFlags, *, moves: bool = False) -> None:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")  # an id must not end a run over an ASCII terminal
        self.json = flags.json
        self.out, self.terminal = Output(on_lost=self._tell_lost), Terminal()
        self._form: logs.Form = flags.log_format or "console"
        self._quiet = flags.quiet or flags.no_progress
        # A display on stderr and data on stdout cannot share a terminal.
        shared = flags.json and sys.stdout.isatty()
        wanted = moves and not self._quiet and not shared and self._form == "console"
        self._display = wanted and self.terminal.is_terminal
        self.level = _level(flags, displayed=self._display)
        self.log = logs.set_up(self.level, self._form, self.terminal.line, colors=_colors())

    def progress(self, state: ProgressState) -> ProgressDisplay:
        """Return what shows the figures of ``state``."""
        if self._display:
            return TerminalProgress(state, self.terminal)
        return NoProgress() if self._quiet else LineProgress(state, self._write_figures)

    def message(self, text: str) -> None:
        """Write something the operator must see, whatever the level."""
        self._write(logging.WARNING, text)

    def _tell_lost(self, why: str) -> None:
        # At once, and not only at the end: a run may go on for days.
        self.message(f"stdout cannot be written: {why}; what belongs there is lost, the work goes on")

    def announce(self, text: str) -> None:
        """Show a person in front of the display what others find in the log."""
        if self._display:
            self.terminal.line(text)

    def error(self, text: str) -> None:
        """Write in one line what went wrong."""
        self._write(logging.ERROR, text)

    def _write(self, level: int, text: str) -> None:
        if self._form == "json":
            # Raised to what is shown: these words are for the operator even with --log-level error.
            self.log.log(max(level, self.level), text)
        else:
            # An error is masked already (`exit_codes.sentence`).
            self.terminal.line(f"error: {text}" if level == logging.ERROR else harmless(text))

    def _write_figures(self, text: str, fields: dict[str, object]) -> None:
        if self._form == "json":
            self.log.log(max(logging.INFO, self.level), "progress", **fields)
        else:
            self.terminal.line(text)

    def trace(self, failure: BaseException) -> None:
        """Log where a failure came from, at the level of those who look for it."""
        self.log.debug("trace", exc_info=failure)


def _level(flags: OutputFlags, *, displayed: bool) -> int:
    if flags.log_level is not None:
        return logging.getLevelNamesMapping()[flags.log_level.upper()]
    if flags.verbose:
        return logging.DEBUG
    # Beside a display a line for each recording would say again what its figures do.
    return logging.WARNING if displayed or flags.quiet else logging.INFO


def _colors() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
