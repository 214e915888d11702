"""The one way into the bucket, and the ledger that goes with it: neither token nor client secret is needed.

So `verify`, `rebuild` and `cleanup` run where only the bucket can be reached, and
whoever opens the bucket learns the same of it, in the same words.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError, HTTPStatusError, RunStopped
from wxrec_async.events import Emit
from wxrec_async.ledger.records import Identity
from wxrec_async.ledger.rows import Hash
from wxrec_async.ledger.store import SqliteLedger, open_ledger, open_reader
from wxrec_async.plumbing.host_names import is_misnamed
from wxrec_async.plumbing.reach import NetworkMonitor
from wxrec_async.plumbing.retrying import OperationFailed
from wxrec_async.rules.diagnosis import EXIT_NO_ANSWER
from wxrec_async.rules.media_urls import host_of
from wxrec_async.rules.redact import mask_number
from wxrec_async.rules.retry import for_s3
from wxrec_async.s3.bucket_owner import check_owner
from wxrec_async.s3.client import open_access
from wxrec_async.s3.reader import S3ReadStore
from wxrec_async.wiring.observed import observed_gate, observed_reach, observed_retrier

if TYPE_CHECKING:
    import aioboto3

ARCHIVED = "InvalidObjectState"  # S3 answers 403 to a GET of what lies in Glacier: no lack of permission
# For what is no part: looks, lists, aborts.
SPARE_CONNECTIONS = 4


@asynccontextmanager
async def open_bucket(
    settings: Settings, emit: Emit, *, reach: NetworkMonitor | None = None, session: aioboto3.Session | None = None
) -> AsyncIterator[S3ReadStore]:
    """Open the bucket, and see that it is there, that we are let in, and whose it is.

    ``reach`` is what knows of the network, shared with other clients; ``session``
    brings AWS credentials of its own.  Raises `ConfigError` or `AuthError` saying
    what to do, `RunStopped` when nobody answers or the clock is wrong.
    """
    # One gate for all that goes to S3: a SlowDown for one request is a word to everybody.
    gate = observed_gate("S3", emit)
    retrier = observed_retrier(for_s3, gate, reach or observed_reach(emit), emit)
    connections = s3_connections(settings)
    async with open_access(
        settings.s3, connections=connections, ca_bundle=settings.ca_bundle, session=session
    ) as access:
        bucket = S3ReadStore(access.client, settings.s3, retrier, gate, short_way=access.short_way)
        try:
            await bucket.check_bucket()
        except RunStopped as silence:
            host = host_of(access.client.meta.endpoint_url)
            if silence.exit_code != EXIT_NO_ANSWER or not await is_misnamed(host, host_of(settings.webex.api_url)):
                raise
            raise ConfigError(f"[s3] there is no host {host}; correct [s3] region or endpoint_url") from None
        # After the check of the bucket, which lets a plain 403 pass: a wrong owner is answered with nothing else.
        await check_owner(access.client, settings.s3, gate)
        yield bucket


def s3_connections(settings: Settings) -> int:
    """As many as parts can be under way: the pool bounds them, and so does each recording."""
    wanted = settings.backfill.concurrency * settings.s3.part_concurrency
    room = settings.memory.pool // (settings.s3.part_size_mib << 20)
    # A worker needs one even where the pool has no room for a part of each: a HEAD takes no room.
    return max(settings.backfill.concurrency, min(wanted, room)) + SPARE_CONNECTIONS


async def ledger_identity(settings: Settings) -> Identity:
    """Return what the ledger at hand must belong to; LedgerError when there is none, ConfigError for another bucket's.

    The organisation is the ledger's own when the settings name none: nobody is asked for a token here.
    """
    # Without the lock, so before anything else; who opens it for writing compares all this once more.
    async with open_reader(settings.ledger.path) as reader:
        kept = await reader.identity()
    if kept.bucket != settings.s3.bucket:
        raise ConfigError(
            f"ledger {settings.ledger.path} belongs to bucket {kept.bucket!r}, [s3] bucket is {settings.s3.bucket!r}; "
            "name another file with --ledger, or mend the configuration"
        )
    return Identity(settings.webex.org_id or kept.org_id, settings.s3.bucket, settings.s3.key)


def open_ledger_of(
    settings: Settings, org_id: str, emit: Emit, hashed: Hash | None = None
) -> AbstractAsyncContextManager[SqliteLedger]:
    """Open the ledger of the settings for this process alone; raises as `ledger.store.open_ledger`.

    ``hashed`` is `account.number_hash_of`, for those who list calls.
    """
    identity = Identity(org_id, settings.s3.bucket, settings.s3.key)
    return open_ledger(settings.ledger.path, identity, mask=number_mask(settings), emit=emit, hashed=hashed)


def number_mask(settings: Settings) -> Callable[[str], str]:
    """Return what telephone numbers go through on their way into the ledger."""
    return str if settings.ledger.phone_numbers == "plain" else mask_number


def is_denied(failure: HTTPStatusError | OperationFailed) -> bool:
    """Say whether S3 refused because a permission is missing."""
    trouble = failure.trouble if isinstance(failure, OperationFailed) else failure
    return isinstance(trouble, HTTPStatusError) and trouble.status == 403 and trouble.code != ARCHIVED
