"""Opens the books of a job, and says whose they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from wxrec_async.config import Settings
from wxrec_async.errors import ConfigError
from wxrec_async.events import Emit, ignore
from wxrec_async.temporal.ledger_service import LedgerService
from wxrec_async.wiring.account import NO_INJECTION, Injected, load_secrets, number_hash_of
from wxrec_async.wiring.bucket import open_bucket, open_ledger_of
from wxrec_async.wiring.transfers import make_sidecars


@asynccontextmanager
async def open_ledger_service(
    settings: Settings, *, on_event: Emit = ignore, given: Injected = NO_INJECTION
) -> AsyncIterator[LedgerService]:
    """Open the ledger of the settings, checked against the organisation the secrets name; for sidecars the bucket, too.

    Raises `ConfigError`, `AuthError`, `RunStopped` or `LedgerError` as `Backfill`
    does, and `ConfigError` for filters by agent when names of people do not travel.
    """
    filters = settings.filters
    if (filters.agents or filters.exclude_agents) and not settings.temporal.codec:
        raise ConfigError(
            "[filters] agents and exclude_agents need [temporal] codec: without it no names of people are carried"
        )
    # Secrets before the ledger: it is compared with the organisation that they name.
    secrets = await load_secrets(settings, given, on_event)
    async with AsyncExitStack() as stack:
        bucket = None
        if settings.s3.sidecar:
            bucket = await stack.enter_async_context(open_bucket(settings, on_event, session=given.s3_session))
        hashed = number_hash_of(settings, secrets.credentials)
        ledger = await stack.enter_async_context(open_ledger_of(settings, secrets.org_id, on_event, hashed))
        sidecars = make_sidecars(settings, secrets.org_id, bucket, ledger, on_event) if bucket is not None else None
        yield LedgerService(settings, ledger, secrets.org_id, on_event, sidecars=sidecars)


async def who(settings: Settings, given: Injected = NO_INJECTION) -> tuple[str, str]:
    """Return the organisation and the client id of the settings' secrets; raises as `open_ledger_service`."""
    secrets = await load_secrets(settings, given)
    return secrets.org_id, secrets.credentials.client_id
