"""The standard streams of a process that was begun without some of them (``>&-``).

A closed descriptor is not only silent: the next file that is opened gets its
number, and what somebody then writes to "stdout" goes into that file.
"""

from __future__ import annotations

import io
import os
import sys

STDIN, STDOUT, STDERR = range(3)


class Nowhere(io.TextIOWrapper):
    """Takes the place of a stream that was closed; what is written to it is lost."""

    def __init__(self, number: int) -> None:
        super().__init__(io.FileIO(number, "w", closefd=False), encoding="utf-8")


def hold_descriptors() -> None:
    """Give every standard descriptor that is closed something to hold; call it before any file is opened."""
    for number in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is given: this one, as those below it are taken.
            os.open(os.devnull, os.O_RDONLY if number == STDIN else os.O_WRONLY)
    # Python has none for a descriptor that it found closed.
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.FileIO(STDIN, closefd=False), encoding="utf-8")
    if sys.stdout is None:
        sys.stdout = Nowhere(STDOUT)
    if sys.stderr is None:
        sys.stderr = Nowhere(STDERR)
