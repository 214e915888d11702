"""Asks captures once more where the sides contradict each other, and writes down what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol

from wxrec_async.flow.batch import CAPTURES_BATCH, CapturesAnswer
from wxrec_async.ledger import SqliteLedger, TaskRow
from wxrec_async.model import Capture, Recording, TaskState
from wxrec_async.rules import selection
from wxrec_async.rules.finality import Silence
from wxrec_async.rules.reconciling import Asked, TaskFacts
from wxrec_async.rules.selection import Ages


class CaptureSource(Protocol):
    """Webex, as far as captures go."""

    async def captures(self, task_ids: Sequence[str]) -> CapturesAnswer:
        """Ask for one to ten tasks at once."""
        ...


class Asker:
    """Asks for recordings.  What is found becomes work, and silence is judged by the ages, as a run does."""

    def __init__(
        self,
        webex: CaptureSource,
        ledger: SqliteLedger,
        ages: Ages,
        now_ms: Callable[[], int],
        *,
        include_segments: bool,
    ) -> None:
        self._webex, self._ledger, self._ages, self._now_ms = webex, ledger, ages, now_ms
        self._include_segments = include_segments

    async def ask(self, questions: Sequence[tuple[TaskRow, TaskFacts]]) -> dict[str, Asked]:
        """Return what captures answered for each task; the ledger has it, too."""
        answers: dict[str, Asked] = {}
        waiting = iter(questions)
        while batch := list(islice(waiting, CAPTURES_BATCH)):
            answers |= await self._ask_batch(batch)
        return answers

    async def _ask_batch(self, batch: Sequence[tuple[TaskRow, TaskFacts]]) -> dict[str, Asked]:
        answer = await self._webex.captures([row.task.id for row, _ in batch])
        found = {task_id: self._wanted(capture) for task_id, capture in answer.captures.items()}
        found = {task_id: recordings for task_id, recordings in found.items() if recordings}
        if found:
            await self._ledger.captured_many(found, self._now_ms())
        answers: dict[str, Asked] = {}
        for row, facts in batch:
            capture = answer.captures.get(row.task.id)
            if capture is None or capture.unsettled:  # what it does not name may be there all the same
                answers[row.task.id] = Asked.UNANSWERED
            elif named := found.get(row.task.id):
                answers[row.task.id] = Asked.FOUND
                await self._note_deleted(row, facts, [each.id for each in named])
            else:
                answers[row.task.id] = Asked.SILENT
                await self._settle(row, facts)
        return answers

    def _wanted(self, capture: Capture) -> list[Recording]:
        return selection.wanted_recordings(capture, include_segments=self._include_segments)

    async def _note_deleted(self, row: TaskRow, facts: TaskFacts, named: Sequence[str]) -> None:
        """Let come to rest what captures no longer names of a call of which Search says that Webex deleted."""
        if facts.search is not None and facts.search.deleted and {each.id for each in row.recordings}.difference(named):
            await self._ledger.deleted_at_webex(row, self._now_ms(), named=named)

    async def _settle(self, row: TaskRow, facts: TaskFacts) -> None:
        """Judge a task without recordings by the silence; Search's word that there is one counts as a promise."""
        if row.recordings or (facts.search is not None and facts.search.deleted):
            return
        now_ms, search = self._now_ms(), facts.search
        promised = search is not None and bool(search.recordings or search.capture_requested)
        task = replace(row.task, capture_requested=True) if promised else row.task
        silence = Silence(row.asked.first_seen_ms, row.asked.first_empty_ms, row.named)
        verdict = selection.after_empty(task, silence, self._ages, now_ms)
        await self._ledger.settle_task(
            row.task.id,
            TaskState(verdict.state),
            verdict.reason,
            now_ms=now_ms,
            empty_answer=True,
            next_ask_ms=verdict.next_ask_ms,
            evidence=verdict.evidence,
        )
