"""The checksums S3 knows, computed on the way in, and CRCs joined without reading again."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

try:  # ten times faster, same function
    from isal.isal_zlib import crc32 as _crc32
except ImportError:  # pragma: no cover - depends on what is installed
    from zlib import crc32 as _crc32

try:
    from awscrt import checksums as _crt
except ImportError:  # pragma: no cover - depends on what is installed
    _crt = None

# Width, and the polynomial with its bits reflected.
CRC_WIDTHS = {"crc32": (32, 0xEDB88320), "crc32c": (32, 0x82F63B78), "crc64nvme": (64, 0x9A6C9329AC4BC9B5)}
ALGORITHMS = ("crc32", "crc32c", "crc64nvme", "sha1", "sha256")
DIGEST_SIZES = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}


def crc32(data: bytes | memoryview, value: int = 0) -> int:
    """Return the CRC-32 of ISO 3309, as ``zlib.crc32`` has it."""
    return int(_crc32(data, value))


def available(algorithm: str) -> bool:
    """Whether the algorithm can be computed here: CRC32C and CRC64NVME need ``awscrt``."""
    return algorithm in ("crc32", "sha1", "sha256") or (algorithm in CRC_WIDTHS and _crt is not None)


class RunningChecksum(Protocol):
    """A running checksum; ``digest()`` is big-endian bytes."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


@dataclass(slots=True)
class _Crc:
    """A CRC with the interface of a hash."""

    function: Callable[[Any, int], int]
    width: int
    value: int = 0

    def update(self, data: bytes, /) -> None:
        self.value = self.function(data, self.value)

    def digest(self) -> bytes:
        return self.value.to_bytes(self.width // 8, "big")


def new(algorithm: str) -> RunningChecksum:
    """Start a checksum; raises LookupError when it is not available here."""
    if algorithm == "crc32":
        return _Crc(crc32, 32)
    if algorithm in CRC_WIDTHS and _crt is not None:
        return _Crc(getattr(_crt, algorithm), CRC_WIDTHS[algorithm][0])
    if algorithm in ("sha1", "sha256"):
        # SHA-1 guards nothing here, and a FIPS build would refuse it otherwise.
        return hashlib.new(algorithm, usedforsecurity=False)
    raise LookupError(algorithm)


def encode(digest: bytes) -> str:
    """Write a digest as S3 does in headers and XML."""
    return base64.b64encode(digest).decode()


def decode(text: str, algorithm: str) -> bytes | None:
    """Read a digest; None when it is not base64 of the right length."""
    try:
        digest = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return digest if len(digest) == DIGEST_SIZES[algorithm] else None


def combine(algorithm: str, pieces: Sequence[tuple[bytes, int]]) -> bytes:
    """Return the CRC of the whole from (digest, length) of consecutive pieces."""
    width, polynomial = CRC_WIDTHS[algorithm]
    whole = 0
    for digest, length in pieces:
        # To append n bytes multiplies the CRC before them by x to the 8n; the usual inversions cancel each other out.
        shift = _power_of_x(8 * length, width, polynomial)
        whole = _multiply(shift, whole, width, polynomial) ^ int.from_bytes(digest, "big")
    return whole.to_bytes(width // 8, "big")


def composite(algorithm: str, digests: Sequence[bytes]) -> str:
    """Return S3's checksum of checksums with its ``-<parts>`` ending."""
    outer = new(algorithm)
    outer.update(b"".join(digests))
    return f"{encode(outer.digest())}-{len(digests)}"


def _multiply(first: int, second: int, width: int, polynomial: int) -> int:
    """Multiply two reflected polynomials modulo the CRC's own."""
    product, mask = 0, 1 << (width - 1)
    while mask and first:
        if first & mask:
            product ^= second
            first ^= mask
        mask >>= 1
        second = (second >> 1) ^ (polynomial if second & 1 else 0)
    return product


def _power_of_x(exponent: int, width: int, polynomial: int) -> int:
    """Return x to the given power, reflected, by squaring."""
    # Reflected: the highest bit is x to the 0, the one below it x to the 1.
    result, square = 1 << (width - 1), 1 << (width - 2)
    while exponent:
        if exponent & 1:
            result = _multiply(square, result, width, polynomial)
        square = _multiply(square, square, width, polynomial)
        exponent >>= 1
    return result
