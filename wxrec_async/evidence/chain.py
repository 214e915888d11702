"""The certificates as they lie in the bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator

from wxrec_async.errors import RunStopped
from wxrec_async.rules.evidence import MAX_CERTIFICATE, Certificate, Places, Unsound, read_certificate
from wxrec_async.s3.reader import S3ReadStore


class ChainBroken(RunStopped):
    """The chain of certificates in the bucket is broken."""


async def keys_below(bucket: S3ReadStore, prefix: str) -> AsyncIterator[str]:
    """Yield every key that begins with ``prefix``, page by page."""
    page = await bucket.keys(prefix)
    while True:
        for key in page.keys:
            yield key
        if not page.then:
            return
        page = await bucket.keys(prefix, page.then)


async def read_one(bucket: S3ReadStore, key: str) -> Certificate:
    """Read a certificate; raises `Unsound` when it is missing or none."""
    data = await bucket.read_small(key, MAX_CERTIFICATE)
    if data is None:
        raise Unsound("it is not there")
    return read_certificate(key, data)


async def count_certificates(bucket: S3ReadStore, places: Places) -> int:
    """Return how many there are; raises `ChainBroken` when they are not numbered without a gap."""
    numbers = [number async for key in keys_below(bucket, places.certificates) if (number := places.number_of(key))]
    # Keys are listed once each, so that many numbers without a gap are exactly 1 to that many.
    missing = set(range(1, len(numbers) + 1)) - set(numbers)
    if missing:
        raise ChainBroken(
            f"the bucket has no certificate {places.certificate(min(missing))}, but later ones; nothing is certified "
            "on top of that: `wxrec-async verify --evidence` names all that is wrong"
        )
    return len(numbers)
