"""The bucket and its ledger without Webex: what `verify`, `rebuild` and `cleanup` stand on.

They need neither token nor client secret, so they also run where only the
bucket can be reached.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import anyio

from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError, Rejected
from wxrec_async.events import Emit
from wxrec_async.ledger import Identity, SqliteLedger, open_ledger, open_reader
from wxrec_async.plumbing.groups import first_failure
from wxrec_async.plumbing.retrying import GivenUp
from wxrec_async.rules.retry import for_s3
from wxrec_async.s3.client import open_client
from wxrec_async.s3.inspection import S3Inspector
from wxrec_async.telling import telling_gate, telling_reach, telling_retrier

if TYPE_CHECKING:
    import aioboto3

T = TypeVar("T")
ARCHIVED = "InvalidObjectState"  # S3 answers 403 to a GET of what lies in Glacier: no lack of permission


@asynccontextmanager
async def open_bucket(
    settings: Settings, emit: Emit, session: aioboto3.Session | None = None
) -> AsyncIterator[S3Inspector]:
    """Open the bucket and see that it is there; raises `ConfigError` or `AuthError` saying what to do.

    ``session`` brings AWS credentials of its own.
    """
    gate = telling_gate("S3", emit)
    retrier = telling_retrier(for_s3, gate, telling_reach(emit), emit)
    connections = settings.backfill.concurrency
    async with open_client(
        settings.s3, connections=connections, ca_bundle=settings.ca_bundle, session=session
    ) as client:
        inspector = S3Inspector(client, settings.s3, retrier, gate)
        await inspector.check_bucket()
        yield inspector


async def ledger_identity(settings: Settings) -> Identity:
    """Return what the ledger at hand must belong to; LedgerError when there is none, ConfigError for another bucket's.

    The organisation is the ledger's own when the settings name none: nobody is asked for a token here.
    """
    async with open_reader(settings.ledger.path) as reader:
        kept = await reader.identity()
    if kept.bucket != settings.s3.bucket:
        raise ConfigError(
            f"ledger {settings.ledger.path} belongs to bucket {kept.bucket!r}, [s3] bucket is {settings.s3.bucket!r}; "
            "name another file with --ledger, or mend the configuration"
        )
    return Identity(settings.webex.org_id or kept.org_id, settings.s3.bucket, settings.s3.key)


def open_known_ledger(settings: Settings, identity: Identity, emit: Emit) -> AbstractAsyncContextManager[SqliteLedger]:
    """Open the ledger `ledger_identity` has seen, for this process alone."""
    return open_ledger(settings.ledger.path, identity, mask=str, emit=emit)


async def for_each(
    feed: Callable[[Callable[[T], Awaitable[None]]], Awaitable[None]], work: Callable[[T], Awaitable[None]], most: int
) -> None:
    """Do ``work`` on whatever ``feed`` puts, ``most`` at once; ``feed`` waits while they are all busy.

    The first failure of either ends both, and is raised.
    """
    send, receive = anyio.create_memory_object_stream[T](most)

    async def put_all() -> None:
        async with send:
            await feed(send.send)

    async def work_on() -> None:
        async for item in receive:
            await work(item)

    try:
        with send, receive:
            async with anyio.create_task_group() as group:
                group.start_soon(put_all)
                for _ in range(most):
                    group.start_soon(work_on)
    except BaseExceptionGroup as failures:
        raise first_failure(failures) from None


def feeding(items: Iterable[T]) -> Callable[[Callable[[T], Awaitable[None]]], Awaitable[None]]:
    """Return what puts ``items``, for `for_each`."""

    async def feed(put: Callable[[T], Awaitable[None]]) -> None:
        for item in items:
            await put(item)

    return feed


def is_denied(failure: Rejected | GivenUp) -> bool:
    """Say whether S3 refused because a permission is missing."""
    trouble = failure.trouble if isinstance(failure, GivenUp) else failure
    return isinstance(trouble, Rejected) and trouble.status == 403 and trouble.code != ARCHIVED
