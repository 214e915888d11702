"""The HTML page: facts into words, and the template around them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from wxrec_async._version import __version__
from wxrec_async.ledger.report_queries import Bar, FailureFact, ListLimits, ReasonFact, ReportFacts, RunFact, Tally
from wxrec_async.model import DAY_MS, Window
from wxrec_async.reporting import palette
from wxrec_async.reporting.calendar import MEANINGS, SIGNS, WORDS, Calendar, build_calendar
from wxrec_async.reporting.charts import bytes_chart, failures_chart, when
from wxrec_async.reporting.table_rows import moment
from wxrec_async.rules.coverage import DayState, day_of
from wxrec_async.rules.sanitize import visible, words_shown

EXITS = {
    0: "complete",
    1: "a fault of the program",
    2: "usage or configuration",
    3: "something failed",
    4: "authentication or permission",
    5: "recordings owed",
    6: "stopped by its limit",
    7: "the ledger in use, full or damaged",
    130: "stopped by Ctrl-C",
    143: "stopped by a signal",
}
LEFT_NAMES = {"transcript": "transcripts", "screen": "screen recordings"}


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart in two forms: drawn, and as rows."""

    title: str
    svg: Markup
    bars: Sequence[Bar]
    failures: bool = False


@dataclass(frozen=True, slots=True)
class PageSubject:
    """What the page was made of and for: the ledger's file name, the period, when, and the lists' limits."""

    ledger: str
    period: Window | None
    now_ms: int
    limits: ListLimits


def render(facts: ReportFacts, asked: PageSubject) -> Iterator[str]:
    """Yield the page in pieces."""
    calendar = build_calendar(facts, asked.period, asked.now_ms)
    yield from _template().generate(
        facts=facts,
        counts=facts.counts,
        asked=asked,
        calendar=calendar,
        verdict=[*_verdict(facts, calendar)],
        states=[(state, SIGNS[state], WORDS[state], MEANINGS[state], calendar.count(state)) for state in DayState],
        charts=[*_charts(facts)],
        outside=_rest([day.tally for day in calendar.days], facts),
        queues=_with_rest(facts.queues, facts),
        directions=_with_rest(facts.directions, facts),
        failed=facts.counts.failed + facts.counts.failed_tasks,
        running=_running(facts),
        version=__version__,
        css=Markup(_css()),  # noqa: S704 - our own file and our own colours
    )


def _verdict(facts: ReportFacts, calendar: Calendar) -> Iterator[tuple[str, str]]:
    """Say what stands between this period and completeness: a sentence each, with the section that tells more."""
    counts = facts.counts
    if failures := counts.failed + counts.failed_tasks:
        yield (
            f"{failures:,} failed: {_many(counts.failed, 'recording')} and {_many(counts.failed_tasks, 'task')}.",
            "failed",
        )
    if counts.owed:
        yield f"Webex owes the recordings of {_many(counts.owed, 'task')}.", "owed"
    if counts.unfinished_tasks:
        yield f"Not finished: {_many(counts.unfinished_tasks, 'task')}.", "days"
    if missing := calendar.count(DayState.NOT_LISTED):
        yield f"Not listed to the end: {_many(missing, 'day')}.", "days"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _charts(facts: ReportFacts) -> Iterator[Chart]:
    kinds = [(facts.progress, "over all runs")]
    # With a single run, or a single bar, it would say nothing that the first chart does not.
    if len(facts.last_progress) > 1 and facts.last_storing_run and facts.run_count > 1:
        kinds.append((facts.last_progress, f"in run {visible(facts.last_storing_run)}"))
    for bars, which in kinds:
        if bars:
            title = f"Stored {which}, by {_width(bars[0].width_ms)}"
            yield Chart(title, Markup(bytes_chart(bars, title)), bars)  # noqa: S704 - built from numbers and dates
    if any(bar.failed for bar in facts.progress):
        title = f"Failed and still so, by when it last failed, by {_width(facts.progress[0].width_ms)}"
        yield Chart(title, Markup(failures_chart(facts.progress, title)), facts.progress, failures=True)  # noqa: S704 - as above


def _width(ms: int) -> str:
    for name, length in (("day", DAY_MS), ("hour", 3_600_000), ("minute", 60_000)):
        if ms >= length:
            many = ms / length
            return name if many == 1 else f"{many:g} {name}s"
    return "second" if ms == 1000 else f"{ms / 1000:g} seconds"


def _with_rest(named: Sequence[tuple[str, Tally]], facts: ReportFacts) -> list[tuple[str, Tally]]:
    rest = _rest([tally for _, tally in named], facts)
    return [*named, ("all others", rest)] if rest.tasks else [*named]


def _rest(shown: Sequence[Tally], facts: ReportFacts) -> Tally:
    """Return what is in none of those shown, so that every table adds up to the totals."""
    counts = facts.counts
    total = Tally(
        counts.tasks_listed, counts.tasks_with_recordings, counts.no_recording, counts.owed, counts.failed_tasks,
        counts.unfinished_tasks, counts.already_stored + counts.stored, counts.failed, counts.gone,
        counts.unfinished_recordings, counts.bytes_total,
    )  # fmt: skip
    return Tally(**{name: getattr(total, name) - sum(getattr(tally, name) for tally in shown) for name in _SUMMED})


_SUMMED = (
    "tasks", "with_recordings", "no_recording", "owed", "failed_tasks", "unfinished_tasks", "stored", "failed", "gone",
    "unfinished_recordings", "bytes",
)  # fmt: skip


def _running(facts: ReportFacts) -> RunFact | None:
    # The newest alone: an older one without an end was killed, as one process at a time holds the ledger.
    newest = facts.runs[0] if facts.runs else None
    return newest if newest and newest.ended_ms is None else None


def _retry_command(fact: ReasonFact | FailureFact) -> str:
    """Return the command that takes a failure up again, by the days of its calls; a call without a day by its id."""
    first = fact.first_ms if isinstance(fact, ReasonFact) else fact.place_ms
    last = fact.last_ms if isinstance(fact, ReasonFact) else fact.place_ms
    if first is not None and last is not None:
        # --to does not belong to the period, hence the day after.
        return f"wxrec-async run --from {_day(first)} --to {_day(last + DAY_MS)}"
    if isinstance(fact, FailureFact):
        # An id is text from outside: pasted into a shell it must stay a word.
        return f"echo {shlex.quote(visible(fact.task_id))} | wxrec-async run --task-ids-from -"
    return "wxrec-async retry"


def _day(ms: int | None) -> str:
    return "" if ms is None else (moment(day_of(ms)) or "")[:10]


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def _moment(ms: int | None) -> str:
    """Write a time for people: ``2026-11-03 02:00:12 UTC``."""
    text = moment(ms)
    return "" if text is None else f"{text[:19].replace('T', ' ')} UTC" if "T" in text else text


def _share(part: int, whole: int) -> str:
    """Write a share of a bar in percent, so that what is there can be seen."""
    return "0" if not part or not whole else f"{max(0.8, math.floor(1000 * part / whole) / 10):g}"


def _words(text: str | None, empty: str = "none") -> str:
    return words_shown(visible(text), plain=False) if text else empty


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("wxrec_async.reporting"),
        autoescape=True,
        # A name misspelt in the template has to fail, not to come out as nothing.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Any] = {"size": _size, "moment": _moment, "day": _day, "words": _words, "shown": visible}
    filters |= {"n": lambda value: f"{value:,}", "retry": _retry_command, "left_name": lambda k: LEFT_NAMES.get(k, k)}
    filters |= {"exit": lambda code: EXITS.get(code, "unknown")}
    environment.filters.update(filters)
    environment.globals.update(share=_share, when=when)
    return environment.get_template("page.html.j2")


@cache
def _css() -> str:
    environment = jinja2.Environment(loader=jinja2.PackageLoader("wxrec_async.reporting"), autoescape=False)  # noqa: S701 - CSS
    return environment.get_template("page.css.j2").render(
        light=palette.variables(palette.LIGHT, palette.ON_LIGHT),
        dark=palette.variables(palette.DARK, palette.ON_DARK),
        states=list(DayState),
    )
