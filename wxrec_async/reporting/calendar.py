"""Days into months: the calendar of coverage, and the same in words."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from wxrec_async.ledger.report_queries import ReportFacts, Tally
from wxrec_async.model import DAY_MS, Window
from wxrec_async.rules.coverage import DayCoverage, DayState, day_of, day_state, unlisted

# Ten years; no list of Webex reaches further back than three.
MAX_MONTHS = 120
LAST_DAY_MS = 253_402_214_400_000  # 9999-12-31, where Python's calendar ends

# A day shows its state by a sign as well: not everybody sees a colour.
SIGNS: Mapping[DayState, str] = {
    DayState.CERTIFIED: "★",
    DayState.COMPLETE: "✓",
    DayState.OWED: "◔",
    DayState.FAILED: "✗",
    DayState.NOT_YET: "…",
    DayState.NOT_LISTED: "?",
}
WORDS: Mapping[DayState, str] = {
    DayState.CERTIFIED: "certified",
    DayState.COMPLETE: "complete",
    DayState.OWED: "owed",
    DayState.FAILED: "failed",
    DayState.NOT_YET: "not yet",
    DayState.NOT_LISTED: "not listed",
}
MEANINGS: Mapping[DayState, str] = {
    DayState.CERTIFIED: "complete, and a certificate vouches for it",
    DayState.COMPLETE: "listed to its end, everything at rest",
    DayState.OWED: "Webex has not handed out a recording it announced",
    DayState.FAILED: "something could not be stored",
    DayState.NOT_YET: "work is left, or the day is not over",
    DayState.NOT_LISTED: "part of the day was never listed to its end",
}


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """A day on the page; ``number`` of its newest certificate, ``holds`` whether nothing changed since."""

    ms: int
    facts: DayCoverage
    state: DayState
    tally: Tally
    number: int | None

    @property
    def name(self) -> str:
        """``2026-11-03``, which is the day's anchor on the page too."""
        return _date(self.ms).isoformat()

    @property
    def day(self) -> int:
        return _date(self.ms).day

    @property
    def next_name(self) -> str:
        return _date(min(self.ms + DAY_MS, LAST_DAY_MS)).isoformat()

    @property
    def sign(self) -> str:
        return SIGNS[self.state]

    @property
    def words(self) -> str:
        return WORDS[self.state]

    @property
    def notes(self) -> tuple[str, ...]:
        """Say what the state alone does not."""
        return tuple(self._notes())

    def _notes(self) -> Iterator[str]:
        # A certificate vouches for the listing, too, also where a ledger made anew has no window of it.
        if self.facts.unlisted_ms and self.state is not DayState.CERTIFIED:
            share = 1 - self.facts.unlisted_ms / self.facts.span.length_ms
            # 0.999: rounding must not make 100 % of a day with a gap in it.
            yield "never listed" if share == 0 else f"{min(share, 0.999):.1%} of it listed"
        if not self.facts.whole:
            yield "only a part of the day was asked about"
        if self.number is not None and not self.facts.certificate_holds:
            yield f"changed since certificate {self.number}"
        elif self.number is not None:
            yield f"certificate {self.number}"

    @property
    def label(self) -> str:
        """Say everything about the day in one sentence, for those who do not see its colour."""
        counted = (
            f"{self.tally.tasks:,} task{'' if self.tally.tasks == 1 else 's'}",
            f"{self.tally.stored:,} stored",
            f"{self.facts.failed:,} failed" if self.facts.failed else "",
            f"{self.facts.owed:,} owed" if self.facts.owed else "",
            f"{self.facts.unfinished:,} unfinished" if self.facts.unfinished else "",
        )
        return f"{self.name}: {self.words}. {', '.join(filter(None, (*counted, *self.notes)))}"


@dataclass(frozen=True, slots=True)
class Month:
    """A month as weeks, Monday first, None where no day of the report is; ``gap`` says which months were skipped."""

    name: str
    weeks: tuple[tuple[CalendarDay | None, ...], ...]
    gap: str = ""


@dataclass(frozen=True, slots=True)
class Calendar:
    """``days`` in order; ``earlier`` says from which day on they are shown, when there are more than fit."""

    days: tuple[CalendarDay, ...]
    months: tuple[Month, ...]
    earlier: str = ""

    def count(self, state: DayState) -> int:
        return sum(day.state is state for day in self.days)


def build_calendar(facts: ReportFacts, period: Window | None, now_ms: int) -> Calendar:
    """Judge every day of the months in which the ledger has anything, the newest `MAX_MONTHS` of them."""
    spans = [period] if period else [*_known_spans(facts, now_ms)]
    touched = sorted({month for span in spans for month in _months(span)})
    shown = touched[-MAX_MONTHS:]
    wanted = [day for month in shown for day in _days_of(month) if _overlaps(spans, day)]
    days = tuple(_judged(facts, day, period, now_ms) for day in wanted)
    earlier = f"{shown[0][0]:04}-{shown[0][1]:02}-01" if len(touched) > len(shown) else ""
    return Calendar(days, tuple(_rows(shown, {day.ms: day for day in days})), earlier)


def _known_spans(facts: ReportFacts, now_ms: int) -> Iterator[Window]:
    """Yield every span of time the ledger says something about; what was asked for ends now."""
    for day in {*facts.days, *facts.certified}:
        # A damaged row can hold any time at all; it must not keep the rest from being shown.
        if 0 <= day <= LAST_DAY_MS:
            yield Window(day, day + DAY_MS)
    asked = [Window(run.from_ms, run.to_ms) for run in facts.runs if run.from_ms is not None and run.to_ms is not None]
    for span in (*facts.closed, *asked):
        from_ms, to_ms = max(span.from_ms, 0), min(span.to_ms, max(now_ms, 1))
        if from_ms < to_ms:
            yield Window(from_ms, to_ms)


def _months(span: Window) -> Iterator[tuple[int, int]]:
    # Half-open: a span that ends at midnight does not touch the day that begins there.
    first, last = _date(span.from_ms), _date(span.to_ms - 1)
    year, month = first.year, first.month
    newest_first = last.year * 12 + last.month - MAX_MONTHS
    if year * 12 + month < newest_first:  # a span of centuries costs no more than what is shown of it
        # Months count from 1, what divmod leaves from 0.
        year, month = divmod(newest_first - 1, 12)
        month += 1
    while (year, month) <= (last.year, last.month):
        yield year, month
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def _days_of(month: tuple[int, int]) -> Iterator[int]:
    first = round(datetime(*month, 1, tzinfo=UTC).timestamp()) * 1000
    return iter(range(first, first + calendar.monthrange(*month)[1] * DAY_MS, DAY_MS))


def _overlaps(spans: Iterable[Window], day: int) -> bool:
    return any(span.from_ms < day + DAY_MS and span.to_ms > day for span in spans)


def _judged(facts: ReportFacts, ms: int, period: Window | None, now_ms: int) -> CalendarDay:
    tally = facts.days.get(ms, Tally())
    span = Window(max(ms, period.from_ms), min(ms + DAY_MS, period.to_ms)) if period else Window(ms, ms + DAY_MS)
    number, certified_ms = facts.certified.get(ms, (None, None))
    found = DayCoverage(
        span=span,
        failed=tally.failed + tally.failed_tasks,
        owed=tally.owed,
        unfinished=tally.unfinished_tasks,
        unlisted_ms=unlisted(span, facts.closed),
        changed_ms=tally.changed_ms,
        certified_ms=certified_ms,
    )
    return CalendarDay(ms, found, day_state(found, now_ms), tally, number)


def _rows(months: Sequence[tuple[int, int]], days: Mapping[int, CalendarDay]) -> Iterator[Month]:
    before: tuple[int, int] | None = None
    for year, month in months:
        gap = ""
        if before is not None and year * 12 + month - (before[0] * 12 + before[1]) > 1:
            gap = f"nothing in the ledger between {before[0]:04}-{before[1]:02} and {year:04}-{month:02}"
        name = f"{calendar.month_name[month]} {year}"
        weeks = tuple(
            tuple(days.get(_ms(cell)) if cell.month == month else None for cell in week) for week in _weeks(year, month)
        )
        yield Month(name, tuple(week for week in weeks if any(week)), gap)
        before = (year, month)


def _weeks(year: int, month: int) -> Iterator[list[date]]:
    """Yield the weeks of a month; days of its neighbours stand for the places before and after it."""
    first = date(year, month, 1)
    ordinal = first.toordinal() - first.weekday()
    end = first.toordinal() + calendar.monthrange(year, month)[1]
    while ordinal < end:
        # The first and the last month of Python's calendar have neighbours it cannot name.
        yield [date.fromordinal(min(max(place, 1), date.max.toordinal())) for place in range(ordinal, ordinal + 7)]
        ordinal += 7


def _date(ms: int) -> date:
    return datetime.fromtimestamp(min(max(ms, 0), LAST_DAY_MS + DAY_MS - 1) // 1000, UTC).date()


def _ms(day: date) -> int:
    return day_of((day.toordinal() - date(1970, 1, 1).toordinal()) * DAY_MS)
