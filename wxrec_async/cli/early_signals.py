"""Signals of the first moments, while the program is still being loaded and nobody listens.

Imports nothing of ours: it is to stand before all that takes time.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STDERR = 2


class StoppedBySignal(KeyboardInterrupt):
    """SIGTERM or SIGHUP came while no event loop had taken the signals over; ``name`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.name = signal.Signals(number).name


def end_at_once() -> None:
    """Have a signal end the process in the words and with the code of any other: nothing was begun."""
    for number in SIGNALS:
        # Who was started with one ignored (`nohup`) goes on ignoring it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def raise_instead() -> None:
    """Have a signal raise from now on: something may be open that is closed on the way out."""
    for number in SIGNALS:
        if signal.getsignal(number) is _end:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else _raise)


def _end(number: int, _frame: FrameType | None) -> None:
    try:
        os.write(STDERR, f"{signal.Signals(number).name}: nothing was begun\n".encode())
    finally:
        # SIGHUP ends like SIGTERM: the table of exit codes knows these two.
        os._exit(128 + (number if number == signal.SIGINT else signal.SIGTERM))


def _raise(number: int, _frame: FrameType | None) -> None:
    raise StoppedBySignal(number)
