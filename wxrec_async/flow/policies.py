"""Settings, as the rules want them."""

from __future__ import annotations

from typing import Any

from wxrec_async.config import Settings
from wxrec_async.flow.batch import Rules
from wxrec_async.flow.job import Job, new_run_id
from wxrec_async.ledger.records import Scope
from wxrec_async.model import DAY_MS, HOUR_MS, MINUTE_MS
from wxrec_async.rules import keys, windows
from wxrec_async.rules.filters import Filters
from wxrec_async.rules.follow_schedule import Rhythm
from wxrec_async.rules.identity import ChangePolicy
from wxrec_async.rules.schedule import RecheckBackoff
from wxrec_async.rules.selection import WaitPolicy
from wxrec_async.rules.sources import Reach
from wxrec_async.rules.windows import AskedPeriod


def ages_of(settings: Settings) -> WaitPolicy:
    """Return the ages that turn silence into a verdict."""
    backfill = settings.backfill
    return WaitPolicy(
        settle_ms=round(backfill.settle_minutes * MINUTE_MS),
        null_ms=round(backfill.owed_null_hours * HOUR_MS),
        missing_ms=round(backfill.owed_days * DAY_MS),
        look_again_ms=round(backfill.look_again_hours * HOUR_MS),
        assume_over_ms=round(backfill.assume_over_hours * HOUR_MS),
        # What is said of a capture says nothing of a transcript.
        row_speaks=not settings.webex.include_transcripts,
        pace=RecheckBackoff(
            round(backfill.ask_again_minutes * MINUTE_MS), round(backfill.ask_again_max_hours * HOUR_MS)
        ),
    )


def filters_of(settings: Settings) -> Filters:
    """Return what tells the wanted tasks from the others."""
    asked = settings.filters
    return Filters(
        asked.queues,
        asked.exclude_queues,
        asked.agents,
        asked.exclude_agents,
        asked.directions,
        round(asked.min_duration_seconds * 1000),
    )


def asked_period(settings: Settings, now_ms: int) -> AskedPeriod:
    """Return the period the settings ask for at ``now_ms``; raises `ConfigError` when it is none."""
    asked = settings.backfill
    lookback = reach_of(settings).days
    return windows.ask(asked.from_, asked.to, asked.days_back, lookback_days=lookback, now_ms=now_ms)


def reach_of(settings: Settings) -> Reach:
    """Return how far back Webex lists calls, and by which of its lists."""
    return Reach(settings.webex.lookback_days, settings.webex.search != "off")


def rhythm_of(settings: Settings) -> Rhythm:
    """Return how often a follower polls, and how far back."""
    follow = settings.follow
    return Rhythm(round(follow.poll_minutes * MINUTE_MS), round(follow.trailing_days * DAY_MS))


def rules_of(settings: Settings, org_id: str) -> Rules:
    """Return by what answers are read and recordings placed."""
    return Rules(**_rules(settings, org_id))


def _rules(settings: Settings, org_id: str) -> dict[str, Any]:
    return {
        "ages": ages_of(settings),
        "changed": ChangePolicy(settings.backfill.changed),
        "settings": settings,
        "kinds": settings.webex.other_kinds,
        "key_template": settings.s3.key,
        "metadata": {"wx-org-id": keys.encode_id(org_id)},
    }


def job_of(settings: Settings, org_id: str, scope: Scope, **facts: Any) -> Job:
    """Return a run's job as the settings want it; ``facts`` are fields of `Job` that they do not know, or otherwise."""
    webex, backfill = settings.webex, settings.backfill
    wanted = {
        "run_id": new_run_id(),
        "concurrency": backfill.concurrency,
        "page_size": webex.page_size,
        "channel_types": webex.channel_types,
        "other_channels": webex.other_channels,
        "filters": filters_of(settings),
        "reach": reach_of(settings),
        "trailing_ms": rhythm_of(settings).trailing_ms,
    }
    return Job(scope=scope, **{**_rules(settings, org_id), **wanted, **facts})
