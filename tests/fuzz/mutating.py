"""Makes new inputs of old ones, for where atheris is not installed: no coverage, but many and of the right shape."""

from __future__ import annotations

import random

WORDS = (
    b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"NaN", b"Infinity", b"-1", b"1e999", b"9" * 5000,
    b"\\ud800", b"\\u0000", b"\xef\xbb\xbf", b"\xff\xfe", b"[" * 3000, b"<", b">", b"&x;", b"</Code>", b"<Message>",
    b"\n", b"\r\n", b"\0", b"@", b"#", b"\\", b"%00", b"%2f", b"..", b"RIFF", b"WAVE", b"data", b"\xff\xff\xff\xff",
    b"CANARY-AT-1", b"CANARY-SIG-2", b"CANARY-RT-3", b"+15550100123", b"GMT", b"1994", b"= ", b"'''", b'"""',
)  # fmt: skip


def mutated(chance: random.Random, corpus: list[bytes], most: int = 4096) -> bytes:
    """Return a seed with one to eight changes, at most about ``most`` bytes and a word long."""
    data = bytearray(chance.choice(corpus)[:most])
    for _ in range(chance.randint(1, 8)):
        start = chance.randint(0, len(data))
        end = min(len(data), start + chance.choice((0, 0, 1, 1, 2, 8, 64)))
        other = chance.choice(corpus)
        at = chance.randint(0, len(other))
        data[start:end] = chance.choice(
            (b"", chance.randbytes(1), chance.choice(WORDS), other[at : at + 32], bytes(data[start:end]) * 2)
        )
    return bytes(data)
