"""Settings, as the rules want them."""

from __future__ import annotations

from wxrec_async.config import Settings
from wxrec_async.model import DAY_MS
from wxrec_async.rules import windows
from wxrec_async.rules.filters import Filters
from wxrec_async.rules.schedule import MINUTE_MS, Pace
from wxrec_async.rules.selection import HOUR_MS, Ages
from wxrec_async.rules.windows import Asked


def ages_of(settings: Settings) -> Ages:
    """Return the ages that turn silence into a verdict."""
    backfill = settings.backfill
    return Ages(
        settle_ms=round(backfill.settle_minutes * MINUTE_MS),
        null_ms=round(backfill.owed_null_hours * HOUR_MS),
        missing_ms=round(backfill.owed_days * DAY_MS),
        look_again_ms=round(backfill.look_again_hours * HOUR_MS),
        assume_over_ms=round(backfill.assume_over_hours * HOUR_MS),
        pace=Pace(round(backfill.ask_again_minutes * MINUTE_MS), round(backfill.ask_again_max_hours * HOUR_MS)),
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


def asked_period(settings: Settings, now_ms: int) -> Asked:
    """Return the period the settings ask for at ``now_ms``; raises `ConfigError` when it is none."""
    asked = settings.backfill
    lookback = settings.webex.lookback_days
    return windows.ask(asked.from_, asked.to, asked.days_back, lookback_days=lookback, now_ms=now_ms)
