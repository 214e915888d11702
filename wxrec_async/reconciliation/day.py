"""One day: both lists, the ledger and the bucket, side by side, task by task.

What was seen on the lists goes to disk, and the ledger is read in pages, so that
a day of any size needs no more memory than a page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from wxrec_async.evidence.manifests import EndedTasks
from wxrec_async.flow.search_lister import SearchReader
from wxrec_async.flow.task_lister import Lister
from wxrec_async.ledger import InPeriod, SeenTask, SeenTasks, SqliteLedger, StoredRow, TaskRow
from wxrec_async.maintenance.verify import REASONS, Comparison, ObjectFinding, ObjectVerdict
from wxrec_async.model import Kind, SearchRow, SearchState, Task, TaskPage, Window
from wxrec_async.plumbing.for_each import each_of
from wxrec_async.reconciliation.day_report import NOT_IN_SEARCH, NOT_IN_TASKS, SENTENCES, DayReport, Difference
from wxrec_async.reconciliation.facts import FactsBuilder, Looked
from wxrec_async.reconciliation.recheck import CapturesRecheck
from wxrec_async.rules.day_comparison import (
    Disagreement,
    Judgement,
    RecheckAnswer,
    TaskFacts,
    TaskStatus,
    disagreements,
    judge,
    may_be_deleted,
    must_ask,
)
from wxrec_async.rules.evidence import Claim, Ended
from wxrec_async.rules.finality import SEARCH_DELETED
from wxrec_async.rules.search_paging import searchable
from wxrec_async.rules.selection import WaitPolicy, of_channel
from wxrec_async.rules.sources import Reach, Source, cut_by_source

PAGE = 500
MOST_NAMED = 10  # calls that Search counts otherwise; if more do, it counts something else, and that is said once
NAMED = frozenset({TaskStatus.DELETED, TaskStatus.OWED, TaskStatus.FAILED, TaskStatus.UNKNOWN})
NO_WORK = frozenset(
    {"fewer_than_search", "fewer_than_named", "still_active", "lost"}
)  # nothing in the ledger is open because of it
OnDifference = Callable[[Difference], None]


class Certifier(Protocol):
    """Whoever writes down that a day is complete."""

    async def certify(self, claim: Claim, ended: EndedTasks) -> str | None:
        """Return the certificate's key, None when the evidence that is there says the same already.

        The claim's counts are the numbers of `DayReport.attested_numbers`.
        """
        ...


class CheckableBucket(Protocol):
    """The bucket, as far as telling a lost object from a lost bucket goes."""

    async def check_bucket(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ReconcileContext:
    """What a day is looked at with.  ``search`` is None when it is not to be asked."""

    ledger: SqliteLedger
    sightings: SeenTasks
    lister: Lister
    search: SearchReader | None
    search_required: bool
    asker: CapturesRecheck
    bucket: CheckableBucket
    comparison: Comparison
    reach: Reach
    sides: FactsBuilder
    ages: WaitPolicy
    channel_types: Sequence[str]
    concurrency: int
    max_failures_in_row: int
    now_ms: Callable[[], int]
    servers_now_ms: Callable[[], int]
    tell: OnDifference
    save_token: Callable[[], Awaitable[bool]]


def ended_as(row: TaskRow, judgement: Judgement) -> Ended | None:
    """Return a task that came to an end with nothing to store as the evidence names it."""
    # Two ends leave nothing to store; every other one either has an object, which the manifest names, or is no end.
    if judgement.standing is TaskStatus.NO_RECORDING:
        return Ended(row.task.id, judgement.standing.value, judgement.reason, row.evidence)
    if judgement.standing is not TaskStatus.DELETED:
        return None
    # Without a recording of its own to point at, it is Search that said the rest of the call was deleted.
    gone = next((each.evidence for each in row.recordings if each.id == judgement.recording_id), SEARCH_DELETED)
    return Ended(row.task.id, judgement.standing.value, judgement.reason, gone)


class DayReconciler:
    """Reconciles one window, once."""

    def __init__(self, window: Window, bench: ReconcileContext) -> None:
        self._window, self._bench = window, bench
        self._searched = False  # to its end, so that "not there" means something
        self._unlike: dict[Disagreement, list[Difference]] = {each: [] for each in Disagreement}
        self.report = DayReport(window, settled=False, search_required=bench.search_required)

    async def run(self) -> DayReport:
        """Look at everything; differences are told as they are found.

        Raises `AuthError`, `RunStopped` or `LedgerError` when it cannot go on.
        """
        bench, last = self._bench, None
        # One file for all days: what was seen, and what came to an end, on the day before belongs to that one.
        await bench.sightings.clear()
        asked_ms = bench.servers_now_ms()
        await self._list()
        # Calls may still have appeared behind a list that was begun too early, by the servers' time: ours may be ahead.
        asked_ms = min(asked_ms, bench.servers_now_ms())
        self.report.settled = self._window.to_ms <= asked_ms - bench.ages.settle_ms
        # After the list, so that a task only Search has is known for one; both before the ledger is read, since what
        # they bring is written into it and judged from there.
        await self._ask_search()
        while rows := await bench.ledger.task_rows(self._window, after=last, limit=PAGE):
            last = rows[-1]
            ours = [row for row in rows if of_channel(row.task, bench.channel_types)]
            self.report.other_channels += len(rows) - len(ours)
            await self._judge_page(ours)
        self._tell_disagreements()
        self.report.flags = await bench.ledger.flag_counts(InPeriod(self._window))
        return self.report

    # The two lists

    async def _list(self) -> None:
        bench = self._bench
        if cut_by_source(self._window, bench.reach, bench.now_ms())[0][0] is not Source.TASKS:
            # Search alone lists it, and says so in `_ask_search`: the day rests on that one voice.
            self.report.tasks_heard = SearchState.OUT_OF_REACH
            return

        async def take_in(window: Window, _page: TaskPage, new: Sequence[Task]) -> None:
            await bench.ledger.add_tasks(new, listed_in=window, now_ms=bench.now_ms())
            await bench.sightings.note([(task.id, SeenTask(listed=True)) for task in new])

        # Until the end is reached: only then does "not listed" mean anything.
        self.report.tasks_heard = SearchState.PARTIAL
        if trouble := await bench.lister.read(self._window, take_in):
            self.report.troubles.append(f"not listed to its end: {trouble}")
        else:
            self.report.tasks_heard = SearchState.PRESENT

    async def _ask_search(self) -> None:
        reader = self._bench.search
        if reader is None:
            return
        if not searchable(self._window, self._bench.now_ms()):
            self.report.search_heard = SearchState.OUT_OF_REACH
            return
        self.report.search_heard = SearchState.PARTIAL
        trouble = await reader.read(self._window, self._take_in_witnesses)
        self.report.search_heard = reader.state
        if reader.absent and self._bench.search_required:
            trouble = f"[webex] search is required, and there is none: {reader.absent}"
        if trouble:
            self.report.troubles.append(trouble)
        self._searched = self.report.search_heard is SearchState.PRESENT

    async def _take_in_witnesses(self, witnesses: Sequence[SearchRow]) -> None:
        """Keep what Search says; a task that only Search knows becomes work."""
        bench, now_ms = self._bench, self._bench.now_ms()
        ours = [bench.sides.believed(each) for each in witnesses if of_channel(each.task, bench.channel_types)]
        self.report.other_channels += len(witnesses) - len(ours)
        # Added first, witnessed after: the ledger keeps what Search says on a task's row, which has to be there.
        known = await bench.ledger.rows_of([each.task.id for each in ours])
        unknown = [each.task for each in ours if each.task.id not in known]
        if unknown:
            await bench.ledger.add_tasks(unknown, listed_in=self._window, now_ms=now_ms, source="search")
        await bench.ledger.witnessed(ours, now_ms)
        await bench.sightings.note(
            [
                (each.task.id, SeenTask(searched=True, requested=each.task.capture_requested, active=each.active))
                for each in ours
            ]
        )

    # Task by task

    async def _judge_page(self, rows: Sequence[TaskRow]) -> None:
        bench = self._bench
        seen = await bench.sightings.of([row.task.id for row in rows])
        looked = await self._look(rows)
        if self.report.tasks_heard is SearchState.OUT_OF_REACH:
            # Search is the list here: what it has is listed, and on no list but one.
            seen = {task_id: replace(each, listed=each.searched) for task_id, each in seen.items()}
        facts = {row.task.id: bench.sides.facts(row, seen[row.task.id], looked, bench.now_ms()) for row in rows}
        asked = await bench.asker.ask(
            [(row, facts[row.task.id]) for row in rows if must_ask(facts[row.task.id], bench.ages)]
        )
        # Judged by what the ledger says after asking, and marked before anything is counted and told: when the
        # bucket itself turns out to be gone, nothing of this page is called missing.
        rows, facts = await self._again(rows, facts, seen, looked, asked)
        await self._mark(looked)
        ended = [self._count(row, facts[row.task.id], seen[row.task.id], looked) for row in rows]
        await bench.sightings.note_ended([each for each in ended if each])

    async def _look(self, rows: Sequence[TaskRow]) -> Looked:
        """Hold every stored recording against the bucket."""
        bench = self._bench
        looked: dict[tuple[str, str], ObjectFinding] = {}

        async def look(row: StoredRow) -> None:
            finding = await bench.comparison.judge(row)
            looked[row.task_id, row.recording_id] = finding
            # One count for all pages: an outage may begin at the end of one.
            bench.comparison.check_streak(finding, bench.max_failures_in_row)

        stored = [each.stored for row in rows for each in row.recordings if each.stored]
        if stored:
            await each_of(stored, look, min(bench.concurrency, len(stored)))
        return looked

    async def _again(
        self,
        rows: Sequence[TaskRow],
        facts: dict[str, TaskFacts],
        seen: Mapping[str, SeenTask],
        looked: Looked,
        asked: Mapping[str, RecheckAnswer],
    ) -> tuple[Sequence[TaskRow], dict[str, TaskFacts]]:
        """Read again what asking has changed, and let what Webex deleted come to rest."""
        # Nothing was asked, so nothing has changed since.
        if not asked:
            return rows, facts
        bench = self._bench

        async def read() -> tuple[list[TaskRow], dict[str, TaskFacts]]:
            changed = await bench.ledger.rows_of(list(asked))
            now = [changed.get(row.task.id, row) for row in rows]
            more = {
                row.task.id: bench.sides.facts(row, seen[row.task.id], looked, bench.now_ms(), asked[row.task.id])
                for row in now
                if row.task.id in asked
            }
            return now, facts | more

        rows, facts = await read()
        gone = [row for row in rows if may_be_deleted(facts[row.task.id])]
        for row in gone:
            await bench.ledger.deleted_at_webex(row, bench.now_ms())
        # Once more, by the ledger's own words: a deletion does not touch what was stored once.
        return await read() if gone else (rows, facts)

    async def _mark(self, looked: Looked) -> None:
        """Make work of every recording that the bucket no longer has as it was."""
        bad = [finding for finding in looked.values() if finding.verdict in REASONS]
        if any(finding.verdict is ObjectVerdict.MISSING for finding in bad):
            await self._bench.bucket.check_bucket()  # HEAD says 404 for a bucket that is gone, too
        for finding in bad:
            reason = REASONS[finding.verdict]
            await self._bench.ledger.lost(finding.row, reason, finding.detail, self._bench.now_ms())

    def _count(self, row: TaskRow, facts: TaskFacts, seen: SeenTask, looked: Looked) -> Ended | None:
        """Count a task where it stands; return it when it has nothing to store."""
        report, judgement = self.report, judge(facts, self._bench.ages)
        report.counts[judgement.standing] += 1
        report.listed += seen.listed and report.tasks_heard is not SearchState.OUT_OF_REACH
        report.searched += seen.searched
        for each in row.recordings:
            finding = looked.get((row.task.id, each.id))
            if finding is not None and finding.verdict is ObjectVerdict.OK:
                report.recordings += 1
                if each.kind is not Kind.AUDIO:
                    report.by_kind[each.kind.value] += 1
                report.bytes += finding.row.size
            report.denied += finding is not None and finding.denied
        for difference in self._differences(row, facts, judgement, looked):
            self._bench.tell(difference)
        self._compare_lists(row, judgement, seen)
        self._compare_counts(row, facts, judgement)
        return ended_as(row, judgement)

    def _compare_counts(self, row: TaskRow, facts: TaskFacts, judgement: Judgement) -> None:
        """Count what Search counts otherwise; a few calls are named, many alike are one thing that is said once."""
        # Of every other state something is missing or deleted anyway, and is named for that.
        if judgement.standing not in (TaskStatus.STORED, TaskStatus.NO_RECORDING):
            return
        for each in disagreements(facts):
            self.report.disagreements[each] += 1
            # One more than is ever named: by it "too many to name" is told from "just so many".
            if len(self._unlike[each]) <= MOST_NAMED:
                self._unlike[each].append(self._difference(row, judgement.standing, each.value, "", ""))

    def _tell_disagreements(self) -> None:
        for each, named in self._unlike.items():
            if len(named) <= MOST_NAMED:
                for difference in named:
                    self._bench.tell(difference)
            else:
                words = SENTENCES[each.value]
                self.report.notes.append(f"{self.report.disagreements[each]} of {self.report.tasks} tasks: {words}")

    def _compare_lists(self, row: TaskRow, judgement: Judgement, seen: SeenTask) -> None:
        """Name a task that one list has and the other has not, unless that is what was said of it."""
        # Only a list that was read to its end shows by silence that it has not got a task.
        if not self._searched or judgement.standing is TaskStatus.LEFT_OUT or seen.listed == seen.searched:
            return
        self.report.only_listed += seen.listed
        self.report.only_searched += seen.searched
        # That word says it already: the task is named with it where its state is told.
        if judgement.reason != "only_in_search":
            reason = NOT_IN_SEARCH if seen.listed else NOT_IN_TASKS
            self._bench.tell(Difference(self._window, row.task.id, judgement.standing, reason))

    def _differences(
        self, row: TaskRow, facts: TaskFacts, judgement: Judgement, looked: Looked
    ) -> Iterator[Difference]:
        """Name every recording that is not well, else the task."""
        if judgement.standing not in NAMED:
            return
        named = False
        for each in facts.recordings:
            finding = looked.get((row.task.id, each.id))
            # What the bucket shows now goes before what the ledger says of an earlier try.
            reason = each.reason if each.state == "failed" else ""
            if finding is not None and finding.verdict is not ObjectVerdict.OK:
                reason = REASONS.get(finding.verdict, "bucket_unreadable")
            if reason:
                named = True
                detail = finding.detail if finding else ""
                yield self._difference(row, judgement.standing, reason, each.id, detail)
        if not named:
            yield self._difference(row, judgement.standing, judgement.reason, judgement.recording_id, "")

    def _difference(
        self, row: TaskRow, standing: TaskStatus, reason: str, recording_id: str, detail: str
    ) -> Difference:
        work = standing in (TaskStatus.OWED, TaskStatus.FAILED) and reason not in NO_WORK
        return Difference(self._window, row.task.id, standing, reason, detail, recording_id, work)
