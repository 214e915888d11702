"""Does a host have an address?  Asked only when it did not answer, to tell a wrong name from a network that is away."""

from __future__ import annotations

import socket

import anyio


async def has_address(host: str) -> bool:
    """Return whether this machine's resolver knows ``host``."""
    try:
        await anyio.getaddrinfo(host, None)
    except (socket.gaierror, UnicodeError):
        return False
    return True


async def is_misnamed(host: str, other: str) -> bool:
    """Return whether ``host`` has no address while ``other`` has one: the network is there, the name is wrong."""
    return not await has_address(host) and await has_address(other)
