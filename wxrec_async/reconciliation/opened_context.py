"""What reconciling needs, opened: Webex, the bucket and the ledger, and what reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from wxrec_async.config import Settings
from wxrec_async.events import Emit
from wxrec_async.flow.policies import ages_of, filters_of, job_of, reach_of
from wxrec_async.flow.run_log import RunLog
from wxrec_async.flow.search_lister import SearchReader
from wxrec_async.flow.task_lister import Lister
from wxrec_async.ledger import Everything, open_seen_tasks
from wxrec_async.maintenance.verify import Comparison, Level
from wxrec_async.reconciliation.day import OnDifference, ReconcileContext
from wxrec_async.reconciliation.facts import FactsBuilder
from wxrec_async.reconciliation.recheck import CapturesRecheck
from wxrec_async.rules.server_time import believed_ms
from wxrec_async.s3.reader import S3ReadStore
from wxrec_async.wiring import clients
from wxrec_async.wiring.account import Injected, load_secrets, number_hash_of
from wxrec_async.wiring.bucket import ledger_identity, open_bucket, open_ledger_of
from wxrec_async.wiring.observed import observed_reach


@asynccontextmanager
async def open_context(
    settings: Settings, tell: OnDifference, emit: Emit, given: Injected, clock: Callable[[], float]
) -> AsyncIterator[tuple[ReconcileContext, S3ReadStore]]:
    """Open Webex, the bucket and the ledger, in the order in which they can be refused."""
    secrets = await load_secrets(settings, given, emit)
    await ledger_identity(settings)  # says that there is no ledger before anything is made
    tls, reach, path = clients.trusted_tls_context(settings), observed_reach(emit), settings.ledger.path
    async with (
        open_bucket(settings, emit, reach=reach, session=given.s3_session) as bucket,
        open_ledger_of(settings, secrets.org_id, emit, number_hash_of(settings, secrets.credentials)) as ledger,
        open_seen_tasks(path) as sightings,
        clients.open_webex(settings, secrets, tls, emit, reach, clock, given) as webex,
    ):
        chosen, ages = settings.webex, ages_of(settings)

        def judged_ms() -> int:
            return believed_ms(round(clock() * 1000), webex.client.servers_now_ms())

        log = RunLog(job_of(settings, secrets.org_id, Everything()), ledger, emit, judged_ms)
        bench = ReconcileContext(
            ledger=ledger,
            sightings=sightings,
            lister=Lister(webex.client, chosen.page_size, chosen.channel_types),
            search=SearchReader(webex.search) if webex.search and chosen.search != "off" else None,
            search_required=chosen.search == "required",
            asker=CapturesRecheck(webex.client, ledger, log),
            bucket=bucket,
            # By the description; reading every byte back is for `verify`.
            comparison=Comparison(bucket, Level.HEAD),
            reach=reach_of(settings),
            sides=FactsBuilder(filters_of(settings), counts=chosen.search_counts),
            ages=ages,
            channel_types=chosen.channel_types,
            concurrency=settings.backfill.concurrency,
            max_failures_in_row=settings.backfill.max_failures_in_row,
            now_ms=lambda: round(clock() * 1000),
            servers_now_ms=judged_ms,
            tell=tell,
            save_token=webex.refresher.save_pending,
        )
        yield bench, bucket
