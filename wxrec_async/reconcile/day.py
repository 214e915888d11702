"""One day: both lists, the ledger and the bucket, side by side, task by task.

What was seen on the lists goes to disk, and the ledger is read in pages, so that
a day of any size needs no more memory than a page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from wxrec_async.bucket import feeding, for_each
from wxrec_async.ledger import Sighting, Sightings, SqliteLedger, StoredRow, TaskRow
from wxrec_async.lister import Lister
from wxrec_async.model import Task, TaskPage, Window, Witness
from wxrec_async.reconcile.asking import Asker
from wxrec_async.reconcile.facts import Looked, Sides
from wxrec_async.reconcile.report import NOT_IN_SEARCH, NOT_IN_TASKS, DayReport, Difference
from wxrec_async.rules.cursors import searchable
from wxrec_async.rules.reconciling import Asked, Judgement, Standing, TaskFacts, judge, may_be_deleted, must_ask
from wxrec_async.rules.selection import Ages, of_channel
from wxrec_async.searching import SearchReader
from wxrec_async.verify import REASONS, Comparison, Finding, Verdict

PAGE = 500
NAMED = frozenset({Standing.DELETED, Standing.OWED, Standing.FAILED, Standing.UNKNOWN})
NO_WORK = frozenset({"fewer_than_search", "still_active", "lost"})  # nothing in the ledger is open because of it
OnDifference = Callable[[Difference], None]


class Certifier(Protocol):
    """Whoever writes down that a day is complete."""

    async def certify(
        self, day: Window, counts: Mapping[str, int], filters: Mapping[str, object], run_id: str
    ) -> str | None:
        """Certify one whole UTC day with nothing missing.

        ``counts`` are the numbers of `DayReport.numbers`.  Return the certificate's
        key, None when the evidence that is there says the same already.
        """
        ...


class Bucket(Protocol):
    """The bucket, as far as telling a lost object from a lost bucket goes."""

    async def check_bucket(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Bench:
    """What a day is looked at with.  ``search`` is None when it is not to be asked."""

    ledger: SqliteLedger
    sightings: Sightings
    lister: Lister
    search: SearchReader | None
    search_required: bool
    asker: Asker
    bucket: Bucket
    comparison: Comparison
    sides: Sides
    ages: Ages
    channel_types: Sequence[str]
    concurrency: int
    max_failures_in_row: int
    now_ms: Callable[[], int]
    tell: OnDifference
    save_token: Callable[[], Awaitable[bool]]


class Day:
    """Reconciles one window, once."""

    def __init__(self, window: Window, bench: Bench) -> None:
        self._window, self._bench = window, bench
        self._searched = False  # to its end, so that "not there" means something
        now_ms = bench.now_ms()
        self.report = DayReport(window, settled=window.to_ms <= now_ms - bench.ages.settle_ms)

    async def run(self) -> DayReport:
        """Look at everything; differences are told as they are found.

        Raises `AuthError`, `RunStopped` or `LedgerError` when it cannot go on.
        """
        bench, last = self._bench, None
        await bench.sightings.clear()
        await self._list()
        await self._ask_search()
        while rows := await bench.ledger.task_rows(self._window, after=last, limit=PAGE):
            last = rows[-1]
            ours = [row for row in rows if of_channel(row.task, bench.channel_types)]
            self.report.other_channels += len(rows) - len(ours)
            await self._judge_page(ours)
        return self.report

    # The two lists

    async def _list(self) -> None:
        bench = self._bench

        async def take_in(window: Window, _page: TaskPage, new: Sequence[Task]) -> None:
            await bench.ledger.add_tasks(new, listed_in=window, now_ms=bench.now_ms())
            await bench.sightings.note([(task.id, Sighting(listed=True)) for task in new])

        if trouble := await bench.lister.read(self._window, take_in):
            self.report.troubles.append(f"not listed to its end: {trouble}")

    async def _ask_search(self) -> None:
        reader = self._bench.search
        if reader is None or not searchable(self._window, self._bench.now_ms()):
            return
        trouble = await reader.read(self._window, self._take_in_witnesses)
        if reader.absent and self._bench.search_required:
            trouble = f"[webex] search is required, and there is none: {reader.absent}"
        if trouble:
            self.report.troubles.append(trouble)
        self._searched = not (trouble or reader.absent)

    async def _take_in_witnesses(self, witnesses: Sequence[Witness]) -> None:
        """Keep what Search says; a task that only Search knows becomes work."""
        bench, now_ms = self._bench, self._bench.now_ms()
        ours = [bench.sides.believed(each) for each in witnesses if of_channel(each.task, bench.channel_types)]
        self.report.other_channels += len(witnesses) - len(ours)
        known = await bench.ledger.rows_of([each.task.id for each in ours])
        unknown = [each.task for each in ours if each.task.id not in known]
        if unknown:
            await bench.ledger.add_tasks(unknown, listed_in=self._window, now_ms=now_ms)
        await bench.ledger.witnessed(ours, now_ms)
        await bench.sightings.note(
            [
                (each.task.id, Sighting(searched=True, requested=each.task.capture_requested, active=each.active))
                for each in ours
            ]
        )

    # Task by task

    async def _judge_page(self, rows: Sequence[TaskRow]) -> None:
        bench = self._bench
        seen = await bench.sightings.of([row.task.id for row in rows])
        looked = await self._look(rows)
        facts = {row.task.id: bench.sides.facts(row, seen[row.task.id], looked, bench.now_ms()) for row in rows}
        asked = await bench.asker.ask(
            [(row, facts[row.task.id]) for row in rows if must_ask(facts[row.task.id], bench.ages)]
        )
        rows, facts = await self._again(rows, facts, seen, looked, asked)
        await self._mark(looked)
        for row in rows:
            self._count(row, facts[row.task.id], seen[row.task.id], looked)

    async def _look(self, rows: Sequence[TaskRow]) -> Looked:
        """Hold every stored recording against the bucket."""
        bench = self._bench
        looked: dict[tuple[str, str], Finding] = {}

        async def look(row: StoredRow) -> None:
            finding = await bench.comparison.judge(row)
            looked[row.task_id, row.recording_id] = finding
            bench.comparison.check_streak(finding, bench.max_failures_in_row)

        stored = [each.stored for row in rows for each in row.recordings if each.stored]
        if stored:
            await for_each(feeding(stored), look, min(bench.concurrency, len(stored)))
        return looked

    async def _again(
        self,
        rows: Sequence[TaskRow],
        facts: dict[str, TaskFacts],
        seen: Mapping[str, Sighting],
        looked: Looked,
        asked: Mapping[str, Asked],
    ) -> tuple[Sequence[TaskRow], dict[str, TaskFacts]]:
        """Read again what asking has changed, and let what Webex deleted come to rest."""
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
        return await read() if gone else (rows, facts)

    async def _mark(self, looked: Looked) -> None:
        """Make work of every recording that the bucket no longer has as it was."""
        bad = [finding for finding in looked.values() if finding.verdict in REASONS]
        if any(finding.verdict is Verdict.MISSING for finding in bad):
            await self._bench.bucket.check_bucket()  # HEAD says 404 for a bucket that is gone, too
        for finding in bad:
            reason = REASONS[finding.verdict]
            await self._bench.ledger.lost(finding.row, reason, finding.detail, self._bench.now_ms())

    def _count(self, row: TaskRow, facts: TaskFacts, seen: Sighting, looked: Looked) -> None:
        report, judgement = self.report, judge(facts, self._bench.ages)
        report.counts[judgement.standing] += 1
        report.listed += seen.listed
        report.searched += seen.searched
        for each in row.recordings:
            finding = looked.get((row.task.id, each.id))
            if finding is not None and finding.verdict is Verdict.OK:
                report.recordings += 1
                report.bytes += finding.row.size
            report.denied += finding is not None and finding.denied
        for difference in self._differences(row, facts, judgement, looked):
            self._bench.tell(difference)
        self._compare_lists(row, judgement, seen)

    def _compare_lists(self, row: TaskRow, judgement: Judgement, seen: Sighting) -> None:
        """Name a task that one list has and the other has not, unless that is what was said of it."""
        if not self._searched or judgement.standing is Standing.LEFT_OUT or seen.listed == seen.searched:
            return
        self.report.only_listed += seen.listed
        self.report.only_searched += seen.searched
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
            reason = each.reason if each.state == "failed" else ""
            if finding is not None and finding.verdict is not Verdict.OK:
                reason = REASONS.get(finding.verdict, "bucket_unreadable")
            if reason:
                named = True
                detail = finding.detail if finding else ""
                yield self._difference(row, judgement.standing, reason, each.id, detail)
        if not named:
            yield self._difference(row, judgement.standing, judgement.reason, judgement.recording_id, "")

    def _difference(self, row: TaskRow, standing: Standing, reason: str, recording_id: str, detail: str) -> Difference:
        work = standing in (Standing.OWED, Standing.FAILED) and reason not in NO_WORK
        return Difference(self._window, row.task.id, standing, reason, detail, recording_id, work)
