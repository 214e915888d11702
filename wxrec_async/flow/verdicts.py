"""What becomes of tasks and recordings: judged by the rules, written to the ledger, and told after that.

One `TaskVerdicts` for each run, wherever its work is done: `flow.run_log` has it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import anyio

from wxrec_async import events
from wxrec_async.errors import AuthError, RunStopped
from wxrec_async.events import Emit
from wxrec_async.flow.job import Job
from wxrec_async.flow.run_ledger import RunLedger
from wxrec_async.ledger.records import KnownTask, Standing
from wxrec_async.model import (
    FINAL_STATES,
    MINUTE_MS,
    Failed,
    Gone,
    Kind,
    LeftAlone,
    Recording,
    Stored,
    Task,
    TaskState,
    Window,
)
from wxrec_async.plumbing.groups import first_failure
from wxrec_async.rules import finality, schedule, selection
from wxrec_async.rules.artefacts import left_id
from wxrec_async.rules.finality import EmptyAnswers
from wxrec_async.rules.selection import TaskVerdict


class TaskVerdicts:
    """Settles for the run of ``job``; ``failed_before`` are tasks whose failures are no news to it."""

    def __init__(self, job: Job, ledger: RunLedger, emit: Emit, now_ms: Callable[[], int]) -> None:
        self._job, self._ledger, self._emit, self._now_ms = job, ledger, emit, now_ms
        self._ages, self._filters = job.ages, job.filters
        self._streak = self._stored = 0
        self.failed_before: set[str] = set()

    # Before captures is asked

    def matching_filters(self, tasks: Sequence[Task], listed_in: Window | None) -> Sequence[Task]:
        """Return what the filters want; the rest stays in the ledger as it is, for a run that wants it."""
        wanted = [task for task in tasks if not self._filters.leaves_out(task)] if self._filters else tasks
        if left := len(tasks) - len(wanted):
            self._emit(events.TasksLeftOut(listed_in, left))
        return wanted

    async def needing_captures(self, tasks: Sequence[Task], listed_in: Window | None = None) -> list[Task]:
        """Leave out what is not wanted, settle what needs no captures call, return the rest."""
        now, tasks = self._now_ms(), self.matching_filters(tasks, listed_in)
        verdicts = {task.id: selection.before_asking(task, self._ages, now) for task in tasks}
        settled = {task_id: verdict for task_id, verdict in verdicts.items() if verdict}
        states = await self._settle(settled, empty_answer=False)
        # What is owed against its row was named once, so the row does not suffice.
        owed = {name for name, state in states.items() if state != settled[name].state and state is TaskState.OWED}
        return [task for task in tasks if verdicts[task.id] is None or task.id in owed]

    async def other_contacts(self, tasks: Sequence[Task], window: Window) -> None:
        """Count contacts of other channels."""
        # Without a channel of its own it is among those that were asked for.
        seen = [
            LeftAlone(task.id, task.channel_type.lower(), task.created_ms or window.from_ms)
            for task in tasks
            if task.channel_type is not None
        ]
        await self._leave_alone(seen, {})

    # What captures answered

    async def record_attachments(
        self, named: Sequence[tuple[Task, Sequence[tuple[str, str]]]], fetched: Mapping[str, int]
    ) -> None:
        """Count what captures names and nobody fetches, by id and kind; ``fetched`` transcripts a task has besides."""
        named = [(task, found) for task, found in named if found or task.id in fetched]
        seen = [
            LeftAlone(left_id(task.id, name), kind, task.created_ms or self._now_ms())
            for task, found in named
            for name, kind in found
        ]
        transcripts = {
            task.id: sum(kind == Kind.TRANSCRIPT for _, kind in found) + fetched.get(task.id, 0)
            for task, found in named
        }
        await self._leave_alone(seen, transcripts)

    async def _leave_alone(self, seen: Sequence[LeftAlone], transcripts: Mapping[str, int]) -> None:
        if not seen and not transcripts:
            return
        await self._ledger.leave_alone(seen, transcripts)
        for kind, count in Counter(each.kind for each in seen).items():
            self._emit(events.SeenAndLeft(kind, count))

    def second_looks(self, tasks: Sequence[Task]) -> dict[str, int]:
        """Return when tasks deserve a second look, for those that do."""
        after, now = self._ages.look_again_ms, self._now_ms()
        looks = {task.id: schedule.second_look(task.created_ms, after, now) for task in tasks}
        return {task_id: due for task_id, due in looks.items() if due is not None}

    async def record_nothing_named(self, tasks: Mapping[str, Task], unsettled: Mapping[str, str]) -> None:
        """Judge tasks of which no recording was named: by the silence, or by why the answer proves nothing."""
        await self.record_empty([task for task_id, task in tasks.items() if not unsettled.get(task_id)])
        await self.unsettled(tasks, {task_id: unsettled[task_id] for task_id in tasks if unsettled.get(task_id)})

    async def record_empty(self, tasks: Sequence[Task]) -> None:
        """Judge the tasks for which captures had nothing, by what was asked before."""
        silences, now = await self._silences(tasks), self._now_ms()
        verdicts = {task.id: selection.after_empty(task, silences[task.id], self._ages, now) for task in tasks}
        await self._settle(verdicts, empty_answer=True)

    async def unsettled(self, tasks: Mapping[str, Task], why: Mapping[str, str]) -> None:
        """Owe the tasks for which captures gave an answer that proves nothing; ``why`` is a word for each."""
        silences, now = await self._silences([tasks[task_id] for task_id in why]), self._now_ms()
        verdicts = {
            task_id: selection.after_unsettled(tasks[task_id], word, silences[task_id], self._ages, now)
            for task_id, word in why.items()
        }
        await self._settle(verdicts, empty_answer=False)

    async def goes_on(self, tasks: Mapping[str, Task], found: Mapping[str, Sequence[Recording]]) -> None:
        """Owe tasks whose recordings may still grow, and remember how many were named of each.

        One that is over by now, after its worker fetched nothing, is asked for again at once.
        """
        silences, now = await self._silences(list(tasks.values())), self._now_ms()
        soon = TaskVerdict(TaskState.OWED, selection.MAY_GO_ON, now + MINUTE_MS)
        for task_id, task in tasks.items():
            going_on = selection.while_it_goes_on(task, found[task_id], silences[task_id], self._ages, now)
            await self._settle({task_id: going_on or soon}, empty_answer=False, named=len(found[task_id]))

    def never_ended(self, tasks: Sequence[Task]) -> dict[str, str]:
        """Return the word for those that are said to go on for too long to believe."""
        now = self._now_ms()
        return {task.id: selection.NEVER_ENDED for task in tasks if selection.never_ended(task, self._ages, now)}

    def without_audio(self, found: Mapping[str, tuple[Task, Sequence[Recording]]]) -> dict[str, Standing]:
        """Judge the calls whose sound was promised and not named beside what was."""
        now = self._now_ms()
        verdicts = {name: selection.without_audio(*each, self._ages, now) for name, each in found.items()}
        return {name: Standing(it.state, it.reason, it.next_ask_ms) for name, it in verdicts.items() if it}

    async def _silences(self, tasks: Sequence[Task]) -> dict[str, EmptyAnswers]:
        if not tasks:
            return {}
        asked = await self._ledger.asked([task.id for task in tasks])
        return {
            task_id: EmptyAnswers(before.first_seen_ms, before.first_empty_ms, before.named)
            for task_id, before in asked.items()
        }

    async def record_refused(self, failed: Mapping[str, str]) -> None:
        """Settle tasks that could not be asked for, by reason; raises as `failed` does."""
        for task_id, reason in failed.items():
            # One after the other, and written before it is counted: the count may end the run.
            await self._settle({task_id: TaskVerdict(TaskState.FAILED, reason)}, empty_answer=False)
            self._count_failure(task_id, reason)

    async def record_unlisted(self, known: KnownTask, offered: Collection[str]) -> None:
        """A recording that a sound answer no longer names: gone when that is proven, else failed by name."""
        for recording_id, it in known.known.items():
            if recording_id in offered or it.state in FINAL_STATES:
                continue
            if finality.is_gone(it.evidence, named=False, sound=True):
                await self.gone(known.task_id, recording_id, Gone(it.evidence), it.kind)
            else:
                failed = Failed("missing", "captures no longer names it")
                await self._note_failed(known.task_id, recording_id, failed, it.kind)

    async def _settle(
        self, verdicts: Mapping[str, TaskVerdict], *, empty_answer: bool, named: int = 0
    ) -> dict[str, TaskState]:
        """Write verdicts down, all at once, so that one commit serves them all; return the states in force."""
        states: dict[str, TaskState] = {}

        async def settle(task_id: str, verdict: TaskVerdict) -> None:
            state = await self._ledger.settle_task(
                task_id,
                verdict.state,
                verdict.reason,
                now_ms=self._now_ms(),
                empty_answer=empty_answer,
                next_ask_ms=verdict.next_ask_ms,
                evidence=verdict.evidence,
                named=named,
            )
            states[task_id] = state
            if state is not TaskState.CAPTURED:
                self._emit(events.TaskSettled(task_id, state.value, verdict.reason))
            # The ledger kept it CAPTURED: recordings of it are known, and this answer, which is
            # sound, names none of them.
            elif empty_answer:
                await self.record_unlisted(await self._ledger.known(task_id), offered=())

        try:
            async with anyio.create_task_group() as group:
                for task_id, verdict in verdicts.items():
                    group.start_soon(settle, task_id, verdict)
        except BaseExceptionGroup as failures:
            raise first_failure(failures) from None
        return states

    # What became of a recording

    async def stored(self, recording: Recording, stored: Stored, seconds: float, *, replaced: bool = False) -> None:
        """Note a stored recording; ``replaced`` when it took the place of an earlier state of it."""
        task_id, recording_id, found = recording.task_id, recording.id, stored.object
        await self._ledger.stored(
            task_id,
            recording_id,
            found,
            run_id=self._job.run_id,
            already=stored.already,
            main_place=stored.main_place,
            flags=stored.flags,
            now_ms=self._now_ms(),
            upload_id=stored.upload_id,
            span=(recording.start_ms, recording.stop_ms) if replaced else None,
        )
        self._streak = 0
        self._stored += 1
        self._emit(
            events.RecordingStored(
                task_id,
                recording_id,
                found.key,
                found.size,
                found.crc32 or 0,
                seconds,
                already=stored.already,
                flags=stored.flags,
                kind=recording.kind.value,
            )
        )

    async def gone(self, task_id: str, recording_id: str, gone: Gone, kind: Kind = Kind.AUDIO) -> None:
        await self._ledger.recording_gone(task_id, recording_id, self._now_ms(), evidence=gone.evidence)
        self._emit(events.RecordingGone(task_id, recording_id, kind.value))

    async def failed(self, recording: Recording, failed: Failed) -> None:
        """Raises `RunStopped` or `AuthError` when so much fails in a row that the fault must be everybody's."""
        await self._note_failed(recording.task_id, recording.id, failed, recording.kind)
        self._count_failure(recording.task_id, failed.reason, failed.detail)

    async def _note_failed(self, task_id: str, recording_id: str, failed: Failed, kind: Kind) -> None:
        await self._ledger.recording_failed(
            task_id, recording_id, failed.reason, failed.detail, self._now_ms(), evidence=failed.evidence
        )
        self._emit(events.RecordingFailed(task_id, recording_id, failed.reason, failed.detail, kind.value))

    def _count_failure(self, task_id: str, reason: str, detail: str = "") -> None:
        if task_id in self.failed_before:
            return
        self._streak += 1
        most = self._job.settings.backfill.max_failures_in_row
        if not selection.streak_ends_run(reason, self._streak, self._stored, most):
            return
        words = f"{self._streak} failures in a row, the last one {reason}" + (f": {detail}" if detail else "")
        # A permission that nobody has is for a person to give: it ends with the exit code of authentication.
        raise AuthError(words) if reason.endswith("AccessDenied") else RunStopped(words)
