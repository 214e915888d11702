"""How the tests of this folder open a store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from wxrec_async.config import S3Settings
from wxrec_async.errors import RemoteError
from wxrec_async.plumbing.pacer import CircuitBreaker
from wxrec_async.plumbing.reach import NetworkMonitor
from wxrec_async.plumbing.retrying import Retrier
from wxrec_async.rules.retry import for_s3
from wxrec_async.s3.api import Deadlines
from wxrec_async.s3.client import OpenedClient, open_access
from wxrec_async.s3.uploads import S3Store

Retries = list[tuple[str, RemoteError]]


def store_on(
    access: OpenedClient, settings: S3Settings, retries: Retries, deadlines: Deadlines | None = None
) -> S3Store:
    """Return a store that notes its retries and does not wait between them."""
    gate = CircuitBreaker()
    retrier = Retrier(
        for_s3,
        gate=gate,
        reach=NetworkMonitor(),
        on_retry=lambda operation, _attempt, _after_s, trouble: retries.append((operation, trouble)),
        chance=lambda: 0.0,
    )
    return S3Store(access.client, settings, retrier, gate, deadlines=deadlines, short_way=access.short_way)


@asynccontextmanager
async def open_store(
    settings: S3Settings, *, ca_bundle: Path | None = None, deadlines: Deadlines | None = None
) -> AsyncIterator[tuple[S3Store, Retries]]:
    """Open a client of its own and a store on it."""
    retries: Retries = []
    async with open_access(settings, connections=8, ca_bundle=ca_bundle) as access:
        yield store_on(access, settings, retries, deadlines), retries
