"""A payload codec as an operator would write one: everything the server keeps is encrypted."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence

from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

KEY = b"a key that the server does not have"


class Sealed(PayloadCodec):
    """A stream cipher of HMAC blocks: enough for a test, nothing to imitate."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._sealed(payload.SerializeToString()) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._opened(payload) for payload in payloads]

    def _sealed(self, clear: bytes) -> Payload:
        salt = os.urandom(16)
        return Payload(metadata={"encoding": b"binary/sealed"}, data=salt + _mixed(salt, clear))

    def _opened(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != b"binary/sealed":
            return payload
        return Payload.FromString(_mixed(payload.data[:16], payload.data[16:]))


def _mixed(salt: bytes, text: bytes) -> bytes:
    blocks = (hmac.digest(KEY, salt + n.to_bytes(8, "big"), hashlib.sha256) for n in range(len(text) // 32 + 1))
    return bytes(a ^ b for a, b in zip(text, b"".join(blocks), strict=False))


def make() -> PayloadCodec:
    """What ``[temporal] codec`` names."""
    return Sealed()
