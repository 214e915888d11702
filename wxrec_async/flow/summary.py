"""Ledger counts into a summary and an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from wxrec_async.errors import AuthError, RunStopped
from wxrec_async.ledger.records import Counts, Failure
from wxrec_async.model import Window, iso
from wxrec_async.rules.failure_groups import grouped

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_FAILED = 3
EXIT_AUTH = 4
EXIT_OWED = 5
EXIT_STOPPED = 6
EXIT_LEDGER = 7
EXIT_NO_ANSWER = 8
EXIT_SIGINT = 130
EXIT_SIGTERM = 143

SUMMARY_SCHEMA = 1
# 128 and the signal's number, as shells have it; a terminal that goes away is as good as SIGTERM.
STOPPED_BY_SIGNAL = {"SIGINT": EXIT_SIGINT, "SIGTERM": EXIT_SIGTERM, "SIGHUP": EXIT_SIGTERM}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, apart from what it counted.

    ``stopped`` is why no new work was taken (``limit``, ``max_duration``, a
    signal's name), ``error`` what ended it before its time and ``error_exit``
    the exit code that goes with it.
    """

    incomplete: Sequence[Window] = ()
    stopped: str | None = None
    error: str | None = None
    error_exit: int = EXIT_OK
    token_unsaved: bool = False
    uploads_left: int = 0

    def or_refused(self, refusal: AuthError | RunStopped | None) -> Ending:
        """Return the ending with what refused to go on; what ended the run before stays."""
        if refusal is None or self.error:
            return self
        code = refusal.exit_code if isinstance(refusal, RunStopped) else EXIT_AUTH
        return replace(self, error=str(refusal), error_exit=code)


@dataclass(frozen=True, slots=True)
class Following:
    """One round of a follower.

    ``listed_to_ms`` is up to when it listed without trouble, ``next_poll_ms``
    when the next round is due; ``full`` when it went through all trailing days.
    """

    number: int
    full: bool
    listed_to_ms: int | None
    next_poll_ms: int

    def as_json(self) -> dict[str, object]:
        """Return what the summary, and by it the ledger, says of the round."""
        moments = {"listed_to": iso(self.listed_to_ms), "next_poll": iso(self.next_poll_ms)}
        return {"round": self.number, "full": self.full, **moments}


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did, over the whole period (or the tasks) it was asked for.

    ``recordings == stored + already_stored + failed + gone`` and ``tasks_listed
    == tasks_with_recordings + no_recording + owed + failed_tasks +
    unfinished_tasks + left_out``.  ``left_out_by`` counts the tasks with work
    left that a filter left alone, by filter: they are in no other count, and
    what failed or is owed among them is not what was asked for.  ``seen_and_left``
    counts by kind what Webex has and this program does not move, ``flags`` the stored
    recordings that are odd, by what is odd.  ``follow`` is there when the run was a follower's round.
    """

    run_id: str
    period: Window | None
    counts: Counts
    ending: Ending
    seconds: float
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    left_out_by: Mapping[str, int] = field(default_factory=dict)
    seen_and_left: Mapping[str, int] = field(default_factory=dict)
    follow: Following | None = None
    flags: Mapping[str, int] = field(default_factory=dict)

    @property
    def left_out(self) -> int:
        return sum(self.left_out_by.values())

    @property
    def exit_code(self) -> int:
        return exit_code(self.counts, self.ending)

    def as_json(self) -> dict[str, object]:
        """Return the summary line of ``--json``."""
        counts = asdict(self.counts)
        return {
            "event": "summary",
            "schema": SUMMARY_SCHEMA,
            "run_id": self.run_id,
            "from": iso(self.period.from_ms) if self.period else None,
            "to": iso(self.period.to_ms) if self.period else None,
            "tasks_listed": counts.pop("tasks_listed"),
            "recordings": self.counts.recordings,
            **counts,
            "left_out": self.left_out,
            "left_out_by": dict(self.left_out_by),
            "seen_and_left": dict(self.seen_and_left),
            "flags": dict(self.flags),
            "failure_groups": [group.as_json() for group in grouped(self.failures)],
            "seconds": round(self.seconds, 3),
            "windows_incomplete": [str(window) for window in self.ending.incomplete],
            "uploads_left_open": self.ending.uploads_left,
            "stopped": self.ending.stopped,
            "error": self.ending.error,
            "notes": list(self.notes),
            "exit_code": self.exit_code,
            **({"follow": self.follow.as_json()} if self.follow else {}),
        }


def exit_code(counts: Counts, ending: Ending) -> int:
    """Choose the exit code; when several apply: usage, authentication, ledger, no answer, failures, stopped, owed."""
    # First of all: without the token that was not saved the next run may not get in.
    if ending.token_unsaved:
        return EXIT_AUTH
    if ending.error_exit in (EXIT_AUTH, EXIT_LEDGER):
        return ending.error_exit
    # Before failures: whoever sent the signal waits for this answer, and what failed stands in the summary.
    if ending.stopped in STOPPED_BY_SIGNAL:
        return STOPPED_BY_SIGNAL[ending.stopped]
    if ending.error_exit or ending.incomplete or counts.failed or counts.failed_tasks:
        return ending.error_exit or EXIT_FAILED
    if ending.stopped or counts.unfinished_tasks or counts.unfinished_recordings:
        return EXIT_STOPPED
    # Owed comes last, because it asks for nothing but a later run.
    return EXIT_OWED if counts.owed else EXIT_OK
