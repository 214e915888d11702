"""Asks captures once more where the sides contradict each other, and writes down what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol

from wxrec_async.flow.batch import CAPTURES_BATCH, CapturesResult, TaskAnswer, read_answer
from wxrec_async.flow.run_log import RunLog
from wxrec_async.ledger import SqliteLedger, TaskRow
from wxrec_async.model import Capture, Task
from wxrec_async.rules.day_comparison import RecheckAnswer, TaskFacts


class CaptureSource(Protocol):
    """Webex, as far as captures go."""

    async def captures(self, task_ids: Sequence[str]) -> CapturesResult:
        """Ask for one to ten tasks at once."""
        ...


class CapturesRecheck:
    """Asks for recordings.  What is found becomes work, and silence is judged, as a run does, by its log."""

    def __init__(self, webex: CaptureSource, ledger: SqliteLedger, log: RunLog) -> None:
        self._webex, self._ledger, self._log = webex, ledger, log

    async def ask(self, questions: Sequence[tuple[TaskRow, TaskFacts]]) -> dict[str, RecheckAnswer]:
        """Return what captures answered for each task; the ledger has it, too."""
        answers: dict[str, RecheckAnswer] = {}
        waiting = iter(questions)
        while batch := list(islice(waiting, CAPTURES_BATCH)):
            answers |= await self._ask_batch(batch)
        return answers

    async def _ask_batch(self, batch: Sequence[tuple[TaskRow, TaskFacts]]) -> dict[str, RecheckAnswer]:
        answer = await self._webex.captures([row.task.id for row, _ in batch])
        read = await self._read(batch, answer.captures)
        await self._log.record_answers(
            {row.task.id: read[row.task.id] for row, facts in batch if _says_something(row, facts, read)}
        )
        for row, facts in batch:
            # After the log, which judges by captures alone what is no longer named: Search's word goes further.
            await self._note_deleted(row, facts, read.get(row.task.id))
        return {row.task.id: _asked(read.get(row.task.id)) for row, _ in batch}

    async def _read(
        self, batch: Sequence[tuple[TaskRow, TaskFacts]], captures: Mapping[str, Capture]
    ) -> dict[str, TaskAnswer]:
        before = await self._log.before(list(captures))
        now, job = self._log.judged_ms(), self._log.job
        return {
            row.task.id: read_answer(_promised(row, facts), captures[row.task.id], before[row.task.id], job, now)
            for row, facts in batch
            if row.task.id in captures
        }

    async def _note_deleted(self, row: TaskRow, facts: TaskFacts, answer: TaskAnswer | None) -> None:
        """Let come to rest what captures no longer names of a call of which Search says that Webex deleted."""
        if answer is None or answer.unsettled or not answer.offered or not _is_deleted(facts):
            return
        # Webex deletes recordings, not calls: what captures still names of a deleted call can be had, and stays work.
        if {each.id for each in row.recordings} - answer.offered:
            await self._ledger.deleted_at_webex(row, self._log.judged_ms(), named=sorted(answer.offered))


def _asked(answer: TaskAnswer | None) -> RecheckAnswer:
    if answer is None or answer.unsettled:  # what it does not name may be there all the same
        return RecheckAnswer.UNANSWERED
    return RecheckAnswer.FOUND if answer.offered else RecheckAnswer.SILENT


def _says_something(row: TaskRow, facts: TaskFacts, read: Mapping[str, TaskAnswer]) -> bool:
    """Say whether an answer is for the ledger: it names recordings, or settles a task that has none."""
    answer = read.get(row.task.id)
    if answer is None:
        return False
    # Silence about a call whose recordings are known, or of which Search says "deleted", settles nothing: those
    # recordings are judged one by one, and a deletion by both voices (`may_be_deleted`).
    return bool(answer.offered) or not (answer.unsettled or row.recordings or _is_deleted(facts))


def _promised(row: TaskRow, facts: TaskFacts) -> Task:
    """Return the task; Search's word that there is a recording counts as a promise."""
    search = facts.search
    # Without the promise an old call would come to rest at the first empty answer.
    promised = search is not None and bool(search.recordings or search.capture_requested)
    return replace(row.task, capture_requested=True) if promised else row.task


def _is_deleted(facts: TaskFacts) -> bool:
    return facts.search is not None and bool(facts.search.deleted)
