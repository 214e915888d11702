"""A period's plan from what is open: settings, Webex, and a ledger to read."""

from __future__ import annotations

from wxrec_async.config import Settings
from wxrec_async.flow.filtered_out import count_left_out
from wxrec_async.flow.policies import ages_of, filters_of, reach_of
from wxrec_async.flow.search_lister import SearchLister, SearchReader
from wxrec_async.flow.task_lister import Lister
from wxrec_async.ledger.records import InPeriod
from wxrec_async.planning.plan import Plan
from wxrec_async.planning.planned_day import Outlook
from wxrec_async.planning.planner import OlderCalls, Planner
from wxrec_async.rules import windows
from wxrec_async.rules.retention import Timeline
from wxrec_async.wiring.clients import WebexClients
from wxrec_async.wiring.storage import LedgerCounts


async def plan_period(
    settings: Settings, clients: WebexClients, ledger: LedgerCounts, asked: windows.AskedPeriod, now_ms: int
) -> Plan:
    """Say what a run would do; ``now_ms`` is milliseconds since the epoch.  Raises what listing raises."""
    webex, filters = settings.webex, filters_of(settings)
    # An estimate: the unfiltered pages by which a run proves that a window is at its end would only cost calls.
    lister = Lister(clients.client, webex.page_size, webex.channel_types, sure=False)
    left_to_list = windows.left(asked.period, await ledger.closed_windows(asked.period))
    left = await count_left_out(ledger, InPeriod(asked.period), filters, now_ms)
    known = left.without(await ledger.counts(InPeriod(asked.period), None))
    # Only of what is not listed again: of the rest, listing itself counts what the filters leave out.
    listed = windows.subtract(asked.period, left_to_list)
    behind = [await count_left_out(ledger, InPeriod(span), filters, now_ms) for span in listed]
    older = None
    if clients.older is not None:
        by_search = SearchLister(clients.older, webex.channel_types)
        older = OlderCalls(reach_of(settings), by_search, None if filters else clients.older)
    planner = Planner(ledger, lister, _sizes(settings, clients), _outlook(settings, now_ms), older)
    planned, days = await planner.plan(asked.period, left_to_list)
    return Plan(
        asked.period,
        planned,
        known,
        webex.requests_per_minute,
        notes=(*asked.clamped, *planner.notes),
        known_left_out=sum(each.tasks for each in behind),
        days=days,
        retention_days=webex.retention_days,
    )


def _sizes(settings: Settings, clients: WebexClients) -> SearchReader | None:
    """Return what tells how large recordings are before they are there, if there is such a thing."""
    wanted = settings.webex.search != "off"
    return SearchReader(clients.search) if wanted and clients.search else None


def _outlook(settings: Settings, now_ms: int) -> Outlook:
    webex, speed = settings.webex, settings.backfill.max_mib_per_second
    timeline = Timeline(now_ms, webex.requests_per_minute, webex.retention_days, speed * (1 << 20))
    return Outlook(timeline, ages_of(settings), filters_of(settings), now_ms)
