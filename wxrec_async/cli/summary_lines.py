"""Results into lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wxrec_async import events
from wxrec_async.cli.text import harmless, size, span, visible
from wxrec_async.events import Event
from wxrec_async.flow.summary import EXIT_FAILED, EXIT_OK, Summary
from wxrec_async.ledger.records import Counts, Failure
from wxrec_async.model import Window, iso
from wxrec_async.planning.plan import Plan
from wxrec_async.rules.failure_groups import EXAMPLES, grouped, one_cause
from wxrec_async.rules.retention import AtRisk
from wxrec_async.rules.sources import Source

# As many of a kind as a person still reads; --json names all.
NAMED = 50
MEANINGS = {
    0: "complete: every listed task is stored, has none, or was there already",
    3: "something failed and is named above; run again, or `wxrec-async retry`",
    4: "authentication or permission",
    5: "nothing failed, but Webex still owes recordings; run again later",
    6: "stopped before everything was done; run again to go on",
    7: "the ledger is in use, full or damaged",
    8: "could not begin: Webex, S3 or the network does not answer; run again later",
    130: "stopped by Ctrl-C; run again to go on",
    143: "stopped by a signal; run again to go on",
}


KINDS = {"transcript": "transcripts", "screen": "screen recordings"}
NAMES = {"stored": "stored", "already_stored": "already stored", "failed": "failed", "gone": "gone"}
NAMES |= {"unfinished_recordings": "unfinished"}
# What takes that which is left alone, by kind.
TAKEN_BY = {"transcript": "include_transcripts = true", "screen": "include_screen = true"}
TAKEN_BY |= dict.fromkeys(("chat", "email", "social"), "channel_types with chat, email, social beside transcripts")


class RunNotes:
    """A listener that keeps what the end of a run must name, as far as it will be shown."""

    def __init__(self) -> None:
        self.gone: list[events.RecordingGone] = []
        self.incomplete: list[events.WindowIncomplete] = []

    def on_event(self, event: Event) -> None:
        """Keep what is to be named."""
        if isinstance(event, events.RunStarted):  # a follower's next round: the one before is printed
            self.gone, self.incomplete = [], []
        elif isinstance(event, events.RecordingGone) and len(self.gone) < NAMED:
            self.gone.append(event)
        elif isinstance(event, events.WindowIncomplete):
            self.incomplete.append(event)


def run_lines(summary: Summary, notes: RunNotes, tokens: str = "") -> Iterator[str]:
    """Write the end of a run; ``tokens`` is where the settings have the tokens."""
    counts, ending = summary.counts, summary.ending
    asked = str(summary.period) if summary.period else "the tasks asked for"
    if summary.follow:
        asked = f"everything so far, listed up to {iso(summary.follow.listed_to_ms)}"
    yield f"{asked}   run {summary.run_id}"
    yield from (f"note: {harmless(note)}" for note in summary.notes)
    failed = counts.failed + counts.failed_tasks
    yield from failure_lines(summary.failures, failed)
    yield from (f"gone: task {visible(each.task_id)} recording {visible(each.recording_id)}" for each in notes.gone)
    yield from _incomplete(ending.incomplete, notes)
    if ending.uploads_left:
        yield f"uploads left open: {ending.uploads_left}; the next run aborts them"
    if ending.token_unsaved:
        yield "the refreshed token could not be saved"
    if ending.error:
        yield f"ended early: {harmless(ending.error)}"
    # Counts last: they fit a screen, whatever there was to name.
    yield from _count_lines(summary)
    verdict = _verdict(summary, tokens)
    yield f"exit {summary.exit_code}: {verdict}" if verdict else exit_line(summary.exit_code)


def _verdict(summary: Summary, tokens: str) -> str:
    """Say what to do first where that is more than what the exit code means; "" where it is not."""
    counts, ending = summary.counts, summary.ending
    failed = counts.failed + counts.failed_tasks
    if ending.token_unsaved and tokens:
        return f"the refreshed token could not be saved to {visible(tokens)}; make it and its folder writable"
    if summary.exit_code == EXIT_OK and 0 < summary.left_out == counts.tasks_listed:
        return f"nothing was asked for: the filters left out all {summary.left_out} tasks; look at [filters]"
    # Only when all are known, and nothing else is wrong.
    if summary.exit_code == EXIT_FAILED and len(summary.failures) == failed and not (ending.incomplete or ending.error):
        return one_cause(grouped(summary.failures), failed)
    return ""


def _count_lines(summary: Summary) -> Iterator[str]:
    counts = summary.counts
    yield from table_lines(counts, summary.left_out)
    if summary.left_out:
        yield f"  left out    {summary.left_out} by filters: {_reasons(summary.left_out_by)}"
    yield from not_moved_lines(counts, summary.seen_and_left)
    yield from flag_lines(summary.flags)
    yield f"  bytes       {size(counts.bytes)} stored by this run, {size(counts.bytes_total)} in all"
    speed = size(counts.bytes / summary.seconds) if summary.seconds else "0 B"
    yield f"  took        {span(summary.seconds)}, {speed}/s"


def not_moved_lines(counts: Counts, seen_and_left: Mapping[str, int]) -> Iterator[str]:
    """Name what came short, and what was seen and is not moved."""
    if counts.incomplete:
        yield f"  fewer       {counts.incomplete} tasks have fewer recordings than Webex's search counts"
    if seen_and_left:
        named = {visible(kind).replace("_", " "): count for kind, count in sorted(seen_and_left.items())}
        yield f"  left alone  {sum(seen_and_left.values())}   {_listed(named)}: seen, not moved"
        settings = dict.fromkeys(TAKEN_BY[kind] for kind in sorted(seen_and_left, reverse=True) if kind in TAKEN_BY)
        ways = f"; what takes them is [webex] {', '.join(settings)}" if settings else ""
        yield f"              Webex purges them as it purges recordings{ways}"


def flag_lines(flags: Mapping[str, int]) -> Iterator[str]:
    """Count what is odd about recordings that are stored all the same; outcomes and the report's rows name them."""
    if flags:
        named = {visible(flag).replace("_", " "): count for flag, count in sorted(flags.items())}
        yield f"  flagged     {sum(flags.values())}   {_listed(named)}: stored, look at them"


def exit_line(code: int) -> str:
    """Write what an exit code means."""
    return f"exit {code}: {MEANINGS.get(code, 'see above')}"


def failure_lines(failures: Sequence[Failure], count: int) -> Iterator[str]:
    """Write failures by reason: how many, what to do, some of them, and where all ``count`` are named."""
    named = 0
    for group in grouped(failures):
        some = "" if len(failures) == count else " at least"
        yield f"{visible(group.reason)}: {group.count} failed{some}; {group.remedy}"
        chosen = [each for each in failures if each.reason == group.reason][:EXAMPLES]
        yield from map(failure_line, chosen)
        named += len(chosen)
    if (rest := count - named) > 0:
        yield f"failed: and {rest} more; `wxrec-async status --failed` names all"


def failure_line(failure: Failure) -> str:
    """Name one failure, its ids whole."""
    recording = f" recording {visible(failure.recording_id)}" if failure.recording_id else ""
    detail = f": {harmless(failure.detail)}" if failure.detail else ""
    return f"failed: task {visible(failure.task_id)}{recording}: {visible(failure.reason)}{detail}"


def _incomplete(windows: Sequence[Window], notes: RunNotes) -> Iterator[str]:
    reasons = {str(event.window): event.reason for event in notes.incomplete}
    for window in windows:
        reason = reasons.get(str(window), "")
        yield f"not listed to its end: {window}" + (f": {harmless(reason)}" if reason else "")


def plan_lines(plan: Plan) -> Iterator[str]:
    """Write a plan."""
    yield f"{plan.period}   {len(plan.windows)} windows to list"
    for planned in plan.windows:
        problem = f"   cannot be listed: {harmless(planned.problem)}" if planned.problem else ""
        yield (
            f"  {planned.window}   {planned.tasks} tasks, {planned.to_ask} to ask, "
            f"{planned.no_recording} without, {planned.settling} too young"
            + (f", {planned.left_out} left out" if planned.left_out else "")
            + (", by Search" if planned.source is Source.SEARCH else "")
            + problem
        )
    if plan.left_out:
        yield f"  left out            {plan.left_out} tasks by filters"
    yield f"  stored already      {plan.known.stored + plan.known.already_stored} recordings"
    yield f"  tasks to ask        {plan.to_ask} of {plan.tasks} listed, and what the ledger knows as unfinished"
    cost = f"about {span(plan.minutes * 60)} at {plan.requests_per_minute:g} a minute"
    calls = plan.listing_calls + plan.captures_calls
    yield f"  calls to Webex      {calls}, {cost}: {plan.listing_calls} to list, {plan.captures_calls} to captures"
    yield from _volume_lines(plan)
    yield from _purge_lines(plan)
    yield from (f"note: {harmless(note)}" for note in plan.notes)
    yield "nothing was moved; leave out --dry-run, or say `run`, to begin"


def _volume_lines(plan: Plan) -> Iterator[str]:
    """Write how much there is to move, day by day and in all."""
    for day in plan.days:
        if day.tasks:
            yield (
                f"  {str(iso(day.window.from_ms))[:10]}   {day.tasks} tasks, {day.will_record} with a recording, "
                f"{day.may_record} perhaps, {day.stored} recordings stored; to do: {day.to_ask} tasks, "
                f"{day.captures_calls} calls, {span(day.captures_calls / plan.requests_per_minute * 60)}, "
                f"about {size(day.bytes_likely)}"
            )
    low, high, likely = plan.total("bytes_low"), plan.total("bytes_high"), plan.total("bytes_likely")
    measured = plan.total("measured")
    yield f"  to move             about {size(likely)} ({size(low)} to {size(high)})"
    if measured < plan.total("to_ask"):
        yield "                      by call length, at 16 to 32 kB a second" + (
            f"; {measured} tasks by what Search says" if measured else ""
        )
    elif measured:
        yield "                      by what Search says of each task"


def _purge_lines(plan: Plan) -> Iterator[str]:
    """Name what is purged first, and what is purged before a run gets to it."""
    if not plan.retention_days or (nearest := plan.nearest) is None:
        return
    days = f"[webex] retention_days = {plan.retention_days}"
    yield f"  purged first        {_named(nearest)} on {iso(nearest.purge_ms)} ({days})"
    late = list(plan.at_risk)
    for each in late[:NAMED]:
        yield f"purged too early: {_named(each)}: {iso(each.purge_ms)}, reached {iso(each.reached_ms)}"
    if len(late) > NAMED:
        yield f"purged too early: and {len(late) - NAMED} more; --json names all"


def _named(each: AtRisk) -> str:
    # What Search only counted has no name yet.
    return f"task {visible(each.task_id)}" if each.task_id else f"a call of {str(iso(each.created_ms))[:10]}"


def table_lines(counts: Counts, left_out: int = 0) -> Iterator[str]:
    """Write where recordings and tasks stand."""
    recordings = {"stored": counts.stored, "already stored": counts.already_stored, "failed": counts.failed}
    recordings |= {"gone": counts.gone, "unfinished": counts.unfinished_recordings}
    tasks = {"with recordings": counts.tasks_with_recordings, "no recording": counts.no_recording}
    tasks |= {"owed": counts.owed, "failed": counts.failed_tasks, "unfinished": counts.unfinished_tasks}
    tasks |= {"left out": left_out}
    yield f"  recordings  {counts.recordings}   {_listed(recordings)}"
    for kind, sums in sorted(counts.by_kind.items()):
        its = {NAMES[name]: sums[name] for name in NAMES}
        yield f"   of them    {sums['recordings']} {KINDS.get(kind, kind)}   {_listed(its)}"
    yield f"  tasks       {counts.tasks_listed}   {_listed(tasks)}"


def _reasons(left_out_by: Mapping[str, int]) -> str:
    """Name the filters; ``agent_unknown`` are tasks for which Webex names no agent."""
    return _listed({name.replace("_", " "): count for name, count in sorted(left_out_by.items())})


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in numbers.items() if number) or "none"
