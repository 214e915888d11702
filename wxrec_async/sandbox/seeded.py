"""Repeatable chance: numbers drawn from a hash of a label."""

from __future__ import annotations

import hashlib


class Draw:
    """Sixteen repeatable numbers for one label."""

    __slots__ = ("_digest",)

    def __init__(self, *label: object) -> None:
        self._digest = hashlib.blake2b("|".join(map(str, label)).encode(), digest_size=64).digest()

    def unit(self, slot: int) -> float:
        """Return 0 <= number < 1."""
        return int.from_bytes(self._digest[4 * slot : 4 * slot + 4], "big") / 2**32

    def pick(self, slot: int, count: int) -> int:
        return int(self.unit(slot) * count)

    def uuid(self) -> str:
        """Return a version 4 UUID, put together by hand because a million of them are drawn."""
        text = self._digest[:16].hex()
        variant = "89ab"[self._digest[8] & 3]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"
