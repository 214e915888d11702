"""A line from stdin that is waited for in the event loop, and on a terminal is not shown."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
from collections.abc import Iterator

import anyio

LIMIT = 64 << 10  # bytes


async def read_line() -> str:
    """Return the next line of stdin without its end, "" when there is none.

    No thread reads it: one that is blocked in stdin could be neither cancelled nor left behind at exit.
    """
    fd = sys.stdin.fileno()
    text = bytearray()
    with _unseen(fd):
        while b"\n" not in text and len(text) < LIMIT:
            with contextlib.suppress(PermissionError):  # a plain file: always readable, and no selector takes it
                await anyio.wait_readable(fd)
            piece = os.read(fd, 4096)
            if not piece:
                break
            text += piece
    return bytes(text).partition(b"\n")[0].decode("utf-8", "replace").strip()


@contextlib.contextmanager
def _unseen(fd: int) -> Iterator[None]:
    """Switch the terminal's echo off: what is pasted holds a code, and a scrollback lives long."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    hidden = termios.tcgetattr(fd)
    # The fourth of what tcgetattr returns are the local modes.
    hidden[3] &= ~termios.ECHO
    # DRAIN, not FLUSH, which would drop what was typed or pasted too early.
    termios.tcsetattr(fd, termios.TCSADRAIN, hidden)
    try:
        yield
    # Also when it is cancelled: a terminal without echo would outlive us.
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
