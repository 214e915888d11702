"""What a reconciliation found, day by day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from wxrec_async.flow.summary import EXIT_AUTH, EXIT_FAILED, EXIT_OK, EXIT_OWED, SUMMARY_SCHEMA
from wxrec_async.model import DAY_MS, SearchState, Window, iso
from wxrec_async.rules.day_comparison import CertificateFacts, Disagreement, TaskStatus, WhyNot, certified
from wxrec_async.rules.evidence import Basis

STATES = (
    TaskStatus.STORED,
    TaskStatus.NO_RECORDING,
    TaskStatus.DELETED,
    TaskStatus.OWED,
    TaskStatus.FAILED,
    TaskStatus.UNKNOWN,
)
OF_BOTH = frozenset({"only_listed", "only_searched"})  # what takes two lists to be known
NOT_IN_SEARCH, NOT_IN_TASKS = "not_in_search", "not_in_tasks"
# The two that are said in words; the age has a sentence of its own, and open tasks are counted state by state.
WHY_NOT = {
    WhyNot.LIST: "the list of tasks was not read to its end",
    WhyNot.SEARCH: "Search was not read to its end",
}

SENTENCES = {
    "never_asked": "captures was never asked for it",
    "only_in_search": "Search lists it, /tasks does not, and captures was never asked for it",
    "not_fetched": "the recording is there and was not fetched yet",
    "settling": "the call is too young to be judged",
    "capture_unknown": "Webex does not say yet whether there is a recording",
    "capture_awaited": "Webex promised a recording that has not come",
    "still_active": "Search says that the contact goes on",
    "fewer_than_search": "Search counts more recordings than captures names",
    "more_than_search": "Search counts fewer recordings than there are",
    "bytes_unlike_search": "Search tells another size of its recordings than what is stored",
    "fewer_than_named": "captures named more recordings of it in an earlier answer than are known now",
    "still_open": "the list says that the call goes on",
    "may_go_on": "nothing says yet that the call is over",
    "never_ended": "the list says that the call goes on, and has said so for too long",
    "gone_unproven": "it could not be had once, and nothing shows that Webex deleted it",
    "unknown_task": "only its id is known, and no list shows it",
    "lost": "it was stored once, is no longer in the bucket, and Webex has deleted it",
    "missing": "Webex promised a recording that never came",
    "audio_missing": "captures names a transcript of it, and not the sound that was promised",
    "missing_in_bucket": "the object is not in the bucket",
    "differs_in_bucket": "another object lies in its place",
    "conflict": "another object lies in its place, and is not overwritten",
    "bucket_unreadable": "S3 does not let us look at the object",
    "captures_unanswered": "captures could not be asked for it",
    "deletion_unconfirmed": "Search says that it was deleted, and captures was not asked",
    "deleted_at_webex": "Webex deleted the recording before it was stored",
    "gone": "Webex deleted the recording before it was stored",
    NOT_IN_SEARCH: "/tasks lists it, Search does not",
    NOT_IN_TASKS: "Search lists it, /tasks does not",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it should be, or that the two lists disagree on.

    ``standing`` is the state of the task, ``reason`` a stable word, ``detail`` a
    sentence.  ``recording_id`` is empty when it is about the task.  ``work`` when
    the ledger takes it for work now.
    """

    day: Window
    task_id: str
    standing: TaskStatus
    reason: str
    detail: str = ""
    recording_id: str = ""
    work: bool = False

    @property
    def words(self) -> str:
        """Say it in a sentence."""
        return self.detail or SENTENCES.get(self.reason, self.reason.replace("_", " "))


@dataclass(slots=True)
class DayReport:
    """One day, or the part of it that was asked for.

    ``counts`` has every task once, by its state; ``listed`` and ``searched`` say
    how many of them each list has, ``only_listed`` and ``only_searched`` how many
    the other one lacks.  ``recordings`` and ``bytes`` are those that are stored
    and verified, ``by_kind`` how many of them are no audio.  ``tasks_heard`` and
    ``search_heard`` say how each list was had, ``disagreements`` how many calls
    Search counts otherwise, ``flags`` how many recordings were stored although something about them is odd.
    ``troubles`` say what could not be read to its end.  ``attested``
    when its newest certificate says just that, ``certificate`` when it is a new one.
    """

    window: Window
    settled: bool = True
    tasks_heard: SearchState = SearchState.NOT_ASKED
    search_heard: SearchState = SearchState.NOT_ASKED
    search_required: bool = False
    disagreements: Counter[Disagreement] = field(default_factory=Counter)
    flags: Mapping[str, int] = field(default_factory=dict)
    counts: Counter[TaskStatus] = field(default_factory=Counter)
    listed: int = 0
    searched: int = 0
    only_listed: int = 0
    only_searched: int = 0
    other_channels: int = 0
    recordings: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    denied: int = 0
    troubles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    certificate: str | None = None
    attested: bool = False

    @property
    def tasks(self) -> int:
        return sum(self.counts[state] for state in STATES)

    @property
    def certified(self) -> bool:
        """Whether nothing is missing: every task is at an end, and every list was read to its end."""
        return not self.keeps_from_it() and not self.troubles

    def keeps_from_it(self) -> tuple[WhyNot, ...]:
        """Return what keeps it from being certified, by `rules.day_comparison.certified`."""
        return certified(
            CertificateFacts(self.settled, self.tasks_heard, self.search_heard, self.search_required, self.counts)
        )

    @property
    def basis(self) -> Basis:
        """What a certificate of it rests on."""
        return Basis(
            witnesses={"tasks": self.tasks_heard.value, "search": self.search_heard.value},
            disagreements={each.value: self.disagreements[each] for each in Disagreement},
            flags=dict(self.flags),
        )

    def attested_numbers(self) -> dict[str, int | None]:
        """Return `numbers` as a certificate has them: null for what was not asked."""
        unasked: set[str] = set()
        if self.search_heard not in (SearchState.PRESENT, SearchState.PARTIAL):
            unasked |= {"searched", *OF_BOTH}
        if self.tasks_heard is SearchState.OUT_OF_REACH:
            unasked |= {"listed", *OF_BOTH}
        return {name: None if name in unasked else count for name, count in self.numbers().items()}

    @property
    def is_unheard(self) -> bool:
        """Whether a list that must be heard was not, to its end."""
        return bool({WhyNot.LIST, WhyNot.SEARCH} & set(self.keeps_from_it()))

    @property
    def is_whole_day(self) -> bool:
        """Whether it is a whole UTC day, so that a certificate can be given."""
        return self.window.length_ms == DAY_MS and self.window.from_ms % DAY_MS == 0

    def numbers(self) -> dict[str, int]:
        """Return the counts, as a certificate names them."""
        by_state = {state.value: self.counts[state] for state in STATES}
        return {
            "tasks": self.tasks,
            **by_state,
            "left_out": self.counts[TaskStatus.LEFT_OUT],
            "other_channels": self.other_channels,
            "listed": self.listed,
            "searched": self.searched,
            "only_listed": self.only_listed,
            "only_searched": self.only_searched,
            "recordings": self.recordings,
            # Only where there are any: a day of audio alone says what it said before, byte for byte.
            **{f"recordings_{kind}": count for kind, count in sorted(self.by_kind.items())},
            "bytes": self.bytes,
        }

    def why_not(self) -> list[str]:
        """Say why it is not certified, a few words each."""
        words = [] if self.settled else ["too young: calls and captures can still appear"]
        # A trouble says which list broke off, and why: the general words beside it would say less, twice.
        words += self.troubles or [WHY_NOT[why] for why in self.keeps_from_it() if why in WHY_NOT]
        return words + [f"{self.counts[state]} {state.value}" for state in STATES[3:] if self.counts[state]]

    def as_json(self) -> dict[str, object]:
        """Return its part of the summary line."""
        return {
            "from": iso(self.window.from_ms),
            "to": iso(self.window.to_ms),
            "certified": self.certified,
            "certificate": self.certificate,
            **self.numbers(),
            **self.basis.as_json(),
            "why_not": self.why_not(),
            "notes": list(self.notes),
        }


@dataclass(slots=True)
class ReconcileReport:
    """The whole period.

    ``search`` says how the second list was had: ``asked``, ``absent`` (or it
    refuses us: `DayReport.search_heard` tells) or ``off``.
    ``begins_late`` when Webex no longer lists the beginning of what was asked for,
    ``ends_itself`` when nobody said where it ends.
    """

    run_id: str
    period: Window
    days: list[DayReport] = field(default_factory=list)
    search: str = "off"
    search_words: str = ""
    filters: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[str] = ()
    begins_late: bool = False
    ends_itself: bool = False
    token_unsaved: bool = False
    seconds: float = 0.0

    @property
    def certified(self) -> bool:
        return not self.begins_late and all(day.certified for day in self.days)

    @property
    def counts(self) -> Counter[str]:
        """Everything, over all days."""
        total: Counter[str] = Counter()
        for day in self.days:
            total.update(day.numbers())
        return total

    @property
    def exit_code(self) -> int:
        """Return 0 for a certified period only, 4 when S3 refused, 3 when something is wrong, 5 when it is to come."""
        # From what only a person can mend to what mends itself: access, what failed or was unread, what is owed.
        if self.token_unsaved or any(day.denied for day in self.days):
            return EXIT_AUTH
        counts = self.counts
        wrong = counts[TaskStatus.FAILED.value] or counts[TaskStatus.UNKNOWN.value]
        if wrong or self.begins_late or any(day.troubles or day.is_unheard for day in self.days):
            return EXIT_FAILED
        return EXIT_OK if self.certified else EXIT_OWED

    def as_json(self) -> dict[str, object]:
        """Return the summary line of ``--json``."""
        counts = self.counts
        return {
            "event": "summary",
            "schema": SUMMARY_SCHEMA,
            "run_id": self.run_id,
            "from": iso(self.period.from_ms),
            "to": iso(self.period.to_ms),
            "certified": self.certified,
            # Whole UTC days only: part of a day can be complete, and no certificate is ever given for it.
            "certified_days": [str(iso(day.window.from_ms))[:10] for day in self.days if _is_certified_day(day)],
            "attested_days": [str(iso(day.window.from_ms))[:10] for day in self.days if day.attested],
            "tasks_listed": counts["tasks"],
            "counts": {state.value: counts[state.value] for state in STATES},
            "left_out": counts["left_out"],
            "other_channels": counts["other_channels"],
            "only_listed": counts["only_listed"],
            "only_searched": counts["only_searched"],
            "recordings": counts["recordings"],
            **{name: count for name, count in sorted(counts.items()) if name.startswith("recordings_")},
            "bytes": counts["bytes"],
            "search": self.search,
            "search_words": self.search_words,
            "token_unsaved": self.token_unsaved,
            "filters": dict(self.filters),
            "notes": list(self.notes),
            "windows": [day.as_json() for day in self.days],
            "seconds": round(self.seconds, 3),
            "exit_code": self.exit_code,
        }


def _is_certified_day(day: DayReport) -> bool:
    return day.certified and day.is_whole_day
