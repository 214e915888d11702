"""Ports for servers that can only be told their number: of those no other socket gets by chance."""

from __future__ import annotations

import itertools
import os
import socket

FIRST, EACH = 20_000, 1_500  # below those the kernel hands out; every worker of pytest has its own
_numbers = itertools.cycle(range(EACH))


def free_port() -> int:
    """Return a port nobody listens on now, and nobody else is told of soon.

    Raises:
        RuntimeError: none is free.
    """
    digits = "".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", "")))
    base = FIRST + EACH * (int(digits or 0) % 8)
    for number in itertools.islice(_numbers, EACH):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", base + number))
            except OSError:
                continue
            return base + number
    raise RuntimeError("no port is free")
