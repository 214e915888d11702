"""Cut a period into windows the API accepts, and say what is left of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from wxrec_async.errors import ConfigError
from wxrec_async.model import DAY_MS, Period, Window, iso

# `now` moves on while a run lists its windows; without the margin the oldest could fall off the edge meanwhile.
LOOKBACK_MARGIN_MS = 3_600_000
NO_LIST = "Webex lists no calls older than {} days ([webex] lookback_days, search)"


@dataclass(frozen=True, slots=True)
class AskedPeriod:
    """A period that can be asked for, and what was changed to make it so, a sentence each.

    ``begins_late`` when Webex no longer lists the beginning of what was asked for.
    """

    period: Period
    clamped: tuple[str, ...] = ()
    begins_late: bool = False


def read_moment(text: str, name: str) -> int:
    """Read an ISO 8601 date or date-time as milliseconds since the epoch; UTC unless an offset is given.

    Raises `ConfigError` that names ``name``, for bare numbers too: seconds in
    the place of milliseconds give a silent, empty answer from Webex.
    """
    text = text.strip()
    # Eight digits are a date, too: 20260131.
    if text.lstrip("-").isdigit() and len(text) > 8:
        raise ConfigError(f"{name}: {text} is a number; write a date such as 2026-01-31 or 2026-01-31T08:00:00+01:00")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{name}: {text!r} is not a date; write 2026-01-31 or 2026-01-31T08:00:00+01:00") from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return round(aware.astimezone(UTC).timestamp() * 1000)
    except OverflowError:
        raise ConfigError(f"{name}: {text} lies outside the calendar") from None


def ask(from_: str, to: str, days_back: float, *, lookback_days: int, now_ms: int) -> AskedPeriod:
    """Decide which period is asked for; empty texts mean "not given".

    Raises `ConfigError` when it would be empty.
    """
    to_ms = read_moment(to, "--to") if to else now_ms
    # An end in the future counts as now, or "the last seven days" would mostly lie ahead.
    from_ms = read_moment(from_, "--from") if from_ else _back(min(to_ms, now_ms), days_back)
    if from_ms >= to_ms:
        raise ConfigError(f"--from {iso(from_ms)} is not before --to {iso(to_ms)}")
    return clamp(Period(from_ms, to_ms), lookback_days=lookback_days, now_ms=now_ms)


def _back(to_ms: int, days: float) -> int:
    """Go back ``days``, any number of them, but not beyond the epoch: there were no calls before it."""
    span = round(min(days * DAY_MS, max(to_ms, DAY_MS)))
    return to_ms - span


def clamp(period: Window, *, lookback_days: int, now_ms: int) -> AskedPeriod:
    """Keep to what Webex lists: not the future, and not longer ago than any of its lists reaches.

    ``lookback_days`` is how far the list reaches that reaches furthest (`rules.sources.Reach`).
    """
    words = []
    from_ms, to_ms = period.from_ms, period.to_ms
    oldest = now_ms - lookback_days * DAY_MS + LOOKBACK_MARGIN_MS
    if from_ms >= now_ms:
        raise ConfigError(f"--from {iso(from_ms)} lies in the future")
    if to_ms > now_ms:
        words.append(f"--to {iso(to_ms)} lies in the future; taking now, {iso(now_ms)}, instead")
        to_ms = now_ms
    if to_ms <= oldest:
        raise ConfigError(f"--to {iso(to_ms)}: {NO_LIST.format(lookback_days)}; use --task-ids-from for those")
    if from_ms < oldest:
        lost = math.ceil((oldest - from_ms) / DAY_MS)
        days, are = ("day", "is") if lost == 1 else ("days", "are")
        words.append(
            f"--from {iso(from_ms)}: {NO_LIST.format(lookback_days)}; {lost} {days} of the period {are} out of reach, "
            f"beginning at {iso(oldest)} instead: use --task-ids-from for what is older"
        )
        return AskedPeriod(Period(oldest, to_ms), tuple(words), begins_late=True)
    return AskedPeriod(Period(from_ms, to_ms), tuple(words))


def listable(period: Window, *, lookback_days: int, now_ms: int) -> Window | None:
    """Return what of a period Webex still lists at ``now_ms``, None when it has moved out of sight."""
    from_ms = max(period.from_ms, now_ms - lookback_days * DAY_MS + LOOKBACK_MARGIN_MS)
    to_ms = min(period.to_ms, now_ms)
    return Window(from_ms, to_ms) if from_ms < to_ms else None


def subtract(window: Window, covered: Iterable[Window]) -> list[Window]:
    """Return what of ``window`` lies in none of ``covered``, in order of time."""
    left = []
    start = window.from_ms
    for done in sorted(covered):
        if done.to_ms <= start or done.from_ms >= window.to_ms:
            continue
        if done.from_ms > start:
            left.append(Window(start, done.from_ms))
        start = max(start, done.to_ms)
    if start < window.to_ms:
        left.append(Window(start, window.to_ms))
    return left


def united(spans: Iterable[Window]) -> list[Window]:
    """Melt spans that overlap or touch into one each, ascending."""
    found: list[Window] = []
    for span in sorted(spans):
        if found and span.from_ms <= found[-1].to_ms:
            found[-1] = Window(found[-1].from_ms, max(found[-1].to_ms, span.to_ms))
        else:
            found.append(span)
    return found


def left(period: Window, closed: Iterable[Window]) -> list[Window]:
    """Return the windows of a period that are in none of ``closed``, oldest first, none longer than a day."""
    return [window for gap in subtract(period, closed) for window in cut(gap)]


def with_spans(left: Sequence[Window], spans: Iterable[Window]) -> list[Window]:
    """Return the windows ``left`` to list, and what of ``spans`` is in none of them, oldest first."""
    return sorted([*left, *(piece for span in spans for piece in subtract(span, left))])


def reopened(closed: Iterable[Window], since_ms: int) -> list[Window]:
    """Return what of the ``closed`` spans lies before ``since_ms``: what is younger is listed again."""
    return [Window(span.from_ms, min(span.to_ms, since_ms)) for span in closed if span.from_ms < since_ms]


def cut(window: Window, length_ms: int = DAY_MS) -> Iterator[Window]:
    """Cut at every multiple of ``length_ms`` since the epoch (UTC midnights), oldest first."""
    start = window.from_ms
    while start < window.to_ms:
        end = min(window.to_ms, (start // length_ms + 1) * length_ms)
        yield Window(start, end)
        start = end


def halves(window: Window) -> list[Window]:
    """Split in two; a window of one millisecond stays whole."""
    if window.length_ms < 2:
        return [window]
    middle = window.from_ms + window.length_ms // 2
    return [Window(window.from_ms, middle), Window(middle, window.to_ms)]
